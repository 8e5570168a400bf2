"""The contract of the job store, the same on every database: cancelling, expiring, retrying, deleting, listing."""

import pytest
from support.job_stores import T0, Stores

from api.ids import JobId
from api.jobs.job import TERMINAL, Job, JobError, Priority, Status
from api.jobs.store import Cursor, JobFilter

NO_SUCH = JobId("no-such-job")


def claim(stores: Stores, worker: str = "w1") -> Job:
    job = stores.jobs.claim(worker)
    assert job is not None
    return job


def ended(stores: Stores, status: Status = Status.SUCCEEDED, **values: object) -> Job:
    stores.add(priority=Priority.HIGH, **values)
    job = stores.jobs.finish(claim(stores).lease, status)
    assert job is not None
    return job


def counted(stores: Stores) -> dict[str, int]:
    return {status.value: number for status, number in stores.jobs.counts().items() if number}


def test_cancelling_a_waiting_job_ends_it(stores: Stores) -> None:
    job = stores.add()
    stores.clock.tick()
    cancelled = stores.jobs.request_cancel(job.id)
    assert cancelled is not None
    assert (cancelled.status, cancelled.cancel_requested, cancelled.finished_at) == (Status.CANCELLED, True, T0 + 1)
    assert stores.jobs.claim("w") is None


def test_cancelling_a_running_job_asks_its_worker(stores: Stores) -> None:
    stores.add()
    running = claim(stores)
    canceling = stores.jobs.request_cancel(running.id)
    assert canceling is not None
    assert (canceling.status, canceling.worker) == (Status.CANCELING, "w1")
    assert stores.jobs.request_cancel(running.id) == canceling
    told = stores.jobs.heartbeat(running.lease)
    assert told is not None
    assert told.cancel_requested
    assert stores.jobs.finish(running.lease, Status.CANCELLED) is not None


def test_a_result_that_was_ready_beats_the_cancel(stores: Stores) -> None:
    stores.add()
    running = claim(stores)
    stores.jobs.request_cancel(running.id)
    finished = stores.jobs.finish(running.lease, Status.SUCCEEDED)
    assert finished is not None
    assert finished.status is Status.SUCCEEDED


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_cancelling_an_ended_job_changes_nothing(stores: Stores, status: Status) -> None:
    job = ended(stores, status)
    stores.clock.tick()
    assert stores.jobs.request_cancel(job.id) == job
    assert stores.jobs.request_cancel(NO_SUCH) is None


def test_cancelling_everything_that_waits(stores: Stores) -> None:
    stores.add()
    claim(stores)
    waiting = {stores.add().id for _ in range(3)}
    assert {job.id for job in stores.jobs.cancel_queued()} == waiting
    assert counted(stores) == {"running": 1, "cancelled": 3}


def test_waiting_too_long_ends_a_job_and_running_does_not(stores: Stores) -> None:
    stores.add(expires_at=T0 + 10)
    claim(stores)
    waiting, patient = stores.add(expires_at=T0 + 10), stores.add()
    stores.clock.tick(10)
    assert claim(stores).id == patient.id  # not the one whose time is over, even before `expire`
    (expired,) = stores.jobs.expire()
    assert (expired.id, expired.status) == (waiting.id, Status.TIMED_OUT)
    assert expired.error is not None
    assert expired.error.code == "EXPIRED"
    assert stores.jobs.expire() == []
    assert counted(stores) == {"running": 2, "timed_out": 1}
    assert stores.jobs.retry(waiting.id) is not None
    assert stores.jobs.expire() == []


@pytest.mark.parametrize("status", sorted(TERMINAL - {Status.SUCCEEDED}))
def test_a_job_that_failed_is_retried_as_if_new(stores: Stores, status: Status) -> None:
    stores.add()
    running = claim(stores)
    stores.jobs.request_cancel(running.id)
    stores.jobs.finish(running.lease, status, JobError("X", "x"))
    stores.clock.tick(9)
    job = stores.jobs.retry(running.id)
    assert job is not None
    assert (job.status, job.attempts, job.error, job.cancel_requested) == (Status.QUEUED, 0, None, False)
    assert (job.created_at, job.rank, job.finished_at) == (T0, T0 + 9, None)
    assert counted(stores) == {"queued": 1}
    assert stores.jobs.retry(running.id) is None
    assert stores.jobs.finish(running.lease, Status.FAILED) is None
    assert claim(stores).attempt == 2


