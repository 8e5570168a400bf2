"""The time one run takes, measured while it goes by what it tells: how far it is for watchers, and a Run at its end."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..ids import InstanceName
from .ends import Run
from .events import JobEvent, NodeStarted, ProgressMade, PromptAssigned, PromptStarted, StageFinished

_LISTS = ("images", "videos", "audio", "files")
# The parts of the progress whose times make the pace of a run.
_PARTS = 10


class Phase(Enum):
    """Where a run is: on its way to ComfyUI or waiting in it, executing, or on its way back."""

    BEFORE = "before"
    EXECUTING = "executing"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Live:
    """A run as it stands. `executing_s`: time in this phase; `progress` (0 to 1) was news `progress_age_s` ago."""

    phase: Phase
    instance: InstanceName | None = None
    executing_s: float = 0.0
    progress: float = 0.0
    progress_age_s: float = 0.0


class Measured:
    """One per run. Events come from one thread, questions from any. `is_resumed`: it did not see the run begin."""

    def __init__(self, *, is_resumed: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._is_resumed = is_resumed
        self._clock = clock
        self._lock = threading.Lock()
        self._stages_s: dict[str, float] = {}
        self._instance: InstanceName | None = None
        self._began_at: float | None = None
        self._done_at: float | None = None
        self._advanced_at = 0.0
        self._progress = 0.0
        self._reached_s: list[float] = []

    def note(self, event: JobEvent) -> None:
        """Take one event of the run."""
        with self._lock:
            match event:
                case PromptAssigned(instance=instance):
                    self._reset()
                    self._instance = instance
                case PromptStarted() | NodeStarted():
                    self._begin()
                case ProgressMade(percent=percent):
                    self._begin()
                    self._advance(percent / 100)
                case StageFinished(stage=stage, seconds=seconds):
                    self._stages_s[stage] = self._stages_s.get(stage, 0.0) + seconds
                    if stage == "execute" and self._began_at is not None:
                        self._done_at = self._clock()
                case _:
                    pass

    def live(self) -> Live:
        """The run as it stands."""
        with self._lock:
            now = self._clock()
            if self._began_at is None:
                return Live(Phase.BEFORE, self._instance)
            if self._done_at is not None:
                return Live(Phase.AFTER, self._instance, now - self._done_at, 1.0, now - self._done_at)
            age_s = now - self._advanced_at
            return Live(Phase.EXECUTING, self._instance, now - self._began_at, self._progress, age_s)

    def run(self, result: Mapping[str, Any]) -> Run:
        """What was measured, for a run that ended with this result dict."""
        entries = list(_entries(result))
        with self._lock:
            return Run(
                stages_s=dict(self._stages_s),
                pace=self._pace(),
                rendered=not entries or not all(entry.get("cached") for entry in entries),
                result_bytes=sum(int(entry.get("size_bytes") or 0) for entry in entries),
            )

    def _reset(self) -> None:
        self._began_at = self._done_at = None
        self._progress = 0.0
        self._reached_s = []

    def _begin(self) -> None:
        if self._began_at is None:
            self._began_at = self._advanced_at = self._clock()

    def _advance(self, progress: float) -> None:
        if progress <= self._progress or self._began_at is None:
            return
        self._progress, self._advanced_at = progress, self._clock()
        reached = min(int(progress * _PARTS + 1e-9), _PARTS - 1) - len(self._reached_s)
        self._reached_s += [self._advanced_at - self._began_at] * reached

    def _pace(self) -> tuple[float, ...] | None:
        if self._is_resumed or self._began_at is None or self._done_at is None:
            return None
        whole_s = self._done_at - self._began_at
        if whole_s <= 0 or not self._reached_s:
            return None
        shares = [min(seconds / whole_s, 1.0) for seconds in self._reached_s]
        return (*shares, *[1.0] * (_PARTS - 1 - len(shares)))


def _entries(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name in _LISTS:
        yield from result.get(name) or ()
