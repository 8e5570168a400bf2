"""Where a prompt is, asked over HTTP: the truth, whatever the socket said."""

import threading
from dataclasses import dataclass
from enum import StrEnum

from ..ids import PromptId
from .client import ComfyClient
from .history import HistoryEntry


class Place(StrEnum):
    """A prompt is in exactly one of them; `ABSENT` after a delete, a clear, or a restart of ComfyUI."""

    PENDING = "pending"
    RUNNING = "running"
    FINISHED = "finished"
    ABSENT = "absent"


# A request that was cut off may still be on its way in.
_SECOND_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Found:
    """Where the prompt is. `ahead` counts the prompts before a pending one, `entry` is there when it is finished."""

    place: Place
    ahead: int = 0
    entry: HistoryEntry | None = None


def locate(client: ComfyClient, prompt_id: PromptId, read_timeout_s: float | None = None) -> Found:
    """Queue first, history second. Raises what the client raises.

    The other way round a prompt that finishes between the two requests is seen in neither (30 of 200 runs).
    """
    queue = client.queue(read_timeout_s)
    if any(prompt.prompt_id == prompt_id for prompt in queue.running):
        return Found(Place.RUNNING)
    for position, prompt in enumerate(queue.pending):
        if prompt.prompt_id == prompt_id:
            return Found(Place.PENDING, ahead=len(queue.running) + position)
    entry = client.history(prompt_id, read_timeout_s)
    return Found(Place.FINISHED, entry=entry) if entry else Found(Place.ABSENT)


def locate_surely(client: ComfyClient, prompt_id: PromptId, read_timeout_s: float | None = None) -> Found:
    """`locate` that takes a prompt for absent only when it is so twice, some time apart."""
    found = locate(client, prompt_id, read_timeout_s)
    if found.place is not Place.ABSENT:
        return found
    threading.Event().wait(_SECOND_LOOK_S)
    return locate(client, prompt_id, read_timeout_s)
