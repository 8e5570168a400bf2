"""The job store on a database: which statements make up each operation. Knows no dialect."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError

from ..errors import DuplicateJob
from ..ids import InstanceName, JobId, PromptId
from ..jobs.job import TERMINAL, Job, JobError, Lease, Status, rank_of
from ..jobs.placement import LOCAL
from ..jobs.store import Added, Admission, Cursor, Idempotency, JobFilter, Page, Place, Progress
from . import recovery, sql
from .admission import admit
from .database import Database
from .line import moved
from .rows import error_value, job_of
from .settling import settle_one, tally


class SqlJobStore:
    """`JobStore` on SQLite or PostgreSQL. `ageing_s` is what one step of priority is worth in waiting time."""

    def __init__(self, database: Database, clock: Callable[[], float], ageing_s: float = 3600.0) -> None:
        self._database = database
        self._clock = clock
        self._ageing_s = ageing_s

    def add(
        self,
        job: Job,
        idempotency: Idempotency | None = None,
        max_queued: int | None = None,
        durable: bool = True,
    ) -> Added:
        """Put a queued job in line; the key is reserved in the same transaction."""
        if job.status is not Status.QUEUED:
            raise ValueError(f"Only a queued job can be added, not one that is {job.status}.")
        ranked = replace(job, rank=rank_of(job.priority, job.created_at, self._ageing_s))

        def work(connection: Connection) -> Added:
            added = admit(connection, self._database, ranked, idempotency, max_queued, self._clock())
            if added.admission is Admission.ADDED:
                self._database.announce(connection)
            return added

        try:
            return self._database.write(work, durable)
        except IntegrityError as error:
            raise DuplicateJob(f"A job {job.id} is there already; choose another id.") from error

    def sync(self) -> None:
        """Wait until everything written so far has reached the disk."""
        self._database.sync()

    def get(self, job_id: JobId) -> Job | None:
        """The job, or None."""
        row = self._database.read(lambda connection: connection.execute(sql.JOB_BY_ID, {"job_id": job_id}).first())
        return None if row is None else job_of(row)

    def list(self, wanted: JobFilter, limit: int, after: Cursor | None = None) -> Page:
        """Jobs newest first."""
        statement, values = sql.listed(wanted, limit + 1, after)
        rows = self._database.read(lambda connection: connection.execute(statement, values).all())
        found = [job_of(row) for row in rows]
        page = tuple(found[:limit])
        return Page(page, Cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None)

    def upcoming(self, limit: int, target: str | None = None) -> Sequence[Job]:
        """The waiting jobs in the order of the lines."""
        statement, given = (sql.UPCOMING, {}) if target is None else (sql.UPCOMING_AT, {"place": target})
        rows = self._database.read(lambda connection: connection.execute(statement, given | {"count": limit}).all())
        return [job_of(row) for row in rows]

    def position(self, job_id: JobId) -> int | None:
        """How many jobs of the same target wait before this one."""

        def work(connection: Connection) -> int | None:
            place = connection.execute(sql.place_of(job_id)).first()
            return None if place is None else connection.execute(sql.count_ahead(*place)).scalar_one()

        return self._database.read(work)

    def counts(self) -> Mapping[Status, int]:
        """How many jobs there are in each state."""

        rows = self._database.read(lambda connection: connection.execute(sql.COUNTS).all())
        return dict.fromkeys(Status, 0) | {Status(word): number for word, number in rows}

    def claim(self, worker: str, target: str = LOCAL, besides: Collection[str] = ()) -> Job | None:
        """Take the target's next job. Not synced: after a power cut it waits again."""
        given: dict[str, Any] = {"by": worker, "now": self._clock(), "place": target}
        statement, given = (sql.CLAIM_BESIDES, given | {"besides": [*besides]}) if besides else (sql.CLAIM, given)
        row = self._database.write(lambda connection: connection.execute(statement, given).first(), durable=False)
        return None if row is None else job_of(row)

    def redirect(self, job_id: JobId, target: str, *, movable: bool = False) -> Job | None:
        """Have a waiting job run elsewhere. Its prompt is forgotten: only the target that had it could follow it."""
        given = {"of": job_id, "target": target, "movable": movable, "prompt_id": None, "instance": None}

        def work(connection: Connection) -> Job | None:
            row = connection.execute(sql.CHANGE_MOVABLE, given).first()
            return None if row is None else job_of(row)

        return self._requeue(work)

    def heartbeat(self, lease: Lease, progress: Progress | None = None) -> Job | None:
        """Say that the worker lives, and how far it is."""
        values = {"heartbeat_at": self._clock()} | ({} if progress is None else progress._asdict())
        return self._change_held(lease, None, values, durable=False)

    def assign_prompt(self, lease: Lease, prompt_id: PromptId, instance: InstanceName) -> bool:
        """Note under which id ComfyUI will know the job."""
        values = {"prompt_id": prompt_id, "instance": instance, "heartbeat_at": self._clock()}
        return self._change_held(lease, None, values, durable=False) is not None

    def finish(
        self,
        lease: Lease,
        status: Status,
        error: JobError | None = None,
        result_path: str | None = None,
        durable: bool = True,
    ) -> Job | None:
        """End the job, if the lease still holds."""
        if status not in TERMINAL:
            raise ValueError(f"A job cannot end as {status}.")
        values = {"status": status.value, "finished_at": self._clock(), "error": error_value(error)}
        values |= {"result_path": result_path} | ({"progress": 1.0} if status is Status.SUCCEEDED else {})
        return self._change_held(lease, status, values, durable)

    def release(
        self,
        lease: Lease,
        *,
        used: bool = False,
        tried: bool = True,
        delay_s: float = 0.0,
        error: JobError | None = None,
    ) -> Job | None:
        """Hand a running job back, or end it when it was to be cancelled."""
        now = self._clock()
        return self._requeue(
            lambda connection: recovery.released(connection, lease, now, now + delay_s, used, error, tried)
        )

    def release_stale(self, older_than_s: float, error: JobError | None = None) -> Sequence[Job]:
        """Requeue, fail or cancel running jobs whose worker is gone."""
        now = self._clock()

        def work(connection: Connection) -> Sequence[Job]:
            stale = [job_of(row) for row in connection.execute(sql.stale(now - older_than_s)).all()]
            after = [recovery.recovered(connection, job, now, error or recovery.LOST) for job in stale]
            self._database.announce(connection)
            return [job for job in after if job is not None]

        return self._database.write(work)

    def request_cancel(self, job_id: JobId) -> Job | None:
        """Cancel a waiting job, ask a running one to stop, leave an ended one."""
        return self._database.write(lambda connection: recovery.cancelled(connection, job_id, self._clock()))

    def cancel_queued(self) -> Sequence[Job]:
        """Cancel everything that waits."""
        return self._database.write(lambda connection: recovery.all_cancelled(connection, self._clock()))

    def expire(self) -> Sequence[Job]:
        """End waiting jobs whose time is over, forget keys whose time is over."""
        return self._database.write(lambda connection: recovery.expired(connection, self._clock()))

    def retry(self, job_id: JobId) -> Job | None:
        """Put an ended job in line again, as if new."""
        return self._requeue(lambda at: recovery.retried(at, job_id, self._clock(), self._ageing_s))

    def move(self, job_id: JobId, place: Place = Place.FIRST, before: JobId | None = None) -> Job | None:
        """Change a waiting job's place in line."""
        row = self._database.write(lambda connection: moved(connection, job_id, place, before))
        return None if row is None else job_of(row)

    def pause(self) -> None:
        """Claim nothing more."""
        self._database.write(lambda connection: connection.execute(sql.CONTROL.values(paused=True)))

    def resume(self) -> None:
        """Claim again."""

        def work(connection: Connection) -> None:
            connection.execute(sql.CONTROL.values(paused=False))
            self._database.announce(connection)

        self._database.write(work)

    def paused(self) -> bool:
        """Whether claiming is paused."""
        return bool(self._database.read(lambda connection: connection.execute(sql.IS_PAUSED).scalar_one()))

    def delete(self, job_id: JobId) -> Job | None:
        """Forget an ended job."""
        gone = self._remove(lambda connection: connection.execute(sql.removed(job_id)).all())
        return gone[0] if gone else None

    def purge(self, statuses: Collection[Status], finished_before: float, limit: int = 1000) -> Sequence[Job]:
        """Forget ended jobs, the oldest of each status first."""

        def work(connection: Connection) -> list[Row[Any]]:
            rows: list[Row[Any]] = []
            for status in sorted(TERMINAL.intersection(statuses)):
                rows += connection.execute(sql.purged(status, finished_before, limit - len(rows))).all()
            return rows

        return self._remove(work)

    def compact(self) -> None:
        """Give freed space back to the disk."""
        self._database.compact()

    def ping(self) -> None:
        """Write something."""
        touched = sql.CONTROL.values(checked_at=self._clock())
        self._database.write(lambda connection: connection.execute(touched), durable=False)

    def on_work(self, wake: Callable[[], None]) -> None:
        """Call `wake` when there may be something to claim."""
        self._database.on_work(wake)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _change_held(
        self, lease: Lease, after: Status | None, values: Mapping[str, Any], durable: bool = True
    ) -> Job | None:
        given = {**sql.by(lease), **values}
        return self._database.write(lambda at: settle_one(at, at.execute(sql.held(after), given).first()), durable)

    def _requeue(self, change: Callable[[Connection], Job | None]) -> Job | None:
        def work(connection: Connection) -> Job | None:
            job = change(connection)
            if job is not None and job.status is Status.QUEUED:
                self._database.announce(connection)
            return job

        return self._database.write(work)

    def _remove(self, remove: Callable[[Connection], Sequence[Row[Any]]]) -> Sequence[Job]:
        def work(connection: Connection) -> Sequence[Job]:
            gone = [job_of(row) for row in remove(connection)]
            tally(connection, gone, by=-1)
            return gone

        return self._database.write(work)
