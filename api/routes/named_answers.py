"""What callers of named workflows are answered: the result itself, as JSON or as a file, or where it will be."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from ..errors import ExecutionFailed, OutputUnavailable, PromptRejected, WorkerError, WorkflowUnusable
from ..jobs.job import Job, Status
from ..jobs.service import JobService
from ..jobs.submission import in_words_of
from ..workflows.named import NamedWorkflow
from . import errors
from .answers import answer, job_answer, marked_result
from .dialects import NATIVE_WORDS, NativeWord
from .job_failure import error_of
from .links import Link
from .sent_files import send_output

JOB_HEADER = "X-Job-ID"
_NO_FILE = FileNotFoundError.__name__
_LISTS = {"images": "image", "videos": "video", "audio": "audio", "files": "file"}
_TOLD = ("filename", "mime_type", "size_bytes", "sha256", "width", "height")
_MEDIA = ("image/", "video/", "audio/")
_JOB_ID = "550e8400-e29b-41d4-a716-446655440000"


class NamedAccepted(BaseModel):
    """The job is kept and in line, or still runs. The URLs tell how far it is, and give its result."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "job_id": _JOB_ID,
                "status": "pending",
                "type": "resize",
                "message": "The job is in line; status_url tells how far it is.",
                "status_url": f"/api/jobs/{_JOB_ID}/status",
                "result_url": f"/api/jobs/{_JOB_ID}/result",
            }
        }
    )
    job_id: str
    status: NativeWord
    type: str
    message: str
    status_url: str
    result_url: str


class NamedResult(BaseModel):
    """The result: a data URI in `image_base64`, or a link in `image_url` (`video_…`, `audio_…`, `file_…`, `text`).

    `others` are further outputs of the same node.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "success": True,
                "job_id": _JOB_ID,
                "status": "completed",
                "type": "resize",
                "message": "Resize: done.",
                "processing_time_seconds": 0.41,
                "result": {
                    "filename": "resize_00001_.png",
                    "mime_type": "image/png",
                    "size_bytes": 70,
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "width": 512,
                    "height": 384,
                    "image_base64": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA...",
                },
                "others": [],
            }
        }
    )
    success: Literal[True]
    job_id: str
    status: Literal["completed"]
    type: str
    message: str
    processing_time_seconds: float | None
    result: dict[str, Any]
    others: list[dict[str, Any]]


def accepted(job: Job, headers: Mapping[str, str] | None = None) -> Response:
    """202: the job's id, and where to ask for it."""
    waits = job.status is Status.QUEUED
    status_url, result_url = f"/api/jobs/{job.id}/status", f"/api/jobs/{job.id}/result"
    body = {
        "job_id": job.id,
        "status": NATIVE_WORDS[job.status],
        "type": job.workflow_name,
        "message": f"The job {'is in line' if waits else 'runs'}; status_url tells how far it is.",
        "status_url": status_url,
        "result_url": result_url,
    }
    return answer(body, 202, {**(headers or {}), "Location": status_url, JOB_HEADER: job.id})


def result(
    service: JobService,
    job: Job,
    workflow: NamedWorkflow,
    link: Link | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The result as JSON. Reads files, so in a thread. Raises OutputUnavailable."""

    def describe(job: Job, result: Mapping[str, Any] | None) -> dict[str, Any]:
        outputs = [_described(kind, entry) for kind, entry in _outputs(result or {}, workflow.result)]
        return {
            "success": True,
            "job_id": job.id,
            "status": NATIVE_WORDS[job.status],
            "type": workflow.name,
            "message": f"{workflow.title}: done." if outputs else f"{workflow.title}: done, and gave nothing.",
            "processing_time_seconds": _seconds(job),
            "result": outputs[0] if outputs else {},
            "others": outputs[1:],
        }

    return job_answer(service, job, describe, link, {**(headers or {}), JOB_HEADER: job.id})


def file(service: JobService, job: Job, workflow: NamedWorkflow, headers: Mapping[str, str] | None = None) -> Response:
    """The result itself; a redirect when it lies in object storage. Reads files. Raises OutputUnavailable."""
    whole, kept = marked_result(service, job)
    entries = [entry for _, entry in _outputs(whole, workflow.result)]
    headers = {**(headers or {}), JOB_HEADER: job.id}
    if not entries:
        raise OutputUnavailable(f"The job {job.id} made no file; ask for its result as JSON.")
    found = entries[0]
    if found["type"] != "url":
        if str(found.get("data", "")).startswith("http"):
            return RedirectResponse(found["data"], 303, headers)
        raise OutputUnavailable(f"The result of job {job.id} is no file this worker holds; ask for its JSON.")
    sent = send_output(kept[found["data"]])
    sent.headers.update(headers)
    return sent


async def failure(request: Request, job: Job, places: Mapping[str, str]) -> Response | ASGIApp:
    """Why an ended job has no result, in the envelope of all errors. `places` are the caller's words for the job's."""
    error = _error(job)
    in_words_of(places, error)
    found = await errors.respond(request, error)
    if isinstance(found, Response):
        found.headers[JOB_HEADER] = job.id
    return found


def prefers_file(accept: str) -> bool:
    """Whether the Accept header names a kind of media ahead of JSON and of anything at all."""
    media, other = 0.0, 0.0
    for part in accept.lower().split(","):
        kind, _, parameters = part.strip().partition(";")
        weight = errors.weight_of(parameters)
        if kind.strip().startswith(_MEDIA):
            media = max(media, weight)
        else:
            other = max(other, weight if kind.strip() == "application/json" else 0.0)
    return media > other


def _outputs(result: Mapping[str, Any], node_id: str) -> list[tuple[str, dict[str, Any]]]:
    """(kind, entry) of each output of the node, in the order of the result."""
    files = [(kind, entry) for name, kind in _LISTS.items() for entry in result.get(name) or ()]
    texts = [("text", entry) for entry in result.get("text") or ()]
    return [(kind, entry) for kind, entry in (*files, *texts) if entry.get("node_id") == node_id]


def _described(kind: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: entry[key] for key in _TOLD if entry.get(key) is not None}
    if kind == "text":
        return {**told, "text": entry["data"]}
    if entry["type"] == "base64":
        return {**told, f"{kind}_base64": f"data:{entry['mime_type']};base64,{entry['data']}"}
    return {**told, f"{kind}_url": entry["data"]}


def _seconds(job: Job) -> float | None:
    if job.started_at is None or job.finished_at is None:
        return None
    return round(job.finished_at - job.started_at, 3)


def _error(job: Job) -> WorkerError:
    error = error_of(job)
    # The caller sent no workflow: what ComfyUI lacks is not for them to mend. Of a folder without any model it says so
    # only when the loader runs (0.3.64).
    is_lacking = error.code == PromptRejected.code or (
        error.code == ExecutionFailed.code and any(each.get("code") == _NO_FILE for each in error.details)
    )
    return WorkflowUnusable(error.message, error.details) if is_lacking else error
