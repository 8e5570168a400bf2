"""Counts every job that ends, once, and learns how long jobs take. All metrics of jobs come from here.

Counting touches memory only; what was counted goes into the ledger now and then, and a crash costs what came since.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from ..errors import WorkerError
from ..logs import get_logger
from .durations import Durations, Experience
from .ends import ALL_TIME, HOUR_S, UNNAMED, Ends, Run, Series
from .job import Job

log = get_logger()

KEPT_HOURS = 7 * 24
# Workflows times ComfyUIs that are told apart; what comes beyond is counted together.
_MOST_SERIES = 300
OTHERS = "others"


class Ledger(Protocol):
    """Where the numbers last. Several processes may add to one."""

    def add(self, news: Mapping[Series, Ends], learned: Mapping[str, Experience]) -> Mapping[str, Experience]:
        """Add to what is kept, all or nothing; returns what is kept now of the subjects that were learned about."""

    def ends(self, since: int) -> Iterable[tuple[Series, Ends]]:
        """The lines of the hours from `since` on, and those of all time."""

    def experience(self) -> Mapping[str, Experience]:
        """What is kept of durations, the least recently changed first."""

    def prune(self, before: int) -> None:
        """Forget the hours before."""


class Statistics:
    """`durations` is what was learned. Safe to share between threads."""

    def __init__(self, ledger: Ledger, durations: Durations, clock: Callable[[], float], save_every_s: float) -> None:
        self.durations = durations
        self._ledger = ledger
        self._clock = clock
        self._save_every_s = save_every_s
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._unsaved: dict[Series, Ends] = {}
        self._names: set[tuple[str, str]] = set()
        self._saved_at = time.monotonic()

    def load(self) -> None:
        """Recall the durations that were learned before. What fails is logged: it is worth less than a start."""
        try:
            self.durations.know(self._ledger.experience())
        except (WorkerError, OSError, ValueError) as error:
            log.warning("Earlier durations of jobs cannot be read", error=str(error))

    def note(self, job: Job, run: Run | None = None) -> None:
        """Count a job that has just ended; `run` is what was measured where it ran."""
        hour = int((job.finished_at or self._clock()) // HOUR_S) * HOUR_S
        with self._lock:
            workflow, instance = self._told_apart(job.workflow_name or UNNAMED, job.instance or "")
            for slot in (hour, ALL_TIME):
                self._unsaved.setdefault(Series(slot, workflow, instance), Ends()).add(job, run)
        if run is not None:
            self.durations.note(job, run)

    def ends(self, since: float) -> list[tuple[Series, Ends]]:
        """Everything counted in the hours from `since` (epoch seconds) on, and of all time. May read the disk."""
        first = int(since // HOUR_S) * HOUR_S
        # Not between the two halves of a save: what it moves would be missed or met twice.
        with self._saving:
            kept = list(self._ledger.ends(first))
            with self._lock:
                fresh = [(series, _copy(ends)) for series, ends in self._unsaved.items()]
        return [*kept, *((series, ends) for series, ends in fresh if series.hour in {ALL_TIME} or series.hour >= first)]

    def save_when_due(self) -> None:
        """`save`, if the last one is long enough ago."""
        if time.monotonic() - self._saved_at >= self._save_every_s:
            self.save()

    def save(self) -> None:
        """Put what was counted into the ledger. When that fails it is logged, and goes along with the next one."""
        with self._saving:
            self._saved_at = time.monotonic()
            with self._lock:
                unsaved, self._unsaved = self._unsaved, {}
            news = self.durations.take_news()
            try:
                if unsaved or news:
                    self.durations.know(self._ledger.add(unsaved, news))
                    self._ledger.prune(int(self._clock()) - KEPT_HOURS * HOUR_S)
            except (WorkerError, OSError) as error:
                log.warning("Metrics not saved yet", error=str(error))
                self._take_back(unsaved)
                self.durations.give_back(news)

    def _take_back(self, unsaved: Mapping[Series, Ends]) -> None:
        with self._lock:
            for series, ends in unsaved.items():
                self._unsaved.setdefault(series, Ends()).merge(ends)

    def _told_apart(self, workflow: str, instance: str) -> tuple[str, str]:
        if (workflow, instance) not in self._names:
            if len(self._names) >= _MOST_SERIES:
                return OTHERS, instance if (OTHERS, instance) in self._names else OTHERS
            self._names.add((workflow, instance))
        return workflow, instance


def _copy(ends: Ends) -> Ends:
    copy = Ends()
    copy.merge(ends)
    return copy
