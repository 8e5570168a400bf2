"""How many jobs a serverless worker takes at a time. Knows no SDK."""

import threading
from collections import deque

from .jobs.events import JobEvent, StageFinished

_FEW = 2
_MANY = 4
_SHORT_S = 2.0
# Each change costs a pause: the SDK (1.12) waits until no job is in hand, looking once a second.
_LAST_JOBS = 4


class Slots:
    """Exactly `fixed`; without it 2, and 4 while jobs are short.

    The SDK looks for jobs once a second while its slots are taken: two slots of short jobs leave the GPU idle in
    between, and of long jobs a third one would only wait here while another worker may be free.
    """

    def __init__(self, fixed: int | None) -> None:
        self._fixed = fixed
        self._lock = threading.Lock()
        self._count = fixed or _FEW
        self._last_s: deque[float] = deque(maxlen=_LAST_JOBS)

    @property
    def most(self) -> int:
        """The most there will ever be."""
        return self._fixed or _MANY

    @property
    def count(self) -> int:
        """How many there are now."""
        return self._count

    def note(self, event: JobEvent) -> None:
        """Learn from a job how long it executed; safe to call from any thread."""
        if self._fixed or not isinstance(event, StageFinished) or event.stage != "execute":
            return
        with self._lock:
            self._last_s.append(event.seconds)
            short = sum(seconds < _SHORT_S for seconds in self._last_s)
            if short == _LAST_JOBS:
                self._count = _MANY
            elif len(self._last_s) - short > _LAST_JOBS // 2:
                self._count = _FEW
