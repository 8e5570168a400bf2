"""Tells a job's listeners what a remote endpoint says of it, as far as it says anything."""

from collections.abc import Mapping
from typing import Any

from ..jobs.events import Emit, NodeStarted, ProgressMade, PromptQueued, PromptStarted, StepReached
from ..jobs.ports import Workflow


class Narrator:
    """One per run. Percentages never go back."""

    def __init__(self, workflow: Workflow, emit: Emit) -> None:
        self._workflow = workflow
        self._emit = emit
        self._has_begun = False
        self._percent = 0.0
        self._node_id: str | None = None
        self._step: tuple[int, int] | None = None

    def queued(self) -> None:
        """The endpoint has taken the job."""
        self._emit(PromptQueued(position=0))

    def begun(self) -> None:
        """The job runs."""
        if not self._has_begun:
            self._has_begun = True
            self._emit(PromptStarted())

    def advanced(self, progress: Mapping[str, Any]) -> None:
        """`{"percent"?, "node_id"?, "step"?, "steps"?}` of a running job; what makes no sense is passed over."""
        self.begun()
        node_id = progress.get("node_id")
        if isinstance(node_id, str) and node_id in self._workflow and node_id != self._node_id:
            self._node_id, self._step = node_id, None
            node = self._workflow[node_id]
            title = (node.get("_meta") or {}).get("title") or ""
            self._emit(NodeStarted(node_id, str(node.get("class_type", "")), str(title)))
        self._tell_step(progress.get("step"), progress.get("steps"))
        percent = progress.get("percent")
        if isinstance(percent, int | float) and self._percent < percent <= 100:
            self._tell_percent(float(percent))

    def done(self) -> None:
        """The whole graph has run."""
        self.begun()
        self._tell_percent(100.0)

    def _tell_step(self, step: Any, steps: Any) -> None:
        if not (isinstance(step, int) and isinstance(steps, int) and 0 <= step <= steps):
            return
        if (step, steps) != self._step and self._node_id is not None:
            self._step = (step, steps)
            self._emit(StepReached(self._node_id, step, steps))

    def _tell_percent(self, percent: float) -> None:
        self._percent = percent
        total = len(self._workflow)
        self._emit(ProgressMade(round(percent, 2), int(total * percent / 100), total))
