"""When jobs will be done: from what their like has taken, how far those that run are, and the line in front of them."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..ids import InstanceName, JobId
from .durations import Durations, Expectation
from .job import Job, Status
from .measured import Live, Phase
from .placement import LOCAL

# The line is gone through at most so often, and never for more than a small share of the time.
_LOOK_EVERY_S = 0.5
_COST_SHARE = 0.05
_LOOK_SOONER = 5
# From which share of its time on a run's own pace counts, and how quickly more than that of earlier ones; less where
# the way is not known to be even.
_TRUSTED_FROM = 0.1
_TRUST, _TRUST_UNPACED = 3.0, 1.0
# A pace that comes to within this factor of what others took says nothing new.
_ALIKE, _ALIKE_UNPACED = 1.5, 2.5
# Progress below it says nothing about the pace.
_TELLING_SHARE = 0.05
_NEVER = float("inf")
# A run this much over its time without news of progress may be stuck: nobody knows how long it will take.
_OVERDUE = 3.0

OfJob = Mapping[JobId, float]
# What executes a target's jobs, by name, each with its label.
Slots = Mapping[InstanceName, str]


def remaining_execution_s(live: Live, expected: Expectation | None) -> float | None:
    """Seconds of execution left to a run that executes; None when there is no telling."""
    share = _share_of_time(live.progress, expected.pace if expected else None)
    # How long it took to get as far as it said last; since then it has gone on unseen.
    reached_s = live.executing_s - live.progress_age_s
    if expected is None:
        if share is None or share < _TELLING_SHARE:
            return None
        left_s = reached_s / share - live.executing_s
        # Over its time already: the way is not even, and what it has told so far says nothing.
        return left_s if left_s >= 0 else None
    whole_s = expected.execute_s
    if share:
        whole_s = _corrected(whole_s, reached_s / share, share, is_paced=expected.pace is not None)
    left_s = whole_s - live.executing_s
    if left_s < 0 and live.executing_s > _OVERDUE * max(expected.execute_s, 1.0):
        return None
    return max(left_s, 0.0)


def _corrected(whole_s: float, own_s: float, share: float, *, is_paced: bool) -> float:
    """The time that others took, and the time this run's own pace would come to: the latter where they lie apart."""
    alike = _ALIKE if is_paced else _ALIKE_UNPACED
    if whole_s / alike <= own_s <= whole_s * alike:
        # Others were measured from end to end; progress comes in lumps.
        return whole_s
    trust = min(max(share - _TRUSTED_FROM, 0.0) * (_TRUST if is_paced else _TRUST_UNPACED), 1.0)
    return (1 - trust) * whole_s + trust * own_s


def _share_of_time(progress: float, pace: Sequence[float] | None) -> float | None:
    """Which share of its time a run has used that is so far; None when that cannot be told."""
    if progress <= 0:
        return None
    if pace is None:
        return progress
    points = [0.0, *pace, 1.0]
    place = min(progress, 1.0) * (len(points) - 1)
    low = min(int(place), len(points) - 2)
    return points[low] + (place - low) * (points[low + 1] - points[low])


@dataclass(frozen=True, slots=True)
class _Outlook:
    """Seconds until jobs are done, and until waiting ones begin, as seen at `at`; those missing are anybody's guess."""

    at: float
    good_for_s: float
    left_s: OfJob = field(default_factory=dict)
    wait_s: OfJob = field(default_factory=dict)

    def is_good_for(self, job_id: JobId, now: float) -> bool:
        """Whether it need not be made anew. A job it does not know may have come since."""
        good_for_s = self.good_for_s if job_id in self.left_s else self.good_for_s / _LOOK_SOONER
        return 0 <= now - self.at < good_for_s


