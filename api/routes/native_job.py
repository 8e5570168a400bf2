"""A job in the worker's own words: the objects of /status, /jobs and /stats, and their schemas."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from ..jobs.job import Job, Priority, Status
from .dialects import NATIVE_WORDS, NativeWord
from .errors import ErrorDetail

CANCELLED = "cancelled"
_JOB_ID = "550e8400-e29b-41d4-a716-446655440000"
_TIMES = {"created_at": 1704067200.0, "started_at": 1704067205.0, "completed_at": 1704067225.0}
_PROGRESS: dict[str, Any] = {"percent": 42.5, "node_id": "3", "step": 9, "steps": 20}
_ENTRY: dict[str, Any] = {
    "job_id": _JOB_ID,
    "status": "running",
    "error": None,
    "code": None,
    "created_at": 1704067200.0,
    "started_at": 1704067205.0,
    "completed_at": None,
    "progress": _PROGRESS,
    "priority": "normal",
    "attempts": 1,
    "workflow": None,
    "labels": {"project": "demo"},
}
# What a failed job's result says of the failure; the rest is what it made before.
_FAILURE = frozenset({"error", "code", "retryable", "details"})


class JobAccepted(BaseModel):
    """The job is kept and in line."""

    model_config = ConfigDict(json_schema_extra={"example": {"job_id": _JOB_ID, "status": "pending"}})
    job_id: str
    status: NativeWord


class Progress(BaseModel):
    """How far a running job is: percent of the whole, and the node and step it is at."""

    model_config = ConfigDict(json_schema_extra={"example": _PROGRESS})
    percent: float
    node_id: str | None
    step: int | None
    steps: int | None


class JobStatus(BaseModel):
    """A job and, once it is completed, its result. Times are epoch seconds; `code` and `details` explain `error`."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "job_id": _JOB_ID,
                "status": "completed",
                "result": {
                    "images": [
                        {"filename": "ComfyUI_00001_.png", "type": "base64", "data": "iVBORw0KGgoAAAANSUhEUgAA..."}
                    ]
                },
                "error": None,
                **_TIMES,
                "progress": None,
            }
        }
    )
    job_id: str
    status: NativeWord
    result: dict[str, Any] | None
    error: str | None
    created_at: float
    started_at: float | None
    completed_at: float | None
    progress: Progress | None
    code: str | None = None
    retryable: bool | None = None
    details: list[ErrorDetail] | None = None


class JobEntry(BaseModel):
    """A job as a listing shows it, without its result. Times are epoch seconds."""

    model_config = ConfigDict(json_schema_extra={"example": _ENTRY})
    job_id: str
    status: NativeWord
    error: str | None
    code: str | None
    created_at: float
    started_at: float | None
    completed_at: float | None
    progress: Progress | None
    priority: Priority
    attempts: int
    workflow: str | None
    labels: dict[str, str]


class JobInput(BaseModel):
    """What a job was submitted with. Secrets are left out; `image` is null for a file that was sent along."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "job_id": _JOB_ID,
                "input": {
                    "workflow": {"1": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}}},
                    "images": [{"name": "cat.png", "image": None}],
                },
            }
        }
    )
    job_id: str
    input: dict[str, Any]


class JobPage(BaseModel):
    """Jobs, newest first. `next` is the `cursor` of the following page, null on the last one."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"jobs": [_ENTRY], "next": "WzE3MDQwNjcyMDAuMCwgIjU1MGU4Il0="}}
    )
    jobs: list[JobEntry]
    next: str | None


class RecentJob(BaseModel):
    """A job as the statistics show it."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"id": _JOB_ID, "status": "completed", **_TIMES, "error": None}}
    )
    id: str
    status: NativeWord
    created_at: float
    started_at: float | None
    completed_at: float | None
    error: str | None


class Stats(BaseModel):
    """How many jobs there are in each state, and the newest of them when asked for."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "total_jobs": 19,
                "pending_jobs": 2,
                "running_jobs": 1,
                "completed_jobs": 15,
                "failed_jobs": 1,
                "recent_jobs": [{"id": _JOB_ID, "status": "completed", **_TIMES, "error": None}],
            }
        }
    )
    total_jobs: int
    pending_jobs: int
    running_jobs: int
    completed_jobs: int
    failed_jobs: int
    recent_jobs: list[RecentJob]


class JobDeleted(BaseModel):
    """The job and its files are gone."""

    model_config = ConfigDict(json_schema_extra={"example": {"job_id": _JOB_ID, "message": "The job was deleted."}})
    job_id: str
    message: str


def status_object(job: Job, result: Mapping[str, Any] | None) -> dict[str, Any]:
    """The answer of /status; `result` is the handler's dict, if the job has ended."""
    body: dict[str, Any] = {
        "job_id": job.id,
        "status": NATIVE_WORDS[job.status],
        "result": result if job.status is Status.SUCCEEDED else _made_before(result),
        "error": error_text(job),
        "created_at": job.created_at,
        "started_at": job.started_at,
        "completed_at": job.finished_at,
        "progress": progress_of(job),
    }
    if job.is_terminal and job.status is not Status.SUCCEEDED:
        body["code"] = _code(job)
        body["retryable"] = job.error.retryable if job.error else False
        body["details"] = list(job.error.details) if job.error else []
    return body


def entry_object(job: Job) -> dict[str, Any]:
    """The job in a listing."""
    return {
        "job_id": job.id,
        "status": NATIVE_WORDS[job.status],
        "error": error_text(job),
        "code": _code(job),
        "created_at": job.created_at,
        "started_at": job.started_at,
        "completed_at": job.finished_at,
        "progress": progress_of(job),
        "priority": job.priority.value,
        "attempts": job.attempts,
        "workflow": job.workflow_name,
        "labels": dict(job.labels),
    }


def recent_object(job: Job) -> dict[str, Any]:
    """The job in the statistics."""
    return {
        "id": job.id,
        "status": NATIVE_WORDS[job.status],
        "created_at": job.created_at,
        "started_at": job.started_at,
        "completed_at": job.finished_at,
        "error": error_text(job),
    }


def error_text(job: Job) -> str | None:
    """Why an ended job has no result; "cancelled" for one that was stopped. A lost run's error is not the job's."""
    if not job.is_terminal or job.status is Status.SUCCEEDED:
        return None
    if job.status is Status.CANCELLED:
        return CANCELLED
    return job.error.message if job.error else "The job failed without saying why; the worker's log may know more."


def progress_of(job: Job) -> dict[str, Any] | None:
    """`{"percent", "node_id", "step", "steps"}` of a running job."""
    if job.status not in {Status.RUNNING, Status.CANCELING}:
        return None
    return {
        "percent": round(job.progress * 100, 2),
        "node_id": job.node,
        "step": job.step,
        "steps": job.steps,
    }


def _made_before(result: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The outputs of a job that failed after it had made some; None without any."""
    rest = {key: value for key, value in (result or {}).items() if key not in _FAILURE}
    return rest if any(rest.values()) else None


def _code(job: Job) -> str | None:
    if job.status is Status.CANCELLED:
        return "CANCELLED"
    return job.error.code if job.error and job.is_terminal else None
