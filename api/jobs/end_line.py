"""The one line the log has of a job's end, wherever it ended."""

from typing import Any

from ..errors import JobCancelled
from ..logs import get_logger
from .ends import UNNAMED, Run
from .job import Job, JobError, Status
from .performance import category

log = get_logger()

_SAYING = {
    Status.SUCCEEDED: "Job completed successfully",
    Status.FAILED: "Job failed",
    Status.TIMED_OUT: "Job timed out",
    Status.CANCELLED: "Job cancelled",
}
# What log pipelines of the middleware this API stands in for look for.
_LOGGED_AS = {"service": "comfyui-worker", "component": "job-processor"}
_NO_RUN = Run()


def log_end(job: Job, run: Run | None) -> None:
    """Write it; without a run the job ended in line."""
    run = run or _NO_RUN
    took_s = (job.finished_at or 0.0) - (job.started_at or 0.0) if job.started_at is not None else 0.0
    log.info(
        _SAYING[job.status],
        message=_SAYING[job.status],
        **job.log_context(),
        **_LOGGED_AS,
        jobId=job.id,
        jobType=job.workflow_name or UNNAMED,
        processingDuration=round(took_s * 1000),
        resultSize=run.result_bytes,
        stages_s={stage: round(seconds, 4) for stage, seconds in run.stages_s.items()},
        **_why(job.status, job.error),
    )


def _why(status: Status, error: JobError | None) -> dict[str, Any]:
    """What the log says of an error: of a refused input only what is wrong, since the text may quote it."""
    if error is None:
        return {"code": JobCancelled.code if status is Status.CANCELLED else "OK"}
    if category(error.code) == "input":
        return {"code": error.code, "fields": [detail.get("field") for detail in error.details]}
    return {"code": error.code, "error": error.message}
