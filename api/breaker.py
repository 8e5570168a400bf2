"""A circuit breaker: after failures in a row what runs jobs gets no more of them until a trial has gone well."""

import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

_MOST_DOUBLINGS = 10


class State(StrEnum):
    """`half_open` is while a trial is under way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Cause(StrEnum):
    """What fails: looks at what runs jobs, or the jobs it is given. Either can go well while the other does not."""

    PROBE = "probe"
    RUN = "run"


class Breaker:
    """Not thread-safe: used under its owner's lock.

    One opened by probes may be tried again as soon as ComfyUI answers. One opened by runs keeps `open_s`, and each
    trial that fails doubles it, to ten times as much: its probes go well, so only jobs would find out.
    """

    def __init__(self, failures: int, open_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._failures = failures
        self._open_s = open_s
        self._clock = clock
        self._in_a_row: Counter[Cause] = Counter()
        self._pause_s = open_s
        self._due_at = 0.0
        self._failed_at = float("-inf")
        self.state = State.CLOSED
        self.cause: Cause | None = None
        self.reason: str | None = None

    @property
    def strikes(self) -> int:
        """Failures in a row so far, of whatever kind; none when the last one is long ago."""
        if self._clock() >= self._failed_at + self._open_s:
            return 0
        return max(self._in_a_row.values(), default=0)

    @property
    def is_due(self) -> bool:
        """Whether the time has come for a trial."""
        return self.state is State.OPEN and self._clock() >= self._due_at

    def succeed(self, cause: Cause) -> None:
        """Something went well: its failures begin anew."""
        self._in_a_row[cause] = 0

    def fail(self, cause: Cause, reason: str) -> bool:
        """Something failed; whether that has opened it."""
        self._in_a_row[cause] += 1
        self._failed_at = self._clock()
        if self.state is State.CLOSED and self._in_a_row[cause] >= self._failures:
            self._open(cause, reason)
            return True
        return False

    def begin_trial(self) -> None:
        """Half-open: one canary decides."""
        self.state = State.HALF_OPEN

    def close(self) -> None:
        """The trial went well."""
        self.state, self.cause, self.reason = State.CLOSED, None, None
        self._in_a_row.clear()
        self._failed_at = float("-inf")
        self._pause_s = self._open_s

    def reopen(self, reason: str) -> None:
        """The trial failed."""
        if self.cause is Cause.RUN:
            self._pause_s = min(self._pause_s * 2, self._open_s * _MOST_DOUBLINGS)
        self._open(self.cause or Cause.PROBE, reason)

    def _open(self, cause: Cause, reason: str) -> None:
        self.state, self.cause, self.reason = State.OPEN, cause, reason
        self._due_at = self._clock() + (self._pause_s if cause is Cause.RUN else 0.0)
