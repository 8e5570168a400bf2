"""Sends waiting jobs elsewhere when the line before the worker's own ComfyUIs is too long, and fetches them back."""

import time
from collections.abc import Callable

from ..logs import get_logger
from .job import Job
from .placement import LOCAL
from .store import JobStore

log = get_logger()

# Jobs that are looked at, from the front of the line.
_MOST_LOOKED_AT = 1000
# A target that is away for less comes back sooner than its jobs would be done here.
_AWAY_S = 10.0


def _always() -> bool:
    return True


class Overflow:
    """`look` moves jobs that nobody has asked to be run here, as many as `target` has `room` for.

    Those that would wait longer than `after_s` by `wait_s`. Where that tells nothing it is those that have waited so
    long, and all of them once no ComfyUI has been `usable` for so long: one that restarts is not worth a move.
    Those that were not begun there come back once `target` has not been well for a while.
    """

    def __init__(
        self,
        *,
        store: JobStore,
        target: str,
        after_s: float,
        wait_s: Callable[[Job], float | None],
        usable: Callable[[], bool],
        room: Callable[[], int],
        is_well: Callable[[], bool] = _always,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._target = target
        self._after_s = after_s
        self._wait_s = wait_s
        self._usable = usable
        self._room = room
        self._is_well = is_well
        self._clock = clock
        self._usable_at = self._well_at = clock()

    def look(self) -> None:
        """To be called every few seconds, by one thread. Raises StoreUnavailable."""
        now = self._clock()
        if self._usable():
            self._usable_at = now
        if self._is_well():
            self._well_at = now
        else:
            if now - self._well_at > _AWAY_S and self._usable_at == now:
                self._fetch_back()
            return
        room = self._room()
        if room <= 0 or self._store.paused():
            return
        # Those that were moved and have yet to be begun take up room as well.
        room -= len(self._store.upcoming(room, self._target))
        for job in self._store.upcoming(_MOST_LOOKED_AT, LOCAL):
            if room <= 0:
                return
            if job.movable and self._is_too_long(job, now) and self._move(job):
                room -= 1

    def _is_too_long(self, job: Job, now: float) -> bool:
        wait_s = self._wait_s(job)
        if wait_s is not None:
            return wait_s > self._after_s
        # Of one that was never run: it may have been looked at, and put back, a moment ago.
        since = job.available_at if job.attempt else job.created_at
        return now - min(since, self._usable_at) > self._after_s

    def _fetch_back(self) -> None:
        for job in self._store.upcoming(_MOST_LOOKED_AT, self._target):
            # One with a prompt there may be running: it is followed when the target is back.
            if job.movable and job.prompt_id is None and self._store.redirect(job.id, LOCAL, movable=True):
                log.info("Job comes back, the other target is away", job_id=job.id, target=self._target)

    def _move(self, job: Job) -> bool:
        moved = self._store.redirect(job.id, self._target, movable=True)
        if moved is not None:
            log.info("Job goes to another target, the line is too long", job_id=job.id, target=self._target)
        return moved is not None
