"""What ComfyUI Deploy can be the reason of: a branch of the tree in errors.py.

DeployError               ComfyUI Deploy
├── DeployUnreachable
├── DeployBusy            it asks to be left alone for longer than a request may take
├── DeployProtocolError
└── DeployRefused         it says no: the key, the account, the request
    ├── DeployNotFound    it has no such workflow, deployment, machine or run
    ├── DeployOff         no key is set
    ├── DeployMachineUnfit   the machine that is wanted cannot run it
    └── DeployRunUnknown  a run may have been queued whose id never came
"""

from collections.abc import Sequence

from .errors import Detail, WorkerError


class DeployError(WorkerError):
    """ComfyUI Deploy is the reason, not the job."""

    retryable = True


class DeployUnreachable(DeployError):
    """No answer of ComfyUI Deploy within the allowed time, or only failures of its servers."""


class DeployBusy(DeployError):
    """ComfyUI Deploy limits the rate of requests; `retry_after_s` is when it may be asked again."""

    def __init__(self, message: str, details: Sequence[Detail] = (), retry_after_s: float | None = None) -> None:
        super().__init__(message, details)
        self.retry_after_s = retry_after_s


class DeployProtocolError(DeployError):
    """ComfyUI Deploy answered something that is not of its API."""


class DeployRefused(DeployError):
    """ComfyUI Deploy says no, for good: a wrong key, an account without credits, a request it does not take."""

    retryable = False


class DeployNotFound(DeployRefused):
    """ComfyUI Deploy has no such workflow, deployment, machine or run."""


class DeployOff(DeployRefused):
    """COMFY_DEPLOY_API_KEY is not set."""


class DeployMachineUnfit(DeployRefused):
    """The machine that is wanted is away, or nothing binds the workflow to it; nothing was run elsewhere instead."""


class DeployRunUnknown(DeployRefused):
    """The connection broke while a run was queued: it may run, and nobody here knows its id."""
