"""What ended jobs may have left in the worker's own ComfyUIs: a prompt that nobody waits for, files."""

from collections.abc import Callable, Iterable

from .ids import JobId
from .jobs.ends import Run
from .jobs.job import Job, Status
from .jobs.ports import Attempt
from .pool.pool_target import PoolTarget


class Leftovers:
    """`folder_of` names the folder that a job has for itself in ComfyUI."""

    def __init__(self, target: PoolTarget, folder_of: Callable[[JobId], str]) -> None:
        self._target = target
        self._folder_of = folder_of

    def note(self, job: Job, run: Run | None) -> None:
        """A job has ended. One that was stopped may run on there, if ComfyUI did not answer or nobody was with it."""
        if run is None or job.status is not Status.SUCCEEDED:
            self._let_go(job, has_files=run is None)

    def of_earlier(self, jobs: Iterable[Job]) -> None:
        """Jobs that ended under an earlier process, which may have been killed before it had all of it removed."""
        for job in jobs:
            self._let_go(job, has_files=True)

    def _let_go(self, job: Job, *, has_files: bool) -> None:
        if job.prompt_id and job.instance:
            folder = self._folder_of(job.id) if has_files else None
            self._target.let_go(Attempt(job.prompt_id, job.instance), folder)
