"""The error of an ended job as one that can be raised: surfaces that answer with results answer with it instead."""

from ..errors import ExecutionFailed, JobCancelled, JobTimedOut, WorkerError
from ..jobs.job import Job, Status
from .native_job import error_text


def error_of(job: Job) -> WorkerError:
    """What the job failed with, as the kind of error its code stands for."""
    message = error_text(job) or ""
    details = list(job.error.details) if job.error else []
    if job.status is Status.CANCELLED:
        return JobCancelled(f"The job {job.id} was cancelled.", details)
    if job.status is Status.TIMED_OUT:
        return JobTimedOut(message, details)
    return _KINDS.get(job.error.code if job.error else "", ExecutionFailed)(message, details)


def _kinds(root: type[WorkerError]) -> dict[str, type[WorkerError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found |= _kinds(child)
    return found


# Those with arguments of their own belong to requests, not to jobs.
_KINDS = {code: kind for code, kind in _kinds(WorkerError).items() if kind.__init__ is WorkerError.__init__}
