"""When a webhook is tried again, and when no more: the schedule of Standard Webhooks 1.0, 75 hours over 10 tries.

Knows status codes, because receivers ask for more or less patience with them, but no HTTP.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from .outbox import DeliveryState

# Between one try and the next; the first is made at once.
DELAYS_S = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
_LONGEST_S = DELAYS_S[-1]
# "Too many requests" and the gateways' ways to say that the receiver is overloaded.
_OVERLOADED = frozenset({429, 502, 503, 504})
_OVERLOADED_DELAY_S = 60
_GONE = 410
_SPREAD = 0.1

Uniform = Callable[[float, float], float]
_uniform: Uniform = random.SystemRandom().uniform


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one try: the status code, or the `reason` why there is none. `final`: no try can help."""

    status: int | None
    reason: str = ""
    retry_after_s: float | None = None
    final: bool = False

    @property
    def outcome(self) -> str:
        """As it is noted in the log of the delivery."""
        return self.reason if self.status is None else str(self.status)

    @property
    def delivered(self) -> bool:
        """Whether the receiver has the event. A redirect is not followed, so it is a failure."""
        return self.status is not None and 200 <= self.status < 300


class Verdict(NamedTuple):
    """What becomes of a delivery after a try; `due_at` counts when the state is DUE."""

    state: DeliveryState
    due_at: float = 0.0


def verdict_on(answer: Answer, tries: int, now: float, uniform: Uniform = _uniform) -> Verdict:
    """Decide after try number `tries`, counted from 1."""
    if answer.delivered:
        return Verdict(DeliveryState.DELIVERED)
    if answer.final or answer.status == _GONE or tries > len(DELAYS_S):
        return Verdict(DeliveryState.ABANDONED)
    delay_s = DELAYS_S[tries - 1] * uniform(1 - _SPREAD, 1 + _SPREAD)
    return Verdict(DeliveryState.DUE, now + max(delay_s, _asked_for(answer) * uniform(1, 1 + _SPREAD)))


def _asked_for(answer: Answer) -> float:
    if answer.retry_after_s is not None:
        return min(answer.retry_after_s, _LONGEST_S)
    return _OVERLOADED_DELAY_S if answer.status in _OVERLOADED else 0.0
