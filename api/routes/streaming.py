"""The frames of the live view as schemas, and how one looks on the wire. Knows no route."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel
from sse_starlette import ServerSentEvent

from ..jobs.view import Frame

_JOB_ID = "550e8400-e29b-41d4-a716-446655440000"
_AT = 1704067212.5
_ID = "5f0c9a7e-118"
_ABOUT: dict[str, Any] = {"job_id": _JOB_ID, "at": _AT}
_PROGRESS: dict[str, Any] = {
    "percent": 42.5,
    "node_id": "3",
    "node": "KSampler",
    "step": 9,
    "steps": 20,
    "nodes_done": 3,
    "nodes_total": 7,
}
_NO_ERROR: dict[str, Any] = {"error": None}
_COUNTS = {"pending": 2, "running": 1, "completed": 15, "failed": 1, "timed_out": 0, "cancelled": 0}

Word = Literal["pending", "running", "completed", "failed", "timed_out", "cancelled"]
EndWord = Literal["completed", "failed", "timed_out", "cancelled"]


def _event(name: str, data: dict[str, Any], event_id: str | None = _ID) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": {"event": name, "id": event_id, "data": data}})


def _example(data: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": data})


_FILE = {"node_id": "9", "filename": "ComfyUI_00001_.png", "subfolder": "", "type": "output"}
_SNAPSHOT = {
    **_ABOUT,
    "status": "running",
    "position": None,
    **_PROGRESS,
    "attempt": 1,
    "created_at": 1704067200.0,
    "started_at": 1704067205.0,
    "finished_at": None,
    "outputs": [_FILE],
    **_NO_ERROR,
}
_QUEUED = {**_ABOUT, "position": 3, "again": False}
_STARTED = {**_ABOUT, "stage": "preparing", "attempt": 1, "ahead": None}
_PREVIEW = {**_ABOUT, "node_id": "3", "mime_type": "image/jpeg", "data": "/9j/4AAQSkZJRgABAQAAAQABAAD..."}
_OUTPUT = {**_ABOUT, **_FILE}
_WARNED = {**_ABOUT, "code": "SOCKET_LOST", "message": "The socket to ComfyUI is lost."}
_FINISHED = {**_ABOUT, "status": "completed", **_NO_ERROR}
_OVERVIEW = {"paused": False, "counts": _COUNTS}
_LEFT = {"job_id": _JOB_ID}
_REFUSED = {"code": "JOB_NOT_FOUND", "message": f"There is no job {_JOB_ID}."}


class Reason(BaseModel):
    """Why a job did not succeed."""

    model_config = _example({"code": "OUT_OF_VRAM", "message": "Node 3 (KSampler): the GPU ran out of memory."})
    code: str
    message: str


class About(BaseModel):
    """Which job a frame is about, and when that was (epoch seconds)."""

    model_config = _example(_ABOUT)
    job_id: str
    at: float


class Progress(About):
    """How far the job is: `percent` (0 to 100) over the whole graph, the node it is at, and the step of that node."""

    model_config = _example({**_ABOUT, **_PROGRESS})
    percent: float = Field(ge=0, le=100)
    node_id: str | None
    node: str | None = Field(description="Title or class of the node, when it is known")
    step: int | None
    steps: int | None
    nodes_done: int | None
    nodes_total: int | None


class OutputName(BaseModel):
    """A file a node has written. In the result it has the same node, subfolder and name.

    Where `output_format` makes another kind of file of it, the end of the name differs.
    """

    model_config = _example(_FILE)
    node_id: str
    filename: str
    subfolder: str
    type: Literal["output", "temp"] = Field(
        description="`temp` is in the result only with `include_temp`, when nothing else was saved"
    )


class Snapshot(Progress):
    """The job as it stands when a reader comes. `position` counts the jobs before it while it waits."""

    model_config = _example(_SNAPSHOT)
    status: Word
    position: int | None
    attempt: int
    created_at: float
    started_at: float | None
    finished_at: float | None
    outputs: list[OutputName] = Field(description="What its run has written so far, while it runs in this process")
    error: Reason | None


class Queued(About):
    """The job waits. `position` counts the jobs before it; `again`: it was running and will run once more."""

    model_config = _example(_QUEUED)
    position: int | None
    again: bool


class Started(About):
    """A worker has the job (`preparing`), then ComfyUI has it in its own line, with `ahead` prompts before it."""

    model_config = _example(_STARTED)
    stage: Literal["preparing", "waiting_in_comfyui"]
    attempt: int | None
    ahead: int | None


class Preview(About):
    """A picture of the unfinished work, base64. Only for readers who ask for previews, where ComfyUI makes some."""

    model_config = _example(_PREVIEW)
    node_id: str
    mime_type: str
    data: str


class Output(About, OutputName):
    """A node has written a file; it can be fetched, and has its place among the outputs, when the job has finished."""

    model_config = _example(_OUTPUT)


class Warned(About):
    """Something about the run that its reader should know; the job goes on."""

    model_config = _example(_WARNED)
    code: str
    message: str


class Finished(About):
    """The job has ended; nothing comes after it."""

    model_config = _example(_FINISHED)
    status: EndWord
    error: Reason | None


class Overview(BaseModel):
    """How many jobs there are in each state."""

    model_config = _example(_OVERVIEW)
    paused: bool
    counts: dict[Word, int]


class Left(BaseModel):
    """What is no longer followed; null for all jobs."""

    model_config = _example(_LEFT)
    job_id: str | None


class Refused(BaseModel):
    """Why what was asked for is not done, or no longer."""

    model_config = _example(_REFUSED)
    code: str
    message: str


class Nothing(BaseModel):
    """There is no more to say."""

    model_config = _example({})


class SnapshotEvent(BaseModel):
    """First frame of a fresh reader."""

    model_config = _event("snapshot", _SNAPSHOT, None)
    event: Literal["snapshot"]
    id: str | None
    data: Snapshot


class QueuedEvent(BaseModel):
    """The job waits."""

    model_config = _event("queued", _QUEUED)
    event: Literal["queued"]
    id: str | None
    data: Queued


class StartedEvent(BaseModel):
    """The job runs."""

    model_config = _event("started", _STARTED)
    event: Literal["started"]
    id: str | None
    data: Started


class ProgressEvent(BaseModel):
    """The job has got further."""

    model_config = _event("progress", {**_ABOUT, **_PROGRESS})
    event: Literal["progress"]
    id: str | None
    data: Progress


class PreviewEvent(BaseModel):
    """A picture of the unfinished work."""

    model_config = _event("preview", _PREVIEW)
    event: Literal["preview"]
    id: str | None
    data: Preview


class OutputEvent(BaseModel):
    """A file is written."""

    model_config = _event("output", _OUTPUT)
    event: Literal["output"]
    id: str | None
    data: Output


class WarningEvent(BaseModel):
    """The job goes on, but not quite as it should."""

    model_config = _event("warning", _WARNED)
    event: Literal["warning"]
    id: str | None
    data: Warned


class FinishedEvent(BaseModel):
    """The last frame."""

    model_config = _event("finished", _FINISHED)
    event: Literal["finished"]
    id: str | None
    data: Finished


class OverviewEvent(BaseModel):
    """First frame of a reader of all jobs."""

    model_config = _event("overview", _OVERVIEW, None)
    event: Literal["overview"]
    id: str | None
    data: Overview


class AuthenticatedEvent(BaseModel):
    """The key in the message was right."""

    model_config = _event("authenticated", {}, None)
    event: Literal["authenticated"]
    id: None
    data: Nothing


class PongEvent(BaseModel):
    """Answers a ping."""

    model_config = _event("pong", {}, None)
    event: Literal["pong"]
    id: None
    data: Nothing


class UnsubscribedEvent(BaseModel):
    """No more frames of the job come."""

    model_config = _event("unsubscribed", _LEFT, None)
    event: Literal["unsubscribed"]
    id: None
    data: Left


class ErrorEvent(BaseModel):
    """A message was refused; the socket stays open."""

    model_config = _event("error", _REFUSED, None)
    event: Literal["error"]
    id: None
    data: Refused


_News = QueuedEvent | StartedEvent | ProgressEvent | OutputEvent | WarningEvent | FinishedEvent


class JobEvent(RootModel[Annotated[SnapshotEvent | PreviewEvent | _News, Field(discriminator="event")]]):
    """One event of a job: `event:`, `id:` and `data:` (JSON) of a server-sent event, one message of a WebSocket."""

    model_config = _event("progress", {**_ABOUT, **_PROGRESS})


_Answers = AuthenticatedEvent | UnsubscribedEvent | PongEvent | ErrorEvent


class SocketEvent(
    RootModel[Annotated[SnapshotEvent | PreviewEvent | OverviewEvent | _News | _Answers, Field(discriminator="event")]]
):
    """One message of a WebSocket: what happens to the jobs it follows, and answers to messages."""

    model_config = _event("pong", {}, None)


class AnyJobEvent(RootModel[Annotated[OverviewEvent | _News, Field(discriminator="event")]]):
    """One event of any job."""

    model_config = _event("finished", _FINISHED, None)


def as_sse(frame: Frame) -> ServerSentEvent:
    """The frame as a server-sent event."""
    return ServerSentEvent(data=_json(frame.data), event=frame.event, id=frame.id, sep="\n")


def as_message(frame: Frame) -> str:
    """The frame as a message of a WebSocket."""
    return _json({"event": frame.event, "id": frame.id, "data": frame.data})


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
