"""What happens to a workflow, as the messages of /v1/comfyui/stream. Knows no socket."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..ids import JobId
from ..jobs.broadcast import Message
from ..jobs.view import Frame
from .management_words import ms

QUEUED, STARTED, PROGRESS = "workflow:queued", "workflow:started", "workflow:progress"
COMPLETED, CANCELLED, ERROR = "workflow:completed", "workflow:cancelled", "workflow:error"
PREVIEW = "workflow:preview"
_ENDS = {"completed": COMPLETED, "cancelled": CANCELLED, "failed": ERROR, "timed_out": ERROR}
_SPARED = {PROGRESS, PREVIEW}

# The outputs of an ended workflow as its status shows them; may read the disk.
Outputs = Callable[[JobId], Sequence[Mapping[str, Any]]]


class Telling:
    """Makes messages of frames. Remembers of each job how far it has been told to be."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs

    async def __call__(self, frame: Frame) -> Sequence[Message]:
        """The messages of a frame; none for what is nobody's business here."""
        data = frame.data
        match frame.event:
            case "snapshot":
                return self._snapshot(data)
            case "queued":
                return [_message(QUEUED, data, queuePosition=data["position"])]
            case "started" if data["stage"] == "preparing":
                return [_message(STARTED, data, startTime=ms(data["at"]))]
            case "progress":
                return [_progress(data)]
            case "preview":
                told = {"currentNode": data["node_id"], "mimeType": data["mime_type"], "data": data["data"]}
                return [_message(PREVIEW, data, **told)]
            case "finished":
                return [await self._end(data)]
            case _:
                return []

    def _snapshot(self, data: Mapping[str, Any]) -> Sequence[Message]:
        """The present state in the words of what led to it; of an ended job the end follows by itself."""
        if data["status"] == "pending":
            return [_message(QUEUED, data, queuePosition=data["position"])]
        if data["status"] == "running":
            return [_message(STARTED, data, startTime=ms(data["started_at"])), _progress(data)]
        return []

    async def _end(self, data: Mapping[str, Any]) -> Message:
        kind = _ENDS[data["status"]]
        told: dict[str, Any] = {"completionTime": ms(data["at"])}
        if kind == COMPLETED:
            told |= {"progress": 100, "outputs": await asyncio.to_thread(self._outputs, data["job_id"])}
        if kind == ERROR:
            error = data["error"] or {}
            told |= {"error": error.get("message"), "code": error.get("code")}
        return _message(kind, data, is_last=True, **told)


def _progress(data: Mapping[str, Any]) -> Message:
    return _message(PROGRESS, data, progress=round(data["percent"]), currentNode=data["node_id"])


def _message(kind: str, about: Mapping[str, Any], /, *, is_last: bool = False, **told: Any) -> Message:
    job_id = about["job_id"]
    text = json.dumps({"type": kind, "workflowId": job_id, **told, "timestamp": ms(about["at"])}, separators=(",", ":"))
    return Message(job_id, kind, text, is_spared=kind in _SPARED, is_last=is_last)
