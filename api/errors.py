"""Every error the worker can answer with, as one tree. Knows no HTTP, no SDK, no third-party exception.

WorkerError
├── InvalidInput              the caller can mend it; nothing was run
│   ├── InvalidWorkflow
│   │   └── WorkflowInUiFormat
│   ├── InvalidInputFile
│   ├── InputTooLarge
│   ├── InputUrlRefused
│   ├── WorkflowNotFound      no named workflow is called so
│   ├── ModelTypeUnknown      no folder of models is called so
│   ├── NodeTypeUnknown       the ComfyUI has no node class of that name
│   └── PromptRejected        ComfyUI's own validation said no
├── InputUnavailable          a URL of the input could not be read
│   └── InputNotFound         its server says that there is nothing to be had
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
│   ├── ComfyBusy             those that could run the job have no room, or are away
│   ├── TargetRefused         a remote endpoint does not take this worker's key, or is not there
│   └── PromptLost
├── DeployError               ComfyUI Deploy; it and its children are in deploy_errors.py
├── DeliveryFailed            the outputs exist but could not be handed over
│   ├── OutputUnavailable
│   ├── StorageUnreachable
│   └── DiskFull
├── JobRefused                the job layer does not take the request; nothing was kept
│   ├── JobNotFound
│   ├── JobNotReady           the job is in the wrong state for it
│   ├── QueueFull
│   ├── StorageFull
│   ├── KeyReused             the Idempotency-Key came with another request
│   ├── KeyInFlight
│   ├── DuplicateJob
│   ├── OutputNotFound        no job and no ComfyUI has a file of that name
│   ├── InstanceNotFound      there is no ComfyUI of that name
│   ├── InstanceConflict      the ComfyUI's state does not allow it
│   ├── UploadNotFound
│   ├── UploadConflict        the upload session is elsewhere, or in use
│   ├── GalleryItemNotFound
│   ├── DownloadNotFound      no model download has that id
│   ├── ModelExists           a model of that name is there, or on its way
│   └── UploadMismatch        the bytes are not those that were announced
├── Unauthorized              no key, or a wrong one, where one is needed
├── Forbidden                 known, but not allowed to do this
├── ComfyDisabled             /api/comfy is switched off
├── RateLimited
├── WorkflowUnusable          a named workflow that is there and cannot be run
├── StoreUnavailable
├── StoreOutdated
├── WorkerStopping
├── SecretsUnreadable
├── InvalidSettings
└── InternalError
"""

import re
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

    `code` is stable and machine-readable: the name of the class, unless it says another; `retryable` says whether the
    same job may succeed unchanged; `fresh_worker` asks the platform for a new worker because this one will not recover
    by itself.
    """

    code: ClassVar[str] = "WORKER_ERROR"
    retryable: ClassVar[bool] = False
    fresh_worker: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        if "code" not in cls.__dict__:
            cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).upper()

    def __init__(self, message: str, details: Sequence[Detail] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details: list[Detail] = list(details)


class InvalidInput(WorkerError):
    """The request is malformed; `details` name each field."""


class InvalidWorkflow(InvalidInput):
    """The workflow is not a runnable API-format graph; `details` name node and field."""


class WorkflowInUiFormat(InvalidWorkflow):
    """The workflow is the editor's own format (nodes, links), not the API export."""

    code = "WORKFLOW_FORMAT_UI"


class InvalidInputFile(InvalidInput):
    """An input file is not what it claims to be: not base64, not a picture, too many pixels."""


class InputTooLarge(InvalidInput):
    """The input, one file of it or their number is over a limit."""


class InputUrlRefused(InvalidInput):
    """The address of an input URL is not allowed (scheme, private range, redirect)."""


class WorkflowNotFound(InvalidInput):
    """There is no named workflow of that name; `details` have the nearest ones."""


class ModelTypeUnknown(InvalidInput):
    """There is no folder of models of that type; the message lists those there are."""

    code = "UNKNOWN_MODEL_TYPE"


class NodeTypeUnknown(InvalidInput):
    """The ComfyUI that was asked has no node class of that name; `details` have the nearest ones."""


class PromptRejected(InvalidInput):
    """ComfyUI refused the prompt; `details` carry its node errors made readable."""


class InputUnavailable(WorkerError):
    """An input URL did not answer, or answered with an error."""

    retryable = True


class InputNotFound(InputUnavailable):
    """The server of an input URL refused it for good: there is no such file, or the URL is no longer valid."""

    retryable = False


class ExecutionFailed(WorkerError):
    """A node raised while the prompt ran; `details` name the node."""


class OutOfVram(ExecutionFailed):
    """The GPU's memory was not enough for this prompt."""


class CudaFault(ExecutionFailed):
    """The CUDA context is broken: every later prompt on this process fails as well."""

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


class JobExpired(WorkerError):
    """The job's time to live passed before it began to execute."""

    code = "EXPIRED"
    retryable = True


