"""Every error the worker can answer with, as one tree. Knows no HTTP, no SDK, no third-party exception.

WorkerError
├── InvalidInput              the caller can mend it; nothing was run
│   ├── InvalidWorkflow
│   │   └── WorkflowInUiFormat
│   ├── InvalidInputFile
│   ├── InputTooLarge
│   ├── InputUrlRefused
│   └── PromptRejected        ComfyUI's own validation said no
├── InputUnavailable          a URL of the input could not be read
├── ExecutionFailed           a node raised
│   ├── OutOfVram
│   └── CudaFault
├── ExecutionInterrupted      somebody else interrupted the prompt
├── JobCancelled
├── JobTimedOut
├── ComfyError                the ComfyUI itself
│   ├── ComfyUnreachable
│   ├── ComfyNotStarted
│   ├── ComfyDied
│   ├── ComfyWedged
│   ├── ComfyProtocolError
│   └── PromptLost
├── DeliveryFailed            the outputs exist but could not be handed over
│   ├── OutputUnavailable
│   ├── StorageUnreachable
│   └── DiskFull
├── WorkerStopping
├── InvalidSettings
└── InternalError
"""

from collections.abc import Sequence
from typing import Any, ClassVar, TypedDict


class Detail(TypedDict, total=False):
    """One finding of an error, as the caller sees it. `field` is a dotted path into the job's input."""

    node_id: str
    class_type: str
    field: str
    message: str
    code: str
    nearest: list[str]
    received: Any
    log_tail: list[str]


class WorkerError(Exception):
    """Root of the tree.

    `code` is stable and machine-readable; `retryable` says whether the same job may succeed unchanged;
    `fresh_worker` asks the platform for a new worker because this one will not recover by itself.
    """

    code: ClassVar[str] = "WORKER_ERROR"
    retryable: ClassVar[bool] = False
    fresh_worker: ClassVar[bool] = False

    def __init__(self, message: str, details: Sequence[Detail] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details: list[Detail] = list(details)


class InvalidInput(WorkerError):
    """The request is malformed; `details` name each field."""

    code = "INVALID_INPUT"


class InvalidWorkflow(InvalidInput):
    """The workflow is not a runnable API-format graph; `details` name node and field."""

    code = "INVALID_WORKFLOW"


class WorkflowInUiFormat(InvalidWorkflow):
    """The workflow is the editor's own format (nodes, links), not the API export."""

    code = "WORKFLOW_FORMAT_UI"


class InvalidInputFile(InvalidInput):
    """An input file is not what it claims to be: not base64, not a picture, too many pixels."""

    code = "INVALID_INPUT_FILE"


class InputTooLarge(InvalidInput):
    """The input, one file of it or their number is over a limit."""

    code = "INPUT_TOO_LARGE"


class InputUrlRefused(InvalidInput):
    """The address of an input URL is not allowed (scheme, private range, redirect)."""

    code = "INPUT_URL_REFUSED"


class PromptRejected(InvalidInput):
    """ComfyUI refused the prompt; `details` carry its node errors made readable."""

    code = "PROMPT_REJECTED"


class InputUnavailable(WorkerError):
    """An input URL did not answer, or answered with an error."""

    code = "INPUT_UNAVAILABLE"
    retryable = True


class ExecutionFailed(WorkerError):
    """A node raised while the prompt ran; `details` name the node."""

    code = "EXECUTION_FAILED"


class OutOfVram(ExecutionFailed):
    """The GPU's memory was not enough for this prompt."""

    code = "OUT_OF_VRAM"


class CudaFault(ExecutionFailed):
    """The CUDA context is broken: every later prompt on this process fails as well."""

    code = "CUDA_FAULT"
    retryable = True
    fresh_worker = True


class ExecutionInterrupted(WorkerError):
    """The prompt was interrupted or taken from the queue, and not by this job's own cancel."""

    code = "INTERRUPTED"
    retryable = True


class JobCancelled(WorkerError):
    """The job's owner cancelled it."""

    code = "CANCELLED"


class JobTimedOut(WorkerError):
    """The job's own time limit passed; its prompt was stopped."""

    code = "TIMED_OUT"


class ComfyError(WorkerError):
    """ComfyUI itself is the reason, not the job."""

    code = "COMFY_ERROR"
    retryable = True


class ComfyUnreachable(ComfyError):
    """No HTTP answer within the allowed time."""

    code = "COMFY_UNREACHABLE"


class ComfyNotStarted(ComfyError):
    """ComfyUI never came up; `details` carry why (exit code, log tail)."""

    code = "COMFY_NOT_STARTED"
    fresh_worker = True


class ComfyDied(ComfyError):
    """The ComfyUI process ended while the job was in it; `details` carry why."""

    code = "COMFY_DIED"


class ComfyWedged(ComfyError):
    """ComfyUI answers HTTP but its worker thread is gone: nothing will ever run again in it."""

    code = "COMFY_WEDGED"


class ComfyProtocolError(ComfyError):
    """ComfyUI answered something no known version answers."""

    code = "COMFY_PROTOCOL_ERROR"


class PromptLost(ComfyError):
    """The prompt is neither queued, running nor in the history any more."""

    code = "PROMPT_LOST"


class DeliveryFailed(WorkerError):
    """The outputs were made but could not be handed over."""

    code = "DELIVERY_FAILED"
    retryable = True


class OutputUnavailable(DeliveryFailed):
    """ComfyUI names an output file that it cannot deliver."""

    code = "OUTPUT_UNAVAILABLE"


class StorageUnreachable(DeliveryFailed):
    """The object storage refused or did not answer."""

    code = "STORAGE_UNREACHABLE"


class DiskFull(DeliveryFailed):
    """No space (or quota) left where the worker writes."""

    code = "DISK_FULL"


class WorkerStopping(WorkerError):
    """The worker is shutting down and its grace time is over."""

    code = "WORKER_STOPPING"
    retryable = True


class InvalidSettings(WorkerError):
    """An environment variable has a value that cannot be used."""

    code = "INVALID_SETTINGS"


class InternalError(WorkerError):
    """A defect of the worker. The log has the traceback; the caller gets the job id to quote."""

    code = "INTERNAL_ERROR"
