"""Why a job is where it is, in one sentence for whoever asks."""

from collections.abc import Callable

from ..errors import ComfyBusy
from .job import ACTIVE, SAID, Job, Status
from .store import JobStore


class Why:
    """`waits_for` tells what is in the way of a job that waits, or of one that has begun; None when nothing is."""

    def __init__(self, store: JobStore, clock: Callable[[], float], waits_for: Callable[[Job], str | None]) -> None:
        self._store = store
        self._clock = clock
        self._waits_for = waits_for

    def __call__(self, job: Job) -> str:
        """The sentence."""
        if job.status is Status.RUNNING:
            return self._waits_for(job) or _what_became_of(job)
        if job.status is not Status.QUEUED:
            return _what_became_of(job)
        if self._store.paused():
            return "The queue is paused; the job starts after POST /queue/resume."
        if job.error and job.error.code == ComfyBusy.code:
            return job.error.message
        if job.available_at > self._clock():
            reason = f" ({job.error.message})" if job.error else ""
            return f"Its last run was lost{reason}; it runs again in {job.available_at - self._clock():.0f} s."
        return self._waits_for(job) or self._place_in_line(job)

    def _place_in_line(self, job: Job) -> str:
        if ahead := self._store.position(job.id):
            return f"{ahead} {'job is' if ahead == 1 else 'jobs are'} ahead of it."
        begun = sum(count for status, count in self._store.counts().items() if status in ACTIVE)
        if begun:
            return f"It is next in line; {begun} {'job has' if begun == 1 else 'jobs have'} begun, and one has to end."
        return "It is next in line."


def _what_became_of(job: Job) -> str:
    match job.status:
        case Status.RUNNING:
            node = f" at node {job.node}" if job.node else ""
            return f"It does not wait: it is running{node}, {job.progress:.0%} done."
        case Status.CANCELING:
            return "It was cancelled while it ran and stops as soon as its node lets it."
        case _:
            reason = f": {job.error.message}" if job.error else "."
            return f"It does not wait: it {SAID[job.status]}{reason}"
