"""What the world outside hears of a job: numbered updates in the job's own words. Knows no transport."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ..ids import JobId
from .events import (
    JobEvent,
    NodeStarted,
    OutputProduced,
    PreviewMade,
    ProgressMade,
    PromptQueued,
    SocketChanged,
    StepReached,
)
from .job import Job

_SOCKET = {
    False: {
        "code": "SOCKET_LOST",
        "message": "The socket to ComfyUI is lost: until it is back, ComfyUI is asked now and then how far the job is.",
    },
    True: {"code": "SOCKET_RESTORED", "message": "The socket to ComfyUI is back."},
}


class Kind(StrEnum):
    """What an update is about. `finished` is the last one, whatever the job ended as."""

    QUEUED = "queued"
    STARTED = "started"
    PROGRESS = "progress"
    PREVIEW = "preview"
    OUTPUT = "output"
    WARNING = "warning"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Update:
    """One update. `seq` grows with every update of this process, whatever its job; `at` is epoch seconds.

    `job` is there when it FINISHED: how it stands then.
    """

    job_id: JobId
    seq: int
    at: float
    kind: Kind
    data: Mapping[str, Any]
    job: Job | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """The data of a preview: the picture itself, for whoever wants to encode it."""

    node_id: str
    mime_type: str
    image: bytes


def told(event: JobEvent) -> tuple[Kind, dict[str, Any]] | None:
    """The update an event of a running job makes, or None when it is nobody's business outside."""
    match event:
        case PromptQueued(position=position):
            return Kind.STARTED, {"stage": "waiting_in_comfyui", "ahead": position}
        case NodeStarted(node_id=node_id, title=title, class_type=class_type):
            return Kind.PROGRESS, {"node_id": node_id, "node": title or class_type, "step": None, "steps": None}
        case StepReached(node_id=node_id, step=step, steps=steps):
            return Kind.PROGRESS, {"node_id": node_id, "step": step, "steps": steps}
        case ProgressMade(percent=percent, nodes_done=done, nodes_total=total):
            return Kind.PROGRESS, {"percent": percent, "nodes_done": done, "nodes_total": total}
        case PreviewMade(node_id=node_id, mime_type=mime_type, image=image):
            return Kind.PREVIEW, {"preview": Preview(node_id, mime_type, image)}
        case OutputProduced(node_id=node_id, filename=filename, subfolder=subfolder, is_temp=is_temp):
            kind = "temp" if is_temp else "output"
            return Kind.OUTPUT, {"node_id": node_id, "filename": filename, "subfolder": subfolder, "type": kind}
        case SocketChanged(connected=connected):
            return Kind.WARNING, dict(_SOCKET[connected])
        case _:
            return None