class Estimates:
    """Safe to share between threads. `running` and `upcoming` are those of all workers, `live` the runs of this one.

    `slots` names, by target, what executes jobs now; without any there is no telling.
    """

    def __init__(
        self,
        durations: Durations,
        *,
        running: Callable[[], Sequence[Job]],
        upcoming: Callable[[], Sequence[Job]],
        live: Callable[[], Mapping[JobId, Live]],
        slots: Callable[[], Mapping[str, Slots]],
        clock: Callable[[], float],
    ) -> None:
        self._durations = durations
        self._running = running
        self._upcoming = upcoming
        self._live = live
        self._slots = slots
        self._clock = clock
        self._lock = threading.Lock()
        self._outlook: _Outlook | None = None

    def expected_s(self, shape: str | None, name: str | None = None) -> float | None:
        """Seconds a job of that shape executes; None when nothing like it has run."""
        expected = self._durations.expected(shape, name)
        return round(expected.execute_s, 3) if expected and not expected.is_guess else None

    def remaining_s(self, job: Job) -> float | None:
        """Seconds until the job is done, 0 when it is; None when there is no telling."""
        if job.is_terminal:
            return 0.0
        live = self._live().get(job.id)
        if live and live.phase is not Phase.BEFORE:
            return self._left_s(job, live)
        outlook = self._outlook_for(job.id)
        left_s = outlook.left_s.get(job.id)
        return None if left_s is None else max(left_s - (self._clock() - outlook.at), 0.0)

    def wait_s(self, job: Job) -> float | None:
        """Seconds until the waiting job begins to execute; None when there is no telling."""
        outlook = self._outlook_for(job.id)
        wait_s = outlook.wait_s.get(job.id)
        return None if wait_s is None else max(wait_s - (self._clock() - outlook.at), 0.0)

    def _outlook_for(self, job_id: JobId) -> _Outlook:
        with self._lock:
            outlook = self._outlook
            if outlook is None or not outlook.is_good_for(job_id, self._clock()):
                outlook = self._outlook = self._look()
        return outlook

    def _look(self) -> _Outlook:
        began = self._clock()
        live, slots = self._live(), self._slots()
        # Those that execute come first: the others in the same ComfyUI wait for them.
        active = sorted(self._running(), key=lambda job: (not _executes(job, live), job.started_at or 0.0))
        waiting = self._upcoming()
        left_s: dict[JobId, float] = {}
        wait_s: dict[JobId, float] = {}
        for target in dict.fromkeys(job.target for job in (*active, *waiting)):
            line = _Line(slots.get(target, {}), left_s, wait_s)
            self._fill(
                line,
                [job for job in active if job.target == target],
                [job for job in waiting if job.target == target],
                live,
            )
        now = self._clock()
        return _Outlook(now, max(_LOOK_EVERY_S, (now - began) / _COST_SHARE), left_s, wait_s)

    def _fill(self, line: "_Line", active: Sequence[Job], waiting: Sequence[Job], live: Mapping[JobId, Live]) -> None:
        """Put the jobs of one target into its slots."""
        for job in active:
            if job.target == LOCAL and job.instance and job.id not in live:
                line.add(job.instance)  # of another worker
        line.gaps_s = {name: self._durations.gap_s(name) for name in line.busy_s}
        for job in active:
            self._put(line, job, live.get(job.id))
        for job in waiting:
            self._put(line, job, None)
            if line.is_lost:
                break

    def _put(self, line: "_Line", job: Job, live: Live | None) -> None:
        """A guess is good enough for those behind it, of itself nothing is told then."""
        takes_s = self._whole_s(job, live)
        line.put(job, takes_s or self._whole_s(job, live, may_guess=True), is_told=takes_s is not None)

    def _left_s(self, job: Job, live: Live) -> float | None:
        whole = self._whole_s(job, live)
        return None if whole is None else sum(whole)

    def _whole_s(self, job: Job, live: Live | None, *, may_guess: bool = False) -> tuple[float, float] | None:
        """(seconds it will keep its ComfyUI busy, seconds from then on); None when there is no telling."""
        instance = job.instance if job.target == LOCAL else InstanceName(job.target)
        expected = self._durations.expected(job.shape, job.workflow_name, instance)
        if expected and expected.is_guess and not may_guess:
            expected = None
        if live is None and job.status is not Status.QUEUED and job.progress > 0:
            live = self._seen_elsewhere(job)
        if live is not None and live.phase is Phase.AFTER:
            return (0.0, max(expected.tail_s - live.executing_s, 0.0)) if expected else None
        if live is not None and live.phase is Phase.EXECUTING:
            left_s = remaining_execution_s(live, expected)
            return None if left_s is None else (left_s, expected.tail_s if expected else 0.0)
        return (expected.execute_s, expected.tail_s) if expected else None

    def _seen_elsewhere(self, job: Job) -> Live:
        """A run of another worker, as far as the store tells: when it began to execute is not known."""
        running_s = max(self._clock() - (job.started_at or job.created_at), 0.0)
        return Live(Phase.EXECUTING, job.instance, running_s, job.progress, 0.0)


def _executes(job: Job, live: Mapping[JobId, Live]) -> bool:
    if job.id in live:
        return live[job.id].phase is not Phase.BEFORE
    return job.progress > 0


class _Line:
    """One target's slots, with the seconds after which each is free; those of which there is no telling never are."""

    def __init__(self, slots: Slots, left_s: dict[JobId, float], wait_s: dict[JobId, float]) -> None:
        self.busy_s = dict.fromkeys(slots, 0.0)
        self.gaps_s: Mapping[InstanceName, float] = {}
        self._labels = {name: {name.lower(), label.lower()} for name, label in slots.items()}
        self._left_s = left_s
        self._wait_s = wait_s

    @property
    def is_lost(self) -> bool:
        """Whether there is no telling of any job that comes now."""
        return min(self.busy_s.values(), default=_NEVER) == _NEVER

    def add(self, slot: InstanceName) -> None:
        """One more, unless it is there."""
        self.busy_s.setdefault(slot, 0.0)

    def put(self, job: Job, takes_s: tuple[float, float] | None, *, is_told: bool) -> None:
        """Into the slot it is in, or into that of its label that is free first; `is_told`: when it ends as well."""
        slot = job.instance if job.instance in self.busy_s and job.status is not Status.QUEUED else None
        slot = slot or min(self._open_to(job), key=lambda name: self.busy_s[name], default=None)
        if slot is None:
            return
        if takes_s is None or self.busy_s[slot] == _NEVER:
            self.busy_s[slot] = _NEVER
            return
        busy_s, tail_s = takes_s
        begins_s = self.busy_s[slot] + (self.gaps_s[slot] if self.busy_s[slot] else 0.0)
        if job.status is Status.QUEUED:
            self._wait_s[job.id] = begins_s
        self.busy_s[slot] = begins_s + busy_s
        if is_told:
            self._left_s[job.id] = self.busy_s[slot] + tail_s

    def _open_to(self, job: Job) -> Iterable[InstanceName]:
        return (name for name in self.busy_s if job.label is None or job.label in self._labels.get(name, ()))