class ComfyError(WorkerError):
    """ComfyUI itself is the reason, not the job."""

    retryable = True


class ComfyUnreachable(ComfyError):
    """No HTTP answer within the allowed time."""


class ComfyNotStarted(ComfyError):
    """ComfyUI never came up; `details` carry why (exit code, log tail)."""

    fresh_worker = True


class ComfyDied(ComfyError):
    """The ComfyUI process ended while the job was in it; `details` carry why."""


class ComfyWedged(ComfyError):
    """ComfyUI answers HTTP but its worker thread is gone: nothing will ever run again in it."""


class ComfyProtocolError(ComfyError):
    """ComfyUI answered something no known version answers."""


class ComfyBusy(ComfyError):
    """The ComfyUIs that could run the job have no room for it now, or are away; nothing was tried."""


class TargetRefused(ComfyError):
    """A remote endpoint takes no jobs from this worker: its key, its account or its address is wrong."""

    retryable = False


class PromptLost(ComfyError):
    """The prompt is neither queued, running nor in the history any more."""


class DeliveryFailed(WorkerError):
    """The outputs were made but could not be handed over."""

    retryable = True


class OutputUnavailable(DeliveryFailed):
    """ComfyUI names an output file that it cannot deliver."""


class StorageUnreachable(DeliveryFailed):
    """The object storage refused or did not answer."""


class DiskFull(DeliveryFailed):
    """No space (or quota) left where the worker writes."""


class JobRefused(WorkerError):
    """The job layer does not take the request as it is; nothing was kept of it.

    `retry_after_s` is when the same request may be taken, where that can be said.
    """

    def __init__(self, message: str, details: Sequence[Detail] = (), retry_after_s: int | None = None) -> None:
        super().__init__(message, details)
        self.retry_after_s = retry_after_s


class JobNotFound(JobRefused):
    """There is no job of that id, or its record is gone."""


class JobNotReady(JobRefused):
    """The job's state does not allow it: deleting one that runs, retrying one that succeeded."""


class QueueFull(JobRefused):
    """As many jobs wait as MAX_QUEUE_SIZE allows."""

    retryable = True


class StorageFull(JobRefused):
    """The disk of the job files is nearly full; running jobs have the rest."""

    retryable = True


class KeyReused(JobRefused):
    """The Idempotency-Key was used with another request."""

    code = "IDEMPOTENCY_KEY_REUSED"


class KeyInFlight(JobRefused):
    """The first request with this Idempotency-Key has no answer yet."""

    code = "IDEMPOTENCY_KEY_IN_FLIGHT"
    retryable = True


class DuplicateJob(JobRefused):
    """A job of that id is there already."""


class Unauthorized(WorkerError):
    """The request carries no API key, or a wrong one."""


class Forbidden(WorkerError):
    """The caller is known but may not do this: an operator's path, or a page of another site."""


class ComfyDisabled(WorkerError):
    """The routes below /api/comfy are switched off with COMFY_ENABLED=false."""


class RateLimited(WorkerError):
    """More requests than RATE_LIMIT allows; the same one is taken after `retry_after_s` seconds."""

    retryable = True

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OutputNotFound(JobRefused):
    """There is no file of that name, neither among the outputs of jobs nor in a ComfyUI."""


class InstanceNotFound(JobRefused):
    """No ComfyUI of that name belongs to the worker."""


class InstanceConflict(JobRefused):
    """The state of the ComfyUI does not allow it: adding one that is there, removing one that has jobs."""


class UploadNotFound(JobRefused):
    """There is no such upload or upload session, or its time is over."""


class UploadConflict(JobRefused):
    """The upload session goes on at another offset, or another request writes to it; ask for its offset."""

    retryable = True


class GalleryItemNotFound(JobRefused):
    """The gallery has no such file, or it was deleted and the time to undo that is over."""


class DownloadNotFound(JobRefused):
    """There is no download of that id, or it was too long ago."""


class ModelExists(JobRefused):
    """A model of that name is there already, or is being fetched; it is only replaced when asked to."""


class UploadMismatch(JobRefused):
    """What was sent is not what was announced; nothing of it was kept."""


class WorkflowUnusable(WorkerError):
    """A named workflow has a mistake in its files, or no ComfyUI has what it needs; its callers cannot mend it."""


class StoreUnavailable(WorkerError):
    """The database is locked, gone or broken right now; nothing was changed."""

    retryable = True


class StoreOutdated(WorkerError):
    """The database has another schema version than this release needs."""


class WorkerStopping(WorkerError):
    """The worker is shutting down and its grace time is over."""

    retryable = True


class SecretsUnreadable(WorkerError):
    """What is secret of a job was sealed with another key than the one that lies beside the database now."""


class InvalidSettings(WorkerError):
    """An environment variable has a value that cannot be used."""


class InternalError(WorkerError):
    """A defect of the worker. The log has the traceback; the caller gets the job id to quote."""
