"""Labels whose jobs were turned away here a moment ago: they are not claimed again at once."""

import threading
import time
from collections.abc import Callable

_FIRST_S = 1.0
_LONGEST_S = 2.0


class TurnedAway:
    """Of this process alone: another worker on the same queue may have what those jobs ask for. Safe to share.

    Each time in a row a label is left alone twice as long, since jobs that go to and fro cost every worker something.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rests: dict[str, tuple[float, float]] = {}

    def note(self, label: str) -> None:
        """A job of that label was turned away."""
        with self._lock:
            until, length_s = self._rests.get(label, (0.0, 0.0))
            now = self._clock()
            if now >= until:
                length_s = min(length_s * 2, _LONGEST_S) or _FIRST_S
                self._rests[label] = now + length_s, length_s

    def forget(self, label: str) -> None:
        """A job of that label has run."""
        with self._lock:
            self._rests.pop(label, None)

    def labels(self) -> list[str]:
        """Those to be left alone now."""
        with self._lock:
            now = self._clock()
            return sorted(label for label, (until, _length_s) in self._rests.items() if now < until)
