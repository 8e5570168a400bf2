"""A prompt in the words of /api/comfy: the schemas of its objects. Times are epoch seconds."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from ..jobs.request_fields import InputFields
from . import submissions
from .management_words import Word
from .paths import COMFY_PREFIX
from .streaming import Reason

PREFIX = COMFY_PREFIX
_PROMPT_ID = "550e8400-e29b-41d4-a716-446655440000"
_FILE: dict[str, Any] = {
    "kind": "image",
    "node_id": "9",
    "filename": "ComfyUI_00001_.png",
    "subfolder": _PROMPT_ID,
    "type": "output",
    "mime_type": "image/png",
    "size_bytes": 1048576,
    "width": 1024,
    "height": 1024,
    "url": f"http://127.0.0.1:8000/output/{_PROMPT_ID}/0/ComfyUI_00001_.png",
}
_STATUS: dict[str, Any] = {
    "prompt_id": _PROMPT_ID,
    "status": "completed",
    "progress": 100.0,
    "position": None,
    "node": None,
    "step": None,
    "steps": None,
    "instance": "127.0.0.1:8188",
    "created_at": 1704067200.0,
    "started_at": 1704067205.0,
    "finished_at": 1704067225.0,
    "images": [_FILE],
    "error": None,
}
_WORKFLOW: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 12648430}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "image"}},
}
_NODE: dict[str, Any] = {
    "input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "ComfyUI"}]}},
    "output": [],
    "name": "SaveImage",
    "category": "image",
    "output_node": True,
}


def _example(data: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": data})


class ComfyHealth(BaseModel):
    """Whether the surface is on and, if so, what it talks to: `base_url` of the first ComfyUI, `timeout` in seconds.

    `client_wired`: there is a ComfyUI to talk to at all. `instances` tell of each whether it is well.
    """

    model_config = _example(
        {
            "ok": True,
            "enabled": True,
            "base_url": "http://127.0.0.1:8188",
            "timeout": 30.0,
            "client_wired": True,
            "instances": [{"name": "127.0.0.1:8188", "status": "healthy"}],
        }
    )
    ok: bool
    enabled: bool
    base_url: str | None = None
    timeout: float | None = None
    client_wired: bool | None = None
    instances: list[dict[str, Any]] | None = None


class ComfyQueueRequest(InputFields, submissions.QueueFields):
    """A workflow in API format; beside it whatever a job may have. `client_id` is only given back."""

    model_config = _example({"workflow": _WORKFLOW, "client_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7"})
    client_id: str | None = Field(None, max_length=200, description="Handed back in the answer")


class ComfyQueueResponse(BaseModel):
    """The workflow is kept and in line; `position` counts those before it."""

    model_config = _example(
        {
            "prompt_id": _PROMPT_ID,
            "client_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
            "status": "queued",
            "position": 0,
        }
    )
    prompt_id: str
    client_id: str
    status: Word
    position: int = Field(ge=0)


class ComfyFile(BaseModel):
    """A file the prompt has made; `filename`, `subfolder` and `type` are what /api/comfy/view takes."""

    model_config = _example(_FILE)
    kind: Literal["image", "video", "audio", "file"]
    node_id: str | None
    filename: str
    subfolder: str
    type: str
    mime_type: str
    size_bytes: int | None = None
    width: int | None = None
    height: int | None = None
    url: str | None


class ComfyText(BaseModel):
    """A text the prompt has made."""

    model_config = _example({"kind": "text", "node_id": "12", "text": "a cat on a mat"})
    kind: Literal["text"]
    node_id: str | None
    text: str


class ComfyStatus(BaseModel):
    """A prompt as it stands. `progress` is 0 to 100, null where nobody can tell; `position` counts those before it.

    `images` are there once it has ended.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra={"example": _STATUS})
    prompt_id: str
    status: Word
    progress: float | None
    position: int | None
    node: str | None
    step: int | None
    steps: int | None
    instance: str | None
    created_at: float | None
    started_at: float | None
    finished_at: float | None
    images: list[ComfyFile] = []
    error: Reason | None


class ComfyHistory(BaseModel):
    """What a prompt has made: `images`, and in `items` whatever else it was. Of its workflow nothing is told."""

    model_config = _example(
        {
            **{key: _STATUS[key] for key in ("prompt_id", "status", "progress", "images", "error")},
            "items": [_FILE, {"kind": "text", "node_id": "12", "text": "a cat on a mat"}],
        }
    )
    prompt_id: str
    status: Word
    progress: float | None
    images: list[ComfyFile]
    items: list[ComfyFile | ComfyText]
    error: Reason | None


class ComfyObjectInfo(RootModel[dict[str, dict[str, Any]]]):
    """Node definitions by class, as ComfyUI has them."""

    model_config = _example({"SaveImage": _NODE})


class ComfyEvent(BaseModel):
    """One event: `status` holds a ComfyStatus, `images` a prompt_id and its images, the others a code and a message."""

    model_config = _example({"event": "status", "id": "5f0c9a7e-118", "data": _STATUS})
    event: Literal["status", "warning", "error", "images"]
    id: str | None
    data: dict[str, Any]


class ComfyStreamLink(BaseModel):
    """An address that opens a prompt's stream without a key until `expires_at` (epoch seconds)."""

    model_config = _example(
        {"stream": f"{PREFIX}/stream/{_PROMPT_ID}?token=1704070800.q83vEjRWeJA", "expires_at": 1704070800.0}
    )
    stream: str
    expires_at: float
