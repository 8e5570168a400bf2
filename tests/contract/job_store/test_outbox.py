"""The contract of durable webhooks: every end leaves one, what is claimed is hidden and comes again."""

import pytest
from support.job_stores import T0, Stores

from api.jobs.job import TERMINAL, Job, Status
from api.jobs.outbox import Delivery, DeliveryState

HOOK = "https://example.org/hook"


def ended(stores: Stores, status: Status = Status.SUCCEEDED) -> Job:
    stores.add(webhook=HOOK)
    running = stores.jobs.claim("w")
    assert running is not None
    job = stores.jobs.finish(running.lease, status)
    assert job is not None
    return job


def due(stores: Stores) -> Delivery:
    (delivery,) = stores.webhooks.claim_deliveries(30)
    return delivery


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_every_end_leaves_one_delivery(stores: Stores, status: Status) -> None:
    job = ended(stores, status)
    delivery = due(stores)
    assert (delivery.job_id, delivery.status, delivery.url) == (job.id, status, HOOK)
    assert delivery.created_at == T0
    assert delivery.id.startswith("msg_")
    assert "." not in delivery.id


def test_jobs_that_end_without_a_worker_leave_one_too(stores: Stores) -> None:
    cancelled = stores.add(webhook=HOOK)
    stores.jobs.request_cancel(cancelled.id)
    stores.add(webhook=HOOK, expires_at=T0)
    stores.jobs.expire()
    stores.add(webhook=HOOK, max_attempts=1)
    for _ in range(4):
        stores.jobs.claim("w")
        stores.clock.tick(61)
        stores.jobs.release_stale(60)
    stores.add(webhook=HOOK)
    stores.add()
    stores.jobs.cancel_queued()
    statuses = [delivery.status.value for delivery in stores.webhooks.claim_deliveries(30)]
    assert sorted(statuses) == ["cancelled", "cancelled", "failed", "timed_out"]


def test_a_claimed_delivery_is_hidden_and_comes_again_after_a_crash(stores: Stores) -> None:
    ended(stores)
    first = due(stores)
    assert stores.webhooks.claim_deliveries(30) == []
    stores.clock.tick(30)
    again = due(stores)
    assert (again.id, again.lease) == (first.id, first.lease + 1)
    assert not stores.webhooks.record_delivery(first, "200", DeliveryState.DELIVERED)
    assert stores.webhooks.record_delivery(again, "200", DeliveryState.DELIVERED)
    stores.clock.tick(1000)
    assert stores.webhooks.claim_deliveries(30) == []


def test_tries_are_logged_and_rescheduled(stores: Stores) -> None:
    job = ended(stores)
    assert stores.webhooks.record_delivery(due(stores), "503", DeliveryState.DUE, due_at=T0 + 5)
    assert stores.webhooks.claim_deliveries(30) == []
    stores.clock.tick(5)
    assert stores.webhooks.record_delivery(due(stores), "timeout", DeliveryState.ABANDONED)
    (delivery,) = stores.webhooks.deliveries(job.id)
    assert [(each.at, each.outcome) for each in delivery.tries] == [(T0, "503"), (T0 + 5, "timeout")]
    assert delivery.state is DeliveryState.ABANDONED
    assert stores.webhooks.resend(delivery.id)
    assert due(stores).id == delivery.id
    assert not stores.webhooks.resend("msg_none")


def test_the_limit_takes_the_longest_due(stores: Stores) -> None:
    jobs = [ended(stores).id for _ in range(3) if stores.clock.tick()]
    assert [delivery.job_id for delivery in stores.webhooks.claim_deliveries(30, limit=2)] == jobs[:2]


def test_deliveries_go_with_their_job(stores: Stores) -> None:
    job = ended(stores)
    stores.jobs.delete(job.id)
    assert stores.webhooks.deliveries(job.id) == []
    assert stores.webhooks.claim_deliveries(30) == []


def test_a_job_is_kept_until_its_webhook_is_delivered_or_given_up(stores: Stores) -> None:
    job = ended(stores, Status.FAILED)
    stores.clock.tick(100)
    assert stores.jobs.purge(TERMINAL, stores.clock.now) == []
    (delivery,) = stores.webhooks.claim_deliveries(30)
    stores.webhooks.record_delivery(delivery, "200", DeliveryState.DELIVERED)
    assert [gone.id for gone in stores.jobs.purge(TERMINAL, stores.clock.now)] == [job.id]
