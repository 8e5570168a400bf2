"""Ended jobs added up: by hour, workflow and ComfyUI. What is added up can be added again, so processes share it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from ..errors import InternalError
from .histogram import Histogram
from .job import Job, Status

# What a job without a named workflow is called.
UNNAMED = "workflow"
# The hour under which everything is added up, from the first job on.
ALL_TIME = 0
HOUR_S = 3600
# The times that are kept of jobs that succeeded, in the order in which they pass.
WAIT, EXECUTE, DELIVER, TOTAL = "wait", "execute", "deliver", "total"
TIMES = (WAIT, EXECUTE, DELIVER, TOTAL)
# What counts against the rate of success; a cancelled job is nobody's failure.
FAILURES = frozenset({Status.FAILED, Status.TIMED_OUT})
_BEFORE = ("wait",)
_AFTER = ("download", "deliver")


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured of the run that ended a job: seconds per stage, and what it made.

    `pace`: the share of the execution's time at which 10 %, 20 % … 90 % of its progress were reached.
    `rendered`: ComfyUI made something anew, rather than taking all of it from its cache.
    """

    stages_s: Mapping[str, float] = field(default_factory=dict)
    pace: tuple[float, ...] | None = None
    rendered: bool = True
    result_bytes: int = 0

    @property
    def execute_s(self) -> float | None:
        """Time in ComfyUI's nodes; None when it did not come to that."""
        return self.stages_s.get("execute")

    @property
    def tail_s(self) -> float:
        """Time between the execution and the end of the job."""
        return sum(self.stages_s.get(stage, 0.0) for stage in _AFTER)


class Series(NamedTuple):
    """One line of the ledger. `hour` is the epoch second at which it begins, or ALL_TIME."""

    hour: int
    workflow: str
    instance: str


class Ends:
    """The jobs of one line, added up. Not safe to share between threads."""

    __slots__ = ("busy_s", "by_error", "by_status", "first_at", "times")

    def __init__(self) -> None:
        self.by_status: Counter[str] = Counter()
        self.by_error: Counter[str] = Counter()
        self.busy_s = 0.0
        # When the first of them was submitted; None while there is none.
        self.first_at: float | None = None
        self.times = {name: Histogram() for name in TIMES}

    def add(self, job: Job, run: Run | None) -> None:
        """Count a job that has ended."""
        self.by_status[job.status.value] += 1
        self.first_at = min(self.first_at or job.created_at, job.created_at)
        if job.status in FAILURES:
            self.by_error[job.error.code if job.error else InternalError.code] += 1
        if run is None:
            return
        self.busy_s += run.execute_s or 0.0
        if job.status is Status.SUCCEEDED:
            self._time(job, run)

    def merge(self, other: "Ends") -> None:
        """Add what the other one has counted."""
        self.by_status.update(other.by_status)
        self.by_error.update(other.by_error)
        self.busy_s += other.busy_s
        if other.first_at is not None:
            self.first_at = min(self.first_at or other.first_at, other.first_at)
        for name, times in other.times.items():
            self.times[name].merge(times)

    def as_json(self) -> dict[str, Any]:
        """For keeping."""
        times = {name: histogram.as_json() for name, histogram in self.times.items() if histogram.buckets}
        return {
            "by_status": dict(self.by_status),
            "by_error": dict(self.by_error),
            "busy_s": round(self.busy_s, 4),
            "first_at": self.first_at,
            "times": times,
        }

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Self:
        """What was kept."""
        ends = cls()
        ends.by_status.update(kept["by_status"])
        ends.by_error.update(kept["by_error"])
        ends.busy_s = float(kept["busy_s"])
        ends.first_at = kept["first_at"]
        for name, histogram in kept["times"].items():
            ends.times[name] = Histogram.of_json(histogram)
        return ends

    def _time(self, job: Job, run: Run) -> None:
        if job.started_at is None or job.finished_at is None:
            return
        in_comfyui_s = sum(run.stages_s.get(stage, 0.0) for stage in _BEFORE)
        self.times[WAIT].add(job.started_at - job.created_at + in_comfyui_s)
        self.times[DELIVER].add(run.tail_s)
        self.times[TOTAL].add(job.finished_at - job.created_at)
        if run.execute_s is not None:
            self.times[EXECUTE].add(run.execute_s)
