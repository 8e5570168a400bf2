"""What happens to the gallery by itself: it is mended at start, takes jobs' outputs, and forgets what is over."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..errors import JobNotFound, WorkerError
from ..ids import JobId
from ..jobs.ends import Run
from ..jobs.files import written_whole
from ..jobs.job import Job, Status
from ..jobs.service import JobService
from ..jobs.store import Cursor, JobFilter
from ..logs import get_logger
from .carried import MOST_TEXT
from .gallery import Gallery
from .given import Given
from .made import made

log = get_logger()

_MOST_WAITING = 10_000
_PAGE = 100
# How far back is looked for jobs that ended while nobody listened.
_MOST_MISSED = 2000
_LONGEST_JOB_S = 24 * 3600.0
_RETRY_S = 5.0
# Outputs are taken when no job has ended for a moment: while they come thick and fast they need the processor.
_QUIET_S = 1.0
_LONGEST_WAIT_S = 10.0


class Caretaker:
    """One thread. `lasting`: outputs stay until somebody deletes them, else they go with their jobs.

    `archive` has copies of outputs that went elsewhere. `noted` is the file in which it says until when the jobs'
    outputs were taken; None takes none.
    """

    def __init__(
        self,
        gallery: Gallery,
        service: JobService,
        *,
        noted: Path | None,
        lasting: bool,
        archive: Path | None = None,
        interval_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._gallery = gallery
        self._service = service
        self._noted = noted
        self._lasting = lasting
        self._archive = archive
        self._interval_s = interval_s
        self._clock = clock
        self._ended: deque[Job] = deque(maxlen=_MOST_WAITING)
        self._gone: deque[JobId] = deque()
        self._taken_until = 0.0
        self._awake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="gallery", daemon=True)

    def start(self) -> None:
        """Start the thread. Returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after what it does now; what it has not come to it finds at its next start."""
        self._stopping.set()
        self._awake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def note_end(self, job: Job, _run: Run | None) -> None:
        """A job has ended: its outputs are looked at later, in another thread."""
        if self._noted is not None and job.status is Status.SUCCEEDED:
            self._ended.append(job)
            self._awake.set()

    def note_gone(self, job_ids: Iterable[JobId]) -> None:
        """These jobs are forgotten, and what goes with them is to go."""
        self._gone.extend(job_ids)
        self._awake.set()

    def wake(self) -> None:
        """Look what is due: something was deleted."""
        self._awake.set()

    def _work(self) -> None:
        self._guarded(self._gallery.mend)
        self._guarded(self._catch_up)
        sweep_at = time.monotonic() + self._interval_s
        while not self._stopping.is_set():
            if self._gallery.needs_mending:
                self._guarded(self._gallery.mend)
            self._guarded(self._take)
            self._guarded(self._leave_gone)
            if time.monotonic() >= sweep_at:
                sweep_at = time.monotonic() + self._interval_s
                self._guarded(self._sweep)
            due = self._guarded(self._gallery.purge)
            self._awake.wait(self._pause_s(due, sweep_at))
            self._await_quiet()

    def _await_quiet(self) -> None:
        until = time.monotonic() + _LONGEST_WAIT_S
        while self._awake.is_set() and not self._stopping.is_set() and time.monotonic() < until:
            self._awake.clear()
            self._awake.wait(_QUIET_S)

    def _pause_s(self, due: float | None, sweep_at: float) -> float:
        pause_s = sweep_at - time.monotonic()
        if due is not None:
            pause_s = min(pause_s, due - self._clock())
        if self._gallery.needs_mending:
            pause_s = min(pause_s, _RETRY_S)
        return max(pause_s, 0.0)

    def _take(self) -> None:
        """The outputs of all jobs that have ended since."""
        taken = 0
        while self._ended and not self._stopping.is_set():
            job, began = self._ended[0], time.monotonic()
            try:
                self.take(job)
            except (WorkerError, OSError) as error:
                log.warning("A job's outputs are not in the gallery", **job.log_context(), error=str(error))
            self._ended.popleft()
            self._taken_until = max(self._taken_until, job.finished_at or 0.0)
            taken += 1
            # Jobs that come in by the hundred have more use for the processor.
            if self._ended:
                self._stopping.wait(time.monotonic() - began)
        if taken:
            self._note()

    def take(self, job: Job) -> None:
        """Enter one job's outputs. Raises DiskFull, OSError."""
        outputs = made(self._service, job, self._archive)
        if not outputs:
            return
        workflow = self._workflow_of(job)
        for output in outputs:
            given = Given(
                filename=output.filename,
                # What /api/comfy calls a prompt; that of ComfyUI is another one at each attempt, and forgotten.
                prompt_id=job.id,
                workflow=workflow,
                metadata=dict(job.labels),
                workflow_name=job.workflow_name,
                job_id=job.id,
            )
            try:
                self._gallery.add(output.path, output.sha256, given, lasting=self._lasting)
            except FileNotFoundError:
                return  # the job was deleted meanwhile

    def _workflow_of(self, job: Job) -> dict[str, Any] | None:
        try:
            workflow = self._service.request(job.id).get("workflow")
        except JobNotFound:
            return None
        return workflow if isinstance(workflow, dict) and len(json.dumps(workflow)) <= MOST_TEXT else None

    def _catch_up(self) -> None:
        """Jobs that ended after the last ones that were taken: the process was killed, or the gallery was off."""
        if self._noted is None:
            return
        self._taken_until = since = _time_in(self._noted)
        missed = [job for job in self._succeeded(since) if (job.finished_at or 0.0) > since]
        # The oldest first, as they would have come.
        waiting = {job.id for job in self._ended}
        self._ended.extendleft(job for job in missed if job.id not in waiting)

    def _succeeded(self, since: float) -> Iterator[Job]:
        """The newest first."""
        cursor: Cursor | None = None
        for _ in range(_MOST_MISSED // _PAGE):
            page = self._service.list(JobFilter(frozenset({Status.SUCCEEDED})), _PAGE, cursor)
            yield from page.jobs
            cursor = page.next
            if cursor is None or cursor.created_at < since - _LONGEST_JOB_S:
                return

    def _leave_gone(self) -> None:
        while self._gone and not self._stopping.is_set():
            some = [self._gone.popleft() for _ in range(min(_PAGE, len(self._gone)))]
            for entry in self._gallery.of_jobs(some):
                self._leave(entry.sha256)

    def _sweep(self) -> None:
        """What goes with its jobs, and what others that share the folder have changed."""
        before: int | None = None
        while not self._stopping.is_set() and (found := self._gallery.passing(_PAGE, before)):
            for entry in found:
                self._leave(entry.sha256)
            before = found[-1].number
        self._gallery.mend()

    def _leave(self, sha256: str) -> None:
        try:
            entry = self._gallery.get(sha256)
            job_ids = self._gallery.sidecar(entry).job_ids
        except WorkerError:
            return  # deleted meanwhile
        if not any(self._service.exists(JobId(job_id)) for job_id in job_ids):
            self._gallery.leave(entry, job_ids)

    def _note(self) -> None:
        if self._noted is not None:
            with written_whole(self._noted) as file:
                file.write(json.dumps({"taken_until": self._taken_until}).encode())

    def _guarded(self, duty: Callable[[], float | None] | Callable[[], None]) -> float | None:
        try:
            return duty()
        except (WorkerError, OSError) as error:
            log.warning("The gallery could not be looked after, it is tried again", error=str(error))
            return None


def _time_in(path: Path) -> float:
    try:
        return float(json.loads(path.read_bytes())["taken_until"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
