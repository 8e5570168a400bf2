"""The bounded mailbox between the socket's reader thread and the thread that follows one prompt."""

import threading
import time
from collections import deque

from .events import ComfyEvent, Hint, LookNow, Preview, Progress, ProgressState, ProgressText

_CAPACITY = 256
_PREVIEWS_KEPT = 4
# In the order they are given up when the follower is slow. Hints and LookNow never are.
_DISPENSABLE: tuple[tuple[type, ...], ...] = ((Preview,), (Progress, ProgressText, ProgressState))
_PRECIOUS = (Hint, LookNow)
# Ordinary events are handed over in batches: a wake-up for each would cost a 4 ms prompt as much as one request.
_BATCH_S = 0.02


class Subscription:
    """What arrived for one prompt and was not taken yet. `put` never blocks: the reader must stay fast."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._changed = threading.Condition(threading.Lock())
        self._events: deque[ComfyEvent] = deque()
        self._urgent = False
        self._eager = False
        self._batching = True
        self.dropped = 0

    def put(self, event: ComfyEvent) -> None:
        """Add an event; when full, first old previews and then old progress make room."""
        with self._changed:
            if isinstance(event, ProgressState):
                self._drop_first((ProgressState,))  # each repeats all before it: only the newest is of use
            elif isinstance(event, Preview) and self._count(Preview) >= _PREVIEWS_KEPT:
                self._drop_first((Preview,))
            if len(self._events) >= self._capacity:
                self._make_room()
            self._events.append(event)
            self._urgent = self._urgent or isinstance(event, _PRECIOUS)
            if self._urgent or self._eager:
                self._changed.notify()

    def take(self, timeout_s: float) -> list[ComfyEvent]:
        """All events there are, waiting up to `timeout_s` seconds for the first; empty after that or `wake`.

        Hints and LookNow come at once, others up to 20 ms late when some were taken just before.
        """
        ends_at = time.monotonic() + timeout_s
        with self._changed:
            if self._batching and not self._urgent and timeout_s > 0:
                self._changed.wait(min(_BATCH_S, timeout_s))
            if not self._events and not self._urgent and (left_s := ends_at - time.monotonic()) > 0:
                self._eager = True
                self._changed.wait(left_s)
                self._eager = False
            self._urgent = False
            events = list(self._events)
            self._events.clear()
            self._batching = bool(events)
        return events

    def wake(self) -> None:
        """Make the current or next `take` return at once."""
        with self._changed:
            self._urgent = True
            self._changed.notify()

    def _make_room(self) -> None:
        for kinds in _DISPENSABLE:
            if self._drop_first(kinds):
                self.dropped += 1
                return
        for index, event in enumerate(self._events):
            if not isinstance(event, _PRECIOUS):
                del self._events[index]
                self.dropped += 1
                return

    def _drop_first(self, kinds: tuple[type, ...]) -> bool:
        for index, event in enumerate(self._events):
            if isinstance(event, kinds):
                del self._events[index]
                return True
        return False

    def _count(self, kind: type) -> int:
        return sum(isinstance(event, kind) for event in self._events)
