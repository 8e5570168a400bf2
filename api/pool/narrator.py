"""Tells a job's listeners what ComfyUI says about its prompt, in the job's own words."""

import math
from collections.abc import Callable, Container
from typing import Any

from ..comfyui.events import (
    ComfyEvent,
    ExecutionStarted,
    LookNow,
    NodeExecuted,
    NodeExecuting,
    Preview,
    Progress,
    PromptAccepted,
    PromptWaiting,
)
from ..comfyui.history import files_of
from ..comfyui.progress import ProgressMeter
from ..jobs.events import (
    Emit,
    NodeStarted,
    OutputProduced,
    PreviewMade,
    ProgressMade,
    PromptQueued,
    PromptStarted,
    SocketChanged,
    StepReached,
)
from ..jobs.names import own_subfolder
from ..jobs.ports import Workflow


class Narrator:
    """One per run of a prompt. `told_percent` is where an earlier run of the same job had come to.

    Nodes in `hidden` are the worker's own: nothing is told of them. Previews are passed on while somebody wants them.
    """

    def __init__(
        self,
        workflow: Workflow,
        emit: Emit,
        *,
        wants_previews: Callable[[], bool],
        hidden: Container[str] = (),
        told_percent: float = 0.0,
    ) -> None:
        self._workflow = workflow
        self._hidden = hidden
        self._emit = emit
        self._wants_previews = wants_previews
        self._meter = ProgressMeter([node_id for node_id in workflow if node_id not in hidden])
        self._told: ProgressMade | None = None
        self.percent = told_percent
        self.last_node: str | None = None

    def tell(self, event: ComfyEvent) -> None:
        """Translate one event; what no listener of ours needs is passed over."""
        if getattr(event, "node_id", None) in self._hidden:
            return
        self._translate(event)
        reading = self._meter.note(event)
        if reading:
            self.percent = max(self.percent, round(reading.percent, 2))
            self._advance(ProgressMade(self.percent, reading.nodes_done, reading.nodes_total))

    def _translate(self, event: ComfyEvent) -> None:
        match event:
            case PromptAccepted():
                self._emit(PromptQueued(position=0))
            case PromptWaiting(ahead=ahead):
                self._emit(PromptQueued(position=ahead))
            case ExecutionStarted():
                self._emit(PromptStarted())
            case LookNow(connected=connected):
                self._emit(SocketChanged(connected))
            case NodeExecuting(display_id=node_id):
                self._start(node_id)
            case Progress(node_id=node_id, value=value, maximum=maximum) if math.isfinite(value + maximum):
                self._emit(StepReached(node_id, int(value), int(maximum)))
            case NodeExecuted(display_id=node_id, output=output) if output:
                self._produced(node_id, output)
            case Preview(image=image, mime_type=mime_type, node_id=preview_of) if self._wants_previews():
                self._emit(PreviewMade(preview_of or self.last_node or "", mime_type, image))
            case _:
                pass

    def _advance(self, progress: ProgressMade) -> None:
        if progress != self._told:
            self._told = progress
            self._emit(progress)

    def _start(self, node_id: str) -> None:
        self.last_node = node_id
        node = self._workflow.get(node_id, {})
        title = (node.get("_meta") or {}).get("title") or ""
        self._emit(NodeStarted(node_id, str(node.get("class_type", "")), str(title)))

    def _produced(self, node_id: str, output: Any) -> None:
        for file in files_of(node_id, output):
            if file.plain and file.kind != "input":
                name, subfolder = file.plain
                self._emit(OutputProduced(node_id, name, own_subfolder(subfolder), is_temp=file.kind == "temp"))
