"""How long to wait for a remote endpoint: between two tries, between two jobs, and never past a job's cancel."""

import threading

import tenacity

from ..errors import ComfyBusy
from ..jobs.cancel import CancelToken

_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 5.0
_REST_S = 5.0
_LONGEST_REST_S = 300.0


class Passing(Exception):
    """A failure that may pass. `is_busy`: the endpoint takes no more now; `is_unsent`: it cannot have heard."""

    def __init__(
        self, reason: str, retry_after_s: float | None = None, *, is_busy: bool = False, is_unsent: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.is_busy = is_busy
        self.is_unsent = is_unsent


def rest_s(error: ComfyBusy) -> float:
    """How long the endpoint wants to be left alone."""
    asked = error.__cause__.retry_after_s if isinstance(error.__cause__, Passing) else None
    return _REST_S if asked is None else min(asked, _LONGEST_REST_S)


class Patience:
    """The pauses of one job, which its cancel cuts short."""

    def __init__(self, cancel: CancelToken) -> None:
        self.cancel = cancel
        self._woken = threading.Event()
        cancel.on_cancel(self._woken.set)

    def pause(self, seconds: float) -> None:
        """Wait. Raises the reason of the cancel."""
        self._woken.wait(seconds)
        self.cancel.raise_if_set()


def pause_s(state: tenacity.RetryCallState) -> float:
    """Before the next try: as long as was asked for, or longer each time."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Passing) and error.retry_after_s is not None:
        return error.retry_after_s
    jittered: float = tenacity.wait_random_exponential(multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S)(state)
    return jittered
