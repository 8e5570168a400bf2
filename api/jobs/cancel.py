"""The one way to tell a running job to stop: a token that can be polled, waited on and listened to."""

import threading
from collections.abc import Callable

from ..errors import JobCancelled, WorkerError, WorkerStopping


class TakenOver(WorkerStopping):
    """Another worker has the job now, and follows its prompt: the run ends, the prompt goes on."""


class CancelToken:
    """Set once, from any thread; carries the error the job shall end with."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._reason: WorkerError = JobCancelled("The job was cancelled.")

    def cancel(self, reason: WorkerError | None = None) -> None:
        """Ask the job to stop. Only the first call's reason counts."""
        with self._lock:
            if self._event.is_set():
                return
            self._reason = reason or self._reason
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def is_set(self) -> bool:
        """Whether the job has been asked to stop."""
        return self._event.is_set()

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when the token is set; at once if it already is."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return
        callback()

    def raise_if_set(self) -> None:
        """Raise the reason given to `cancel`, if it was called."""
        if self._event.is_set():
            raise self._reason

    @property
    def reason(self) -> WorkerError:
        """The error the job ends with when the token is set."""
        return self._reason
