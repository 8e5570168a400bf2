"""What goes wrong again and again, told in a few lines of the log rather than in one for each time."""

import threading
import time
from collections.abc import Callable
from typing import Any

from ..logs import get_logger

log = get_logger()

_EVERY_S = 30.0
# Nobody tries any more; longer than a try at a locked database takes.
_STALE_S = 60.0


class Trouble:
    """Told when it begins, then every half minute with how often it was met, and when it is over. For any thread."""

    def __init__(self, event: str, over: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._event = event
        self._over = over
        self._clock = clock
        self._lock = threading.Lock()
        self._reason: str | None = None
        self._times = 0
        self._began_at = 0.0
        self._told_at = 0.0
        self._met_at = 0.0

    @property
    def reason(self) -> str | None:
        """What it is; None while there is none, or it has not been met for a while."""
        return self._reason if self._clock() - self._met_at < _STALE_S else None

    def met(self, reason: str, **context: Any) -> None:
        """It has gone wrong, again or for the first time."""
        with self._lock:
            now = self._clock()
            is_new = self._reason is None
            if is_new:
                self._times, self._began_at = 0, now
            self._reason = reason
            self._times += 1
            self._met_at = now
            if not is_new and now - self._told_at < _EVERY_S:
                return
            self._told_at = now
            count = {} if is_new else {"times": self._times}
        log.warning(self._event, error=reason, **count, **context)

    def over(self, **context: Any) -> None:
        """It has gone well; says so if it had not before."""
        with self._lock:
            if self._reason is None:
                return
            self._reason = None
            lasted_s = round(self._clock() - self._began_at, 1)
        log.info(self._over, times=self._times, lasted_s=lasted_s, **context)
