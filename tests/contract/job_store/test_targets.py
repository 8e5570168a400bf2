"""Jobs of several targets in one store: each has a line of its own, and a job may change to another one once."""

from concurrent.futures import ThreadPoolExecutor

from support.job_stores import T0, Stores

from api.ids import InstanceName, JobId, PromptId
from api.jobs.job import Job, Priority, Status
from api.jobs.placement import LOCAL
from api.jobs.store import Place

FAR = "far"


def line(stores: Stores, target: str | None = None) -> list[str]:
    return [job.id for job in stores.jobs.upcoming(100, target)]


def test_a_claim_is_of_its_target_only(stores: Stores) -> None:
    near, far = stores.add(label="fast"), stores.add(target=FAR, movable=False)
    assert stores.jobs.claim("w", "another") is None
    claimed = stores.jobs.claim("w", FAR)
    assert claimed is not None and (claimed.id, claimed.target, claimed.label) == (far.id, FAR, None)
    assert stores.jobs.claim("w", FAR) is None
    claimed = stores.jobs.claim("w")
    assert claimed is not None and (claimed.id, claimed.target, claimed.label) == (near.id, LOCAL, "fast")


def test_each_target_has_a_line_of_its_own(stores: Stores) -> None:
    here, there = [], []
    for number in range(3):
        here.append(stores.add().id)
        there.append(stores.add(target=FAR, priority=Priority.HIGH if number == 2 else Priority.NORMAL).id)
        stores.clock.tick()
    there = [there[2], *there[:2]]
    assert (line(stores, LOCAL), line(stores, FAR)) == (here, there)
    assert sorted(line(stores)) == sorted(here + there) and line(stores)[0] == there[0]
    assert [stores.jobs.position(JobId(job)) for job in (*here, *there)] == [0, 1, 2, 0, 1, 2]
    assert len(stores.jobs.upcoming(4)) == 4


def test_a_move_is_within_the_line(stores: Stores) -> None:
    here, there = [stores.add() for _ in range(3)], [stores.add(target=FAR) for _ in range(3)]
    assert stores.jobs.move(there[2].id, Place.FIRST)
    assert line(stores, FAR) == [there[2].id, there[0].id, there[1].id]
    assert stores.jobs.move(there[2].id, before=there[1].id)
    assert line(stores, FAR) == [there[0].id, there[2].id, there[1].id]
    assert stores.jobs.move(there[0].id, before=here[0].id) is None
    assert line(stores, LOCAL) == [job.id for job in here]


def prompted(stores: Stores, **values: object) -> Job:
    """A job that waits again after it was given to a ComfyUI."""
    stores.add(**values)
    running = stores.jobs.claim("w")
    assert running is not None
    stores.jobs.assign_prompt(running.lease, PromptId("p"), InstanceName("comfy"))
    released = stores.jobs.release(running.lease)
    assert released is not None
    return released


def test_a_waiting_job_is_moved_once_and_forgets_its_prompt(stores: Stores) -> None:
    woken: list[int] = []
    stores.jobs.on_work(lambda: woken.append(1))
    job = prompted(stores, movable=True)
    told = len(woken)
    moved = stores.jobs.redirect(job.id, FAR)
    assert moved is not None and moved == stores.jobs.get(job.id)
    assert (moved.target, moved.movable, moved.prompt_id, moved.instance) == (FAR, False, None, None)
    assert (moved.status, moved.created_at, moved.rank, moved.attempt) == (Status.QUEUED, T0, T0, 1)
    assert stores.jobs.redirect(job.id, "farther") is None and stores.jobs.redirect(job.id, LOCAL) is None
    assert stores.jobs.claim("w") is None
    assert stores.jobs.claim("w", FAR) is not None
    # On PostgreSQL the news come by another connection.
    assert len(woken) > told or stores.address.startswith("postgresql:")


def test_only_a_waiting_job_that_may_be_is_moved(stores: Stores) -> None:
    pinned, running, cancelled = stores.add(), stores.add(movable=True), stores.add(movable=True)
    stores.jobs.move(running.id, Place.FIRST)
    assert stores.jobs.claim("w") is not None
    stores.jobs.request_cancel(cancelled.id)
    for job in (pinned, running, cancelled):
        assert stores.jobs.redirect(job.id, FAR) is None
    assert stores.jobs.redirect(JobId("no-such-job"), FAR) is None
    assert [stores.jobs.get(job.id).target for job in (pinned, running, cancelled)] == [LOCAL] * 3  # type: ignore[union-attr]


def test_claims_and_moves_at_once_lose_no_job_and_give_none_twice(stores: Stores) -> None:
    jobs = [stores.add(movable=True).id for _ in range(30)]

    def claim_all(target: str) -> list[str]:
        found = []
        while job := stores.jobs.claim(f"w-{target}", target):
            found.append(job.id)
        return found

    def move_all(_target: str) -> list[str]:
        return [job for job in reversed(jobs) if stores.jobs.redirect(job, FAR)]

    with ThreadPoolExecutor(2) as threads:
        here = threads.submit(claim_all, LOCAL)
        moved = threads.submit(move_all, FAR).result()
        claimed = here.result()
    assert sorted(claimed + moved) == sorted(jobs)
    assert sorted(claim_all(FAR)) == sorted(moved)


def test_a_claim_passes_over_labels(stores: Stores) -> None:
    stores.add(label="fast")
    plain, slow = stores.add(), stores.add(label="slow")
    claims = [stores.jobs.claim("w", LOCAL, ["fast", "gone"]) for _ in range(3)]
    assert [claim and claim.id for claim in claims] == [plain.id, slow.id, None]
    claimed = stores.jobs.claim("w")
    assert claimed is not None and claimed.label == "fast"
