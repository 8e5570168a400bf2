"""All that can be done with jobs, whatever the surface: submit, look, cancel, delete, count. Runs nothing itself."""

import asyncio
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from ..errors import (
    InvalidInput,
    JobNotFound,
    JobNotReady,
    KeyInFlight,
    KeyReused,
    QueueFull,
    WorkerError,
    WorkerStopping,
)
from ..ids import JobId
from ..logs import get_logger
from ..sealing import Sealer
from .ends import Run
from .hub import EventHub
from .intake import Intake
from .job import SAID, TERMINAL, Job, JobError, Status
from .placement import Arrival, Placement, Places
from .request import JobRequest
from .results import OutputRef, Results
from .spool import Spool
from .store import Added, Admission, Cursor, Idempotency, JobFilter, JobStore, Page, Place
from .submission import Accepted, Submission, checked_ttl_s, in_words_of
from .updates import Kind
from .why import Why

log = get_logger()

_KEY_LIFE_S = 24 * 3600.0
_RETRY_AFTER_S = 5
_PURGED_AT_ONCE = 500
# Another process may end the job without telling this one.
_LOOK_AGAIN_S = 1.0
# Each time: thousands may wait for jobs of hours, and a tenth of the time waited is no loss.
_MORE_PATIENT = 1.1
_ANYWHERE = Places()
Asks = Callable[[], Awaitable[bool]]
STUCK = JobError("STUCK", "The job ran without a sign of life for longer than allowed.", retryable=True)


