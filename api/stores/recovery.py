"""How a job leaves the worker it ran on or the line it waits in, other than by being finished or claimed."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from ..errors import JobExpired
from ..jobs.job import EXPIRED_TEXT, TERMINAL, Job, JobError, Lease, Status, may_follow, rank_of
from . import sql
from .rows import error_value, job_of
from .settling import settle, settle_one, tally

EXPIRED = JobError(JobExpired.code, EXPIRED_TEXT, retryable=JobExpired.retryable)
LOST = JobError(
    "WORKER_LOST", "Each of the many workers that took the job stopped answering; it may be what ends them."
)

# The prompt stays: whoever claims the job next asks ComfyUI what became of it. Its time to live does not: it has been
# taken within it.
_WAITING: Mapping[str, Any] = {"status": Status.QUEUED.value} | dict.fromkeys(
    ("worker", "started_at", "heartbeat_at", "expires_at")
)
_AS_NEW: Mapping[str, Any] = {
    **_WAITING,
    "attempts": 0,
    "progress": 0.0,
    "cancel_requested": False,
    **dict.fromkeys(("finished_at", "prompt_id", "instance", "node", "step", "steps", "error", "result_path")),
}


def released(
    connection: Connection,
    lease: Lease,
    now: float,
    available_at: float,
    used: bool,
    error: JobError | None,
    tried: bool = True,
) -> Job | None:
    """Back into the line, at the old place; one that was to be cancelled has ended instead."""
    values = {**_WAITING, "available_at": available_at, "error": error_value(error)}
    back = sql.held(Status.QUEUED) if used else sql.given_back(tried)
    row = connection.execute(back, sql.by(lease) | values).first()
    return job_of(row) if row is not None else _end(connection, lease, _cancelled(now))


def recovered(connection: Connection, job: Job, now: float, error: JobError) -> Job | None:
    """A running job whose worker is gone, in the state it comes to."""
    if job.status is Status.CANCELING:
        return _end(connection, job.lease, _cancelled(now))
    if job.is_worn_out:
        return _end(connection, job.lease, _failed(now, error))
    return released(connection, job.lease, now, job.available_at, used=False, error=None)


def cancelled(connection: Connection, job_id: str, now: float) -> Job | None:
    """A waiting job cancelled, a running one asked to stop, an ended one as it is."""
    # Locked before it is looked at: it could be claimed, or handed back, in between.
    found = connection.execute(sql.LOCK_JOB, {"job_id": job_id}).first()
    if found is None:
        return None
    if found.status == Status.QUEUED:
        return settle_one(connection, connection.execute(sql.CHANGE, {"of": job_id, **_cancelled(now)}).one())
    if not may_follow(Status(found.status), Status.CANCELING):
        return job_of(found)
    canceling = {"of": job_id, "status": Status.CANCELING.value, "cancel_requested": True}
    return job_of(connection.execute(sql.CHANGE, canceling).one())


def all_cancelled(connection: Connection, now: float) -> list[Job]:
    """Every waiting job, cancelled."""
    return settle(connection, connection.execute(sql.WAITING.values(_cancelled(now))).all())


def expired(connection: Connection, now: float) -> list[Job]:
    """The waiting jobs whose time was over, ended. Keys whose time is over go as well."""
    connection.execute(sql.FORGET_KEYS, {"now": now})
    ended = {"status": Status.TIMED_OUT.value, "finished_at": now, "error": error_value(EXPIRED)}
    return settle(connection, connection.execute(sql.overdue(now).values(ended)).all())


def retried(connection: Connection, job_id: str, now: float, ageing_s: float) -> Job | None:
    """An ended job at the end of the line again; None when it may not be retried."""
    can_retry = sql.leading_to(Status.QUEUED, TERMINAL)
    found = connection.execute(sql.LOCK_JOB.where(can_retry), {"job_id": job_id}).first()
    if found is None:
        return None
    job = job_of(found)
    tally(connection, [job], by=-1)
    values = {**_AS_NEW, "of": job_id, "available_at": now, "rank": rank_of(job.priority, now, ageing_s)}
    return job_of(connection.execute(sql.CHANGE, values).one())


def _end(connection: Connection, lease: Lease, values: Mapping[str, Any]) -> Job | None:
    return settle_one(connection, connection.execute(sql.held(), {**sql.by(lease), **values}).first())


def _cancelled(now: float) -> dict[str, Any]:
    return {"status": Status.CANCELLED.value, "finished_at": now, "cancel_requested": True}


def _failed(now: float, error: JobError) -> dict[str, Any]:
    return {"status": Status.FAILED.value, "finished_at": now, "error": error_value(error)}
