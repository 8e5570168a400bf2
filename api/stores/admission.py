"""Adding a job: its idempotency key, the limit of the queue, and the row, all in one transaction."""

from typing import Any

from sqlalchemy import Connection, Row

from ..jobs.job import Job
from ..jobs.store import Added, Admission, Idempotency
from . import sql
from .database import Database
from .rows import job_of, job_values
from .tables import idempotency_keys


def admit(
    connection: Connection,
    database: Database,
    job: Job,
    idempotency: Idempotency | None,
    max_queued: int | None,
    now: float,
) -> Added:
    """Insert the job, unless its key is known or the queue is full. A full queue does not use the key up."""
    if idempotency is not None:
        known = _holder(connection, idempotency, now)
        if known is not None:
            return known
    if max_queued is not None and connection.execute(sql.COUNT_QUEUED).scalar_one() >= max_queued:
        return Added(Admission.QUEUE_FULL, job)
    if idempotency is not None and not _reserve(connection, database, idempotency, job):
        known = _holder(connection, idempotency, now)
        assert known is not None, "the insert that got ahead is committed"
        return known
    connection.execute(sql.INSERT_JOB, job_values(job))
    return Added(Admission.ADDED, job)


def _reserve(connection: Connection, database: Database, idempotency: Idempotency, job: Job) -> bool:
    """Waits, on PostgreSQL, for another transaction that reserves the same key; False when that one was first."""
    insert = database.insert(idempotency_keys).on_conflict_do_nothing().returning(idempotency_keys.c.key)
    return connection.execute(insert, idempotency._asdict() | {"job_id": job.id}).first() is not None


def _holder(connection: Connection, idempotency: Idempotency, now: float) -> Added | None:
    connection.execute(sql.FORGET_KEY, {"key": idempotency.key, "now": now})
    reserved = connection.execute(sql.KEY, {"key": idempotency.key}).first()
    if reserved is None:
        return None
    job = job_of(connection.execute(sql.JOB_BY_ID, {"job_id": reserved.job_id}).one())
    return Added(_verdict(reserved, idempotency, job), job)


def _verdict(reserved: Row[Any], idempotency: Idempotency, job: Job) -> Admission:
    if reserved.fingerprint != idempotency.fingerprint:
        return Admission.CONFLICT
    return Admission.REPLAYED if job.is_terminal else Admission.IN_FLIGHT
