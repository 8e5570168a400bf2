"""The sender with a real database, a real receiver and the real client: delivered at least once, whatever happens."""

import base64
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
from support.job_stores import Clock, Stores, opened
from support.waiting import wait_for
from support.webhook_receiver import Receiver, receiving

from api.errors import StoreUnavailable
from api.inputs.addresses import AddressGuard
from api.jobs.job import Job, Status
from api.jobs.outbox import Delivery, DeliveryState
from api.jobs.webhook_message import delivery_entry, job_event
from api.jobs.webhooks import WebhookSender
from api.sealing import Sealer
from api.stores.outbox import SqlWebhookOutbox
from api.webhook_client import WebhookClient

ROOT = Path(__file__).resolve().parents[3]
KEYS = (bytes(range(32)), b"the one before")
WHSEC = "whsec_" + base64.b64encode(KEYS[0]).decode()
BODY = b'{"id":"1"}'


@pytest.fixture
def address(tmp_path: Path) -> str:
    return str(tmp_path / "jobs.db")


@pytest.fixture
def stores(address: str) -> Iterator[Stores]:
    # Signatures are only good for minutes around the present.
    with opened(address, Clock(time.time())) as stores:
        yield stores


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def thin(_: Delivery) -> tuple[bytes, str]:
    return BODY, "application/json"


def sender_of(stores: Stores, outbox: SqlWebhookOutbox | None = None, **options: Any) -> WebhookSender:
    guard = AddressGuard(True, (), lookup=lambda host, port: ["127.0.0.1"])
    values = {"post": WebhookClient(guard, timeout_s=30).post, "body_of": thin, "poll_s": 0.05, **options}
    return WebhookSender(outbox or stores.webhooks, clock=stores.clock, **values)


@contextlib.contextmanager
def sending(stores: Stores, outbox: SqlWebhookOutbox | None = None, **options: Any) -> Iterator[WebhookSender]:
    sender = sender_of(stores, outbox, **options)
    sender.start()
    try:
        yield sender
    finally:
        sender.stop()


def ended(stores: Stores, url: str, status: Status = Status.SUCCEEDED) -> Job:
    stores.add(webhook=url)
    running = stores.jobs.claim("w")
    assert running is not None
    job = stores.jobs.finish(running.lease, status)
    assert job is not None
    return job


def delivery_of(stores: Stores, job: Job) -> Delivery:
    (delivery,) = stores.webhooks.deliveries(job.id)
    return delivery


def tried(stores: Stores, job: Job, times: int = 1) -> Delivery:
    """The delivery, once it was tried so often."""

    def found() -> Delivery | None:
        delivery = delivery_of(stores, job)
        return delivery if len(delivery.tries) >= times else None

    return wait_for(found, f"{times} tries")  # type: ignore[return-value]


def test_it_is_delivered_signed_and_noted(stores: Stores, receiver: Receiver) -> None:
    job = ended(stores, receiver.url())
    with sending(stores, keys=KEYS):
        delivery = tried(stores, job)
    assert (delivery.state, delivery.tries[0].outcome) == (DeliveryState.DELIVERED, "204")
    (found,) = receiver.received
    assert (found.id, found.body) == (delivery.id, BODY)
    assert found.verify(WHSEC) == found.verify(KEYS[1]) == {"id": "1"}


def test_the_events_of_our_own_api_verify(stores: Stores, receiver: Receiver) -> None:
    job = ended(stores, receiver.url(), Status.CANCELLED)

    def body_of(delivery: Delivery) -> tuple[bytes, str] | None:
        found = stores.jobs.get(delivery.job_id)
        return job_event(delivery, found) if found else None

    with sending(stores, keys=KEYS, body_of=body_of):
        (found,) = receiver.wait()
    event = found.verify(WHSEC)
    assert (event["type"], event["data"]["id"]) == ("job.cancelled", job.id)  # type: ignore[index]


def test_a_job_that_ends_later_is_sent_when_woken(stores: Stores, receiver: Receiver) -> None:
    with sending(stores, poll_s=3600) as sender:
        ended(stores, receiver.url())
        sender.wake()
        receiver.wait()


