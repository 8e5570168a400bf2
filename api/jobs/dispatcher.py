"""Takes jobs from the store when ComfyUI can take them, runs them through the handler, and writes down how they end.

Capacity first, claim second: where no ComfyUI has room jobs stay in line. Knows no SQL, no HTTP and no ComfyUI.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol

from ..errors import (
    ComfyBusy,
    ComfyDied,
    ComfyNotStarted,
    ComfyUnreachable,
    ComfyWedged,
    Detail,
    DiskFull,
    InternalError,
    JobCancelled,
    JobExpired,
    JobTimedOut,
    PromptLost,
    SecretsUnreadable,
    StoreUnavailable,
    TargetRefused,
    WorkerError,
)
from ..ids import JobId
from ..logs import get_logger
from .cancel import CancelToken
from .events import Emit
from .hub import EventHub
from .intake import Intake
from .job import Job, JobError, Status
from .measured import Live
from .placement import LOCAL, Placement
from .ports import Attempt, Capacity, Host, OutputSink, Seat
from .result import failure
from .running import RunningJob
from .service import JobService
from .spool import Spool
from .store import JobStore
from .survived import survived
from .trouble import Trouble
from .turned_away import TurnedAway
from .updates import Kind

log = get_logger()

# Not the job's fault, as far as one run can tell: the next one may go well.
_AGAIN = frozenset(
    kind.code
    for kind in (ComfyDied, ComfyNotStarted, ComfyUnreachable, ComfyWedged, PromptLost, DiskFull, StoreUnavailable)
)
# Losses by which a prompt that had begun may be the one that kills ComfyUI.
_SUSPECT = _AGAIN - {DiskFull.code, StoreUnavailable.code}
# After which the next run comes back to the prompt, if it is still there.
_FOLLOWED = frozenset({DiskFull.code, StoreUnavailable.code, ComfyUnreachable.code})
_ENDS = {
    JobCancelled.code: Status.CANCELLED,
    JobTimedOut.code: Status.TIMED_OUT,
    JobExpired.code: Status.TIMED_OUT,
}
_ENDING = "It has run, and its end is being written down."
_POLL_S = 1.0
_LOOK_AGAIN_S = 0.5
_RETRY_DELAY_S = 2.0
_DOUBLINGS = 10
_LONGEST_DELAY_S = 120.0
_BUSY_DELAY_S = 1.0
_WRITE_AGAIN_S = 0.5
_PROGRESS_EVERY_S = 0.5


class Core(Protocol):
    """The part of JobHandler that is called here."""

    def __call__(
        self, job: object, emit: Emit, cancel: CancelToken, inline_limit_bytes: int | None, host: Host
    ) -> dict[str, Any]:
        """Run one job to its result; never raises for the job's own fault."""


