"""The port behind which jobs are kept. Times come from the store's own clock, epoch seconds.

Every method is one transaction, safe from any thread and, on one database, from any process.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple, Protocol

from ..ids import InstanceName, JobId, PromptId
from .job import Job, JobError, Lease, Status
from .placement import LOCAL


class Idempotency(NamedTuple):
    """A caller's key (made unique per caller by the service) and the fingerprint of what it was sent with."""

    key: str
    fingerprint: str
    expires_at: float


class Admission(Enum):
    """What became of an `add`."""

    ADDED = "added"
    # The key is known, for the same request. In flight: that request's job has not ended, so a surface that
    # answers with the result has no stored answer yet; one that answers with the id has.
    REPLAYED = "replayed"
    IN_FLIGHT = "in_flight"
    # The key is known, for another request.
    CONFLICT = "conflict"
    QUEUE_FULL = "queue_full"


class Added(NamedTuple):
    """The outcome of an `add`, and the job it is about: the new one, or the one that holds the key."""

    admission: Admission
    job: Job


class Progress(NamedTuple):
    """How far a running job is: 0 to 1, and the node and step it is at."""

    progress: float
    node: str | None = None
    step: int | None = None
    steps: int | None = None


class Place(StrEnum):
    """An end of the queue."""

    FIRST = "first"
    LAST = "last"


class Cursor(NamedTuple):
    """Where a page of a listing ended."""

    created_at: float
    job_id: JobId


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list. `since` is inclusive, `until` is not; both are about `created_at`.

    `unnamed`: only those of no named workflow.
    """

    statuses: frozenset[Status] = frozenset()
    workflow_name: str | None = None
    unnamed: bool = False
    since: float | None = None
    until: float | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a listing, newest first, and the cursor of the next part when there is one."""

    jobs: tuple[Job, ...]
    next: Cursor | None


class JobStore(Protocol):
    """Where jobs are kept. What is returned is what was committed."""

    def add(
        self,
        job: Job,
        idempotency: Idempotency | None = None,
        max_queued: int | None = None,
        durable: bool = True,
    ) -> Added:
        """Put a queued job in line. The key is reserved in the same transaction, or nothing happens.

        Not `durable`: it lasts from the next `sync` on, and may be claimed before.
        """

    def sync(self) -> None:
        """Make everything written so far last."""

    def get(self, job_id: JobId) -> Job | None:
        """The job, or None when there is none of that id."""

    def list(self, wanted: JobFilter, limit: int, after: Cursor | None = None) -> Page:
        """Jobs newest first. Following the cursors skips and repeats nothing while new jobs arrive."""

    def upcoming(self, limit: int, target: str | None = None) -> Sequence[Job]:
        """The waiting jobs, all or those of one target, in the order in which each target's are claimed."""

    def position(self, job_id: JobId) -> int | None:
        """How many jobs of the same target wait before this one; None when it does not wait."""

    def counts(self) -> Mapping[Status, int]:
        """How many jobs there are in each state. Costs the same however many have ended."""

    def claim(self, worker: str, target: str = LOCAL, besides: Collection[str] = ()) -> Job | None:
        """Take the target's next job: running from here on, with a new lease. None: nothing waits, or all is paused.

        Jobs whose label is one of `besides` are passed over.
        """

    def redirect(self, job_id: JobId, target: str, *, movable: bool = False) -> Job | None:
        """Have a waiting job run elsewhere, as one that was never run. None when it does not wait or may not be moved.

        `movable`: whether it may be moved again.
        """

    def heartbeat(self, lease: Lease, progress: Progress | None = None) -> Job | None:
        """Say that the worker lives. None: the lease is void, stop; look at `cancel_requested` in the answer."""

    def assign_prompt(self, lease: Lease, prompt_id: PromptId, instance: InstanceName) -> bool:
        """Note, before the submit, under which id ComfyUI will know the job. Outlives the process, not a power cut.

        A sync in front of every prompt would cost more than running one prompt twice after a power cut.
        """

    def finish(
        self,
        lease: Lease,
        status: Status,
        error: JobError | None = None,
        result_path: str | None = None,
        durable: bool = True,
    ) -> Job | None:
        """End the job. None when the lease is void: somebody else runs or ran it, nothing was written.

        Not `durable`: it lasts from the next `sync` on.
        """

    def release(
        self,
        lease: Lease,
        *,
        used: bool = False,
        tried: bool = True,
        delay_s: float = 0.0,
        error: JobError | None = None,
    ) -> Job | None:
        """Hand a running job back; one that was to be cancelled ends as cancelled. `used`: the attempt counts.

        Not `tried`: the claim itself does not count, however often it happens. Nobody may write under the lease after.
        """

    def release_stale(self, older_than_s: float, error: JobError | None = None) -> Sequence[Job]:
        """Requeue running jobs without a heartbeat for so long, fail those that are worn out.

        A worker's end uses up no attempt: it says little about the job.
        """

    def request_cancel(self, job_id: JobId) -> Job | None:
        """Queued: cancelled at once. Running: canceling, the worker hears of it. Ended: unchanged."""

    def cancel_queued(self) -> Sequence[Job]:
        """Cancel everything that waits."""

    def retry(self, job_id: JobId) -> Job | None:
        """Put a failed, timed out or cancelled job in line again, as if new. None when it is none of these."""

    def expire(self) -> Sequence[Job]:
        """End waiting jobs whose time to wait is over, and forget idempotency keys whose time is over."""

    def move(self, job_id: JobId, place: Place = Place.FIRST, before: JobId | None = None) -> Job | None:
        """Change a waiting job's place in its target's line, whatever its priority.

        None when it does not wait, or `before` does not wait in the same line.
        """

    def pause(self) -> None:
        """Claim nothing more, in no process; running jobs go on."""

    def resume(self) -> None:
        """Undo `pause`."""

    def paused(self) -> bool:
        """Whether claiming is paused."""

    def delete(self, job_id: JobId) -> Job | None:
        """Forget an ended job. None when there is none, or it has not ended."""

    def purge(self, statuses: Collection[Status], finished_before: float, limit: int = 1000) -> Sequence[Job]:
        """Forget ended jobs, oldest first, and return them: their files can go now. Repeat until none come."""

    def compact(self) -> None:
        """Give freed space back to the disk."""

    def ping(self) -> None:
        """Raise StoreUnavailable when the store cannot be written to."""

    def on_work(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever there may be something to claim. A hint: poll as well.

        From any thread; it must be brief and must not call the store (set an event).
        """

    def close(self) -> None:
        """Let go of the database."""
