"""What ComfyUI tells while a prompt runs, as frozen values, and how its WebSocket frames are read.

Unknown message types and fields are passed over: every release adds some.
"""

import json
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from .wording import presentable


@dataclass(frozen=True, slots=True)
class PromptAccepted:
    """ComfyUI took the prompt. `number` is its place in the order of submits, None when the answer was lost."""

    number: float | None


@dataclass(frozen=True, slots=True)
class PromptWaiting:
    """A look-up found the prompt waiting with `ahead` prompts before it, the running one included."""

    ahead: int


@dataclass(frozen=True, slots=True)
class ExecutionStarted:
    """The prompt left the queue and runs."""


@dataclass(frozen=True, slots=True)
class NodesCached:
    """These nodes are not executed: their results are still there from the prompt before."""

    node_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodeExecuting:
    """A node begins. Inside an expansion `node_id` is like 2.0.0.1 and `display_id` the visible parent."""

    node_id: str
    display_id: str


@dataclass(frozen=True, slots=True)
class Progress:
    """A node's own progress bar."""

    node_id: str
    value: float
    maximum: float


@dataclass(frozen=True, slots=True)
class NodeState:
    """One node in a ProgressState."""

    value: float
    maximum: float
    finished: bool
    display_id: str


@dataclass(frozen=True, slots=True)
class ProgressState:
    """All nodes that have begun. Kept as received: it repeats every node each time, so most are never read."""

    raw: bytes

    def nodes(self) -> dict[str, NodeState]:
        """The nodes by id. Parses: 80 KB for 400 nodes."""
        try:
            nodes = json.loads(self.raw)["data"]["nodes"]
            return {node: _node_state(node, state) for node, state in nodes.items()}
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            return {}


@dataclass(frozen=True, slots=True)
class NodeExecuted:
    """A node has produced its ui output; None for a silent output node served from the cache."""

    node_id: str
    display_id: str
    output: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class NodeBlocked:
    """An ExecutionBlocker with a message: it comes as an execution_error, but the run goes on."""

    node_id: str
    message: str


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture of unfinished work, or a full one from SaveImageWebsocket."""

    image: bytes
    mime_type: str
    node_id: str | None


@dataclass(frozen=True, slots=True)
class ProgressText:
    """A line that a node shows about itself."""

    node_id: str
    text: str


class HintKind(StrEnum):
    """What a Hint claims. `ENDED` (executing null) is the one sent after the history can be read."""

    SUCCEEDED = "execution_success"
    FAILED = "execution_error"
    INTERRUPTED = "execution_interrupted"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Hint:
    """The socket says the prompt is over. Only the history decides whether and how."""

    kind: HintKind


@dataclass(frozen=True, slots=True)
class LookNow:
    """The socket was lost or is back (`connected`): events may have been missed, so ask over HTTP."""

    connected: bool


ComfyEvent = (
    PromptAccepted
    | PromptWaiting
    | ExecutionStarted
    | NodesCached
    | NodeExecuting
    | Progress
    | ProgressState
    | NodeExecuted
    | NodeBlocked
    | Preview
    | ProgressText
    | Hint
    | LookNow
)


class Message(NamedTuple):
    """A frame read: the event, and the prompt it names. Some frames name none."""

    prompt_id: str | None
    event: ComfyEvent


_STATUS = b'{"type": "status"'
_PROGRESS_STATE = b'{"type": "progress_state"'
_PROMPT_ID = re.compile(rb'"prompt_id": ?"([^"\\]{1,200})"')
_MIME_TYPES = {1: "image/jpeg", 2: "image/png"}
_PREVIEW, _TEXT, _PREVIEW_WITH_METADATA = 1, 3, 4


def parse_text(raw: bytes) -> Message | None:
    """A text frame, or None when it says nothing about a prompt."""
    if raw.startswith(_STATUS):
        return None
    if raw.startswith(_PROGRESS_STATE) and (found := _PROMPT_ID.search(raw, 0, 400)):
        return Message(found[1].decode(), ProgressState(raw))
    try:
        frame = json.loads(raw)
        data = frame["data"]
        read = _READERS.get(frame["type"])
        event = ProgressState(raw) if frame["type"] == "progress_state" else read(data) if read else None
        prompt_id = data.get("prompt_id")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return Message(prompt_id if isinstance(prompt_id, str) else None, event) if event else None


def parse_binary(raw: bytes) -> Message | None:
    """A binary frame (big endian: u32 type, then by type), or None when it is of no known type."""
    try:
        (kind,) = struct.unpack_from(">I", raw)
        read = _BINARY_READERS.get(kind)
        return read(raw) if read else None
    except (struct.error, ValueError, AttributeError, OverflowError, RecursionError):
        return None


def _node_state(node: str, state: Mapping[str, Any]) -> NodeState:
    # value and max are floats at start and end, ints for cached nodes and while a bar runs
    return NodeState(
        float(state.get("value") or 0),
        float(state.get("max") or 0),
        state.get("state") == "finished",
        str(state.get("display_node_id") or node),
    )


def _executing(data: dict[str, Any]) -> ComfyEvent | None:
    node = data["node"]
    if node is None:
        return Hint(HintKind.ENDED)
    return NodeExecuting(str(node), str(data.get("display_node") or node))


def _execution_error(data: dict[str, Any]) -> ComfyEvent:
    if data.get("exception_type") == "ExecutionBlocked":
        return NodeBlocked(str(data.get("node_id")), presentable(str(data.get("exception_message") or "")))
    return Hint(HintKind.FAILED)


def _executed(data: dict[str, Any]) -> ComfyEvent:
    output = data.get("output")
    return NodeExecuted(
        str(data["node"]),
        str(data.get("display_node") or data["node"]),
        output if isinstance(output, dict) else None,
    )


_READERS: Mapping[str, Callable[[dict[str, Any]], ComfyEvent | None]] = {
    "execution_start": lambda _data: ExecutionStarted(),
    "execution_cached": lambda data: NodesCached(tuple(str(node) for node in data["nodes"])),
    "executing": _executing,
    "progress": lambda data: Progress(str(data["node"]), float(data["value"]), float(data["max"])),
    "executed": _executed,
    "execution_success": lambda _data: Hint(HintKind.SUCCEEDED),
    "execution_interrupted": lambda _data: Hint(HintKind.INTERRUPTED),
    "execution_error": _execution_error,
}


def _plain_preview(raw: bytes) -> Message:
    (form,) = struct.unpack_from(">I", raw, 4)
    return Message(None, Preview(raw[8:], _MIME_TYPES.get(form, "application/octet-stream"), None))


def _labelled_preview(raw: bytes) -> Message:
    (length,) = struct.unpack_from(">I", raw, 4)
    label = json.loads(raw[8 : 8 + length])
    mime_type = str(label.get("image_type") or "application/octet-stream")
    node = label.get("display_node_id") or label.get("node_id")
    prompt_id = label.get("prompt_id")
    return Message(
        prompt_id if isinstance(prompt_id, str) else None,
        Preview(raw[8 + length :], mime_type, str(node) if node else None),
    )


def _progress_text(raw: bytes) -> Message:
    (length,) = struct.unpack_from(">I", raw, 4)
    node = raw[8 : 8 + length].decode("utf-8", "replace")
    return Message(None, ProgressText(node, raw[8 + length :].decode("utf-8", "replace")))


_BINARY_READERS: Mapping[int, Callable[[bytes], Message]] = {
    _PREVIEW: _plain_preview,
    _TEXT: _progress_text,
    _PREVIEW_WITH_METADATA: _labelled_preview,
}
