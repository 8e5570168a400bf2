"""Keeps the job layer clean on its own: expired and stale jobs by the second, old jobs and lost files by the hour."""

import threading
import time
from collections.abc import Callable

from ..errors import WorkerError
from ..logs import get_logger
from .service import JobService
from .spool import Spool
from .trouble import Trouble

log = get_logger()

_QUICK_S = 2.0
# More between two looks, and the machine slept or its clock was set: nobody could say meanwhile that they live.
_LEAST_GAP_S = 2 * _QUICK_S
_MOST_GAP_S = 5 * _QUICK_S
# A folder younger than this may belong to a job that is just being taken in.
_ORPHAN_AGE_S = 3600.0


class Janitor:
    """One thread. `sweeps` are others' hourly duties (uploads, scratch space), `looks` those of every two seconds.

    `keeps_orphans`: folders without a job stay, since it may be their jobs that are missing.
    """

    def __init__(
        self,
        *,
        service: JobService,
        spool: Spool,
        lost_after_s: float,
        keep_s: float,
        interval_s: float,
        sweeps: tuple[Callable[[], None], ...] = (),
        looks: tuple[Callable[[], None], ...] = (),
        keeps_orphans: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._spool = spool
        self._lost_after_s = lost_after_s
        self._gap_s = max(_LEAST_GAP_S, min(_MOST_GAP_S, lost_after_s / 2))
        self._keep_s = keep_s
        self._interval_s = interval_s
        self._sweeps = sweeps
        self._looks = looks
        self._keeps_orphans = keeps_orphans
        self._clock = clock
        self._looked_at = clock()
        self._patient_until = 0.0
        self._troubles: dict[str, Trouble] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="janitor", daemon=True)

    def start(self) -> None:
        """Start the thread; the first sweep is at once."""
        self._looked_at = self._clock()
        self._thread.start()

    def stop(self) -> None:
        """End the thread after what it does now."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def sweep(self) -> None:
        """What is done by the hour."""
        removed = self._service.cleanup(self._keep_s)
        orphans = 0 if self._keeps_orphans else self._forget_orphans()
        for duty in self._sweeps:
            duty()
        if removed or orphans:
            log.info("Old jobs removed", jobs=removed, orphans=orphans)

    def _work(self) -> None:
        sweep_at = time.monotonic()
        while not self._stopping.is_set():
            self._guarded(self.look)
            if time.monotonic() >= sweep_at:
                sweep_at = time.monotonic() + self._interval_s
                self._guarded(self.sweep)
            self._stopping.wait(_QUICK_S)

    def look(self) -> None:
        """What is done every two seconds."""
        self._service.expire()
        if self._clock_jumped():
            # The machine slept, its clock was set, or the job store did not answer: it cannot be told which.
            log.info(
                "Jobs were not looked at for a while, workers have time to say that they live",
                seconds=self._lost_after_s,
            )
        elif self._clock() >= self._patient_until:
            self._service.reset_stuck(self._lost_after_s)
        for duty in self._looks:
            duty()

    def _clock_jumped(self) -> bool:
        """Whether so much time has passed since the last look that silence means nothing."""
        now, before = self._clock(), self._looked_at
        self._looked_at = now
        if abs(now - before) <= self._gap_s:
            return False
        self._patient_until = now + self._lost_after_s
        return True

    def _guarded(self, duty: Callable[[], None]) -> None:
        name = duty.__name__
        trouble = self._troubles.setdefault(
            name, Trouble("Housekeeping failed, it is tried again", "Housekeeping goes well again")
        )
        try:
            duty()
        except (WorkerError, OSError) as error:
            trouble.met(str(error), duty=name)
        else:
            trouble.over(duty=name)

    def _forget_orphans(self) -> int:
        """Remove folders without a job: what is left of submissions that were cut off."""
        orphans = [job_id for job_id in self._spool.old_folders(_ORPHAN_AGE_S) if not self._service.exists(job_id)]
        for job_id in orphans:
            self._spool.forget(job_id)
        return len(orphans)
