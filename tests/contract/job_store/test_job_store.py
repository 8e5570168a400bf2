"""The contract of the job store, the same on every database: adding, the line, leases, the end, listing."""

from dataclasses import replace

import pytest
from support.job_stores import T0, Stores, new_job

from api.errors import DuplicateJob
from api.ids import InstanceName, JobId, PromptId
from api.jobs.job import TERMINAL, Job, JobError, Priority, Status
from api.jobs.store import Admission, Idempotency, JobFilter, Place, Progress

KEY = Idempotency("caller:key", "print", T0 + 86400)
NO_SUCH = JobId("no-such-job")


def claim(stores: Stores, worker: str = "w1") -> Job:
    job = stores.jobs.claim(worker)
    assert job is not None
    return job


def line(stores: Stores) -> list[str]:
    return [job.id for job in stores.jobs.upcoming(100)]


def counted(stores: Stores) -> dict[str, int]:
    return {status.value: number for status, number in stores.jobs.counts().items() if number}


def test_a_job_comes_back_as_it_was_added(stores: Stores) -> None:
    job = new_job(
        stores.clock,
        priority=Priority.LOW,
        dialect="runpod",
        available_at=T0 + 5,
        expires_at=T0 + 60,
        timeout_s=30.0,
        max_attempts=5,
        webhook="https://example.org/hook",
        workflow_name="portrait",
        labels={"team": "a", "ü": "é\n"},
        request_path="ab/request.json",
    )
    added = stores.jobs.add(job)
    assert added == (Admission.ADDED, replace(job, rank=T0 + 3600))
    assert stores.jobs.get(job.id) == added.job
    assert stores.jobs.get(NO_SUCH) is None


def test_only_queued_jobs_of_new_ids_are_added(stores: Stores) -> None:
    job = stores.add()
    with pytest.raises(DuplicateJob):
        stores.jobs.add(job)
    with pytest.raises(ValueError, match="queued"):
        stores.jobs.add(new_job(stores.clock, status=Status.RUNNING))
    assert counted(stores) == {"queued": 1}


def test_a_whole_life(stores: Stores) -> None:
    job = stores.add(expires_at=T0 + 10)
    assert stores.jobs.claim("w1") is not None
    running = stores.jobs.get(job.id)
    assert running is not None
    assert (running.status, running.worker, running.attempts, running.attempt) == (Status.RUNNING, "w1", 1, 1)
    assert (running.started_at, running.heartbeat_at, running.expires_at) == (T0, T0, T0 + 10)
    stores.clock.tick()
    assert stores.jobs.assign_prompt(running.lease, PromptId("p1"), InstanceName("gpu0"))
    beating = stores.jobs.heartbeat(running.lease, Progress(0.5, "7", 3, 20))
    assert beating is not None
    assert (beating.progress, beating.node, beating.step, beating.steps) == (0.5, "7", 3, 20)
    assert (beating.prompt_id, beating.instance, beating.heartbeat_at) == ("p1", "gpu0", T0 + 1)
    finished = stores.jobs.finish(running.lease, Status.SUCCEEDED, result_path="ab/result.json")
    assert finished == stores.jobs.get(job.id)
    assert finished is not None
    assert (finished.status, finished.finished_at, finished.progress) == (Status.SUCCEEDED, T0 + 1, 1.0)
    assert finished.result_path == "ab/result.json"
    assert counted(stores) == {"succeeded": 1}
    assert stores.jobs.claim("w1") is None


def test_an_error_is_kept_with_its_details(stores: Stores) -> None:
    stores.add()
    error = JobError("EXECUTION_FAILED", "Node 3 failed.", ({"node_id": "3", "message": "\ud800"},), retryable=True)
    stores.jobs.finish(claim(stores).lease, Status.FAILED, error)
    (failed,) = stores.jobs.list(JobFilter(), 10).jobs
    assert failed.error == error


@pytest.mark.parametrize("status", sorted(set(Status) - TERMINAL))
def test_a_job_ends_only_in_a_final_state(stores: Stores, status: Status) -> None:
    stores.add()
    with pytest.raises(ValueError, match="cannot end"):
        stores.jobs.finish(claim(stores).lease, status)


# ---- the line


def test_first_in_first_out_within_a_priority(stores: Stores) -> None:
    names = {}
    for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH):
        for number in (1, 2):
            names[stores.add(priority=priority).id] = f"{priority.value}{number}"
            stores.clock.tick()
    assert [names[job] for job in line(stores)] == ["high1", "high2", "normal1", "normal2", "low1", "low2"]
    assert [names[claim(stores).id] for _ in names] == ["high1", "high2", "normal1", "normal2", "low1", "low2"]


def test_low_priority_is_never_starved(stores: Stores) -> None:
    patient = stores.add(priority=Priority.LOW)
    stores.clock.tick(3599)
    ahead = stores.add()
    stores.clock.tick(2)
    behind = stores.add()
    stores.clock.tick(3600)
    urgent_behind = stores.add(priority=Priority.HIGH)
    assert line(stores) == [ahead.id, patient.id, behind.id, urgent_behind.id]


def test_jobs_that_arrive_together_keep_their_order(stores: Stores) -> None:
    added = [stores.add().id for _ in range(20)]
    assert [stores.jobs.position(job) for job in added] == list(range(20))
    assert [claim(stores).id for _ in added] == added


def test_a_job_is_not_claimed_before_its_time(stores: Stores) -> None:
    later, now = stores.add(available_at=T0 + 1), stores.add()
    assert claim(stores).id == now.id
    assert stores.jobs.claim("w") is None
    stores.clock.tick()
    assert claim(stores).id == later.id


