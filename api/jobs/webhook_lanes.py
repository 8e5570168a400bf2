"""Whose turn it is: claimed deliveries wait by receiver, so that a slow one keeps only its own waiting."""

import threading
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import urlsplit

from .outbox import Delivery

_SLOW_S = 1.0
_MAX_HELD = 100


def host_of(url: str) -> str:
    """The host of a URL, in lower case: all of it that may be logged. Empty when it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


class Lanes:
    """At most `total` tries at a time, `per_host` of them to one host. Safe from any thread.

    A delivery that has waited for `hold_s` is let go: its claim runs out, and somebody claims it anew.
    """

    def __init__(self, total: int, per_host: int, hold_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._per_host = per_host
        self._hold_s = hold_s
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[str, deque[tuple[float, Delivery]]] = {}
        # By host: when each of its tries began.
        self._running: dict[str, dict[str, float]] = {}

    def room(self) -> int:
        """How many to claim now. None while what is held is about to have its turn: it was claimed first."""
        with self._lock:
            if not all(self._is_slow(host) for host in self._held):
                return 0
            return self._total - self._tries()

    @property
    def holds(self) -> bool:
        """Whether deliveries wait for their turn."""
        with self._lock:
            return bool(self._held)

    def put(self, delivery: Delivery) -> None:
        """Let a claimed delivery wait for its turn. Of those to one slow host only so many are kept."""
        with self._lock:
            lane = self._held.setdefault(host_of(delivery.url), deque())
            if len(lane) < _MAX_HELD:
                lane.append((self._clock(), delivery))

    def take(self) -> Delivery | None:
        """The next delivery to try, which counts as running until `done`."""
        with self._lock:
            if self._tries() >= self._total:
                return None
            for host in list(self._held):
                if len(self._running.get(host, ())) < self._per_host and (delivery := self._next(host)):
                    self._running.setdefault(host, {})[delivery.id] = self._clock()
                    return delivery
            return None

    def done(self, delivery: Delivery) -> None:
        """The try is over, whatever came of it."""
        host = host_of(delivery.url)
        with self._lock:
            tries = self._running.get(host, {})
            tries.pop(delivery.id, None)
            if not tries:
                self._running.pop(host, None)

    def _next(self, host: str) -> Delivery | None:
        lane, found = self._held.pop(host), None
        while lane and found is None:
            since, delivery = lane.popleft()
            found = delivery if self._clock() - since < self._hold_s else None
        if lane:
            # Behind the other hosts: each has its turn.
            self._held[host] = lane
        return found

    def _tries(self) -> int:
        return sum(len(tries) for tries in self._running.values())

    def _is_slow(self, host: str) -> bool:
        oldest = min(self._running.get(host, {}).values(), default=self._clock())
        return self._clock() - oldest >= _SLOW_S
