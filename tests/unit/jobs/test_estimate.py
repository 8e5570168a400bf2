"""Estimates: what is left of a run, of a line before it, and when it is better to say nothing."""

import random
import statistics
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from support.job_stores import Clock

from api.ids import InstanceName, JobId, PromptId
from api.jobs.durations import Durations, Expectation
from api.jobs.ends import Run
from api.jobs.estimate import Estimates, remaining_execution_s
from api.jobs.events import NodeStarted, ProgressMade, PromptAssigned, PromptStarted, StageFinished
from api.jobs.job import Job, Status
from api.jobs.measured import Live, Measured, Phase
from api.jobs.placement import LOCAL

EVEN = tuple(number / 10 for number in range(1, 10))
HERE, THERE = InstanceName("a:1"), InstanceName("b:1")


def live(executing_s: float, progress: float = 0.0, age_s: float = 0.0) -> Live:
    return Live(Phase.EXECUTING, HERE, executing_s, progress, age_s)


@pytest.mark.parametrize(
    ("run", "expected", "left_s"),
    [
        # By what others took.
        (live(2.0), Expectation(10.0, 0.0), 8.0),
        (live(2.0, 0.2), Expectation(10.0, 0.0, EVEN), 8.0),
        (live(3.0, 0.2, age_s=1.0), Expectation(10.0, 0.0, EVEN), 7.0),
        (live(12.0), Expectation(10.0, 0.0), 0.0),
        # Ten times slower than others: its own pace says more and more.
        (live(50.0, 0.5), Expectation(10.0, 0.0, EVEN), 50.0),
        (live(100.0, 0.5, age_s=50.0), Expectation(10.0, 0.0, EVEN), 0.0),
        # Nothing known but its progress.
        (live(2.0, 0.2), None, 8.0),
        (live(3.0, 0.2, age_s=1.0), None, 7.0),
    ],
)
def test_what_is_left_of_a_run(run: Live, expected: Expectation | None, left_s: float) -> None:
    assert remaining_execution_s(run, expected) == pytest.approx(left_s)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (live(2.0), None),
        (live(2.0, 0.01), None),
        # A third of the nodes took no time at all: that says nothing about the others.
        (live(0.3, 0.33, age_s=0.299), None),
        # Far over its time without a word: it may be stuck.
        (live(60.0), Expectation(10.0, 0.0)),
    ],
)
def test_there_may_be_no_telling(run: Live, expected: Expectation | None) -> None:
    assert remaining_execution_s(run, expected) is None


def test_the_pace_tells_how_much_time_a_progress_stands_for() -> None:
    # Nine tenths of the nodes are done at once, the last one takes all the time.
    late = (0.0,) * 9
    assert remaining_execution_s(live(5.0, 0.9, age_s=5.0), Expectation(10.0, 0.0, late)) == pytest.approx(5.0)


class Monotonic:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_run_is_measured_by_what_it_tells() -> None:
    clock = Monotonic()
    measured = Measured(clock=clock)
    measured.note(PromptAssigned(PromptId("p"), HERE))
    assert measured.live() == Live(Phase.BEFORE, HERE)
    measured.note(PromptStarted())
    clock.now += 2
    measured.note(ProgressMade(55.0, 1, 2))
    clock.now += 2
    assert measured.live() == Live(Phase.EXECUTING, HERE, 4.0, 0.55, 2.0)
    measured.note(StageFinished("wait", 1.0))
    measured.note(StageFinished("execute", 4.0))
    clock.now += 1
    assert measured.live().phase is Phase.AFTER
    measured.note(StageFinished("deliver", 0.5))
    run = measured.run({"images": [{"size_bytes": 5, "cached": True}, {"size_bytes": 7, "cached": False}]})
    assert run.stages_s == {"wait": 1.0, "execute": 4.0, "deliver": 0.5}
    assert (run.result_bytes, run.rendered, run.execute_s, run.tail_s) == (12, True, 4.0, 0.5)
    assert run.pace == (0.5,) * 5 + (1.0,) * 4


def test_a_run_that_is_begun_anew_is_measured_anew() -> None:
    clock = Monotonic()
    measured = Measured(clock=clock)
    measured.note(PromptAssigned(PromptId("p"), HERE))
    measured.note(NodeStarted("1", "A", ""))
    measured.note(ProgressMade(90.0, 1, 2))
    measured.note(PromptAssigned(PromptId("q"), THERE))
    assert measured.live() == Live(Phase.BEFORE, THERE)


def test_a_run_whose_begin_was_not_seen_has_no_pace_and_one_from_the_cache_was_not_rendered() -> None:
    measured = Measured(is_resumed=True)
    measured.note(ProgressMade(50.0, 1, 2))
    measured.note(StageFinished("execute", 1.0))
    run = measured.run({"images": [{"size_bytes": 5, "cached": True}]})
    assert (run.pace, run.rendered) == (None, False)


