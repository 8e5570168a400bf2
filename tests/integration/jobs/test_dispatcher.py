"""The dispatcher: how each way a run can end leaves the job, and what happens to jobs when workers come and go."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.job_rig import JobRig, job_rig
from support.waiting import wait_for

from api.errors import ComfyBusy, ComfyDied, DiskFull, ExecutionFailed, JobTimedOut, WorkerError
from api.ids import InstanceName, PromptId
from api.jobs.events import NodeStarted, ProgressMade, PromptAssigned, PromptQueued, StepReached
from api.jobs.intake import Intake
from api.jobs.job import Status
from api.jobs.placement import Arrival, Placement
from api.jobs.ports import Attempt, OutputFile
from api.jobs.result import failure
from api.sealing import Sealer

PROMPT, COMFY = PromptId("11111111-1111-4111-8111-111111111111"), InstanceName("comfy:8188")
DONE = {"images": []}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[JobRig]:
    with job_rig(tmp_path) as made:
        yield made


class Runs:
    """A handler whose n-th run does the n-th thing; the last one again and again."""

    def __init__(self, *things: Any) -> None:
        self._things = list(things)
        self.hosts: list[Any] = []
        self.jobs: list[dict[str, Any]] = []

    def __call__(self, job: Any, emit: Any, cancel: Any, _limit: Any, host: Any) -> dict[str, Any]:
        thing = self._things[min(len(self.hosts), len(self._things) - 1)]
        self.hosts.append(host)
        self.jobs.append(job)
        if isinstance(thing, WorkerError):
            return failure(thing)
        result: dict[str, Any] = thing(emit, cancel, host) if callable(thing) else thing
        return result


def dies_executing(emit: Any, _cancel: Any, _host: Any) -> dict[str, Any]:
    emit(PromptAssigned(PROMPT, COMFY))
    emit(NodeStarted("1", "EmptyImage", ""))
    return failure(ComfyDied("ComfyUI died: out of memory."))


def dies_waiting(emit: Any, _cancel: Any, _host: Any) -> dict[str, Any]:
    emit(PromptAssigned(PROMPT, COMFY))
    emit(PromptQueued(1))
    return failure(ComfyDied("ComfyUI died under another job."))


def until_cancelled(_emit: Any, cancel: Any, _host: Any) -> dict[str, Any]:
    stopped = threading.Event()
    cancel.on_cancel(stopped.set)
    assert stopped.wait(10), "nobody cancelled the run"
    return failure(cancel.reason)


def make_due(rig: JobRig) -> None:
    """Let the pause before the next run pass."""
    rig.clock.tick(60)


def test_a_job_runs_to_its_result(rig: JobRig) -> None:
    job = rig.submit()
    with rig.dispatching(Runs({"images": [], "status": "success_no_images"})):
        ended = rig.ended(job)
    assert ended.status is Status.SUCCEEDED
    assert rig.service.result(ended) == {"images": [], "status": "success_no_images"}


def test_the_handler_gets_the_job_as_it_was_sent(rig: JobRig) -> None:
    runs = Runs(DONE)
    job = rig.submit({"comfy_org_api_key": "comfy-secret", "overrides": {"1.width": 64}})
    with rig.dispatching(runs):
        rig.ended(job)
    assert runs.jobs[0]["id"] == job.id
    assert runs.jobs[0]["input"]["comfy_org_api_key"] == "comfy-secret"
    assert runs.jobs[0]["input"]["overrides"] == {"1.width": 64}


def test_secrets_that_another_key_has_sealed_fail_their_job_and_no_other(rig: JobRig) -> None:
    intake = Intake(rig.spool, Sealer(b"1" * 32), lambda _spec, _path: False, lambda _sha256: None)
    job, plain, runs = rig.submit({"comfy_org_api_key": "comfy-secret"}), rig.submit(), Runs(DONE)
    with replace(rig, intake=intake).dispatching(runs):
        ended = rig.ended(job)
        assert rig.ended(plain).status is Status.SUCCEEDED
    assert ended.status is Status.FAILED and ended.error is not None
    assert (ended.error.code, ended.error.retryable, len(runs.jobs)) == ("SECRETS_UNREADABLE", False, 1)


def test_outputs_lie_in_files_and_come_back_as_base64_or_links(rig: JobRig, tmp_path: Path) -> None:
    content = tmp_path / "picture"
    content.write_bytes(b"pixels")
    file = OutputFile("9", "images", 0, "a.png", "", "output", False, content, "image/png", 6, "ab")

    def deliver(_emit: Any, _cancel: Any, host: Any) -> dict[str, Any]:
        kept = host.inline.put(job.id, file)
        entry = {"filename": "a.png", "type": kept.type, "data": kept.data, "mime_type": "image/png"}
        return {"images": [{**entry, "size_bytes": 6, "sha256": "ab"}]}

    job = rig.submit()
    with rig.dispatching(Runs(deliver)):
        ended = rig.ended(job)
    whole, linked = rig.service.result(ended), rig.service.result(ended, lambda output: f"/output/{output.index}")
    assert whole and whole["images"][0]["data"] == "cGl4ZWxz"
    assert linked and linked["images"][0]["type"] == "url" and linked["images"][0]["data"] == "/output/0"
    assert rig.service.output(job.id, 0).path.read_bytes() == b"pixels"
    # Nothing of the content itself is in the result's own file.
    assert "cGl4ZWxz" not in (rig.spool.folder(job.id) / str(ended.result_path)).read_text()


@pytest.mark.parametrize(
    ("error", "status"),
    [(ExecutionFailed("Node 1 raised."), Status.FAILED), (JobTimedOut("Too long."), Status.TIMED_OUT)],
)
def test_a_failure_of_the_job_ends_it_at_once(rig: JobRig, error: WorkerError, status: Status) -> None:
    runs = Runs(error)
    job = rig.submit()
    with rig.dispatching(runs):
        ended = rig.ended(job)
    assert (ended.status, len(runs.hosts)) == (status, 1)
    assert ended.error is not None and (ended.error.code, ended.error.message) == (error.code, error.message)


def test_a_cancel_reaches_the_run_and_the_job_ends_as_cancelled(rig: JobRig) -> None:
    job = rig.submit()
    with rig.dispatching(Runs(until_cancelled), heartbeat_s=30):
        wait_for(lambda: rig.status(job) is Status.RUNNING, "the run")
        assert rig.service.cancel(job.id).status is Status.CANCELING
        assert rig.ended(job).status is Status.CANCELLED


def test_a_cancel_by_another_process_is_heard_with_the_heartbeat(rig: JobRig) -> None:
    job = rig.submit()
    with rig.dispatching(Runs(until_cancelled)):
        wait_for(lambda: rig.status(job) is Status.RUNNING, "the run")
        rig.store.request_cancel(job.id)
        assert rig.ended(job).status is Status.CANCELLED


def test_a_job_that_kills_comfyui_is_given_up_after_its_attempts(rig: JobRig) -> None:
    runs = Runs(dies_executing)
    job = rig.submit()
    with rig.dispatching(runs):
        for count in (1, 2):
            wait_for(lambda count=count: len(runs.hosts) == count and rig.status(job) is Status.QUEUED, "the requeue")
            make_due(rig)
        ended = rig.ended(job)
    assert (ended.status, len(runs.hosts)) == (Status.FAILED, 3)
    assert ended.error is not None and ended.error.code == "COMFY_DIED"
    assert "out of memory" in ended.error.message and "3 of 3" in ended.error.message


def test_jobs_that_only_waited_behind_it_lose_no_attempt(rig: JobRig) -> None:
    runs = Runs(dies_waiting, dies_waiting, dies_waiting, dies_waiting, DONE)
    job = rig.submit()
    with rig.dispatching(runs, poll_s=0.02):
        for count in range(1, 5):
            wait_for(lambda count=count: len(runs.hosts) == count and rig.status(job) is Status.QUEUED, "the requeue")
            assert rig.service.get(job.id).attempts == 0
            make_due(rig)
        assert rig.ended(job).status is Status.SUCCEEDED


def test_a_full_disk_only_delays_a_job(rig: JobRig) -> None:
    job = rig.submit()
    with rig.dispatching(Runs(DiskFull("No space left."), DONE)):
        wait_for(lambda: (now := rig.service.get(job.id)).status is Status.QUEUED and now.attempt == 1, "the requeue")
        # The disk is no fuller on one ComfyUI than on the next.
        assert rig.service.get(job.id).available_at > rig.clock()
        assert "No space left" in rig.service.why(job.id)
        make_due(rig)
        assert rig.ended(job).status is Status.SUCCEEDED


def test_comfyui_forgets_a_job_only_when_its_end_is_written_down(rig: JobRig) -> None:
    """Until then a worker that takes over, or comes back when the disk has room, collects what is made already."""
    seen: list[tuple[str, Status]] = []

    def disk_full(_emit: Any, _cancel: Any, host: Any) -> dict[str, Any]:
        host.afterwards(lambda: seen.append(("full", rig.status(job))))
        return failure(DiskFull("No space left."))

    def done(_emit: Any, _cancel: Any, host: Any) -> dict[str, Any]:
        host.afterwards(lambda: seen.append(("done", rig.status(job))))
        return DONE

    job = rig.submit()
    with rig.dispatching(Runs(disk_full, done), poll_s=0.02):
        wait_for(lambda: (now := rig.service.get(job.id)).status is Status.QUEUED and now.attempt == 1, "the requeue")
        make_due(rig)
        rig.ended(job)
        wait_for(lambda: seen, "what is done afterwards")
    assert seen == [("done", Status.SUCCEEDED)]


def test_a_job_whose_end_waits_for_the_database_says_so(rig: JobRig, tmp_path: Path) -> None:
    locked = threading.Event()
    job = rig.submit()
    with rig.dispatching(Runs(lambda _emit, _cancel, _host: locked.wait(10) and DONE)) as dispatcher:
        wait_for(lambda: rig.status(job) is Status.RUNNING, "the run")
        running = rig.service.get(job.id)
        assert dispatcher.obstacle(running) is None
        with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None, timeout=10)) as other:
            other.execute("BEGIN IMMEDIATE")
            locked.set()
            wait_for(lambda: "its end is being written down" in str(dispatcher.obstacle(running)), "the word of it")
            other.execute("COMMIT")
        assert rig.ended(job).status is Status.SUCCEEDED


def test_a_job_its_comfyui_has_no_room_for_waits_as_long_as_it_takes(rig: JobRig) -> None:
    busy = ComfyBusy("The job waits for one:8188 (It has 2 of 2 jobs).")
    runs = Runs(*[busy] * 15, DONE)
    job = rig.submit()
    with rig.dispatching(runs, poll_s=0.02):
        for count in range(1, 16):
            wait_for(lambda count=count: len(runs.hosts) == count and rig.status(job) is Status.QUEUED, "the requeue")
            assert rig.service.why(job.id) == busy.message
            make_due(rig)
        ended = rig.ended(job)
    assert (ended.status, ended.attempts, ended.attempt) == (Status.SUCCEEDED, 1, 1)


def test_without_a_usable_comfyui_jobs_stay_in_line(rig: JobRig) -> None:
    rig.usable.clear()
    runs = Runs(DONE)
    job = rig.submit()
    with rig.dispatching(runs):
        assert not threading.Event().wait(0.3)
        assert (rig.status(job), runs.hosts) == (Status.QUEUED, [])
        rig.usable.set()
        assert rig.ended(job).status is Status.SUCCEEDED


def test_draining_hands_back_what_does_not_finish_and_the_next_worker_follows_its_prompt(rig: JobRig) -> None:
    forever = threading.Event()

    def hang(emit: Any, cancel: Any, _host: Any) -> dict[str, Any]:
        emit(PromptAssigned(PROMPT, COMFY))
        forever.wait(10)
        assert not cancel.is_set(), "the prompt was stopped though it could go on"
        return {"images": [], "status": "too late"}

    job = rig.submit()
    first = rig.dispatcher(Runs(hang))
    first.start()
    wait_for(lambda: rig.service.get(job.id).prompt_id, "the prompt")
    first.drain(0.05)
    assert rig.status(job) is Status.QUEUED
    runs = Runs(DONE)
    with rig.dispatching(runs, worker="worker-2"):
        ended = rig.ended(job)
    forever.set()
    wait_for(lambda: first.running() == 0, "the end of the first run")
    assert runs.hosts[0].resume == Attempt(PROMPT, COMFY)
    assert (ended.status, ended.attempts) == (Status.SUCCEEDED, 1)
    # The run that was given up has written nothing over the other's result.
    assert rig.service.result(rig.service.get(job.id)) == DONE


def test_a_dead_workers_job_is_taken_up_without_an_attempt_lost(rig: JobRig) -> None:
    job = rig.submit()
    assert rig.store.claim("worker-that-dies") is not None
    rig.clock.tick(600)
    assert rig.service.reset_stuck(60) == 1
    with rig.dispatching(Runs(DONE)):
        ended = rig.ended(job)
    assert (ended.status, ended.attempts) == (Status.SUCCEEDED, 1)


def test_a_worker_without_its_lease_submits_nothing_and_writes_nothing(rig: JobRig) -> None:
    claimed, go_on = threading.Event(), threading.Event()
    submitted: list[str] = []

    def late(emit: Any, cancel: Any, _host: Any) -> dict[str, Any]:
        claimed.set()
        assert go_on.wait(10)
        try:
            emit(PromptAssigned(PROMPT, COMFY))
        except WorkerError as error:
            return failure(error)
        submitted.append("prompt")
        return {"images": [], "status": "from the late worker"}

    job = rig.submit()
    first = rig.dispatcher(Runs(late), heartbeat_s=30)
    first.start()
    assert claimed.wait(10)
    rig.clock.tick(600)
    rig.service.reset_stuck(60)
    with rig.dispatching(Runs(DONE), worker="worker-2"):
        rig.ended(job)
    go_on.set()
    wait_for(lambda: first.running() == 0, "the end of the late run")
    first.drain(1)
    assert submitted == []
    assert rig.service.result(rig.service.get(job.id)) == DONE


def test_progress_reaches_the_row_with_the_heartbeat(rig: JobRig) -> None:
    release = threading.Event()

    def half(emit: Any, _cancel: Any, _host: Any) -> dict[str, Any]:
        emit(NodeStarted("7", "KSampler", "Sampler"))
        emit(ProgressMade(50.0, 1, 2))
        assert release.wait(10)
        return DONE

    job = rig.submit()
    with rig.dispatching(Runs(half)):
        wait_for(lambda: (found := rig.service.get(job.id)).progress == 0.5 and found.node == "7", "the progress")
        release.set()
        assert rig.ended(job).progress == 1.0


def test_a_defect_of_the_handler_ends_no_thread(rig: JobRig) -> None:
    def surprise(*_: Any) -> dict[str, Any]:
        raise RuntimeError("a defect")

    broken, sound = rig.submit(), None
    with rig.dispatching(Runs(surprise, DONE)):
        ended = rig.ended(broken)
        sound = rig.submit()
        assert rig.ended(sound).status is Status.SUCCEEDED
    assert ended.status is Status.FAILED
    assert ended.error is not None and ended.error.code == "INTERNAL_ERROR" and "a defect" not in ended.error.message


def test_a_request_that_is_gone_fails_the_job_clearly(rig: JobRig) -> None:
    job = rig.submit()
    (rig.spool.folder(job.id) / "request.json").unlink()
    with rig.dispatching(Runs(DONE)):
        ended = rig.ended(job)
    assert ended.status is Status.FAILED and ended.error is not None and "submit it again" in ended.error.message


def test_high_before_normal_before_low(rig: JobRig) -> None:
    from api.jobs.job import Priority

    rig.usable.clear()
    runs = Runs(DONE)
    jobs = [rig.submit(priority=priority) for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH)]
    with rig.dispatching(runs):
        rig.usable.set()
        for job in jobs:
            rig.ended(job)
    assert [job["id"] for job in runs.jobs] == [job.id for job in reversed(jobs)]
    assert replace(jobs[0], rank=0.0).status is Status.QUEUED


def test_a_label_nobody_here_has_costs_one_look_and_is_left_to_others(tmp_path: Path) -> None:
    def place(arrival: Arrival) -> Placement:
        return Placement(label=arrival.request.gpu)

    with job_rig(tmp_path, place=place) as rig:
        labelled = [rig.submit({"gpu": "a100"}) for _ in range(5)]
        plain = [rig.submit() for _ in range(3)]
        here = Runs(lambda _emit, _cancel, host: failure(ComfyBusy("Not here.")) if host.placement.label else DONE)
        with rig.dispatching(here):
            assert [rig.ended(job).status for job in plain] == [Status.SUCCEEDED] * 3
        # Not each of them in turn, and none of them has to wait for the one who has the label.
        assert sum(host.placement.label is not None for host in here.hosts) < len(labelled)
        assert all(rig.service.get(job.id).available_at <= rig.clock() for job in labelled)
        with rig.dispatching(Runs(DONE), worker="worker-2"):
            assert {rig.ended(job).worker for job in labelled} == {"worker-2"}


def test_a_job_for_which_there_is_no_thread_waits_and_the_next_ones_run(rig: JobRig) -> None:
    runs = Runs(DONE)
    with rig.dispatching(runs) as dispatcher:
        usual = threading.stack_size(2**47)  # more than the address space: no thread can be started
        try:
            job = rig.submit()
            waiting = wait_for(lambda: (found := rig.service.get(job.id)).available_at > rig.clock() and found, "it")
        finally:
            threading.stack_size(usual)
        assert (waiting.status, waiting.attempt, dispatcher.running()) == (Status.QUEUED, 0, 0)
        assert [seats.taken() for seats in rig.seats] in ([0], [1])
        make_due(rig)
        assert rig.ended(job).status is Status.SUCCEEDED
    assert len(runs.hosts) == 1


def test_what_no_database_can_hold_stops_no_heartbeat(rig: JobRig) -> None:
    def counts_far(emit: Any, cancel: Any, _host: Any) -> dict[str, Any]:
        emit(PromptAssigned(PROMPT, COMFY))
        emit(NodeStarted("1", "EmptyImage", ""))
        emit(StepReached("1", 10**30, 10**30))
        emit(ProgressMade(50.0, 1, 2))
        return until_cancelled(emit, cancel, _host)

    with rig.dispatching(Runs(counts_far)):
        job = rig.submit()
        wait_for(lambda: rig.service.get(job.id).progress == 0.5, "how far it is to be written down")
        rig.service.cancel(job.id)
        assert rig.ended(job).status is Status.CANCELLED
