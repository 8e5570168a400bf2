"""Every ended job is counted once, whatever goes wrong with keeping the count; and what the counts come to."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest
from support.job_stores import T0, Clock

from api.errors import StoreUnavailable
from api.ids import InstanceName, JobId
from api.jobs import performance
from api.jobs.durations import Durations, Experience
from api.jobs.ends import ALL_TIME, HOUR_S, Ends, Run, Series
from api.jobs.job import Job, JobError, Status
from api.jobs.performance import Window
from api.jobs.statistics import KEPT_HOURS, OTHERS, Statistics

RUN = Run({"wait": 1.0, "execute": 4.0, "download": 0.5, "deliver": 0.5})


class Memory:
    """A ledger in memory that fails while it is told to."""

    def __init__(self) -> None:
        self.lines: dict[Series, Ends] = {}
        self.known: dict[str, Experience] = {}
        self.fails = False
        self.pruned: list[int] = []

    def add(self, news: Mapping[Series, Ends], learned: Mapping[str, Experience]) -> Mapping[str, Experience]:
        if self.fails:
            raise StoreUnavailable("The database is locked.")
        for series, ends in news.items():
            self.lines.setdefault(series, Ends()).merge(ends)
        for subject, experience in learned.items():
            self.known.setdefault(subject, Experience()).add(experience.samples, experience.pace)
        return {subject: Experience.of_json(self.known[subject].as_json()) for subject in learned}

    def ends(self, since: int) -> Iterable[tuple[Series, Ends]]:
        return [(series, ends) for series, ends in self.lines.items() if series.hour in {0} or series.hour >= since]

    def experience(self) -> Mapping[str, Experience]:
        if self.fails:
            raise StoreUnavailable("The database is locked.")
        return self.known

    def prune(self, before: int) -> None:
        self.pruned.append(before)


def ended(status: Status = Status.SUCCEEDED, at: float = T0, code: str | None = None, name: str | None = None) -> Job:
    job = Job(JobId("1"), at - 10, status=status, started_at=at - 8, finished_at=at, shape="a:1", workflow_name=name)
    return replace(job, instance=InstanceName("a:1"), error=JobError(code, "Why.") if code else None)


def made(ledger: Memory, clock: Clock | None = None, save_every_s: float = 3600) -> Statistics:
    return Statistics(ledger, Durations(), clock or Clock(), save_every_s)


def succeeded(statistics: Statistics, since: float = 0) -> int:
    lines = statistics.ends(since)
    return performance.succeeded(performance.total(ends for series, ends in lines if series.hour == ALL_TIME))


def test_counting_writes_nothing_until_it_is_saved() -> None:
    ledger = Memory()
    statistics = made(ledger)
    statistics.note(ended(), RUN)
    statistics.save_when_due()
    assert (ledger.lines, succeeded(statistics)) == ({}, 1)
    statistics.save()
    assert len(ledger.lines) == 2  # the hour and all time
    assert succeeded(statistics) == 1
    assert ledger.pruned == [int(T0) - KEPT_HOURS * HOUR_S]


def test_it_is_saved_when_it_is_time() -> None:
    ledger = Memory()
    statistics = made(ledger, save_every_s=0)
    statistics.note(ended(), RUN)
    statistics.save_when_due()
    assert ledger.lines != {}


def test_a_ledger_that_fails_loses_nothing() -> None:
    ledger = Memory()
    statistics = made(ledger)
    statistics.note(ended(), RUN)
    ledger.fails = True
    statistics.save()
    statistics.note(ended(), RUN)
    assert succeeded(statistics) == 2
    ledger.fails = False
    statistics.save()
    statistics.save()
    assert succeeded(statistics) == succeeded(made(ledger)) == 2
    assert len(ledger.known["shape:a"].samples) == 2


def test_the_next_process_goes_on_with_what_was_saved() -> None:
    ledger = Memory()
    first = made(ledger)
    first.note(ended(), RUN)
    first.save()
    first.note(ended(), RUN)  # lost in a crash
    second = made(ledger)
    second.load()
    assert succeeded(second) == 1
    expected = second.durations.expected("a:1")
    assert expected is not None and expected.execute_s == 4.0
    ledger.fails = True
    made(ledger).load()  # and starts without, if it has to


def test_no_more_lines_than_can_be_told_apart() -> None:
    ledger = Memory()
    statistics = made(ledger)
    for number in range(1000):
        statistics.note(ended(name=f"workflow-{number}"), RUN)
    names = {series.workflow for series, _ in statistics.ends(0)}
    assert len(names) == 301 and OTHERS in names
    assert succeeded(statistics) == 1000


def test_a_window_has_what_its_hours_have() -> None:
    clock, ledger = Clock(), Memory()
    statistics = made(ledger, clock)
    for hours_ago in (0, 1, 5, 30):
        statistics.note(ended(at=T0 - hours_ago * HOUR_S), RUN)
    window = Window.of(statistics.ends(T0 - 2 * HOUR_S), T0, 2)
    assert performance.succeeded(window.whole) == 2
    assert performance.succeeded(window.ever) == 4
    assert window.per_hour(2) == pytest.approx(2 / (2 + T0 % HOUR_S / HOUR_S), abs=0.01)


def test_rates_of_a_new_worker_are_those_since_its_first_job() -> None:
    statistics = made(Memory())
    for _ in range(6):
        statistics.note(ended(at=T0), RUN)
    window = Window.of(statistics.ends(T0 - HOUR_S), T0 + 350, 1)
    assert (window.span_s, window.per_hour(6)) == (360.0, 60.0)
    assert window.share_busy(window.whole) == pytest.approx(6 * 4 / 360, abs=0.001)


def test_times_are_those_of_jobs_that_succeeded() -> None:
    statistics = made(Memory())
    statistics.note(ended(), RUN)
    statistics.note(ended(Status.FAILED, code="COMFY_DIED"), Run({"execute": 900.0}))
    times = performance.times(Window.of(statistics.ends(0), T0, 1).whole)
    assert {name: (each["count"], each["p99"]) for name, each in times.items()} == {
        "wait": (1, pytest.approx(3.0, rel=0.021)),  # 2 in line, 1 in ComfyUI
        "execute": (1, pytest.approx(4.0, rel=0.021)),
        "deliver": (1, pytest.approx(1.0, rel=0.021)),
        "total": (1, pytest.approx(10.0, rel=0.021)),
    }


def test_cancelled_jobs_are_no_failures() -> None:
    statistics = made(Memory())
    for job in (ended(), ended(Status.CANCELLED, code="CANCELLED"), ended(Status.TIMED_OUT, code="TIMED_OUT")):
        statistics.note(job)
    whole = Window.of(statistics.ends(0), T0, 1).whole
    assert (performance.failed(whole), performance.cancelled(whole)) == (1, 1)
    assert performance.success_rate(whole) == 0.5
    assert dict(whole.by_error) == {"TIMED_OUT": 1}
    assert performance.success_rate(Ends()) is None


@pytest.mark.parametrize(
    ("code", "category"),
    [
        ("INVALID_WORKFLOW", "input"),
        ("PROMPT_REJECTED", "input"),
        ("OUT_OF_VRAM", "execution"),
        ("COMFY_DIED", "comfyui"),
        ("DISK_FULL", "delivery"),
        ("TIMED_OUT", "timeout"),
        ("EXPIRED", "timeout"),
        ("INPUT_NOT_FOUND", "input_source"),
        ("INTERNAL_ERROR", "worker"),
        ("OF_A_LATER_RELEASE", "worker"),
    ],
)
def test_every_code_has_a_category(code: str, category: str) -> None:
    assert performance.category(code) == category
