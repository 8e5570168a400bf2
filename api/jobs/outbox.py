"""The port of durable webhooks: each ended job with a webhook leaves a delivery here, in the transaction that ends it.

Knows no HTTP: who sends, signs and decides on the schedule is the caller.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ..ids import JobId
from .job import Status


class DeliveryState(StrEnum):
    """What has become of a delivery."""

    DUE = "due"
    DELIVERED = "delivered"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Try:
    """One try to deliver. `outcome` is a status code or the reason there is none."""

    at: float
    outcome: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one address. `id` is the same on every try."""

    id: str
    job_id: JobId
    status: Status
    url: str
    created_at: float
    due_at: float
    state: DeliveryState = DeliveryState.DUE
    tries: tuple[Try, ...] = ()
    # Differs for every claim: a sender that was too slow cannot overwrite.
    lease: int = 0


class WebhookOutbox(Protocol):
    """Deliveries still to be made, and the log of those that were."""

    def claim_deliveries(self, lease_s: float, limit: int = 10) -> Sequence[Delivery]:
        """Deliveries that are due, hidden from others for `lease_s`: after a crash they come again."""

    def record_delivery(self, delivery: Delivery, outcome: str, state: DeliveryState, due_at: float = 0.0) -> bool:
        """Note one try. State DUE: once more at `due_at`. False when the lease was lost to another sender."""

    def deliveries(self, job_id: JobId) -> Sequence[Delivery]:
        """The delivery log of a job."""

    def resend(self, delivery_id: str) -> bool:
        """Make a delivery due again, now. False when there is none of that id."""
