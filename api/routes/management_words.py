"""A workflow in the words of /v1/comfyui: its objects and their schemas. Times are epoch milliseconds."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from ..jobs.gallery import Made
from ..jobs.job import Job, Status
from ..jobs.placement import LOCAL
from ..jobs.request_fields import InputFields
from . import native_job, submissions

_WORKFLOW_ID = "550e8400-e29b-41d4-a716-446655440000"
_AT = 1704067200000
_OUTPUT: dict[str, Any] = {
    "filename": f"{_WORKFLOW_ID}_image.png",
    "workflowId": _WORKFLOW_ID,
    "type": "png",
    "size": 1048576,
    "createdAt": _AT,
    "url": f"/v1/comfyui/output/{_WORKFLOW_ID}_image.png",
}
_WORKFLOW: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 12648430}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "image"}},
}

Word = Literal["queued", "running", "completed", "cancelled", "failed"]
WORDS: Mapping[Status, Word] = {
    Status.QUEUED: "queued",
    Status.RUNNING: "running",
    Status.CANCELING: "running",
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
    Status.TIMED_OUT: "failed",
    Status.CANCELLED: "cancelled",
}


def _example(data: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": data})


class WorkflowRequest(InputFields, submissions.QueueFields):
    """A workflow in API format; beside it whatever a job may have. `gpu` names where it is to run."""

    model_config = _example({"workflow": _WORKFLOW, "priority": "normal", "gpu": LOCAL})


class WorkflowAccepted(BaseModel):
    """The workflow is kept. `queuePosition` counts those before it."""

    model_config = _example({"workflowId": _WORKFLOW_ID, "status": "queued", "queuePosition": 0})
    workflowId: str  # noqa: N815 - promised names, here and below
    status: Word
    queuePosition: int = Field(ge=0)  # noqa: N815


class OutputEntry(BaseModel):
    """One output. `type` is its file's extension, `size` in bytes; `url` is a path here, or whole where S3 has it."""

    model_config = _example(_OUTPUT)
    filename: str
    workflowId: str | None  # noqa: N815
    type: str
    size: int
    createdAt: int  # noqa: N815
    url: str


class OutputList(BaseModel):
    """Outputs, newest first."""

    model_config = _example({"outputs": [_OUTPUT]})
    outputs: list[OutputEntry]


class WorkflowStatus(BaseModel):
    """A workflow as it stands. `progress` is 0 to 100, `currentNode` the id of the node that is being executed."""

    model_config = _example(
        {
            "workflowId": _WORKFLOW_ID,
            "status": "running",
            "progress": 45,
            "currentNode": "4",
            "startTime": _AT,
            "completionTime": None,
            "outputs": [],
            "error": None,
        }
    )
    workflowId: str  # noqa: N815
    status: Word
    progress: int = Field(ge=0, le=100)
    currentNode: str | None  # noqa: N815
    startTime: int | None  # noqa: N815
    completionTime: int | None  # noqa: N815
    outputs: list[OutputEntry]
    error: str | None


class WorkflowCancelled(BaseModel):
    """The workflow was stopped; `running` when its node has not let it stop yet."""

    model_config = _example({"workflowId": _WORKFLOW_ID, "status": "cancelled"})
    workflowId: str  # noqa: N815
    status: Word


def status_object(job: Job, made: Sequence[Made]) -> dict[str, Any]:
    """The workflow as it stands, with its outputs."""
    is_running = WORDS[job.status] == "running"
    return {
        "workflowId": job.id,
        "status": WORDS[job.status],
        "progress": 100 if job.status is Status.SUCCEEDED else round(job.progress * 100),
        "currentNode": job.node if is_running else None,
        "startTime": ms(job.started_at),
        "completionTime": ms(job.finished_at),
        "outputs": [output_object(each) for each in made],
        "error": error_of(job),
    }


def error_of(job: Job) -> str | None:
    """Why a workflow failed; a cancelled one did not."""
    return None if job.status is Status.CANCELLED else native_job.error_text(job)


def output_object(made: Made) -> dict[str, Any]:
    """One output in a list."""
    return {
        "filename": made.name,
        "workflowId": made.job_id,
        "type": extension(made.filename),
        "size": made.size_bytes,
        "createdAt": ms(made.made_at),
        "url": made.url or url_of(made.name),
    }


def url_of(name: str) -> str:
    """Where an output is to be had."""
    return f"/v1/comfyui/output/{quote(name)}"


def extension(filename: str) -> str:
    """What a list calls the type of a file."""
    return PurePosixPath(filename).suffix.lstrip(".").lower() or "file"


def ms(seconds: float | None) -> int | None:
    """Epoch seconds as milliseconds."""
    return None if seconds is None else round(seconds * 1000)
