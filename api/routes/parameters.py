"""What parameters mean that stand in many operations, said once: descriptions, and examples of those in paths."""

from collections.abc import Iterable
from typing import Any

_JOB_ID = "550e8400-e29b-41d4-a716-446655440000"
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_PATHS: dict[str, tuple[str, str | int]] = {
    "job_id": ("The id that the submit answered", _JOB_ID),
    "endpoint_id": ("Any name will do: RunPod's clients want one", "local"),
    "prompt_id": ("The id that the submit answered", _JOB_ID),
    "workflow_id": ("The id that the submit answered", _JOB_ID),
    "id": ("The sha256 of the content, in hex", _SHA256),
    "sha256": ("The sha256 of the file, in hex", _SHA256),
    "index": ("Which of the job's outputs, from 0", 0),
    "filename": ("The name of the file, as it was told", "ComfyUI_00001_.png"),
    "node": ("The class of a node", "KSampler"),
    "name": ("The name of the workflow", "resize"),
    "workflow": ("Its id, or its name", "text2img"),
    "session_id": ("The id of the upload in pieces", "0b6f6f0e6f0e4c1e9d532f1f4d8b8a11"),
    "download_id": ("The id that the start of the download answered", "0b6f6f0e6f0e4c1e9d532f1f4d8b8a11"),
    "delivery_id": ("The id in the list of the job's deliveries", "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"),
    "marker": ("The worker's own word in the address it gave ComfyUI Deploy", "4f1c2a9e"),
}
_INSTANCE = ("Its name, as GET /admin/instances lists it", "127.0.0.1:8188")
_OTHERS = {
    "outputs": "How files come: `base64` in the JSON, or as links with `url`",
    "limit": "The most to list",
    "workflow": "Only what this workflow made",
    "checkpoint": "Only what this checkpoint made",
    "kind": "Only this kind of file",
    "source": "Only what came this way",
    "min_width": "In pixels",
    "max_width": "In pixels",
    "min_height": "In pixels",
    "max_height": "In pixels",
    "filename": "The name of the file",
    "subfolder": "Its folder below that of its `type`",
    "type": "Which of ComfyUI's folders it is in",
    "force": "Also while jobs run there; they run again elsewhere",
    "recent": "The most of the newest errors to list",
    "include_recent": "With the newest jobs",
    "max_age_hours": "What ended longer ago is removed",
    "max_running_time_hours": "What has run for longer without a sign of life is reset",
    "verbose": "With what was checked",
    "last_event_id": "As the header Last-Event-ID, for clients that cannot send it",
    "Last-Event-ID": "The id of the last event that was seen: go on after it",
    "Range": "Only these bytes; one range",
    "If-Range": "The range only if this is still the ETag, else the whole",
    "If-None-Match": "304 if this is still the ETag",
    "upload-length": "As `size`, for clients that speak tus",
    "upload-offset": "How many bytes the worker has: where these go on",
}


def complete(path: str, parameters: Iterable[dict[str, Any]]) -> None:
    """Add what an operation's parameters do not say themselves."""
    for parameter in parameters:
        name = parameter["name"]
        if parameter["in"] == "path" and name in _PATHS:
            text, example = _INSTANCE if path.startswith("/admin/instances/") else _PATHS[name]
            parameter.setdefault("description", text)
            parameter.setdefault("example", example)
        elif name in _OTHERS:
            parameter.setdefault("description", _OTHERS[name])