def test_it_is_found_by_looking_as_well(stores: Stores, receiver: Receiver) -> None:
    with sending(stores):
        ended(stores, receiver.url())
        receiver.wait()


class Counted(SqlWebhookOutbox):
    """Counts how often somebody looks for what is due."""

    looks = 0

    def claim_deliveries(self, lease_s: float, limit: int = 10) -> Sequence[Delivery]:
        self.looks += 1
        return super().claim_deliveries(lease_s, limit)


def test_with_nothing_due_it_sleeps(stores: Stores, receiver: Receiver) -> None:
    outbox = Counted(stores.database, stores.clock)
    job = ended(stores, receiver.url())
    with sending(stores, outbox, poll_s=3600):
        tried(stores, job)
        still_awake = threading.Event().wait(0.2)
    assert not still_awake
    assert outbox.looks <= 3, "at the start, after the try, at the end"


def test_a_failure_is_tried_again_under_the_same_id(stores: Stores, receiver: Receiver) -> None:
    receiver.replies = [(500, {})]
    job = ended(stores, receiver.url())
    with sending(stores, keys=KEYS):
        first = tried(stores, job)
        assert first.state is DeliveryState.DUE
        assert 4.5 <= first.due_at - stores.clock.now <= 5.5
        stores.clock.tick(6)
        second = tried(stores, job, 2)
    assert second.state is DeliveryState.DELIVERED
    assert [each.outcome for each in second.tries] == ["500", "204"]
    assert second.tries[1].at - second.tries[0].at == 6
    one, two = receiver.received
    assert one.id == two.id
    assert int(two.headers["webhook-timestamp"]) - int(one.headers["webhook-timestamp"]) in {5, 6, 7}
    assert two.verify(WHSEC) == {"id": "1"}
    assert one.headers["webhook-signature"] != two.headers["webhook-signature"]


@pytest.mark.parametrize(
    ("status", "state"), [(410, DeliveryState.ABANDONED), (302, DeliveryState.DUE), (404, DeliveryState.DUE)]
)
def test_what_answers_lead_to(stores: Stores, receiver: Receiver, status: int, state: DeliveryState) -> None:
    receiver.reply = lambda _: (status, {"Location": receiver.url("/elsewhere")})
    job = ended(stores, receiver.url())
    with sending(stores):
        delivery = tried(stores, job)
    assert (delivery.state, delivery.tries[0].outcome) == (state, str(status))
    assert [found.path for found in receiver.received] == ["/hook"]


def test_the_receivers_retry_after_is_kept_to(stores: Stores, receiver: Receiver) -> None:
    receiver.replies = [(429, {"Retry-After": "600"})]
    job = ended(stores, receiver.url())
    with sending(stores):
        assert 600 <= tried(stores, job).due_at - stores.clock.now <= 660


def test_it_is_given_up_after_ten_tries_and_can_be_sent_by_hand(stores: Stores, receiver: Receiver) -> None:
    receiver.reply = lambda _: (500, {})
    job = ended(stores, receiver.url())
    with sending(stores) as sender:
        for number in range(1, 11):
            delivery = tried(stores, job, number)
            stores.clock.tick(30 * 3600)
        assert delivery.state is DeliveryState.ABANDONED
        assert len(set(receiver.ids())) == 1
        receiver.reply = lambda _: (200, {})
        assert stores.webhooks.resend(delivery.id)
        sender.wake()
        assert tried(stores, job, 11).state is DeliveryState.DELIVERED


def test_a_restart_goes_on_where_it_was(address: str, receiver: Receiver) -> None:
    receiver.replies = [(500, {})]
    with opened(address, Clock(time.time())) as stores:
        job, pending = ended(stores, receiver.url()), None
        with sending(stores):
            tried(stores, job)
        pending = ended(stores, receiver.url())
    with opened(address, Clock(stores.clock.now + 6)) as stores, sending(stores):
        assert tried(stores, job, 2).state is DeliveryState.DELIVERED
        assert tried(stores, pending).state is DeliveryState.DELIVERED


