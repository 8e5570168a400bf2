"""What ended jobs may have left in the worker's own ComfyUIs: a prompt that nobody waits for, files."""

from collections.abc import Callable, Iterable

from .errors import ComfyProtocolError, ComfyUnreachable, ComfyWedged
from .ids import JobId
from .jobs.ends import Run
from .jobs.job import Job, Status
from .jobs.ports import Attempt
from .pool.pool_target import PoolTarget

_STOPPED = frozenset({Status.CANCELLED, Status.TIMED_OUT})
# Failures by which nobody knows whether the prompt is over.
_UNSEEN = frozenset({ComfyUnreachable.code, ComfyWedged.code, ComfyProtocolError.code})


class Leftovers:
    """`folder_of` names the folder that a job has for itself in ComfyUI."""

    def __init__(self, target: PoolTarget, folder_of: Callable[[JobId], str]) -> None:
        self._target = target
        self._folder_of = folder_of

    def note(self, job: Job, run: Run | None) -> None:
        """A job has ended. One that was stopped may run on there, if ComfyUI did not answer or nobody was with it."""
        may_run_on = job.status in _STOPPED or (job.error is not None and job.error.code in _UNSEEN)
        if run is None or may_run_on:
            self._let_go(job, has_files=run is None)

    def of_earlier(self, jobs: Iterable[Job]) -> None:
        """Jobs that ended under an earlier process, which may have been killed before it had all of it removed."""
        for job in jobs:
            self._let_go(job, has_files=True)

    def _let_go(self, job: Job, *, has_files: bool) -> None:
        if job.prompt_id and job.instance:
            folder = self._folder_of(job.id) if has_files else None
            self._target.let_go(Attempt(job.prompt_id, job.instance), folder)
