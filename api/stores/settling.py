"""What goes with the end of a job, in the same transaction: it is counted, and its webhook becomes due."""

import secrets
from collections import Counter
from collections.abc import Iterable

from sqlalchemy import Connection, Row, insert

from ..jobs.job import TERMINAL, Job
from ..jobs.outbox import Delivery
from . import sql
from .rows import delivery_values, job_of
from .tables import deliveries

_ENQUEUE = insert(deliveries)


def settle(connection: Connection, rows: Iterable[Row[tuple[object, ...]] | None]) -> list[Job]:
    """The jobs of changed rows; those that ended are counted and their webhooks noted."""
    jobs = [job_of(row) for row in rows if row is not None]
    ended = [job for job in jobs if job.status in TERMINAL]
    tally(connection, ended, by=1)
    webhooks = [delivery_values(_delivery(job)) for job in ended if job.webhook]
    if webhooks:
        connection.execute(_ENQUEUE, webhooks)
    return jobs


def settle_one(connection: Connection, row: Row[tuple[object, ...]] | None) -> Job | None:
    """`settle` for an operation on one job."""
    return next(iter(settle(connection, [row])), None)


def tally(connection: Connection, jobs: Iterable[Job], by: int) -> None:
    """Count ended jobs. In a fixed order, so that two transactions never wait for each other in a circle."""
    for status, number in sorted(Counter(job.status.value for job in jobs).items()):
        connection.execute(sql.TALLY, {"ended": status, "by": by * number})


def _delivery(job: Job) -> Delivery:
    at = job.finished_at or job.created_at
    # Ours and without dots: it is part of what is signed.
    name = f"msg_{secrets.token_hex(16)}"
    return Delivery(name, job.id, job.status, str(job.webhook), created_at=at, due_at=at)
