"""Jobs of several targets in one worker: each target's dispatcher takes its own, and a long line flows over."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.job_rig import JobRig, job_rig
from support.waiting import wait_for

from api.errors import ComfyDied, InvalidInput, TargetRefused
from api.ids import InstanceName, JobId, PromptId
from api.jobs.events import NodeStarted, PromptAssigned
from api.jobs.job import Job, Status
from api.jobs.overflow import Overflow
from api.jobs.placement import LOCAL, Arrival, Placement, Places
from api.jobs.ports import Attempt
from api.jobs.result import failure

FAR = "far"
PLACES = Places([FAR], lambda: ["Fast", ""])
PROMPT = PromptId("11111111-1111-4111-8111-111111111111")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[JobRig]:
    with job_rig(tmp_path, place=lambda arrival: PLACES.of(arrival.request)) as made:
        yield made


@dataclass
class Held:
    """A handler whose runs end when they are let go or cancelled."""

    hosts: dict[str, Any] = field(default_factory=dict)
    go: threading.Event = field(default_factory=threading.Event)

    def __call__(self, job: Any, emit: Any, cancel: Any, _limit: Any, host: Any) -> dict[str, Any]:
        self.hosts[job["id"]] = host
        ended = threading.Event()
        cancel.on_cancel(ended.set)
        while not (self.go.wait(0.01) or ended.is_set()):
            pass
        return failure(cancel.reason) if cancel.is_set() else {"images": []}


def done(_job: Any, _emit: Any, _cancel: Any, _limit: Any, _host: Any) -> dict[str, Any]:
    return {"images": []}


def test_each_dispatcher_runs_the_jobs_of_its_target(rig: JobRig) -> None:
    here, there = Held(), Held()
    with rig.dispatching(here), rig.dispatching(there, target=FAR):
        near, far, labelled = rig.submit(), rig.submit({"gpu": "FAR"}), rig.submit({"gpu": " fast "})
        wait_for(lambda: near.id in here.hosts and far.id in there.hosts, "both to run")
        assert there.hosts[far.id].placement == Placement(FAR)
        there.go.set()
        assert rig.ended(far).status is Status.SUCCEEDED
        assert (rig.status(near), rig.status(labelled)) == (Status.RUNNING, Status.QUEUED)
        here.go.set()
        rig.ended(labelled)
        assert here.hosts[labelled.id].placement == Placement(LOCAL, "fast")
        assert (list(here.hosts), list(there.hosts)) == ([near.id, labelled.id], [far.id])


def test_a_cancel_reaches_a_job_wherever_it_runs(rig: JobRig) -> None:
    there = Held()
    with rig.dispatching(done), rig.dispatching(there, target=FAR, heartbeat_s=30):
        far = rig.submit({"gpu": FAR})
        wait_for(lambda: far.id in there.hosts, "it to run")
        rig.service.cancel(far.id)
        assert rig.ended(far).status is Status.CANCELLED


def test_a_job_that_is_lost_there_is_run_again_there_and_followed(rig: JobRig) -> None:
    hosts: list[Any] = []

    def lost_once(_job: Any, emit: Any, _cancel: Any, _limit: Any, host: Any) -> dict[str, Any]:
        hosts.append(host)
        if len(hosts) > 1:
            return {"images": []}
        emit(PromptAssigned(PROMPT, InstanceName(FAR)))
        emit(NodeStarted("1", "EmptyImage", ""))
        return failure(ComfyDied("It is gone."))

    def lost_there(_job: Any, _emit: Any, _cancel: Any, _limit: Any, _host: Any) -> dict[str, Any]:
        raise AssertionError("not a job of this target")

    with rig.dispatching(lost_there), rig.dispatching(lost_once, target=FAR):
        job = rig.submit({"gpu": FAR})
        wait_for(lambda: rig.status(job) is Status.QUEUED and len(hosts) == 1, "it to be put back")
        rig.clock.tick(10)
        ended = rig.ended(job)
    assert (ended.status, ended.attempts, ended.target, ended.instance) == (Status.SUCCEEDED, 2, FAR, FAR)
    assert hosts[1].resume == Attempt(PROMPT, InstanceName(FAR))
    assert ended.log_context()["target"] == FAR


def test_what_one_is_asked_to_give_back_is_taken_up_by_the_next(rig: JobRig) -> None:
    there = Held()
    first = rig.dispatcher(there, target=FAR)
    first.start()
    job = rig.submit({"gpu": FAR})
    wait_for(lambda: job.id in there.hosts, "it to run")
    first.drain(0)
    assert rig.status(job) is Status.QUEUED
    there.go.set()
    with rig.dispatching(done, target=FAR, worker="worker-2"):
        assert rig.ended(job).worker == "worker-2"


def test_a_place_that_is_not_there_is_refused_and_told(rig: JobRig) -> None:
    with pytest.raises(InvalidInput, match="gpu is 'mars'; there is: local, far, fast") as refusal:
        rig.submit({"gpu": "Mars"})
    assert [(detail["field"], detail["code"]) for detail in refusal.value.details] == [("gpu", "unknown_gpu")]
    with pytest.raises(InvalidInput) as refusal:
        rig.submit({"gpu": 5})
    assert refusal.value.details[0]["field"] == "gpu"


@pytest.mark.parametrize(
    ("gpu", "target", "label", "movable"),
    [
        (None, LOCAL, None, True),
        ("", LOCAL, None, True),
        ("Local", LOCAL, None, False),
        (FAR, FAR, None, False),
        ("FAST", LOCAL, "fast", False),
    ],
)
def test_what_a_job_asks_for_is_in_its_row(
    rig: JobRig, gpu: str | None, target: str, label: str | None, movable: bool
) -> None:
    job = rig.submit({"gpu": gpu})
    assert (job.target, job.label, job.movable) == (target, label, movable)


def test_the_hook_decides_once_with_the_jobs_own_id(tmp_path: Path) -> None:
    asked: list[Arrival] = []

    def place(arrival: Arrival) -> Placement:
        asked.append(arrival)
        return Placement(FAR, "a40")

    with job_rig(tmp_path, place=place) as rig:
        job = rig.submit()
        there = Held()
        there.go.set()
        with rig.dispatching(there, target=FAR):
            rig.ended(job)
    assert [(arrival.job_id, arrival.request.gpu) for arrival in asked] == [(job.id, None)]
    assert there.hosts[job.id].placement == Placement(FAR, "a40")


def test_the_room_of_a_dispatcher_counts_what_it_has_in_hand(rig: JobRig) -> None:
    held = Held()
    with rig.dispatching(held, target=FAR, concurrency=2) as dispatcher:
        wait_for(lambda: dispatcher.room() == 2, "a seat in hand")
        job = rig.submit({"gpu": FAR})
        wait_for(lambda: job.id in held.hosts and dispatcher.room() == 1, "one seat less")
        rig.hold()
        assert dispatcher.room() == 0
        held.go.set()


# ---- overflow


@dataclass
class Line:
    """What the overflow is told: how long each job will wait, whether a ComfyUI works, the room elsewhere."""

    wait_s: dict[JobId, float] = field(default_factory=dict)
    is_usable: bool = True
    room: int = 100
    is_well: bool = True

    def over(self, rig: JobRig, after_s: float = 60.0, room: Callable[[], int] | None = None) -> Overflow:
        return Overflow(
            store=rig.store,
            target=FAR,
            after_s=after_s,
            wait_s=lambda job: self.wait_s.get(job.id),
            usable=lambda: self.is_usable,
            room=room or (lambda: self.room),
            is_well=lambda: self.is_well,
            clock=rig.clock,
        )

    def submit(self, rig: JobRig, wait_s: float | None, **given: Any) -> Job:
        job = rig.submit(given)
        if wait_s is not None:
            self.wait_s[job.id] = wait_s
        return job


def moved(rig: JobRig, jobs: list[Job]) -> list[bool]:
    return [rig.service.get(job.id).target == FAR for job in jobs]


def test_jobs_that_would_wait_too_long_go_where_there_is_room(rig: JobRig) -> None:
    line = Line(room=2)
    jobs = [line.submit(rig, wait_s) for wait_s in (0.0, 59.0, 61.0, 90.0, 120.0)]
    pinned = [line.submit(rig, 500.0, gpu=LOCAL), line.submit(rig, 500.0, gpu="fast")]
    overflow = line.over(rig)
    overflow.look()
    assert moved(rig, jobs + pinned) == [False, False, True, True, False, False, False]
    # Those two have yet to be begun: they are what there was room for.
    overflow.look()
    assert moved(rig, jobs) == [False, False, True, True, False]
    line.room = 3
    overflow.look()
    assert moved(rig, jobs + pinned) == [False, False, True, True, True, False, False]
    line.room = 100
    overflow.look()
    assert [job.id for job in rig.store.upcoming(10, FAR)] == [job.id for job in jobs[2:]]


def test_without_room_or_while_all_is_paused_nothing_moves(rig: JobRig) -> None:
    line = Line(room=0)
    job = line.submit(rig, 500.0)
    overflow = line.over(rig)
    overflow.look()
    line.room = 5
    rig.service.pause()
    overflow.look()
    assert moved(rig, [job]) == [False]
    rig.service.resume()
    overflow.look()
    assert moved(rig, [job]) == [True]


def test_where_nothing_is_known_it_is_how_long_a_job_has_waited(rig: JobRig) -> None:
    line = Line()
    first = line.submit(rig, None)
    overflow = line.over(rig)
    rig.clock.tick(59)
    second = line.submit(rig, None)
    overflow.look()
    assert moved(rig, [first, second]) == [False, False]
    rig.clock.tick(2)
    overflow.look()
    assert moved(rig, [first, second]) == [True, False]


def test_with_all_comfyuis_down_for_long_new_jobs_go_at_once(rig: JobRig) -> None:
    line = Line(is_usable=False)
    overflow = line.over(rig)
    rig.clock.tick(59)
    jobs = [line.submit(rig, None)]
    overflow.look()
    # It may be a restart.
    assert moved(rig, jobs) == [False]
    rig.clock.tick(2)
    jobs.append(line.submit(rig, None))
    overflow.look()
    assert moved(rig, jobs) == [True, True]
    line.is_usable = True
    overflow.look()
    late = line.submit(rig, None)
    overflow.look()
    assert moved(rig, [late]) == [False]


def test_a_job_whose_run_was_lost_has_waited_only_since(rig: JobRig) -> None:
    line = Line()
    job = line.submit(rig, None)
    running = rig.store.claim("w")
    assert running is not None
    overflow = line.over(rig)
    rig.clock.tick(600)
    overflow.look()
    rig.store.release(running.lease, delay_s=2.0)
    overflow.look()
    assert moved(rig, [job]) == [False]
    rig.clock.tick(63)
    overflow.look()
    assert moved(rig, [job]) == [True]


def test_jobs_come_back_from_a_target_that_is_away(rig: JobRig) -> None:
    line = Line()
    jobs = [line.submit(rig, 500.0) for _ in range(3)]
    asked_for = line.submit(rig, 500.0, gpu=FAR)
    overflow = line.over(rig)
    overflow.look()
    running = rig.store.claim("w", FAR)
    assert running is not None and running.id == jobs[0].id
    rig.store.assign_prompt(running.lease, PROMPT, InstanceName(FAR))
    rig.store.release(running.lease)
    line.is_well = False
    rig.clock.tick(10)
    overflow.look()
    # It may be a restart.
    assert moved(rig, jobs) == [True, True, True]
    rig.clock.tick(1)
    line.is_usable = False
    overflow.look()
    assert moved(rig, jobs) == [True, True, True]
    line.is_usable = True
    overflow.look()
    # What may be running there is followed there, and what was asked to be there stays.
    assert moved(rig, [*jobs, asked_for]) == [True, False, False, True]
    overflow.look()
    assert moved(rig, [*jobs, asked_for]) == [True, False, False, True]
    line.is_well = True
    overflow.look()
    assert moved(rig, [*jobs, asked_for]) == [True, True, True, True]


def test_a_job_that_flowed_over_to_a_target_that_refuses_is_run_here(rig: JobRig) -> None:
    line = Line()
    job, asked_for = line.submit(rig, 500.0), line.submit(rig, None, gpu=FAR)
    line.over(rig).look()
    refused: list[str] = []

    def refuses(given: Any, *_rest: Any) -> dict[str, Any]:
        refused.append(given["id"])
        return failure(TargetRefused("It wants to be paid first."))

    with rig.dispatching(refuses, target=FAR):
        assert rig.ended(asked_for).error is not None
        wait_for(lambda: rig.service.get(job.id).target == LOCAL, "it to come back")
        rig.clock.tick(10)
        with rig.dispatching(done):
            ended = rig.ended(job)
    assert (ended.status, ended.target, ended.attempts, sorted(refused)) == (
        *(Status.SUCCEEDED, LOCAL, 1),
        sorted([job.id, asked_for.id]),
    )


def test_nothing_is_lost_or_run_twice_while_a_line_flows_over(rig: JobRig) -> None:
    """Both targets work on it while it is moved as fast as can be."""
    runs: list[str] = []
    flows = threading.Event()

    def near(job: Any, *_rest: Any) -> dict[str, Any]:
        assert flows.wait(20)
        runs.append(job["id"])
        return {"images": []}

    def elsewhere(job: Any, *_rest: Any) -> dict[str, Any]:
        runs.append(job["id"])
        flows.set()
        return {"images": []}

    line = Line()
    with rig.dispatching(near, concurrency=2), rig.dispatching(elsewhere, target=FAR, concurrency=2) as far:
        overflow = line.over(rig, room=far.room)
        rig.hold()
        jobs = [line.submit(rig, 500.0) for _ in range(30)]
        rig.usable.set()

        def pour() -> None:
            while any(not rig.service.get(job.id).is_terminal for job in jobs):
                overflow.look()

        with ThreadPoolExecutor(1) as threads:
            threads.submit(pour).result(30)
    assert flows.is_set()
    assert sorted(runs) == sorted(job.id for job in jobs)
