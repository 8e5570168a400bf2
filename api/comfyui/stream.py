"""The one kept-open WebSocket to a ComfyUI: a reader thread that hands each message to its prompt's mailbox.

The socket is a hint and nothing more: it may be down, deaf or late, and no run depends on it.
"""

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ..errors import ComfyUnreachable
from ..ids import PromptId
from ..logs import bound, get_logger
from .events import ExecutionStarted, Hint, HintKind, LookNow, Message, NodeExecuting, parse_binary, parse_text
from .limits import Cancel
from .subscription import Subscription
from .wire import Frame, Wire

_GIVEN_UP_DELAY_S = 60.0
_STABLE_AFTER_S = 2.0
_SUSPECT_AT_MOST_EVERY_S = 5.0
# Time for the server to finish with the old connection before the client id is registered anew (see Wire.close).
_SETTLE_S = 0.05
_TYPE = re.compile(rb'"type": ?"(\w+)"')
_REMAINING = re.compile(rb'"queue_remaining": ?(\d+)')
_STATUS_BYTES = 200

log = get_logger()


class ComfyStream:
    """Events of one ComfyUI for one client id. Never have two with the same id: the second takes all events.

    Reconnects by itself: at once, then `reconnect_attempts` times with pauses that grow from `first_delay_s` up to
    `reconnect_delay_s`; after that once a minute and whenever `ensure_connected` is called. `queue_remaining` is how
    many prompts, running ones included, ComfyUI last said it has. `name` is what the log calls it.
    """

    def __init__(
        self,
        base_url: str,
        client_id: str,
        *,
        reconnect_attempts: int = 5,
        first_delay_s: float = 0.2,
        reconnect_delay_s: float = 3.0,
        connect_timeout_s: float = 5.0,
        headers: Mapping[str, str] | None = None,
        trace: bool = False,
        name: str | None = None,
    ) -> None:
        self.client_id = client_id
        self._base_url = base_url
        self._name = name or base_url
        self._headers = dict(headers or {})
        self._attempts = reconnect_attempts
        self._first_delay_s = first_delay_s
        self._delay_cap_s = reconnect_delay_s
        self._connect_timeout_s = connect_timeout_s
        self._trace = trace
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wire: Wire | None = None
        self._connected = False
        self._closing = False
        self._demanded = False
        self._failures = 0  # in a row, in the present outage
        self._failed_ever = 0
        self._losses = 0
        self._suspected_at = float("-inf")
        self._heard_at = float("-inf")
        self.queue_remaining: int | None = None
        self._routes: Mapping[str, Subscription] = {}
        self._current: str | None = None

    @property
    def connected(self) -> bool:
        """Whether the socket is open. It may be deaf all the same."""
        return self._connected

    @property
    def losses(self) -> int:
        """How many times the connection was lost so far."""
        return self._losses

    def heard_since(self, moment_s: float) -> bool:
        """Whether any frame arrived after `moment_s` (of time.monotonic). Each submit makes the server send some."""
        return self._heard_at >= moment_s

    def ensure_connected(self, timeout_s: float, cancel: Cancel | None = None) -> bool:
        """Have the socket open; gives up after `timeout_s` seconds, one failed try or a cancel. With 0 it only asks."""
        if self._connected:
            return True
        if cancel:
            cancel.on_cancel(self._notify)
        with self._changed:
            if self._closing:
                return False
            self._start()
            self._demanded = True
            self._changed.notify_all()
            failed_before = self._failed_ever
            self._changed.wait_for(
                lambda: (
                    self._connected
                    or self._closing
                    or self._failed_ever > failed_before
                    or (cancel is not None and cancel.is_set())
                ),
                timeout_s,
            )
            return self._connected

    @contextmanager
    def subscribe(self, prompt_id: PromptId) -> Iterator[Subscription]:
        """The mailbox of a prompt, filled while the `with` lasts. Subscribe before the submit."""
        subscription = Subscription()
        with self._changed:
            self._routes = {**self._routes, prompt_id: subscription}
        try:
            yield subscription
        finally:
            with self._changed:
                self._routes = {key: value for key, value in self._routes.items() if key != prompt_id}

    def suspect_deaf(self) -> None:
        """Replace the connection: HTTP shows what the socket should have told and did not."""
        with self._changed:
            now = time.monotonic()
            if not self._connected or now - self._suspected_at < _SUSPECT_AT_MOST_EVERY_S:
                return
            self._suspected_at = now
            wire = self._wire
        log.info("ComfyUI's socket seems deaf, replacing it", instance=self._name)
        if wire:
            wire.abort()

    def close(self) -> None:
        """End the thread and the socket."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            thread, wire = self._thread, self._wire
        if wire:
            wire.abort()
        if thread and thread is not threading.current_thread():
            thread.join()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"comfy-stream-{self.client_id[:8]}", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            with bound(instance=self._name):
                while self._wait_for_turn():
                    self._connect()
        finally:
            with self._changed:
                self._thread = None  # whatever ended it, `ensure_connected` may start another

    def _connect(self) -> None:
        try:
            wire = Wire(self._base_url, self.client_id, timeout_s=self._connect_timeout_s, headers=self._headers)
        except ComfyUnreachable as error:
            self._note_failure(error)
            return
        try:
            self._use(wire)
        finally:
            wire.close()

    def _wait_for_turn(self) -> bool:
        with self._changed:
            pause_s = self._pause_s()
            if pause_s:
                self._changed.wait_for(lambda: self._closing or self._demanded, pause_s)
            if self._demanded:
                self._demanded = False
                self._failures = 0
            return not self._closing

    def _pause_s(self) -> float:
        if self._failures == 0:
            return 0.0
        if self._failures >= self._attempts:
            return _GIVEN_UP_DELAY_S
        return min(self._delay_cap_s, self._first_delay_s * 2.0 ** (self._failures - 1))

    def _use(self, wire: Wire) -> None:
        with self._changed:
            if self._closing:
                return
            self._wire = wire
        try:
            first = wire.open()
        except ComfyUnreachable as error:
            self._note_failure(error)
            return
        opened_at = time.monotonic()
        try:
            self._note_connected(first)
            for frame in wire.frames():
                self._receive(frame)
        finally:
            wire.close()
            self._note_loss(stable=time.monotonic() - opened_at > _STABLE_AFTER_S)

    def _note_failure(self, error: ComfyUnreachable) -> None:
        with self._changed:
            self._wire = None
            self._failures += 1
            self._failed_ever += 1
            failures = self._failures
            self._changed.notify_all()
        if failures in {1, self._attempts} and not self._closing:
            log.warning("ComfyUI's socket is not available", reason=error.message[:200], attempt=failures)

    def _note_connected(self, first: Frame) -> None:
        self._receive(first)
        with self._changed:
            self._connected = True
            self._demanded = False
            self._changed.notify_all()
        if self._losses:
            log.info("ComfyUI's socket is back")
            self._tell_all(connected=True)

    def _note_loss(self, *, stable: bool) -> None:
        with self._changed:
            self._wire = None
            self._connected = False
            self.queue_remaining = None
            self._losses += 1
            # A server that takes connections and drops them at once shall not be hammered.
            self._failures = 0 if stable else self._failures + 1
            closing = self._closing
        if not closing:
            log.info("ComfyUI's socket was lost")
            self._tell_all(connected=False)
            with self._changed:
                self._changed.wait_for(lambda: self._closing, _SETTLE_S)

    def _tell_all(self, *, connected: bool) -> None:
        for subscription in self._routes.values():
            subscription.put(LookNow(connected))

    def _receive(self, frame: Frame) -> None:
        self._heard_at = time.monotonic()
        if len(frame.data) < _STATUS_BYTES and (told := _REMAINING.search(frame.data)):
            self.queue_remaining = int(told[1])
        if self._trace:
            kind = _TYPE.search(frame.data, 0, 100)
            name = kind[1].decode() if kind and not frame.binary else "binary"
            log.info("Frame from ComfyUI", type=name, bytes=len(frame.data))
        if self._routes:
            message = parse_binary(frame.data) if frame.binary else parse_text(frame.data)
            if message:
                self._hand_over(message)

    def _hand_over(self, message: Message) -> None:
        prompt_id, event = message
        if isinstance(event, ExecutionStarted | NodeExecuting) and prompt_id:
            self._current = prompt_id
        # Without a prompt id come: previews of clients without feature flags, progress texts, and the one
        # `executing` that is sent on reconnect. They belong to what runs.
        subscription = self._routes.get(prompt_id or self._current or "")
        if subscription:
            subscription.put(event)
        if event == Hint(HintKind.ENDED) and prompt_id == self._current:
            self._current = None