@dataclass
class Line:
    """Estimates over jobs the test makes up."""

    clock: Clock = field(default_factory=Clock)
    durations: Durations = field(default_factory=Durations)
    running: list[Job] = field(default_factory=list)
    waiting: list[Job] = field(default_factory=list)
    live: dict[JobId, Live] = field(default_factory=dict)
    slots: list[InstanceName] = field(default_factory=lambda: [HERE])
    labels: dict[InstanceName, str] = field(default_factory=dict)
    elsewhere: dict[str, dict[InstanceName, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.estimates = Estimates(
            self.durations,
            running=lambda: self.running,
            upcoming=lambda: self.waiting,
            live=lambda: self.live,
            slots=lambda: {LOCAL: {slot: self.labels.get(slot, "") for slot in self.slots}, **self.elsewhere},
            clock=self.clock,
        )

    def learn(self, shape: str, *seconds: float) -> None:
        for each in seconds:
            job = Job(JobId("0"), 0.0, status=Status.SUCCEEDED, shape=shape)
            self.durations.note(job, Run({"execute": each, "deliver": 1.0}))

    def wait(self, name: str, shape: str, **values: Any) -> Job:
        self.waiting.append(Job(JobId(name), self.clock(), shape=shape, **values))
        return self.waiting[-1]

    def run(self, name: str, shape: str, now: Live, at: InstanceName | None = HERE, target: str = LOCAL) -> Job:
        job = Job(JobId(name), self.clock(), status=Status.RUNNING, started_at=self.clock(), shape=shape, instance=at)
        job = replace(job, target=target)
        self.running.append(job)
        self.live[job.id] = now
        return job


@pytest.fixture
def line() -> Line:
    made = Line()
    made.learn("short:1", 10.0)
    made.learn("long:1", 60.0)
    return made


def test_a_line_in_front_of_one_comfyui(line: Line) -> None:
    running = line.run("r", "short:1", live(4.0))
    behind = line.run("b", "long:1", Live(Phase.BEFORE, HERE))
    first, second = line.wait("1", "short:1"), line.wait("2", "long:1")
    assert line.estimates.remaining_s(running) == 7.0  # 6 of execution, 1 to deliver it
    assert line.estimates.remaining_s(behind) == 6 + 60 + 1
    assert line.estimates.remaining_s(first) == 6 + 60 + 10 + 1
    assert line.estimates.remaining_s(second) == 6 + 60 + 10 + 60 + 1


def test_the_pause_between_two_jobs_counts(line: Line) -> None:
    for number in range(3):
        at = 100.0 * number
        # In hand long before the one before it was done, and done 10.5 s after it: half a second was lost.
        for job_id, began_at, ended_at in (("a", at, at + 10), ("b", at + 1, at + 20.5)):
            job = Job(JobId(job_id), at, status=Status.SUCCEEDED, shape="short:1", instance=HERE)
            line.durations.note(
                replace(job, started_at=began_at, finished_at=ended_at + 1), Run({"execute": 10.0, "deliver": 1.0})
            )
    jobs = [line.wait(str(number), "short:1") for number in range(3)]
    assert [line.estimates.remaining_s(job) for job in jobs] == [11.0, 21.5, 32.0]


def test_two_comfyuis_share_the_line(line: Line) -> None:
    line.slots = [HERE, THERE]
    line.run("r", "long:1", live(0.0))
    line.run("s", "short:1", live(0.0), THERE)
    jobs = [line.wait(str(number), "short:1") for number in range(6)]
    left = [line.estimates.remaining_s(job) for job in jobs]
    assert left == [21, 31, 41, 51, 61, 71]  # all of them where it is free first


def test_estimates_count_down_with_the_clock(line: Line) -> None:
    job = line.wait("1", "short:1")
    assert line.estimates.remaining_s(job) == 11.0
    line.clock.tick(0.25)
    assert line.estimates.remaining_s(job) == 10.75


def test_a_job_on_its_way_back_has_only_that_left(line: Line) -> None:
    job = line.run("r", "short:1", Live(Phase.AFTER, HERE, executing_s=0.25))
    assert line.estimates.remaining_s(job) == 0.75


def test_ended_jobs_have_nothing_left(line: Line) -> None:
    assert line.estimates.remaining_s(Job(JobId("1"), 0.0, status=Status.FAILED)) == 0.0


def test_nothing_is_told_when_nothing_is_known_or_nobody_runs_jobs(line: Line) -> None:
    job = line.wait("1", "short:1")
    line.slots = []
    assert line.estimates.remaining_s(job) is None
    unknown = Line()
    first, second = unknown.wait("1", "a:1"), unknown.wait("2", "a:1")
    assert (unknown.estimates.remaining_s(first), unknown.estimates.remaining_s(second)) == (None, None)
    assert unknown.estimates.expected_s("a:1") is None
    assert line.estimates.expected_s("long:1") == 60.0


def test_of_a_graph_like_none_before_nothing_is_told_but_of_those_behind_it(line: Line) -> None:
    assert line.estimates.expected_s("new:1") is None
    assert line.estimates.expected_s("new:1", "never-ran") is None
    running = line.run("r", "new:1", live(4.0))
    waiting, behind = line.wait("1", "new:1"), line.wait("2", "short:1")
    assert (line.estimates.remaining_s(running), line.estimates.remaining_s(waiting)) == (None, None)
    # What all of them took, 35 s, is the best guess for the line.
    assert line.estimates.wait_s(waiting) == 31.0
    assert line.estimates.remaining_s(behind) == 31 + 35 + 10 + 1
    line.live[running.id] = live(4.0, 0.5)  # its own pace tells
    assert line.estimates.remaining_s(running) == 4.0
    line.learn("new:1", 3.0000000000000004)
    assert line.estimates.expected_s("new:1") == 3.0


def test_runs_of_other_workers_count(line: Line) -> None:
    job = line.wait("1", "short:1")
    other = Job(JobId("o"), 0.0, status=Status.RUNNING, started_at=line.clock() - 6, instance=THERE, shape="short:1")
    line.running.append(replace(other, progress=0.6))
    line.slots = []  # ours is down, theirs works
    assert line.estimates.remaining_s(job) == 4 + 10 + 1


def test_each_target_has_a_line_of_its_own(line: Line) -> None:
    line.elsewhere = {"far": {InstanceName("far 1"): "", InstanceName("far 2"): ""}, "off": {}}
    line.run("r", "long:1", live(0.0))
    far = [line.wait(f"f{number}", "short:1", target="far") for number in range(3)]
    near, off = line.wait("n", "short:1"), line.wait("o", "short:1", target="off")
    assert [line.estimates.remaining_s(job) for job in (*far, near, off)] == [11, 11, 21, 71, None]
    assert [line.estimates.wait_s(job) for job in (*far, near, off)] == [0, 0, 10, 60, None]


def test_what_there_is_no_telling_of_elsewhere_hides_nothing_here(line: Line) -> None:
    line.elsewhere = {"far": {InstanceName("far 1"): ""}}
    line.run("stuck", "short:1", live(60.0), InstanceName("far"), "far")
    behind, near = line.wait("b", "short:1", target="far"), line.wait("n", "short:1")
    assert [line.estimates.wait_s(job) for job in (behind, near)] == [None, 0]


def test_a_job_with_a_label_waits_for_a_comfyui_that_has_it(line: Line) -> None:
    line.slots, line.labels = [HERE, THERE], {THERE: "Fast"}
    line.run("r", "long:1", live(0.0), THERE)
    fast, free = line.wait("1", "short:1", label="fast"), line.wait("2", "short:1")
    named, gone = line.wait("3", "short:1", label=str(HERE)), line.wait("4", "short:1", label="gone")
    assert [line.estimates.wait_s(job) for job in (fast, free, named, gone)] == [60, 0, 10, None]
    line.clock.tick(0.25)
    assert line.estimates.wait_s(fast) == 59.75


def test_a_long_line_is_gone_through_once_for_many_questions(line: Line) -> None:
    jobs = [line.wait(str(number), "short:1") for number in range(1000)]
    asked: list[int] = []
    estimates = Estimates(
        line.durations,
        running=list,
        upcoming=lambda: asked.append(1) or jobs,
        live=dict,
        slots=lambda: {LOCAL: {HERE: ""}},
        clock=line.clock,
    )
    assert [estimates.remaining_s(job) for job in jobs[:3]] == [11.0, 21.0, 31.0]
    assert len(asked) == 1


def test_the_error_stays_small_for_sizes_never_seen() -> None:
    """A line of jobs of three workflows whose times scatter by 5 %: the median error is below 5 %."""
    dice, line = random.Random(7), Line()

    def takes(kind: int, work: float) -> float:
        return (kind + 1) * (2.0 + work / 1000) * dice.gauss(1.0, 0.05)

    for kind in range(3):
        line.learn(f"{kind}:500", 30.0)  # it loaded its model
        for work in (500, 1000, 2000, 1000, 500):
            line.learn(f"{kind}:{work}", takes(kind, work))
    errors, done_at = [], 0.0
    for number in range(60):
        kind, work = dice.randrange(3), dice.randrange(300, 5000)
        job = line.wait(str(number), f"{kind}:{work}")
        done_at += takes(kind, work)
        line.clock.tick(0.0)
        line.estimates = replace(line).estimates  # nothing is remembered of a shorter line
        left_s = line.estimates.remaining_s(job)
        assert left_s is not None
        errors.append(abs(left_s - 1.0 - done_at) / done_at)
    assert statistics.median(errors) < 0.05