def test_pause_stops_claims_until_resume(stores: Stores) -> None:
    stores.add()
    stores.jobs.pause()
    assert stores.jobs.paused()
    assert stores.jobs.claim("w") is None
    stores.jobs.resume()
    assert not stores.jobs.paused()
    claim(stores)


def test_moving_in_line(stores: Stores) -> None:
    a, b, c, d = (stores.add().id for _ in range(4))
    low = stores.add(priority=Priority.LOW).id
    stores.jobs.move(c)
    assert line(stores) == [c, a, b, d, low]
    stores.jobs.move(a, Place.LAST)
    assert line(stores) == [c, b, d, low, a]
    for _ in range(60):  # more often than a gap can be halved
        stores.jobs.move(low, before=d)
        stores.jobs.move(c, before=low)
    assert line(stores) == [b, c, low, d, a]
    assert stores.jobs.position(low) == 2


def test_only_what_waits_is_moved(stores: Stores) -> None:
    stores.add()
    running, waiting = claim(stores).id, stores.add().id
    assert stores.jobs.move(running) is None
    assert stores.jobs.move(NO_SUCH) is None
    assert stores.jobs.move(waiting, before=running) is None
    assert stores.jobs.position(running) is None


# ---- leases


def test_a_late_worker_cannot_overwrite(stores: Stores) -> None:
    stores.add()
    late = claim(stores, "w1")
    stores.clock.tick(100)
    (requeued,) = stores.jobs.release_stale(60)
    assert (requeued.status, requeued.worker) == (Status.QUEUED, None)
    new = claim(stores, "w1")  # the same worker: its name alone is no proof
    assert stores.jobs.finish(late.lease, Status.FAILED) is None
    assert stores.jobs.heartbeat(late.lease) is None
    assert stores.jobs.release(late.lease) is None
    assert not stores.jobs.assign_prompt(late.lease, PromptId("late"), InstanceName("x"))
    assert stores.jobs.get(new.id) == new
    assert stores.jobs.finish(replace(new.lease, worker="w2"), Status.FAILED) is None
    assert stores.jobs.finish(new.lease, Status.SUCCEEDED) is not None
    assert stores.jobs.finish(new.lease, Status.FAILED) is None


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_an_ended_job_is_not_handed_back(stores: Stores, status: Status) -> None:
    stores.add()
    running = claim(stores)
    ended = stores.jobs.finish(running.lease, status)
    assert stores.jobs.release(running.lease) is None
    assert stores.jobs.heartbeat(running.lease) is None
    assert stores.jobs.get(running.id) == ended


def test_a_released_job_keeps_its_place_its_prompt_and_its_attempts(stores: Stores) -> None:
    first = stores.add()
    stores.clock.tick()
    stores.add()
    running = claim(stores)
    stores.jobs.assign_prompt(running.lease, PromptId("p1"), InstanceName("gpu0"))
    released = stores.jobs.release(running.lease)
    assert released is not None
    assert (released.status, released.attempts, released.worker) == (Status.QUEUED, 0, None)
    assert (released.started_at, released.heartbeat_at, released.prompt_id) == (None, None, "p1")
    again = claim(stores, "w2")
    assert (again.id, again.attempts, again.attempt) == (first.id, 1, 2)
    assert (again.prompt_id, again.instance) == ("p1", "gpu0")


def test_a_failed_attempt_may_be_used_up_and_delayed(stores: Stores) -> None:
    stores.add()
    error = JobError("COMFY_UNREACHABLE", "No answer.", retryable=True)
    released = stores.jobs.release(claim(stores).lease, used=True, delay_s=5, error=error)
    assert released is not None
    assert (released.attempts, released.error) == (1, error)
    assert stores.jobs.claim("w") is None
    stores.clock.tick(5)
    again = claim(stores)
    assert (again.attempts, again.error) == (2, None)


def test_a_claim_without_a_try_does_not_count_however_often(stores: Stores) -> None:
    stores.add()
    for _ in range(30):
        running = claim(stores)
        assert (running.attempt, running.attempts) == (1, 1)
        released = stores.jobs.release(running.lease, tried=False)
        assert released is not None and (released.attempt, released.attempts) == (0, 0)
    assert stores.jobs.release(running.lease, tried=False) is None


def test_released_while_canceling_is_cancelled(stores: Stores) -> None:
    running = claim(stores) if stores.add() else None
    assert running is not None
    stores.jobs.request_cancel(running.id)
    ended = stores.jobs.release(running.lease)
    assert ended is not None
    assert ended.status is Status.CANCELLED
    assert counted(stores) == {"cancelled": 1}


def test_stale_jobs_are_requeued_without_an_attempt_lost_until_they_are_worn_out(stores: Stores) -> None:
    stores.add(max_attempts=2)
    alive = stores.add(priority=Priority.LOW)
    for expected in [Status.QUEUED] * 7 + [Status.FAILED]:
        claimed = claim(stores)
        assert claimed.attempts == 1
        stores.clock.tick(61)
        beating = stores.jobs.get(alive.id)
        assert beating is not None
        if beating.status is Status.QUEUED:
            beating = claim(stores)
        assert stores.jobs.heartbeat(beating.lease) is not None
        (job,) = stores.jobs.release_stale(60)
        assert job.status is expected
    assert job.error is not None
    assert job.error.code == "WORKER_LOST"
    assert job.finished_at == stores.clock.now
    assert counted(stores) == {"running": 1, "failed": 1}


def test_a_stale_canceling_job_is_cancelled(stores: Stores) -> None:
    stores.add()
    stores.jobs.request_cancel(claim(stores).id)
    stores.clock.tick(61)
    assert [job.status for job in stores.jobs.release_stale(60)] == [Status.CANCELLED]
    assert stores.jobs.release_stale(60) == []
