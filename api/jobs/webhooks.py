"""Sends the webhooks that are due, several at a time, until each is delivered or given up. Knows no HTTP.

At least once: what was sent when the process died is sent again, under the same id.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from ..errors import WorkerError, WorkerStopping
from ..logs import get_logger
from .cancel import CancelToken
from .outbox import Delivery, DeliveryState, WebhookOutbox
from .trouble import Trouble
from .webhook_lanes import Lanes, host_of
from .webhook_message import signed_headers
from .webhook_schedule import Answer, verdict_on

# The time a delivery may wait for its turn after it was claimed, and what is left of its lease after its try.
_HOLD_S = 30.0
_SPARE_S = 15.0
_HELD_PAUSE_S = 1.0

log = get_logger()

BodyOf = Callable[[Delivery], tuple[bytes, str] | None]


class Post(Protocol):
    """Sends one request and says what came of it; raises only the reason of `cancel`."""

    def __call__(self, url: str, headers: Mapping[str, str], body: bytes, cancel: CancelToken) -> Answer: ...


class WebhookSender:
    """`body_of` gives the body and content type of a delivery, or None when its job is gone.

    `open_url` makes of a delivery's `url`, which may be sealed, one to send to. `clock` is epoch seconds, `try_s` the
    longest a try takes; `keys` are the secrets to sign with, all of them.
    """

    def __init__(
        self,
        outbox: WebhookOutbox,
        post: Post,
        body_of: BodyOf,
        *,
        open_url: Callable[[str], str] = str,
        keys: Sequence[bytes] = (),
        try_s: float = 15.0,
        lease_s: float | None = None,
        poll_s: float = 2.0,
        concurrency: int = 16,
        per_host: int = 4,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._outbox = outbox
        self._post = post
        self._body_of = body_of
        self._open_url = open_url
        self._keys = keys
        self._lease_s = lease_s or try_s + _HOLD_S + _SPARE_S
        self._poll_s = poll_s
        self._clock = clock
        self._unread = Trouble("Webhooks cannot be read, next look soon", "Webhooks can be read again")
        self._lanes = Lanes(concurrency, per_host, _HOLD_S)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._lock = threading.Lock()
        self._tries: dict[threading.Thread, CancelToken] = {}
        self._listeners: list[Callable[[Answer], None]] = []

    def start(self) -> None:
        """Begin to send, with what is left over from before."""
        self._thread.start()

    def on_try(self, listener: Callable[[Answer], None]) -> None:
        """Call `listener` with what came of each try; it must be brief."""
        self._listeners.append(listener)

    def wake(self) -> None:
        """Something may be due: a job ended, a delivery was resent. From any thread; never blocks."""
        self._wake.set()

    def stop(self, grace_s: float = 0.4) -> None:
        """Claim nothing more, and end within a second. A try that does not end in time is made again after its lease.

        From then on nothing is written: the database may be closed.
        """
        self._stopping.set()
        self._wake.set()
        deadline = time.monotonic() + grace_s
        for thread in [self._thread, *self._running()]:
            _join(thread, deadline)
        for cancel in list(self._running().values()):
            cancel.cancel(WorkerStopping("The worker is shutting down."))
        deadline = time.monotonic() + grace_s
        for thread in self._running():
            _join(thread, deadline)
        with self._lock:
            # Whoever still waits for a name server finds out here that it is too late to note anything.
            self._tries.clear()

    def _running(self) -> dict[threading.Thread, CancelToken]:
        with self._lock:
            return dict(self._tries)

    def _run(self) -> None:
        while not self._stopping.is_set():
            # Before the look, so that what comes during it is not slept through.
            self._wake.clear()
            if not self._round():
                self._wake.wait(_HELD_PAUSE_S if self._lanes.holds else self._poll_s)

    def _round(self) -> bool:
        """Start what can be started; whether there may be more at once."""
        room = self._lanes.room()
        claimed = self._claim(room) if room > 0 else []
        for delivery in claimed:
            self._lanes.put(self._opened(delivery))
        while not self._stopping.is_set() and (turn := self._lanes.take()):
            self._start_try(turn)
        return bool(claimed) and len(claimed) == room

    def _claim(self, limit: int) -> Sequence[Delivery]:
        try:
            claimed = self._outbox.claim_deliveries(self._lease_s, limit)
        except WorkerError as error:
            self._unread.met(error.message)
            return []
        self._unread.over()
        return claimed

    def _opened(self, delivery: Delivery) -> Delivery:
        """With its address readable; empty when it cannot be read, which is noted when its turn comes."""
        try:
            return replace(delivery, url=self._open_url(delivery.url))
        except WorkerError as error:
            log.warning("The address of a webhook cannot be read", delivery=delivery.id, error=error.message)
            return replace(delivery, url="")

    def _start_try(self, delivery: Delivery) -> None:
        cancel = CancelToken()
        thread = threading.Thread(target=self._try, args=(delivery, cancel), name="webhook", daemon=True)
        with self._lock:
            self._tries[thread] = cancel
        thread.start()

    def _try(self, delivery: Delivery, cancel: CancelToken) -> None:
        # Stands when something unforeseen is raised: without a note it would come again for ever.
        answer: Answer | None = Answer(None, "internal error of the sender")
        try:
            answer = self._answer(delivery, cancel)
        finally:
            with self._lock:
                in_time = self._tries.get(threading.current_thread()) is not None
            if answer is not None and in_time:
                self._note(delivery, answer)
            with self._lock:
                self._tries.pop(threading.current_thread(), None)
            self._lanes.done(delivery)
            self._wake.set()

    def _answer(self, delivery: Delivery, cancel: CancelToken) -> Answer | None:
        """None when the sender was stopped meanwhile: the try counts for nothing."""
        if not delivery.url:
            return Answer(None, "its address cannot be read: is the key beside the database another one?")
        try:
            message = self._body_of(delivery)
            if message is None:
                return Answer(None, "its job is gone", final=True)
            body, content_type = message
            headers = {"Content-Type": content_type} | signed_headers(self._keys, delivery.id, self._clock(), body)
            return self._post(delivery.url, headers, body, cancel)
        except WorkerStopping:
            return None
        except WorkerError as error:
            return Answer(None, f"its body could not be made ({error.code})")

    def _note(self, delivery: Delivery, answer: Answer) -> None:
        for listener in self._listeners:
            listener(answer)
        verdict = verdict_on(answer, len(delivery.tries) + 1, self._clock())
        try:
            noted = self._outbox.record_delivery(delivery, answer.outcome, verdict.state, verdict.due_at)
        except WorkerError as error:
            log.warning("A webhook's try could not be noted, it comes again", error=error.message, **_of(delivery))
            return
        fields = {"outcome": answer.outcome, "state": verdict.state.value, "noted": noted, **_of(delivery)}
        (log.info if verdict.state is DeliveryState.DELIVERED else log.warning)("Webhook tried", **fields)


def _join(thread: threading.Thread, deadline: float) -> None:
    if thread.is_alive():
        thread.join(max(0.0, deadline - time.monotonic()))


def _of(delivery: Delivery) -> dict[str, object]:
    return {
        "job_id": delivery.job_id,
        "delivery": delivery.id,
        "host": host_of(delivery.url),
        "tries": len(delivery.tries) + 1,
    }