def test_killed_between_the_post_and_the_note_it_is_sent_again(address: str, receiver: Receiver) -> None:
    with opened(address, Clock(time.time())) as stores:
        job = ended(stores, receiver.url())
    env = dict(os.environ, PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}")
    script = str(ROOT / "tests/support/webhook_process.py")
    done = subprocess.run([sys.executable, script, address], env=env, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(receiver.received) == 1
    with opened(address, Clock(time.time())) as stores, sending(stores):
        assert delivery_of(stores, job).tries == ()
        stores.clock.tick(61)
        assert tried(stores, job).state is DeliveryState.DELIVERED
    one, two = receiver.ids()
    assert done.stdout.split() == [one, "204"]
    assert one == two


def test_a_slow_receiver_does_not_hold_up_the_others(stores: Stores, receiver: Receiver) -> None:
    slow = [ended(stores, receiver.url("/hang", "slow.test")) for _ in range(30)]
    good = ended(stores, receiver.url("/hook", "good.test"))
    with sending(stores, concurrency=6, per_host=3):
        assert tried(stores, good).state is DeliveryState.DELIVERED
        assert [found.path for found in receiver.received].count("/hang") == 3
        receiver.released.set()
        # Nothing is lost either: what waited its turn has it.
        for job in slow[:6]:
            assert tried(stores, job).state is DeliveryState.DELIVERED


def test_a_burst_to_one_receiver_arrives_whole_and_once(stores: Stores, receiver: Receiver) -> None:
    jobs = [ended(stores, receiver.url()) for _ in range(200)]
    with sending(stores, poll_s=3600):
        wait_for(lambda: len(receiver.received) >= 200, "all 200", 60)
        for job in jobs:
            assert tried(stores, job).state is DeliveryState.DELIVERED
    assert len(set(receiver.ids())) == len(receiver.received) == 200


def test_two_senders_on_one_database_send_each_once(address: str, stores: Stores, receiver: Receiver) -> None:
    jobs = [ended(stores, receiver.url()) for _ in range(60)]
    with opened(address, stores.clock) as others, sending(stores), sending(others):
        for job in jobs:
            tried(stores, job)
    assert sorted(receiver.ids()) == sorted(delivery_of(stores, job).id for job in jobs)


def test_stop_ends_within_a_second_and_the_try_counts_for_nothing(stores: Stores, receiver: Receiver) -> None:
    job = ended(stores, receiver.url("/hang"))
    sender = sender_of(stores)
    sender.start()
    receiver.wait()
    began = time.monotonic()
    sender.stop()
    assert time.monotonic() - began < 1.0
    assert [thread for thread in threading.enumerate() if thread.name.startswith("webhook")] == []
    receiver.released.set()
    delivery = delivery_of(stores, job)
    assert (delivery.state, delivery.tries) == (DeliveryState.DUE, ())
    with sending(stores):
        stores.clock.tick(61)
        assert tried(stores, job).state is DeliveryState.DELIVERED
    assert len(set(receiver.ids())) == 1


def test_stop_lets_a_quick_try_end(stores: Stores, receiver: Receiver) -> None:
    job = ended(stores, receiver.url("/hang"))
    sender = sender_of(stores)
    sender.start()
    receiver.wait()
    stopping = threading.Thread(target=sender.stop, args=(30.0,))
    stopping.start()
    stopping.join(0.1)
    assert stopping.is_alive()
    receiver.released.set()
    stopping.join(10)
    assert delivery_of(stores, job).state is DeliveryState.DELIVERED


def test_stop_without_start_is_no_fault(stores: Stores) -> None:
    sender_of(stores).stop()


# --- addresses, bodies and stores that fail


def test_sealed_addresses_are_opened_and_stay_sealed_in_the_store(stores: Stores, receiver: Receiver) -> None:
    sealer = Sealer(bytes(32))
    job = ended(stores, sealer.seal(receiver.url()))
    with sending(stores, open_url=sealer.open):
        delivery = tried(stores, job)
    assert delivery.state is DeliveryState.DELIVERED
    assert delivery.url.startswith("sealed:")


def test_an_address_sealed_with_another_key_is_not_given_up(stores: Stores, receiver: Receiver) -> None:
    job = ended(stores, Sealer(bytes(32)).seal(receiver.url()))
    with sending(stores, open_url=Sealer(b"x" * 32).open):
        delivery = tried(stores, job)
    assert delivery.state is DeliveryState.DUE
    assert delivery.tries[0].outcome.startswith("its address cannot be read")


def test_a_job_that_is_gone_has_nothing_to_say(stores: Stores, receiver: Receiver) -> None:
    job = ended(stores, receiver.url())
    with sending(stores, body_of=lambda _: None):
        delivery = tried(stores, job)
    assert (delivery.state, delivery.tries[0].outcome) == (DeliveryState.ABANDONED, "its job is gone")
    assert receiver.received == []


def test_a_body_that_cannot_be_made_now_is_made_later(stores: Stores, receiver: Receiver) -> None:
    failures = [StoreUnavailable("locked")]

    def body_of(delivery: Delivery) -> tuple[bytes, str]:
        if failures:
            raise failures.pop()
        return thin(delivery)

    job = ended(stores, receiver.url())
    with sending(stores, body_of=body_of):
        assert tried(stores, job).tries[0].outcome == "its body could not be made (STORE_UNAVAILABLE)"
        stores.clock.tick(6)
        assert tried(stores, job, 2).state is DeliveryState.DELIVERED


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_defect_is_noted_too_and_harms_no_other(stores: Stores, receiver: Receiver) -> None:
    bad, good = ended(stores, receiver.url()), ended(stores, receiver.url())

    def body_of(delivery: Delivery) -> tuple[bytes, str]:
        if delivery.job_id == bad.id:
            raise ZeroDivisionError
        return thin(delivery)

    with sending(stores, body_of=body_of):
        assert tried(stores, good).state is DeliveryState.DELIVERED
        assert tried(stores, bad).tries[0].outcome == "internal error of the sender"
    assert delivery_of(stores, bad).state is DeliveryState.DUE


class Shaky(SqlWebhookOutbox):
    """Its database is locked on the first look and on the first note."""

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores.database, stores.clock)
        self.failures = {"claim", "record"}

    def claim_deliveries(self, lease_s: float, limit: int = 10) -> Sequence[Delivery]:
        self._fail_once("claim")
        return super().claim_deliveries(lease_s, limit)

    def record_delivery(self, delivery: Delivery, outcome: str, state: DeliveryState, due_at: float = 0.0) -> bool:
        self._fail_once("record")
        return super().record_delivery(delivery, outcome, state, due_at)

    def _fail_once(self, what: str) -> None:
        if what in self.failures:
            self.failures.remove(what)
            raise StoreUnavailable("The database is locked.")


def test_a_locked_database_costs_time_but_no_webhook(stores: Stores, receiver: Receiver) -> None:
    job, shaky = ended(stores, receiver.url()), Shaky(stores)
    with sending(stores, shaky):
        wait_for(lambda: not shaky.failures, "both failures")
        stores.clock.tick(61)
        assert tried(stores, job).state is DeliveryState.DELIVERED
    one, two = receiver.ids()
    assert one == two


def test_the_secrets_of_a_url_are_in_no_log(stores: Stores) -> None:
    urls = ["http://127.0.0.1:9/hush/?key=hush", "ftp://a.test/hush", "http://me:hush@a.test/"]
    with structlog.testing.capture_logs() as logs:
        jobs = [ended(stores, url) for url in urls]
        with sending(stores):
            entries = [delivery_entry(found, found.url) for found in (tried(stores, job) for job in jobs)]
    assert len([line for line in logs if line["event"] == "Webhook tried"]) == 3
    assert "hush" not in str(logs) + str(entries)
    assert [entry["host"] for entry in entries] == ["127.0.0.1", "a.test", "a.test"]