def test_a_job_that_succeeded_is_not_retried(stores: Stores) -> None:
    assert stores.jobs.retry(ended(stores).id) is None
    assert stores.jobs.retry(NO_SUCH) is None


def test_only_ended_jobs_are_deleted(stores: Stores) -> None:
    stores.add()
    running, waiting = claim(stores), stores.add()
    assert stores.jobs.delete(running.id) is None
    assert stores.jobs.delete(waiting.id) is None
    assert stores.jobs.delete(NO_SUCH) is None
    job = ended(stores, request_path="a/b")
    assert stores.jobs.delete(job.id) == job
    assert stores.jobs.get(job.id) is None
    assert counted(stores) == {"queued": 1, "running": 1}


def test_purging_takes_the_oldest_of_the_given_statuses(stores: Stores) -> None:
    old = []
    for status in (Status.FAILED, Status.SUCCEEDED, Status.CANCELLED, Status.SUCCEEDED, Status.FAILED):
        old.append(ended(stores, status))
        stores.clock.tick()
    stores.add()
    wanted = {Status.SUCCEEDED, Status.FAILED, Status.QUEUED}
    assert stores.jobs.purge(wanted, T0) == []
    assert stores.jobs.purge(wanted, T0 + 4, limit=2) == [old[0], old[1]]
    assert stores.jobs.purge(wanted, T0 + 4) == [old[3]]
    assert counted(stores) == {"queued": 1, "failed": 1, "cancelled": 1}
    stores.jobs.compact()


# ---- listing


def listed(stores: Stores, wanted: JobFilter, limit: int = 100) -> list[str]:
    found: list[str] = []
    after: Cursor | None = None
    while True:
        page = stores.jobs.list(wanted, limit, after)
        assert len(page.jobs) <= limit
        found += [job.id for job in page.jobs]
        if page.next is None:
            return found
        after = page.next


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_neither_skip_nor_repeat(stores: Stores, limit: int) -> None:
    ids = []
    for number in range(9):
        ids.append(stores.add().id)
        stores.clock.tick(number % 2)  # some were created at the same time
    assert sorted(listed(stores, JobFilter(), limit)) == sorted(ids)
    first = stores.jobs.list(JobFilter(), 4)
    stores.add()
    rest = stores.jobs.list(JobFilter(), 100, first.next)
    assert sorted(job.id for job in first.jobs + rest.jobs) == sorted(ids)
    times = [job.created_at for job in first.jobs + rest.jobs]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("limit", [1, 100])
def test_filters(stores: Stores, limit: int) -> None:
    failed = ended(stores, Status.FAILED, workflow_name="portrait").id
    stores.clock.tick()
    done = ended(stores, Status.SUCCEEDED).id
    stores.clock.tick()
    waiting = stores.add(workflow_name="portrait").id
    some = frozenset({Status.FAILED, Status.QUEUED, Status.TIMED_OUT})
    for wanted, expected in [
        (JobFilter(), [waiting, done, failed]),
        (JobFilter(some), [waiting, failed]),
        (JobFilter(frozenset({Status.SUCCEEDED})), [done]),
        (JobFilter(workflow_name="portrait"), [waiting, failed]),
        (JobFilter(some - {Status.QUEUED}, workflow_name="portrait"), [failed]),
        (JobFilter(workflow_name="no-such"), []),
        (JobFilter(since=T0 + 1), [waiting, done]),
        (JobFilter(until=T0 + 1), [failed]),
        (JobFilter(some, since=T0 + 1, until=T0 + 3), [waiting]),
    ]:
        assert listed(stores, wanted, limit) == expected