class Dispatcher:
    """For one target: a thread claims its jobs as `capacity` allows, each job has one, and one keeps their leases."""

    def __init__(
        self,
        *,
        store: JobStore,
        spool: Spool,
        intake: Intake,
        service: JobService,
        hub: EventHub,
        core: Core,
        capacity: Capacity,
        worker: str,
        heartbeat_s: float,
        poll_s: float = _POLL_S,
        archive: OutputSink | None = None,
        target: str = LOCAL,
    ) -> None:
        self._store = store
        self._spool = spool
        self._intake = intake
        self._service = service
        self._hub = hub
        self._core = core
        self._capacity = capacity
        self._worker = worker
        self._heartbeat_s = heartbeat_s
        self._poll_s = poll_s
        self._archive = archive
        self._target = target
        self._turned_away = TurnedAway()
        self._no_claims = Trouble("No job can be taken", "Jobs can be taken again")
        self._has_seat = False
        self._work = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._running: dict[JobId, RunningJob] = {}
        self._runs: set[threading.Thread] = set()
        self._claims = threading.Thread(target=self._take_jobs, name=f"dispatcher-{target}", daemon=True)
        self._pulse = threading.Thread(target=self._keep_leases, name=f"heartbeat-{target}", daemon=True)

    def start(self) -> None:
        """Start the threads."""
        self._store.on_work(self._work.set)
        self._service.on_cancel(self.cancel)
        self._claims.start()
        self._pulse.start()

    def running(self) -> int:
        """How many jobs run in this process."""
        with self._lock:
            return len(self._running)

    @property
    def concurrency(self) -> int:
        """How many jobs it has in hand at most."""
        return self._capacity.most()

    def room(self) -> int:
        """How many more jobs it would begin now."""
        if not (self._has_seat or self._capacity.available()):
            return 0
        return max(0, self._capacity.most() - self.running())

    def live(self) -> Mapping[JobId, Live]:
        """The runs of this process as they stand."""
        with self._lock:
            running = dict(self._running)
        return {job_id: each.measured.live() for job_id, each in running.items()}

    def obstacle(self, job: Job) -> str | None:
        """What the worker itself lacks to begin the job, or to end it; None when it lacks nothing."""
        if job.status is Status.QUEUED:
            return f"The worker can take no job just now: {reason}" if (reason := self._no_claims.reason) else None
        with self._lock:
            running = self._running.get(job.id)
        if running is None or not running.has_run:
            return None
        reason = running.unwritten.reason
        return f"It has run, and its end cannot be written down yet: {reason}" if reason else _ENDING

    def cancel(self, job_id: JobId) -> None:
        """Stop the job if it runs here."""
        with self._lock:
            running = self._running.get(job_id)
        if running is not None:
            running.token.cancel()

    def drain(self, grace_s: float) -> None:
        """Claim nothing more and give running jobs so long to finish; the rest goes back into the line.

        Their prompts go on in ComfyUI: whoever claims the jobs next follows them.
        """
        self._stopping.set()
        self._work.set()
        until = time.monotonic() + grace_s
        if self._claims.is_alive():
            self._claims.join(max(0.0, until - time.monotonic()))
        with self._lock:
            runs = list(self._runs)
        for thread in runs:
            thread.join(max(0.0, until - time.monotonic()))
        with self._lock:
            left = list(self._running.values())
        for running in left:
            running.abandoned = True
            try:
                after = self._store.release(running.job.lease)
            except WorkerError as error:
                log.warning("Job not handed back", job_id=running.job.id, error=error.message)
                continue
            if after is not None and after.is_terminal:
                self._service.announce_end(after, running.measured.run({}))
            else:
                log.info("Job handed back", job_id=running.job.id)

    def _take_jobs(self) -> None:
        while not self._stopping.is_set():
            seat = self._capacity.take(_LOOK_AGAIN_S)
            if seat is None:
                continue
            self._has_seat = True
            job, has_looked = None, False
            with survived("No job can be taken"):
                job, has_looked = self._next(), True
            if not has_looked:
                self._stopping.wait(_POLL_S)
            self._has_seat = False
            if job is None:
                seat.leave()
            else:
                self._start(job, seat)

    def _next(self) -> Job | None:
        # Cleared before the look, so that what comes after it is seen.
        self._work.clear()
        if self._stopping.is_set():
            return None
        try:
            job = self._store.claim(self._worker, self._target, self._turned_away.labels())
        except WorkerError as error:
            self._no_claims.met(error.message, target=self._target)
            self._stopping.wait(_POLL_S)
            return None
        self._no_claims.over(target=self._target)
        if job is None:
            self._work.wait(self._poll_s)
        return job

    def _start(self, job: Job, seat: Seat) -> None:
        running = RunningJob(job, self._store, self._hub)
        thread = threading.Thread(target=self._run, args=(job, running, seat), name=f"job-{job.id[:8]}", daemon=True)
        with self._lock:
            self._running[job.id] = running
            self._runs.add(thread)
        try:
            thread.start()
        except RuntimeError as error:  # the machine gives no more threads
            log.error("No thread for a job", job_id=job.id, error=str(error))
            self._hand_back(job)
            self._leave(running, thread, seat)

    def _hand_back(self, job: Job) -> None:
        """A job that was not begun. Should that fail as well, its lease runs out."""
        try:
            self._store.release(job.lease, tried=False, delay_s=_RETRY_DELAY_S)
        except WorkerError as error:
            log.warning("Job not handed back", job_id=job.id, error=error.message)

    def _leave(self, running: RunningJob, thread: threading.Thread, seat: Seat) -> None:
        seat.leave()
        with self._lock:
            # This process may have taken the job anew, after it was reset.
            if self._running.get(running.job.id) is running:
                del self._running[running.job.id]
            self._runs.discard(thread)

    def _run(self, job: Job, running: RunningJob, seat: Seat) -> None:
        try:
            log.info("Job started", **job.log_context())
            result = self._result(job, running, seat)
        except Exception:  # The job's border: it ends with an answer, and the thread goes on.
            log.exception("Job failed by a defect of the worker", job_id=job.id)
            result = failure(InternalError("The worker failed on this job; its log has the reason under the job's id."))
        try:
            if not running.abandoned:
                self._end(job, running, result)
        finally:
            self._leave(running, threading.current_thread(), seat)

    def _result(self, job: Job, running: RunningJob, seat: Seat) -> dict[str, Any]:
        try:
            request = self._intake.reopen(job.id)
        except SecretsUnreadable as error:
            return failure(error)
        if request is None:
            return failure(InternalError("The job's request is no longer on the worker's disk; submit it again."))
        content, held = request
        resume = Attempt(job.prompt_id, job.instance) if job.prompt_id and job.instance else None
        host = Host(
            inline=self._spool.sink(job.id, job.attempt),
            archive=self._archive,
            held=held,
            resume=resume,
            seat=seat,
            placement=Placement(job.target, job.label),
            wants_previews=lambda: self._hub.wants_previews(job.id),
            afterwards=running.duties.append,
        )
        self._hub.publish(job.id, Kind.STARTED, {"attempt": job.attempts})
        return self._core(content, running.emit, running.token, None, host)

    def _end(self, job: Job, running: RunningJob, result: Mapping[str, Any]) -> None:
        """Write down how the run ended; for as long as it takes, unless the lease is lost."""
        running.has_run = True
        while True:
            try:
                after = self._written(job, running, result)
            except (StoreUnavailable, DiskFull, OSError) as error:
                running.unwritten.met(str(error), job_id=job.id)
                if running.lost or running.abandoned or self._stopping.wait(_WRITE_AGAIN_S):
                    return
                continue
            running.unwritten.over(job_id=job.id)
            if after is None:
                log.warning("The job was taken over meanwhile", job_id=job.id)
            elif after.is_terminal:
                running.do_duties()
                self._service.announce_end(after, running.measured.run(result))
                self._sync(job.id)
            else:
                self._hub.publish(job.id, Kind.QUEUED, {"position": None, "again": True})
            return

    def _sync(self, job_id: JobId) -> None:
        """Make the end last, after it was told: who waits need not wait for the disk, and a power cut costs a run."""
        try:
            self._store.sync()
        except StoreUnavailable as error:
            log.warning("The end of a job is not on the disk yet", job_id=job_id, error=error.message)

    def _written(self, job: Job, running: RunningJob, result: Mapping[str, Any]) -> Job | None:
        error = _error_of(result)
        if error is not None and error.code == ComfyBusy.code and not running.token.is_set():
            # Nothing was tried, so nothing counts. Another worker may have what a label asks for: it need not wait.
            if job.label is not None:
                self._turned_away.note(job.label)
            delay_s = _BUSY_DELAY_S if job.label is None else 0.0
            running.do_duties()
            return self._store.release(job.lease, tried=False, delay_s=delay_s, error=error)
        if job.label is not None:
            self._turned_away.forget(job.label)
        if error is not None and error.code == TargetRefused.code and job.movable:
            # Nobody has asked for this target: the job need not fail with it.
            after = self._store.release(job.lease, tried=False, delay_s=_BUSY_DELAY_S, error=error)
            self._store.redirect(job.id, LOCAL)
            return after
        if error is not None and error.code in _AGAIN and not running.token.is_set():
            used = running.began and error.code in _SUSPECT
            if not (job.is_worn_out or (used and job.is_last_attempt)):
                return self._put_back(job, running, error, used)
            error = _given_up(error, job)
            result = {**result, "error": error.message}
        status = Status.SUCCEEDED if error is None else _ENDS.get(error.code, Status.FAILED)
        path = self._spool.keep_result(job.id, job.attempt, result)
        after = self._store.finish(job.lease, status, error, path, durable=False)
        if after is not None:
            self._spool.forget_other_runs(job.id, job.attempt)
        return after

    def _put_back(self, job: Job, running: RunningJob, error: JobError, used: bool) -> Job | None:
        if error.code not in _FOLLOWED:
            # Before another worker brings the job's files there anew.
            running.do_duties()
        after = self._store.release(job.lease, used=used, delay_s=self._pause_s(job, running, error), error=error)
        if after is not None and not after.is_terminal:
            log.warning("Run lost, the job is back in the line", job_id=job.id, code=error.code, used=used)
        return after

    def _pause_s(self, job: Job, running: RunningJob, error: JobError) -> float:
        """None where another ComfyUI can have it at once. A full disk is as full for all: longer each time."""
        if error.code not in _SUSPECT:
            return min(_RETRY_DELAY_S * 2.0 ** min(job.attempt - 1, _DOUBLINGS), _LONGEST_DELAY_S)
        is_free = running.instance is not None and self._capacity.available(besides=running.instance)
        return 0.0 if is_free else _RETRY_DELAY_S

    def _keep_leases(self) -> None:
        while not self._stopping.is_set() or self.running():
            time.sleep(min(self._heartbeat_s, _PROGRESS_EVERY_S))
            with self._lock:
                jobs = list(self._running.values())
            for running in jobs:
                with survived("No heartbeat", job_id=running.job.id):
                    running.beat(self._heartbeat_s)


def _error_of(result: Mapping[str, Any]) -> JobError | None:
    if "error" not in result:
        return None
    details: list[Detail] = list(result.get("details") or ())
    return JobError(
        str(result.get("code", InternalError.code)),
        str(result["error"]),
        tuple(details),
        bool(result.get("retryable", False)),
    )


def _given_up(error: JobError, job: Job) -> JobError:
    message = f"{error.message} This was run {job.attempts} of {job.max_attempts} (setting JOB_MAX_ATTEMPTS)."
    return JobError(error.code, message, error.details, error.retryable)