class JobService:
    """Every surface uses only this. Sync methods may block on the disk for milliseconds; any thread may call them."""

    def __init__(
        self,
        *,
        store: JobStore,
        spool: Spool,
        intake: Intake,
        results: Results,
        hub: EventHub,
        sealer: Sealer,
        check: Callable[[Mapping[str, Any]], JobRequest],
        check_webhook: Callable[[str], None],
        waits_for: Callable[[Job], str | None],
        shape_of: Callable[[JobRequest], str | None] = lambda _request: None,
        clock: Callable[[], float] = time.time,
        max_queued: int | None = None,
        max_attempts: int = 3,
        expand: Callable[[Submission], Submission] = lambda submission: submission,
        place: Callable[[Arrival], Placement] = lambda arrival: _ANYWHERE.of(arrival.request),
    ) -> None:
        self._store = store
        self._spool = spool
        self._intake = intake
        self._results = results
        self._hub = hub
        self._sealer = sealer
        self._check = check
        self._check_webhook = check_webhook
        self._why = Why(store, clock, waits_for)
        self._shape_of = shape_of
        self._clock = clock
        self._max_queued = max_queued
        self._max_attempts = max_attempts
        self._expand = expand
        self._place = place
        self._on_cancel: list[Callable[[JobId], None]] = []
        self._on_accept: list[Callable[[Job], None]] = []
        self._on_end: list[Callable[[Job, Run | None], None]] = []
        self._on_forget: list[Callable[[Sequence[JobId]], None]] = []
        self._announcing = threading.Lock()
        self._stopping = False

    def on_cancel(self, listener: Callable[[JobId], None]) -> None:
        """Call `listener` when a running job is to stop, so that it need not wait for its next heartbeat."""
        self._on_cancel.append(listener)

    def on_accept(self, listener: Callable[[Job], None]) -> None:
        """Call `listener` once for every job that is taken in; a worker may have begun it already."""
        self._on_accept.append(listener)

    def on_end(self, listener: Callable[[Job, Run | None], None]) -> None:
        """Call `listener` once for every job that this process ends, with what was measured of its run if it ran."""
        self._on_end.append(listener)

    def on_forget(self, listener: Callable[[Sequence[JobId]], None]) -> None:
        """Call `listener` with the jobs that were deleted or cleaned up."""
        self._on_forget.append(listener)

    def stop(self) -> None:
        """Take no more jobs."""
        self._stopping = True

    def submit(self, submission: Submission) -> Accepted:
        """Check a job, keep it and put it in line. When this returns the job lasts.

        Raises InvalidInput (and children) for what is wrong with it, JobRefused's children for what is in the way.
        """
        if self._stopping:
            raise WorkerStopping("The worker is shutting down; submit the job again in a moment.")
        self._spool.check_room()
        submission = self._expand(submission)
        try:
            return self._taken(submission)
        except InvalidInput as error:
            in_words_of(submission.places, error)
            raise

    def _taken(self, submission: Submission) -> Accepted:
        request = self._check(submission.job)
        self._spool.check_room(sum(len(image.source) for image in request.images))
        if submission.webhook:
            self._check_webhook(submission.webhook)
        job = self._new_job(submission, request)
        try:
            self._intake.take(job.id, submission.job, request, submission.files)
            added = self._store.add(job, self._idempotency(submission), self._max_queued, durable=False)
            if added.admission is Admission.ADDED:
                # A worker may have begun already: only the answer waits for the disk.
                self._spool.sync_request(job.id)
            self._store.sync()
        except BaseException:
            self._withdraw(job.id)
            raise
        if added.admission is not Admission.ADDED:
            self._spool.forget(job.id)
            return self._known(added, submission)
        self._announce_arrival(job)
        for listener in self._on_accept:
            listener(job)
        log.info("Job accepted", job_id=job.id, dialect=submission.dialect, priority=submission.priority.value)
        return Accepted(added.job, replayed=False)

    def get(self, job_id: JobId) -> Job:
        """The job. Raises JobNotFound."""
        job = self._store.get(job_id)
        if job is None:
            raise _not_found(job_id)
        return job

    def list(self, wanted: JobFilter, limit: int = 100, after: Cursor | None = None) -> Page:
        """Jobs newest first."""
        return self._store.list(wanted, limit, after)

    def upcoming(self, limit: int = 100) -> Sequence[Job]:
        """The waiting jobs in the order in which they will run; each target has a line of its own."""
        return self._store.upcoming(limit)

    def position(self, job_id: JobId) -> int | None:
        """How many jobs of the same target wait before this one; None when it does not wait."""
        return self._store.position(job_id)

    def counts(self) -> Mapping[Status, int]:
        """How many jobs there are in each state."""
        return self._store.counts()

    def cancel(self, job_id: JobId) -> Job:
        """Stop a job in whatever state it is; one that has ended stays as it is. Raises JobNotFound."""
        before = self.get(job_id)
        if before.is_terminal:
            return before
        job = self._store.request_cancel(job_id)
        if job is None:
            raise _not_found(job_id)
        if job.status is Status.CANCELING:
            for tell in self._on_cancel:
                tell(job_id)
        elif job.status is Status.CANCELLED:
            self.announce_end(job)
        return job

    def cancel_queued(self) -> int:
        """Cancel everything that waits; how many that were."""
        cancelled = self._store.cancel_queued()
        for job in cancelled:
            self.announce_end(job)
        return len(cancelled)

    def retry(self, job_id: JobId) -> Job:
        """Put a failed, timed out or cancelled job in line again. Raises JobNotFound, JobNotReady."""
        job = self.get(job_id)
        if self._spool.request(job_id) is None:
            raise JobNotReady("The request of the job is no longer kept; submit it again.")
        again = self._store.retry(job_id)
        if again is None:
            raise JobNotReady(
                f"The job {job_id} {SAID[job.status]}; only a failed, timed out or cancelled one is retried."
            )
        self._hub.publish(job_id, Kind.QUEUED, {"position": self._store.position(job_id)})
        return again

    def delete(self, job_id: JobId) -> None:
        """Forget an ended job and its files. Raises JobNotFound, JobNotReady for one that waits or runs."""
        job = self.get(job_id)
        if self._store.delete(job_id) is None:
            raise JobNotReady(f"The job {job_id} {SAID[job.status]}; cancel it first, an ended job can be deleted.")
        self._forget([job_id])

    def cleanup(self, max_age_s: float) -> int:
        """Forget the jobs that ended longer ago, with their files; how many those were."""
        removed = 0
        while gone := self._store.purge(TERMINAL, self._clock() - max_age_s, _PURGED_AT_ONCE):
            self._forget([job.id for job in gone])
            removed += len(gone)
        if removed:
            self._store.compact()
        return removed

    def expire(self) -> int:
        """End the waiting jobs whose time to live is over; how many those were."""
        expired = self._store.expire()
        for job in expired:
            self.announce_end(job)
        return len(expired)

    def exists(self, job_id: JobId) -> bool:
        """Whether there is a record of the job."""
        return self._store.get(job_id) is not None

    def reset_stuck(self, max_silent_s: float) -> int:
        """Requeue, or fail, running jobs without a heartbeat for so long; how many those were."""
        jobs = self._store.release_stale(max_silent_s, STUCK)
        for job in jobs:
            self._announce_release(job)
        return len(jobs)

    def pause(self) -> None:
        """Start no more jobs, on any worker; those that run go on."""
        self._store.pause()

    def resume(self) -> None:
        """Undo `pause`."""
        self._store.resume()

    def paused(self) -> bool:
        """Whether no jobs are started."""
        return self._store.paused()

    def move(self, job_id: JobId, place: Place = Place.FIRST, before: JobId | None = None) -> Job:
        """Change a waiting job's place in line. Raises JobNotFound, JobNotReady."""
        self.get(job_id)
        moved = self._store.move(job_id, place, before)
        if moved is None:
            other = f", or {before} not in the same line" if before else ""
            raise JobNotReady(f"The job {job_id} does not wait in line{other}.")
        return moved

    def why(self, job_id: JobId) -> str:
        """In one sentence, what the job waits for, or what became of it. Raises JobNotFound."""
        return self._why(self.get(job_id))

    def request(self, job_id: JobId) -> dict[str, Any]:
        """The input the job was submitted with, without secrets and files' contents. Raises JobNotFound."""
        self.get(job_id)
        shown = self._intake.shown(job_id)
        if shown is None:
            raise JobNotFound(f"The request of the job {job_id} is no longer kept.")
        return shown

    def result(self, job: Job, link: Callable[[OutputRef], str] | None = None) -> dict[str, Any] | None:
        """The job's result dict with base64, or with what `link` makes of each output; None when there is none."""
        return self._results.whole(job, link)

    def output(self, job_id: JobId, index: int) -> OutputRef:
        """One output of the job. Raises JobNotFound, or OutputNotFound when there is none of that number."""
        return self._results.output(self.get(job_id), index)

    def outputs(self, job: Job) -> Sequence[OutputRef]:
        """The outputs of the job that the worker keeps."""
        return self._results.outputs(job)

    def ping(self) -> None:
        """Raises StoreUnavailable when no job could be kept."""
        self._store.ping()

    async def wait(self, job_id: JobId, timeout_s: float, known: Job | None = None, is_gone: Asks | None = None) -> Job:
        """The job as soon as it has ended, or as it stands after `timeout_s`. Raises JobNotFound.

        `known` was submitted here a moment ago and need not be looked up. Once `is_gone` nobody waits.
        """
        until = time.monotonic() + timeout_s
        with self._hub.subscribe(job_id, only=Kind.FINISHED) as updates:
            # It may have ended already, before there was a subscription.
            newest = self._hub.newest(job_id) if known else None
            job = (newest.job if newest else None) or known
            if job is None:
                job = await asyncio.to_thread(self.get, job_id)
            pause_s = _LOOK_AGAIN_S
            while not job.is_terminal and (left := until - time.monotonic()) > 0:
                if is_gone and await is_gone():
                    break
                update = await updates.next(min(left, pause_s))
                job = update.job if update and update.job else await asyncio.to_thread(self.get, job_id)
                pause_s *= _MORE_PATIENT
            return job

    def _forget(self, job_ids: Sequence[JobId]) -> None:
        for job_id in job_ids:
            self._spool.forget(job_id)
        for listener in self._on_forget:
            listener(job_ids)

    def announce_end(self, job: Job, run: Run | None = None) -> None:
        """Tell the listeners, once, that the job has ended."""
        error = {"code": job.error.code, "message": job.error.message} if job.error else None
        # Two cancels at once see the job end both.
        with self._announcing:
            newest = self._hub.newest(job.id)
            if newest is not None and newest.kind is Kind.FINISHED:
                return
            self._hub.publish(job.id, Kind.FINISHED, {"status": job.status.value, "error": error}, job)
        for listener in self._on_end:
            listener(job, run)

    def _announce_arrival(self, job: Job) -> None:
        with self._announcing:
            # A quick worker may have told more already.
            if self._hub.newest(job.id) is None:
                self._hub.publish(job.id, Kind.QUEUED, {"position": None})

    def _announce_release(self, job: Job) -> None:
        if job.is_terminal:
            self.announce_end(job)
        else:
            self._hub.publish(job.id, Kind.QUEUED, {"position": None, "again": True})

    def _new_job(self, submission: Submission, request: JobRequest) -> Job:
        now = self._clock()
        ttl_s = checked_ttl_s(submission.ttl_s)
        job_id = JobId(f"{submission.id_prefix}{uuid.uuid4()}")
        placement = self._place(Arrival(job_id, request, submission.workflow_name, submission.is_operator))
        return Job(
            id=job_id,
            created_at=now,
            available_at=now,
            priority=submission.priority,
            dialect=submission.dialect,
            expires_at=now + ttl_s if ttl_s else None,
            timeout_s=request.timeout_s,
            max_attempts=self._max_attempts,
            webhook=self._sealer.seal(submission.webhook) if submission.webhook else None,
            workflow_name=submission.workflow_name,
            labels=submission.labels,
            shape=self._shape_of(request),
            target=placement.target,
            label=placement.label,
            movable=placement.is_movable,
        )

    def _idempotency(self, submission: Submission) -> Idempotency | None:
        key = submission.idempotency_key
        if key is None:
            return None
        return Idempotency(f"{submission.caller}:{key}", submission.fingerprint, self._clock() + _KEY_LIFE_S)

    def _known(self, added: Added, submission: Submission) -> Accepted:
        """What becomes of a request that was not added."""
        if added.admission is Admission.QUEUE_FULL:
            raise QueueFull(
                f"{self._max_queued} jobs wait already (setting MAX_QUEUE_SIZE); try again in a moment.",
                retry_after_s=_RETRY_AFTER_S,
            )
        if added.admission is Admission.CONFLICT:
            raise KeyReused("This Idempotency-Key was used with another request; use a new one for a new job.")
        if added.admission is Admission.IN_FLIGHT and submission.waits:
            raise KeyInFlight("The first request with this Idempotency-Key is still running.", retry_after_s=1)
        return Accepted(added.job, replayed=True)

    def _withdraw(self, job_id: JobId) -> None:
        """Take back a job that was never acknowledged. What cannot be removed now the janitor finds."""
        try:
            self._store.request_cancel(job_id)
            self._store.delete(job_id)
        except WorkerError:
            log.warning("A job that was not acknowledged may run", job_id=job_id)
        self._spool.forget(job_id)


def _not_found(job_id: JobId) -> JobNotFound:
    return JobNotFound(f"There is no job {job_id[:100]}; it never was, or its record has been cleaned up.")
