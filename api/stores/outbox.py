"""The durable webhooks on a database."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Update, bindparam, select, text, update

from ..ids import JobId
from ..jobs.outbox import Delivery, DeliveryState, Try
from .database import Database
from .rows import delivery_of, tries_value
from .tables import deliveries

_OF_JOB = select(deliveries).where(deliveries.c.job_id == bindparam("of")).order_by(deliveries.c.created_at)
# Written out, for the partial index.
_IS_DUE = text("state = 'due'")


class SqlWebhookOutbox:
    """`WebhookOutbox` on the database of the jobs."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def claim_deliveries(self, lease_s: float, limit: int = 10) -> Sequence[Delivery]:
        """Take what is due; the lease is nothing but a later due time."""
        statement = _claim(self._clock(), lease_s, limit)
        rows = self._database.write(lambda connection: connection.execute(statement).all(), durable=False)
        return sorted((delivery_of(row) for row in rows), key=lambda delivery: delivery.created_at)

    def record_delivery(self, delivery: Delivery, outcome: str, state: DeliveryState, due_at: float = 0.0) -> bool:
        """Note one try, if the lease still holds."""
        tries = tries_value((*delivery.tries, Try(self._clock(), outcome)))
        held = _one(delivery.id).where(deliveries.c.lease == delivery.lease, _IS_DUE)
        return self._changes_one(held.values(tries=tries, state=state.value, due_at=due_at))

    def deliveries(self, job_id: JobId) -> Sequence[Delivery]:
        """The delivery log of a job."""
        rows = self._database.read(lambda connection: connection.execute(_OF_JOB, {"of": job_id}).all())
        return [delivery_of(row) for row in rows]

    def resend(self, delivery_id: str) -> bool:
        """Make a delivery due now."""
        return self._changes_one(_one(delivery_id).values(state=DeliveryState.DUE.value, due_at=self._clock()))

    def _changes_one(self, statement: Update) -> bool:
        def work(connection: Connection) -> bool:
            return bool(connection.execute(statement).rowcount)

        return self._database.write(work)


def _one(delivery_id: str) -> Update:
    return update(deliveries).where(deliveries.c.id == delivery_id)


def _claim(now: float, lease_s: float, limit: int) -> Any:
    due = select(deliveries.c.id).where(_IS_DUE, deliveries.c.due_at <= now).order_by(deliveries.c.due_at)
    taken = due.limit(limit).with_for_update(skip_locked=True).cte("taken")
    values = {"due_at": now + lease_s, "lease": deliveries.c.lease + 1}
    return update(deliveries).where(deliveries.c.id.in_(select(taken.c.id))).values(values).returning(deliveries)
