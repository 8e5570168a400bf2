"""How long a run waits for what, and what can end it from outside."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ..errors import ComfyError


class Cancel(Protocol):
    """Asks a run to stop."""

    def is_set(self) -> bool:
        """Whether it has been asked."""

    def on_cancel(self, callback: Callable[[], None], /) -> None:
        """Call `callback` once when it is asked; at once if it already was."""


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Times in seconds.

    `timeout_s` is for the execution; waiting in ComfyUI's queue does not count. `outage_grace_s` is how long ComfyUI
    may be unreachable (a restart takes 8 s and more). `stall_s` without a sign of progress starts the search for a
    reason; `silence_limit_s` without one is reason enough. `stop_grace_s` is what a running node gets to obey an
    interrupt. `probe_timeout_s` must outlast a stall of the whole ComfyUI process: garbage collection 0.5 s, model
    loading some seconds.
    """

    timeout_s: float | None = None
    poll_s: float = 1.0
    poll_lively_s: float = 5.0
    connect_s: float = 2.0
    probe_timeout_s: float = 10.0
    outage_grace_s: float = 30.0
    stall_s: float = 30.0
    silence_limit_s: float | None = None
    stop_grace_s: float = 10.0


class Outage:
    """Counts failed requests in a row; an outage is over its grace only after three of them."""

    _MISSES = 3

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._since_s: float | None = None
        self._misses = 0
        self.ever = False

    def note(self, error: ComfyError) -> None:
        """A request failed. Raises `error` when the grace is over."""
        now = time.monotonic()
        self.ever = True
        self._misses += 1
        self._since_s = now if self._since_s is None else self._since_s
        if self._misses >= self._MISSES and now - self._since_s >= self._grace_s:
            raise error

    def end(self) -> None:
        """A request succeeded."""
        self._since_s = None
        self._misses = 0


class StopReason(StrEnum):
    """Why a run was stopped from outside."""

    CANCELLED = "cancelled"
    TIMED_OUT = "timed out"


class StopSignal:
    """The job's cancel and its time limit in one, and the only way a run sleeps outside its mailbox."""

    def __init__(self, cancel: Cancel, timeout_s: float | None) -> None:
        self._cancelled = threading.Event()
        self._timeout_s = timeout_s
        self._ends_at_s = math.inf
        cancel.on_cancel(self._cancelled.set)

    def begin(self) -> None:
        """The time limit counts from now on."""
        if self._timeout_s is not None and self._ends_at_s == math.inf:
            self._ends_at_s = time.monotonic() + self._timeout_s

    @property
    def reason(self) -> StopReason | None:
        """Why the run has to stop; None while it has not."""
        if self._cancelled.is_set():
            return StopReason.CANCELLED
        return StopReason.TIMED_OUT if self.remaining_s <= 0 else None

    @property
    def remaining_s(self) -> float:
        """Seconds until the time limit."""
        return self._ends_at_s - time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Wait, cut short by the signal; True when the run has to stop."""
        self._cancelled.wait(max(0.0, min(seconds, self.remaining_s)))
        return self.reason is not None
