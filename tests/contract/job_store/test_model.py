"""The job store against a model of it that anybody can read: whatever is done in whatever order, they agree."""

import itertools
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule
from support.job_stores import opened

from api.ids import JobId
from api.jobs.job import ACTIVE, TERMINAL, Lease, Priority, Status, may_follow
from api.jobs.store import JobFilter

AGEING_S = 3600.0
PLACES = st.sampled_from(["local", "local", "far"])


@dataclass
class Known:
    """What the model knows of one job."""

    rank: float
    seq: int
    status: Status = Status.QUEUED
    expires_at: float | None = None
    finished_at: float | None = None
    lease: Lease | None = None
    attempts: int = 0
    heartbeat_at: float = 0.0
    target: str = "local"
    movable: bool = False

    def go(self, status: Status, now: float) -> None:
        assert may_follow(self.status, status)
        self.status = status
        self.finished_at = now if status in TERMINAL else None


class StoreAgainstModel(RuleBasedStateMachine):
    """Leases are kept for ever, so void ones are tried again and again."""

    jobs = Bundle("jobs")
    leases = Bundle("leases")

    @initialize()
    def open(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._opened = opened(str(Path(self._folder.name) / "jobs.db"))
        self.stores = self._opened.__enter__()
        self.known: dict[str, Known] = {}
        self._numbers = itertools.count()

    def teardown(self) -> None:
        self._opened.__exit__(None, None, None)
        self._folder.cleanup()

    @property
    def now(self) -> float:
        return self.stores.clock.now

    @rule(
        target=jobs,
        priority=st.sampled_from(Priority),
        ttl=st.none() | st.integers(1, 40),
        place=PLACES,
        pin=st.booleans(),
    )
    def add(self, priority: Priority, ttl: int | None, place: str, pin: bool) -> JobId:
        expires_at = None if ttl is None else self.now + ttl
        where = {"target": place, "movable": not pin}
        job = self.stores.add(priority=priority, expires_at=expires_at, max_attempts=2, **where)
        rank = self.now - priority.weight * AGEING_S
        self.known[job.id] = Known(rank, next(self._numbers), expires_at=expires_at, target=place, movable=not pin)
        return job.id

    @rule(job_id=jobs, place=PLACES)
    def redirect(self, job_id: JobId, place: str) -> None:
        known = self.known.get(job_id)
        legal = known is not None and known.status is Status.QUEUED and known.movable
        assert (self.stores.jobs.redirect(job_id, place) is not None) is legal
        if known and legal:
            known.target, known.movable = place, False

    @rule(seconds=st.integers(1, 30))
    def tick(self, seconds: int) -> None:
        self.stores.clock.tick(seconds)

    def line(self, place: str | None = None) -> list[str]:
        waiting = [(job.rank, job.seq, job_id) for job_id, job in self.known.items() if job.status is Status.QUEUED]
        return [job_id for _, _, job_id in sorted(waiting) if place in {None, self.known[job_id].target}]

    @rule(target=leases, worker=st.sampled_from(["w1", "w2"]), place=PLACES)
    def claim(self, worker: str, place: str) -> Lease:
        claimable = [job for job in self.line(place) if (self.known[job].expires_at or self.now + 1) > self.now]
        job = self.stores.jobs.claim(worker, place)
        if job is None:
            assert not claimable
            return Lease(JobId("none"), worker, 0)
        assert job.id == claimable[0]
        known = self.known[job.id]
        known.go(Status.RUNNING, self.now)
        known.attempts += 1
        known.heartbeat_at, known.lease, known.expires_at = self.now, job.lease, None
        return job.lease

    def held(self, lease: Lease) -> Known | None:
        known = self.known.get(lease.job_id)
        return known if known and known.lease == lease and known.status in ACTIVE else None

    @rule(lease=leases)
    def heartbeat(self, lease: Lease) -> None:
        known = self.held(lease)
        assert (self.stores.jobs.heartbeat(lease) is not None) is (known is not None)
        if known:
            known.heartbeat_at = self.now

    @rule(lease=leases, status=st.sampled_from(sorted(TERMINAL)))
    def finish(self, lease: Lease, status: Status) -> None:
        known = self.held(lease)
        assert (self.stores.jobs.finish(lease, status) is not None) is (known is not None)
        if known:
            known.go(status, self.now)

    @rule(lease=consumes(leases), used=st.booleans())
    def release(self, lease: Lease, used: bool) -> None:
        known = self.held(lease)
        assert (self.stores.jobs.release(lease, used=used) is not None) is (known is not None)
        if known and known.status is Status.CANCELING:
            known.go(Status.CANCELLED, self.now)
        elif known:
            known.go(Status.QUEUED, self.now)
            known.attempts -= not used

    @rule()
    def release_stale(self) -> None:
        stale = {job for job, known in self.known.items() if known.status in ACTIVE}
        stale = {job for job in stale if self.known[job].heartbeat_at < self.now - 20}
        assert {job.id for job in self.stores.jobs.release_stale(20)} == stale
        for known in (self.known[job] for job in stale):
            # A worker's end uses up no attempt; four claims for each of them, and the job is the reason.
            last = Status.FAILED if known.lease and known.lease.attempt >= 8 else Status.QUEUED
            known.attempts -= known.status is Status.RUNNING and last is Status.QUEUED
            known.go(Status.CANCELLED if known.status is Status.CANCELING else last, self.now)

    @rule(job_id=jobs)
    def cancel(self, job_id: JobId) -> None:
        known = self.known.get(job_id)
        job = self.stores.jobs.request_cancel(job_id)
        assert (job is None) is (known is None)
        if known and known.status in {Status.QUEUED, Status.RUNNING}:
            known.go(Status.CANCELLED if known.status is Status.QUEUED else Status.CANCELING, self.now)

    @rule()
    def expire(self) -> None:
        over = [job for job in self.line() if (self.known[job].expires_at or self.now + 1) <= self.now]
        assert sorted(job.id for job in self.stores.jobs.expire()) == sorted(over)
        for job_id in over:
            self.known[job_id].go(Status.TIMED_OUT, self.now)

    @rule(job_id=jobs)
    def retry(self, job_id: JobId) -> None:
        known = self.known.get(job_id)
        legal = known is not None and known.status in TERMINAL and may_follow(known.status, Status.QUEUED)
        job = self.stores.jobs.retry(job_id)
        assert (job is not None) is legal
        if known and job:
            known.go(Status.QUEUED, self.now)
            known.rank, known.attempts, known.expires_at = self.now - job.priority.weight * AGEING_S, 0, None

    @precondition(lambda self: len(self.line("local")) > 1)
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        line = self.line("local")
        job_id = data.draw(st.sampled_from(line))
        before = data.draw(st.sampled_from(sorted(set(line) - {job_id})))
        assert self.stores.jobs.move(JobId(job_id), before=JobId(before))
        line.remove(job_id)
        line.insert(line.index(before), job_id)
        assert [job.id for job in self.stores.jobs.upcoming(1000, "local")] == line
        for job in self.stores.jobs.upcoming(1000):
            self.known[job.id].rank = job.rank

    @rule(job_id=jobs)
    def delete(self, job_id: JobId) -> None:
        known = self.known.get(job_id)
        legal = known is not None and known.status in TERMINAL
        assert (self.stores.jobs.delete(job_id) is not None) is legal
        if legal:
            del self.known[job_id]

    @rule(statuses=st.sets(st.sampled_from(Status)), age=st.integers(0, 50), limit=st.integers(1, 5))
    def purge(self, statuses: set[Status], age: int, limit: int) -> None:
        old = [
            job_id
            for job_id, known in self.known.items()
            if known.status in statuses & TERMINAL and (known.finished_at or 0) < self.now - age
        ]
        purged = self.stores.jobs.purge(statuses, self.now - age, limit)
        assert len(purged) == min(limit, len(old))
        assert {job.id for job in purged} <= set(old)
        for job in purged:
            del self.known[job.id]

    @invariant()
    def agree(self) -> None:
        if not hasattr(self, "stores"):
            return
        found = self.stores.jobs.list(JobFilter(), 10_000).jobs
        assert {job.id: job.status for job in found} == {job_id: known.status for job_id, known in self.known.items()}
        assert {job.id: job.attempts for job in found} == {job_id: job.attempts for job_id, job in self.known.items()}
        counts = {status: number for status, number in self.stores.jobs.counts().items() if number}
        assert counts == Counter(known.status for known in self.known.values())
        assert [job.id for job in self.stores.jobs.upcoming(1000)] == self.line()
        for place in ("local", "far"):
            assert [job.id for job in self.stores.jobs.upcoming(1000, place)] == self.line(place)


TestStoreAgainstModel = StoreAgainstModel.TestCase
TestStoreAgainstModel.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
TestStoreAgainstModel.pytestmark = [pytest.mark.timeout(120)]
