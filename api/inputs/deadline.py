"""The time that all URLs of a job may take together."""

import time
from collections.abc import Callable

from ..errors import InputUnavailable


class Deadline:
    """Begins when it is made."""

    def __init__(self, total_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._total_s = total_s
        self._clock = clock
        self._ends_at = clock() + total_s

    @property
    def overdue(self) -> str:
        """What to say when it has passed."""
        return f"the URLs of the job took longer than {self._total_s:g} s together (setting INPUT_URLS_TIMEOUT_S)"

    def left_s(self) -> float:
        """Seconds that are left. Raises InputUnavailable when none are."""
        left_s = self._ends_at - self._clock()
        if left_s <= 0:
            raise InputUnavailable(self.overdue)
        return left_s
