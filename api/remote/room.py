"""The room one remote endpoint has for jobs: seats while it can be believed to work, none otherwise."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..breaker import Breaker, Cause, State
from ..errors import ComfyBusy, ComfyError, DeliveryFailed, InvalidInput, TargetRefused, WorkerError
from ..ids import InstanceName
from ..logs import get_logger

log = get_logger()

# Ends of jobs the endpoint may not even have heard of.
_NO_SIGN = (ComfyBusy, InvalidInput, DeliveryFailed)


class Seat:
    """For one job, from before it is claimed to its end."""

    def __init__(self, left: "Callable[[Seat], None]") -> None:
        self._left = left

    def leave(self) -> None:
        """The job has ended, or there was none. Again is no harm."""
        self._left(self)


class Room:
    """A Capacity; safe to share between threads. Half-open it has one seat, and how that job ends is the trial."""

    def __init__(
        self,
        name: InstanceName,
        max_jobs: int,
        breaker: Breaker,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._max_jobs = max_jobs
        self._breaker = breaker
        self._clock = clock
        self._changed = threading.Condition()
        self._seats: set[Seat] = set()
        self._running = 0
        self._is_ready = False
        self._is_closing = False
        self._trouble: str | None = "It has not answered yet."
        self._rests_until = float("-inf")
        # Called when a look at the endpoint is due before its time.
        self.on_trouble: Callable[[], None] = lambda: None

    # --- capacity ---

    def take(self, timeout_s: float) -> Seat | None:
        """A seat, waited for as long at most; None when there is none."""
        with self._changed:
            if not self._changed.wait_for(self._has_room, timeout_s):
                return None
            seat = Seat(self._leave)
            self._seats.add(seat)
            return seat

    def available(self, besides: InstanceName | None = None) -> bool:
        """Whether there is room now, elsewhere than in `besides`."""
        with self._changed:
            return self.name != besides and self._has_room()

    def most(self) -> int:
        """How many seats there are at most."""
        return self._max_jobs

    def hand_back_waiting(self) -> None:
        """From now on no seats are given."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()

    def facts(self) -> Mapping[str, Any]:
        """How it is, for /health and operators."""
        with self._changed:
            status = "healthy" if self._is_healthy() else "unhealthy"
            reason = {} if self._is_healthy() or not self._trouble else {"reason": self._trouble}
            return {
                "name": self.name,
                "status": "draining" if self._is_closing else status,
                **reason,
                "breaker": self._breaker.state.value,
                "slots": self._max_jobs,
                "running": self._running,
            }

    def _leave(self, seat: Seat) -> None:
        with self._changed:
            self._seats.discard(seat)
            self._changed.notify_all()

    def _has_room(self) -> bool:
        most = 1 if self._breaker.state is State.HALF_OPEN else self._max_jobs
        is_resting = self._clock() < self._rests_until
        return self._is_healthy() and not (self._is_closing or is_resting) and len(self._seats) < most

    def _is_healthy(self) -> bool:
        return self._is_ready and self._breaker.state is not State.OPEN

    # --- what jobs find out ---

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """While a job runs there; its seat was taken before."""
        with self._changed:
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1

    def note_run(self, error: WorkerError | None) -> None:
        """A job has ended there, not by its own cancel. Only what the endpoint is the reason of counts against it."""
        with self._changed:
            if isinstance(error, TargetRefused):
                self._is_ready, self._trouble = False, error.message
            elif isinstance(error, _NO_SIGN):
                return
            elif isinstance(error, ComfyError):
                self._fail(Cause.RUN, error.message)
            elif self._breaker.state is State.HALF_OPEN:
                self._breaker.close()
            else:
                self._breaker.succeed(Cause.RUN)
            self._changed.notify_all()
        if not self.is_healthy:
            self.on_trouble()

    def rest(self, seconds: float) -> None:
        """It has asked for so long a pause."""
        with self._changed:
            self._rests_until = max(self._rests_until, self._clock() + seconds)

    # --- what looks at it find out ---

    @property
    def is_healthy(self) -> bool:
        """Whether a job given now would be taken there."""
        with self._changed:
            return self._is_healthy()

    def note_answer(self) -> None:
        """A look at it went well; where jobs were the trouble, one of them has to show that they go well too."""
        with self._changed:
            self._is_ready = True
            self._breaker.succeed(Cause.PROBE)
            if self._breaker.is_due:
                if self._breaker.cause is Cause.RUN:
                    self._breaker.begin_trial()
                else:
                    self._breaker.close()
            self._changed.notify_all()

    def note_miss(self, error: WorkerError) -> None:
        """A look at it failed."""
        with self._changed:
            if isinstance(error, TargetRefused):
                self._is_ready = False
            self._trouble = error.message
            self._fail(Cause.PROBE, error.message)
            self._changed.notify_all()

    def _fail(self, cause: Cause, reason: str) -> None:
        if self._breaker.state is State.HALF_OPEN:
            self._breaker.reopen(reason)
        elif not self._breaker.fail(cause, reason):
            return
        self._trouble = reason
        log.warning("Remote target is not usable, jobs wait", target=self.name, reason=reason)
