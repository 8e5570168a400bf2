"""What a job is while it waits, runs and ends: its states, which may follow which, and the value that says it all.

Knows no SQL, no HTTP and no clock: every time is epoch seconds and handed in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ..errors import Detail, WorkerError
from ..ids import InstanceName, JobId, PromptId
from .placement import LOCAL


class Status(StrEnum):
    """Where a job stands. Every surface spells these its own way; inside there are only these words."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


# The one table of legal transitions; the stores' conditions are derived from it.
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.CANCELLED, Status.TIMED_OUT}),
    Status.RUNNING: frozenset(
        {
            Status.QUEUED,  # handed back, or its worker is gone
            Status.CANCELING,
            Status.SUCCEEDED,
            Status.FAILED,
            Status.TIMED_OUT,
            Status.CANCELLED,
        }
    ),
    # A job may still succeed after it was asked to stop: the picture was ready before the interrupt came through.
    Status.CANCELING: frozenset({Status.SUCCEEDED, Status.FAILED, Status.TIMED_OUT, Status.CANCELLED}),
    Status.SUCCEEDED: frozenset(),
    # These three can be retried by hand, under the same id.
    Status.FAILED: frozenset({Status.QUEUED}),
    Status.TIMED_OUT: frozenset({Status.QUEUED}),
    Status.CANCELLED: frozenset({Status.QUEUED}),
}

# How a sentence goes on after "the job".
SAID = {
    Status.QUEUED: "waits in line",
    Status.RUNNING: "is running",
    Status.CANCELING: "is being cancelled",
    Status.SUCCEEDED: "has succeeded",
    Status.FAILED: "has failed",
    Status.TIMED_OUT: "has timed out",
    Status.CANCELLED: "was cancelled",
}

EXPIRED_TEXT = "The job waited longer than its time to live; submit it again."
ACTIVE = frozenset({Status.RUNNING, Status.CANCELING})
TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.TIMED_OUT, Status.CANCELLED})


def may_follow(before: Status, after: Status) -> bool:
    """Whether a job may go from `before` to `after`."""
    return after in TRANSITIONS[before]


def sources(after: Status, among: frozenset[Status] = frozenset(Status)) -> frozenset[Status]:
    """The states out of `among` from which a job may come to `after`."""
    return frozenset(before for before in among if may_follow(before, after))


class Priority(StrEnum):
    """How urgent a job is. `weight` shifts its place in line, see `rank_of`."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"

    @property
    def weight(self) -> int:
        """-1, 0 or 1."""
        return _WEIGHTS[self]


_WEIGHTS = {Priority.LOW: -1, Priority.NORMAL: 0, Priority.HIGH: 1}


def rank_of(priority: Priority, arrived_at: float, ageing_s: float) -> float:
    """The job's place in line, smallest first: its arrival, shifted by `ageing_s` per step of priority.

    A constant, so an index can hold it; and nobody starves, because nobody newer than `ageing_s` (low to high:
    twice that) gets ahead. Ageing by recomputing would need every waiting row at every claim.
    """
    return arrived_at - priority.weight * ageing_s


# Workers are killed for many reasons, and ComfyUI dies under other jobs' prompts: both are no fault of the job.
_CLAIMS_PER_ATTEMPT = 4


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job did not succeed, as every surface may show it."""

    code: str
    message: str
    details: tuple[Detail, ...] = ()
    retryable: bool = False

    @classmethod
    def of(cls, error: WorkerError) -> "JobError":
        """The error of our tree as a value that can be stored."""
        return cls(error.code, error.message, tuple(error.details), error.retryable)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write to a running job. `attempt` differs for every claim, so a late worker's lease is void."""

    job_id: JobId
    worker: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Job:
    """One job as it stands in the store. `rank` is the store's; paths are relative to the spool."""

    id: JobId
    created_at: float
    status: Status = Status.QUEUED
    priority: Priority = Priority.NORMAL
    rank: float = 0.0
    dialect: str = ""
    available_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    # When waiting has lasted too long; void once the job has started.
    expires_at: float | None = None
    timeout_s: float | None = None
    # Attempts used up; `attempt` counts every claim, handed back or not, and fences.
    attempts: int = 0
    max_attempts: int = 3
    attempt: int = 0
    worker: str | None = None
    heartbeat_at: float | None = None
    # Kept when the job goes back into the queue: the next worker asks ComfyUI what became of it.
    prompt_id: PromptId | None = None
    instance: InstanceName | None = None
    progress: float = 0.0
    node: str | None = None
    step: int | None = None
    steps: int | None = None
    error: JobError | None = None
    cancel_requested: bool = False
    webhook: str | None = None
    workflow_name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    request_path: str | None = None
    result_path: str | None = None
    # `<hash of the workflow's structure>:<amount of work>`: jobs of one shape take alike long.
    shape: str | None = None
    # Where it runs, and the label of the ComfyUIs there that it may run on (`labels` are the caller's own).
    target: str = LOCAL
    label: str | None = None
    # Whether it may go to another target while it waits: nobody has asked for this one.
    movable: bool = False

    @property
    def lease(self) -> Lease:
        """The lease of the worker that runs the job now."""
        if self.worker is None:
            raise ValueError(f"Job {self.id} is {self.status}: nobody runs it.")
        return Lease(self.id, self.worker, self.attempt)

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended."""
        return self.status in TERMINAL

    @property
    def is_last_attempt(self) -> bool:
        """Whether a failure of the present attempt is final."""
        return self.attempts >= self.max_attempts

    @property
    def is_worn_out(self) -> bool:
        """Whether it was claimed so often, without an attempt being used up, that it must be the reason."""
        return self.attempt >= _CLAIMS_PER_ATTEMPT * self.max_attempts

    def log_context(self) -> dict[str, Any]:
        """The fields a log line about this job carries."""
        context: dict[str, Any] = {"job_id": self.id, "status": self.status.value, "attempt": self.attempts}
        context |= {"worker": self.worker, "prompt_id": self.prompt_id, "instance": self.instance}
        context |= {"target": None if self.target == LOCAL else self.target, "label": self.label}
        return {name: value for name, value in context.items() if value is not None}
