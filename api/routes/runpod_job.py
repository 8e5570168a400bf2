"""A job in RunPod's words: the objects of /v2/{endpoint_id}/… and their schemas."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from ..jobs.job import Job, Status
from ..jobs.outbox import Delivery
from .dialects import RUNPOD_WORDS, RunPodWord
from .native_job import error_text, progress_of

_ID = "6e152418-6b03-440b-879e-a2bce1b2402d"
_IMAGES: dict[str, Any] = {
    "images": [{"filename": "ComfyUI_00001_.png", "type": "base64", "data": "iVBORw0KGgoAAAANSUhEUgAA..."}]
}


class RunPodAccepted(BaseModel):
    """A job by its id and state."""

    model_config = ConfigDict(json_schema_extra={"example": {"id": _ID, "status": "IN_QUEUE"}})
    id: str
    status: RunPodWord


class RunPodStatus(BaseModel):
    """A job; times in ms. `output` is how far it is while it runs, its result when it is completed."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": _ID,
                "status": "COMPLETED",
                "delayTime": 35,
                "executionTime": 270,
                "workerId": "gpu-box-17-a1b2c3",
                "output": _IMAGES,
            }
        }
    )
    id: str
    status: RunPodWord
    delayTime: int | None = None  # noqa: N815 - RunPod's names
    executionTime: int | None = None  # noqa: N815
    workerId: str | None = None  # noqa: N815
    output: dict[str, Any] | None = None
    error: str | None = None


class RunPodChunk(BaseModel):
    """One part of a stream."""

    model_config = ConfigDict(json_schema_extra={"example": {"output": {"percent": 42.5, "node_id": "3"}}})
    output: dict[str, Any]


class RunPodStream(BaseModel):
    """What is new since the last look: how far the job is, and once its result."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"id": _ID, "status": "IN_PROGRESS", "stream": [{"output": {"percent": 42.5, "node_id": "3"}}]}
        }
    )
    id: str
    status: RunPodWord
    stream: list[RunPodChunk]


class RunPodPurged(BaseModel):
    """How many waiting jobs were cancelled."""

    model_config = ConfigDict(json_schema_extra={"example": {"removed": 2, "status": "completed"}})
    removed: int
    status: str


class RunPodHealth(BaseModel):
    """Jobs and workers by state."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "jobs": {"completed": 15, "failed": 1, "inProgress": 1, "inQueue": 2, "retried": 0},
                "workers": {
                    "idle": 0,
                    "initializing": 0,
                    "ready": 1,
                    "running": 1,
                    "throttled": 0,
                    "unhealthy": 0,
                },
            }
        }
    )
    jobs: dict[str, int]
    workers: dict[str, int]


def accepted_object(job: Job) -> dict[str, Any]:
    """The answer of /run, whatever has become of the job since."""
    return {"id": job.id, "status": RUNPOD_WORDS[Status.QUEUED]}


def status_object(job: Job, result: Mapping[str, Any] | None) -> dict[str, Any]:
    """The job; `result` is the handler's dict, if it has ended. What is not known is absent, never null."""
    body = {
        "id": job.id,
        "status": RUNPOD_WORDS[job.status],
        "delayTime": _ms(job.created_at, job.started_at or job.finished_at),
        "executionTime": _ms(job.started_at, job.finished_at),
        "workerId": job.worker,
        "output": _output(job, result),
        "error": None if job.status is Status.CANCELLED else error_text(job),
    }
    return {key: value for key, value in body.items() if value is not None}


def stream_object(job: Job, chunk: Mapping[str, Any] | None) -> dict[str, Any]:
    """The answer of /stream. A cancelled job is spelled FAILED: the official client would ask for ever."""
    word = RUNPOD_WORDS[Status.FAILED if job.status is Status.CANCELLED else job.status]
    return {"id": job.id, "status": word, "stream": [] if chunk is None else [{"output": chunk}]}


def health_object(counts: Mapping[Status, int], workers: Mapping[str, int]) -> dict[str, Any]:
    """The answer of /health. Retries are not counted, so there are none."""
    failed = (Status.FAILED, Status.TIMED_OUT, Status.CANCELLED)
    return {
        "jobs": {
            "completed": counts.get(Status.SUCCEEDED, 0),
            "failed": sum(counts.get(status, 0) for status in failed),
            "inProgress": counts.get(Status.RUNNING, 0) + counts.get(Status.CANCELING, 0),
            "inQueue": counts.get(Status.QUEUED, 0),
            "retried": 0,
        },
        "workers": {**dict.fromkeys(RUNPOD_WORKERS, 0), **workers},
    }


RUNPOD_WORKERS = ("idle", "initializing", "ready", "running", "throttled", "unhealthy")


def webhook_body(delivery: Delivery, job: Job, result: Mapping[str, Any] | None) -> tuple[bytes, str]:
    """What a webhook says: the very object of /status, and its content type."""
    body = status_object(job, result)
    if job.status is not delivery.status:
        # The job was retried since, and this is about the end it had then.
        body = {"id": job.id, "status": RUNPOD_WORDS[delivery.status]}
    return json.dumps(body, separators=(",", ":")).encode(), "application/json"


def _output(job: Job, result: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if job.status in {Status.FAILED, Status.TIMED_OUT}:
        # As RunPod's own worker does: the error by itself, the rest of the result beside it.
        return {key: value for key, value in (result or {}).items() if key != "error"} or None
    if job.status is Status.CANCELLED:
        return None
    return result if job.status is Status.SUCCEEDED else progress_of(job)


def _ms(start: float | None, end: float | None) -> int | None:
    return None if start is None or end is None else max(0, round((end - start) * 1000))
