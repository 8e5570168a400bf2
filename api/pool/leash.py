"""What can be done from outside to a run on one ComfyUI: end it, take it back, or give the ComfyUI up."""

from ..errors import WorkerError
from ..jobs.cancel import CancelToken, TakenOver


class Recalled(Exception):
    """The prompt was taken out of ComfyUI's queue before it began: run the job elsewhere."""


class Leash:
    """One per run. `cancel` is set with the job's own, and when the ComfyUI or the job is given up.

    `has_executed`: the prompt went well there, so a failure after that is no reason to render again.
    """

    def __init__(self, job_cancel: CancelToken) -> None:
        self.cancel = CancelToken()
        self.recall = CancelToken()
        self.has_executed = False
        self._is_given_up = False
        job_cancel.on_cancel(lambda: self._end(job_cancel.reason))

    def _end(self, reason: WorkerError) -> None:
        if isinstance(reason, TakenOver):
            self.give_up(reason)
        else:
            self.cancel.cancel(reason)

    def give_up(self, reason: WorkerError) -> None:
        """End the run with `reason`; its prompt stays: nobody answers there, or another worker follows it."""
        if not self.cancel.is_set():
            self._is_given_up = True
            self.cancel.cancel(reason)

    def is_given_up(self) -> bool:
        """Whether that was done."""
        return self._is_given_up
