"""The contract of adding: idempotency keys, the limit of the queue, and the call that says there is work."""

import threading
from concurrent.futures import ThreadPoolExecutor

from support.job_stores import T0, Stores, new_job

from api.errors import DuplicateJob
from api.jobs.job import TERMINAL, Status
from api.jobs.store import Admission, Idempotency

KEY = Idempotency("caller:key", "print", T0 + 100)


def counted(stores: Stores) -> dict[str, int]:
    return {status.value: number for status, number in stores.jobs.counts().items() if number}


def test_a_key_gives_the_same_job_again(stores: Stores) -> None:
    first = stores.admit(KEY)
    again = stores.admit(KEY)
    assert (first.admission, again.admission) == (Admission.ADDED, Admission.IN_FLIGHT)
    assert again.job == first.job
    running = stores.jobs.claim("w")
    assert running is not None
    stores.jobs.finish(running.lease, Status.FAILED)
    replay = stores.admit(KEY)
    assert (replay.admission, replay.job.status) == (Admission.REPLAYED, Status.FAILED)
    assert counted(stores) == {"failed": 1}


def test_a_key_for_another_request_conflicts(stores: Stores) -> None:
    first = stores.admit(KEY)
    conflict = stores.admit(KEY._replace(fingerprint="other"))
    assert conflict == (Admission.CONFLICT, first.job)
    assert stores.admit(KEY._replace(key="other")).admission is Admission.ADDED


def test_a_key_ends_with_its_time_and_with_its_job(stores: Stores) -> None:
    stores.admit(KEY)
    stores.clock.tick(100)
    assert stores.admit(KEY._replace(expires_at=T0 + 200)).admission is Admission.ADDED
    stores.jobs.cancel_queued()
    stores.jobs.purge(TERMINAL, T0 + 1000)
    assert stores.admit(KEY._replace(expires_at=T0 + 300)).admission is Admission.ADDED


def test_expire_forgets_old_keys(stores: Stores) -> None:
    stores.admit(KEY)
    stores.clock.tick(100)
    stores.jobs.expire()
    # The clock set back shows that the key is really gone.
    stores.clock.tick(-50)
    assert stores.admit(KEY).admission is Admission.ADDED


def test_a_full_queue_refuses_and_leaves_the_key_free(stores: Stores) -> None:
    assert stores.admit(KEY, 1).admission is Admission.ADDED
    other = KEY._replace(key="other")
    assert stores.admit(other, 1).admission is Admission.QUEUE_FULL
    assert stores.admit(KEY, 1).admission is Admission.IN_FLIGHT  # asks for nothing new
    stores.jobs.claim("w")
    assert stores.admit(other, 1).admission is Admission.ADDED
    assert counted(stores) == {"queued": 1, "running": 1}


def test_of_many_with_one_key_exactly_one_is_added(stores: Stores) -> None:
    start = threading.Barrier(16)

    def admit(_number: int) -> tuple[Admission, str]:
        job = new_job(stores.clock)
        start.wait()
        added = stores.jobs.add(job, KEY)
        return added.admission, added.job.id

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(admit, range(16)))
    assert sorted(admission.value for admission, _ in outcomes) == ["added"] + ["in_flight"] * 15
    assert len({job_id for _, job_id in outcomes}) == 1
    assert counted(stores) == {"queued": 1}


def test_many_threads_add_and_claim(stores: Stores) -> None:
    def add_and_claim(number: int) -> list[str | None]:
        for _ in range(10):
            stores.add()
        claimed = [stores.jobs.claim(f"w{number}") for _ in range(10)]
        return [job and job.id for job in claimed]

    with ThreadPoolExecutor(8) as pool:
        claimed = [job for jobs in pool.map(add_and_claim, range(8)) for job in jobs if job]
    rest = [job.id for job in stores.jobs.upcoming(100)]
    assert len(set(claimed + rest)) == len(claimed + rest) == 80
    assert counted(stores).get("running") == len(claimed)


def test_one_bad_write_does_not_spoil_the_others_of_its_transaction(stores: Stores) -> None:
    taken = stores.add()
    start = threading.Barrier(8)

    def add(number: int) -> str:
        job = taken if number % 2 else new_job(stores.clock)
        start.wait()
        try:
            return stores.jobs.add(job).admission.value
        except DuplicateJob as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        outcomes = [outcome for _ in range(5) for outcome in pool.map(add, range(8))]
    assert sorted(outcomes) == ["DUPLICATE_JOB"] * 20 + ["added"] * 20
    assert counted(stores) == {"queued": 21}


def test_work_is_announced(stores: Stores) -> None:
    woken = threading.Event()
    stores.jobs.on_work(woken.set)

    def announced() -> bool:
        heard = woken.wait(10)
        woken.clear()
        return heard

    stores.add()
    assert announced()
    running = stores.jobs.claim("w")
    assert running is not None
    stores.jobs.release(running.lease)
    assert announced()
    stores.jobs.resume()
    assert announced()
    again = stores.jobs.claim("w")
    assert again is not None
    stores.jobs.finish(again.lease, Status.FAILED)
    stores.jobs.retry(again.id)
    assert announced()


def test_a_cancel_is_never_lost_between_claims_and_releases(stores: Stores) -> None:
    job = stores.add()
    started, stop = threading.Event(), threading.Event()

    def claim_and_release() -> None:
        while not stop.is_set():
            running = stores.jobs.claim("w")
            started.set()
            if running is not None:
                stores.jobs.release(running.lease)

    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(claim_and_release)
        for _ in range(50):
            assert started.wait(10)
            after = stores.jobs.request_cancel(job.id)
            assert after is not None
            assert after.cancel_requested
            if after.status is Status.CANCELLED:
                stores.jobs.retry(job.id)
        stop.set()
        busy.result()
