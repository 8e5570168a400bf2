"""A job in the words of /api/jobs: its status, its details, their schemas."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ..jobs.ends import UNNAMED
from ..jobs.job import Job, Priority, Status
from ..jobs.results import OutputRef
from .errors import ErrorDetail
from .links import Link
from .native_job import error_text

ApiWord = Literal["pending", "processing", "completed", "failed", "cancelled"]
WORDS: Mapping[Status, ApiWord] = {
    Status.QUEUED: "pending",
    Status.RUNNING: "processing",
    Status.CANCELING: "processing",
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
    Status.TIMED_OUT: "failed",
    Status.CANCELLED: "cancelled",
}
_JOB_ID = "550e8400-e29b-41d4-a716-446655440000"
_STATUS: dict[str, Any] = {
    "job_id": _JOB_ID,
    "status": "processing",
    "type": "remove-background",
    "processing_time_seconds": 15,
    "estimated_remaining_time_seconds": 30,
    "progress_percentage": 33,
    "comfyui_instance": "192.168.1.19:8188",
    "queue_position": None,
    "created_at": "2026-01-15T10:30:00.000Z",
    "started_at": "2026-01-15T10:30:05.000Z",
    "completed_at": None,
    "error": None,
    "code": None,
}
_OUTPUT: dict[str, Any] = {
    "index": 0,
    "filename": "ComfyUI_00001_.png",
    "mime_type": "image/png",
    "size_bytes": 1048576,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "url": f"http://localhost:8000/output/{_JOB_ID}/0/ComfyUI_00001_.png",
}


class ApiJob(BaseModel):
    """A job. Times are whole seconds; the estimate is null while nothing is known, `queue_position` counts from 0."""

    model_config = ConfigDict(json_schema_extra={"example": _STATUS})
    job_id: str
    status: ApiWord
    type: str
    processing_time_seconds: int
    estimated_remaining_time_seconds: int | None
    progress_percentage: int
    comfyui_instance: str | None
    queue_position: int | None = None
    created_at: str
    started_at: str | None
    completed_at: str | None
    error: str | None
    code: str | None


class ApiJobOutput(BaseModel):
    """A file the worker keeps; `url` opens it."""

    model_config = ConfigDict(json_schema_extra={"example": _OUTPUT})
    index: int
    filename: str
    mime_type: str
    size_bytes: int
    sha256: str
    url: str


class ApiJobInfo(ApiJob):
    """A job with everything that is known of it. Its `…_seconds` are not rounded to whole ones."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **_STATUS,
                "wait_seconds": 5.004,
                "run_seconds": 15.213,
                "remaining_seconds": 29.687,
                "priority": "normal",
                "labels": {"project": "demo"},
                "attempts": 1,
                "max_attempts": 3,
                "prompt_id": "0b6f6f0e-6f0e-4c1e-9d53-2f1f4d8b8a11",
                "node": "3",
                "step": 7,
                "steps": 20,
                "why": "It does not wait: it is running at node 3, 33% done.",
                "retryable": None,
                "details": [],
                "outputs": [],
            }
        }
    )
    wait_seconds: float
    run_seconds: float
    remaining_seconds: float | None
    priority: Priority
    labels: dict[str, str]
    attempts: int
    max_attempts: int
    prompt_id: str | None
    node: str | None
    step: int | None
    steps: int | None
    why: str
    retryable: bool | None
    details: list[ErrorDetail]
    outputs: list[ApiJobOutput]


class ApiJobResult(BaseModel):
    """The result as JSON: the outputs as base64, or links with `outputs=url`."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "job_id": _JOB_ID,
                "status": "completed",
                "type": "remove-background",
                "processing_time_seconds": 45,
                "completed_at": "2026-01-15T10:30:50.000Z",
                "result": {
                    "images": [
                        {"filename": "ComfyUI_00001_.png", "type": "base64", "data": "iVBORw0KGgoAAAANSUhEUgAA..."}
                    ]
                },
            }
        }
    )
    job_id: str
    status: Literal["completed"]
    type: str
    processing_time_seconds: int
    completed_at: str | None
    result: dict[str, Any] | None


class ApiJobPage(BaseModel):
    """Jobs, newest first. `next` is the `cursor` of the following page, null on the last one."""

    model_config = ConfigDict(json_schema_extra={"example": {"jobs": [_STATUS], "count": 1, "next": None}})
    jobs: list[ApiJob]
    count: int
    next: str | None


def status_object(job: Job, left_s: float | None, now: float, position: int | None = None) -> dict[str, Any]:
    """The job; `left_s` is the estimate of the seconds until it is done, `position` how many wait before it."""
    return {
        "job_id": job.id,
        "status": WORDS[job.status],
        "type": type_of(job),
        "processing_time_seconds": round(run_s(job, now)),
        "estimated_remaining_time_seconds": None if left_s is None else math.ceil(left_s),
        "progress_percentage": progress_of(job),
        "comfyui_instance": job.instance,
        "queue_position": position,
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "completed_at": iso(job.finished_at),
        "error": error_text(job),
        "code": job.error.code if job.error and job.is_terminal else None,
    }


def info_object(
    job: Job,
    now: float,
    *,
    left_s: float | None,
    position: int | None,
    why: str,
    outputs: Sequence[OutputRef],
    link: Link,
) -> dict[str, Any]:
    """`status_object`'s with all details."""
    failed = job.is_terminal and job.status is not Status.SUCCEEDED
    began = job.started_at if job.started_at is not None else job.finished_at
    return {
        **status_object(job, left_s, now, position),
        "wait_seconds": round(max((began if began is not None else now) - job.created_at, 0.0), 3),
        "run_seconds": round(run_s(job, now), 3),
        "remaining_seconds": None if left_s is None else round(left_s, 3),
        "priority": job.priority.value,
        "labels": dict(job.labels),
        "attempts": job.attempts,
        "max_attempts": job.max_attempts,
        "prompt_id": job.prompt_id,
        "node": job.node,
        "step": job.step,
        "steps": job.steps,
        "why": why,
        "retryable": bool(job.error and job.error.retryable) if failed else None,
        "details": list(job.error.details) if failed and job.error else [],
        "outputs": [_output(output, link) for output in outputs],
    }


def result_object(job: Job, result: Mapping[str, Any] | None) -> dict[str, Any]:
    """A completed job and the handler's dict."""
    return {
        "job_id": job.id,
        "status": WORDS[job.status],
        "type": type_of(job),
        "processing_time_seconds": round(run_s(job, job.finished_at or 0.0)),
        "completed_at": iso(job.finished_at),
        "result": result,
    }


def type_of(job: Job) -> str:
    """The named workflow it runs, or "workflow"."""
    return job.workflow_name or UNNAMED


def run_s(job: Job, now: float) -> float:
    """Seconds since it was taken out of the line, until its end; 0 for one that never was."""
    if job.started_at is None:
        return 0.0
    return max((job.finished_at if job.finished_at is not None else now) - job.started_at, 0.0)


def progress_of(job: Job) -> int:
    """Percent; 100 only when it has succeeded."""
    if job.status is Status.SUCCEEDED:
        return 100
    return 0 if job.status is Status.QUEUED else min(int(job.progress * 100), 99)


def iso(at: float | None) -> str | None:
    """RFC 3339 in UTC, to the millisecond."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _output(output: OutputRef, link: Link) -> dict[str, Any]:
    return {
        "index": output.index,
        "filename": output.filename,
        "mime_type": output.mime_type,
        "size_bytes": output.size_bytes,
        "sha256": output.sha256,
        "url": link(output),
    }
