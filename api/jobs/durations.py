"""How long workflows take, learned from those that ran: by shape and size, else by name, else by all of them."""

import itertools
import statistics
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

from .ends import UNNAMED, Run
from .job import Job, Status

_KEPT = 32
_KEPT_SUBJECTS = 500
# As many of one size, or on one ComfyUI, speak for themselves.
_ENOUGH = 3
_PACE_WEIGHT = 0.3
_EVERYTHING = "*"
_SHAPE = "shape:"
_OF_ALL_KINDS = frozenset({_EVERYTHING, f"name:{UNNAMED}"})


class Sample(NamedTuple):
    """One execution: `work` is its size in no particular unit, comparable within its shape."""

    work: float
    execute_s: float
    tail_s: float
    instance: str


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a job is expected to take: executing, and from then to its end. `pace` as in Run.

    `is_guess`: nothing like it has run, it is what all kinds of jobs took.
    """

    execute_s: float
    tail_s: float
    pace: tuple[float, ...] | None = None
    is_guess: bool = False


class _Line(NamedTuple):
    """Time over work."""

    base_s: float
    slope: float


@dataclass(slots=True)
class Experience:
    """The newest executions of one subject, and how their progress went."""

    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=_KEPT))
    pace: tuple[float, ...] | None = None
    # What was worked out of the samples, by ComfyUI; a long line of jobs is asked about one by one.
    _lines: dict[str | None, "_Line | None"] = field(default_factory=dict, repr=False, compare=False)

    def add(self, samples: Iterable[Sample], pace: tuple[float, ...] | None = None) -> None:
        """Newer executions."""
        self.samples.extend(samples)
        self._lines.clear()
        if pace is not None:
            known = self.pace or pace
            self.pace = tuple(old + _PACE_WEIGHT * (new - old) for old, new in zip(known, pace, strict=True))

    def expected(self, work: float | None, instance: str | None) -> Expectation:
        """What one more is expected to take."""
        there = [sample for sample in self.samples if sample.instance == instance]
        samples = there if len(there) >= _ENOUGH else list(self.samples)
        tail_s = statistics.median(sample.tail_s for sample in samples)
        return Expectation(self._execution_s(samples, work, instance), tail_s, self.pace)

    def _execution_s(self, samples: Sequence[Sample], work: float | None, instance: str | None) -> float:
        alike = [sample.execute_s for sample in samples if sample.work == work]
        if work is not None and len(alike) < _ENOUGH:
            if instance not in self._lines:
                self._lines[instance] = _line(samples)
            line = self._lines[instance]
            if line is not None:
                return max(line.base_s + line.slope * work, 0.0)
        return statistics.median(alike or [sample.execute_s for sample in samples])

    def as_json(self) -> dict[str, Any]:
        """For keeping."""
        samples = [[each.work, round(each.execute_s, 4), round(each.tail_s, 4), each.instance] for each in self.samples]
        return {"samples": samples, "pace": [round(share, 4) for share in self.pace] if self.pace else None}

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Self:
        """What was kept."""
        samples = (Sample(float(work), float(run), float(tail), str(at)) for work, run, tail, at in kept["samples"])
        return cls(deque(samples, maxlen=_KEPT), tuple(kept["pace"]) if kept["pace"] else None)


class Durations:
    """Safe to share between threads. `take_news` hands over what was learned since, for whoever keeps it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Experience] = OrderedDict()
        # By ComfyUI: when its last execution ended, and how long it took the next job to begin where one waited.
        self._ended_at: dict[str, float] = {}
        self._gaps_s: dict[str, deque[float]] = {}
        self._news: dict[str, Experience] = {}

    def note(self, job: Job, run: Run) -> None:
        """Learn from a job that has ended; from one that failed, or came out of ComfyUI's cache, there is nothing."""
        if job.status is not Status.SUCCEEDED or run.execute_s is None or not run.rendered:
            return
        self._note_gap(job, run.execute_s, run.tail_s)
        digest, work = _parts(job.shape)
        sample = Sample(work, run.execute_s, run.tail_s, job.instance or "")
        with self._lock:
            for subject in _subjects(digest, job.workflow_name):
                # The pace of different graphs has nothing in common.
                pace = run.pace if subject.startswith(_SHAPE) else None
                self._experience(subject).add([sample], pace)
                self._news.setdefault(subject, Experience()).add([sample], pace)

    def gap_s(self, instance: str) -> float:
        """How long that ComfyUI takes from one job to the next, when the next one waits; 0 while it is not known."""
        with self._lock:
            gaps_s = self._gaps_s.get(instance)
            return statistics.median(gaps_s) if gaps_s else 0.0

    def expected(self, shape: str | None, name: str | None = None, instance: str | None = None) -> Expectation | None:
        """What a job of that shape (see `Job.shape`) and workflow takes; None when nothing ever ran."""
        digest, work = _parts(shape)
        with self._lock:
            for subject in _subjects(digest, name):
                known = self._known.get(subject)
                if known and known.samples:
                    found = known.expected(work if subject.startswith(_SHAPE) else None, instance)
                    return replace(found, is_guess=True) if subject in _OF_ALL_KINDS else found
        return None

    def take_news(self) -> dict[str, Experience]:
        """What was learned since the last call, by subject."""
        with self._lock:
            news, self._news = self._news, {}
            return news

    def give_back(self, news: Mapping[str, Experience]) -> None:
        """Undo `take_news`: it could not be kept."""
        with self._lock:
            for subject, experience in news.items():
                newer = self._news.pop(subject, Experience())
                experience.add(newer.samples, newer.pace)
                self._news[subject] = experience

    def know(self, kept: Mapping[str, Experience]) -> None:
        """Take over what is kept, oldest first; what was learned here since comes on top."""
        with self._lock:
            for subject, experience in kept.items():
                news = self._news.get(subject)
                if news:
                    experience.add(news.samples, news.pace)
                self._known[subject] = experience
                self._known.move_to_end(subject)
            self._forget_oldest()

    def _note_gap(self, job: Job, execute_s: float, tail_s: float) -> None:
        instance = job.instance or ""
        ended_at = (job.finished_at or 0.0) - tail_s
        with self._lock:
            before_at = self._ended_at.get(instance)
            self._ended_at[instance] = ended_at
            if before_at is None or job.started_at is None or not job.started_at < before_at < ended_at:
                return
            gap_s = max(ended_at - before_at - execute_s, 0.0)
            self._gaps_s.setdefault(instance, deque(maxlen=_KEPT)).append(gap_s)

    def _experience(self, subject: str) -> Experience:
        experience = self._known.setdefault(subject, Experience())
        self._known.move_to_end(subject)
        self._forget_oldest()
        return experience

    def _forget_oldest(self) -> None:
        surplus = len(self._known) - _KEPT_SUBJECTS
        if surplus > 0:
            # Names are few, and what all others fall back on.
            shapes = (subject for subject in self._known if subject.startswith(_SHAPE))
            for subject in list(itertools.islice(shapes, surplus)):
                del self._known[subject]


def _subjects(digest: str | None, name: str | None) -> list[str]:
    """What a job teaches about, and is judged by: the closest first."""
    return [*([f"{_SHAPE}{digest}"] if digest else []), f"name:{name or UNNAMED}", _EVERYTHING]


def _parts(shape: str | None) -> tuple[str | None, float]:
    digest, _, work = (shape or "").partition(":")
    return (digest, float(work)) if work else (None, 0.0)


def _line(samples: Sequence[Sample]) -> _Line | None:
    """The line through them (Theil and Sen's: one slow first run does not bend it); None without two sizes."""
    slopes = [
        (b.execute_s - a.execute_s) / (b.work - a.work)
        for a, b in itertools.combinations(samples, 2)
        if a.work != b.work
    ]
    if not slopes:
        return None
    # More work never takes less time: what looks like it is noise.
    slope = max(0.0, statistics.median(slopes))
    return _Line(statistics.median(sample.execute_s - slope * sample.work for sample in samples), slope)
