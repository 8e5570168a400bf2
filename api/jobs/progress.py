"""Folds a job's events into the one newest state, for listeners that are slower than the job."""

import threading
from typing import Any

from .events import JobEvent, NodeStarted, ProgressMade, PromptQueued, StageFinished, StepReached


class LatestProgress:
    """`emit` from any thread; `take` gives the state when it has changed since the last `take`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: dict[str, Any] = {}
        self._changed = False

    def emit(self, event: JobEvent) -> None:
        """Fold one event in. Previews and outputs do not change the state."""
        update = _fold(event)
        if update:
            with self._lock:
                self._state |= update
                self._changed = True

    def take(self) -> dict[str, Any] | None:
        """`{"status", "percent", "node_id", "node", "step", "steps"}` as far as known, or None when nothing is new."""
        with self._lock:
            if not self._changed:
                return None
            self._changed = False
            return dict(self._state)


def _fold(event: JobEvent) -> dict[str, Any]:
    match event:
        case PromptQueued(position=position):
            return {"status": "queued", "position": position}
        case NodeStarted(node_id=node_id, title=title, class_type=class_type):
            return {"status": "running", "node_id": node_id, "node": title or class_type, "step": None, "steps": None}
        case StepReached(step=step, steps=steps):
            return {"step": step, "steps": steps}
        case ProgressMade(percent=percent):
            return {"status": "running", "percent": round(percent, 1)}
        case StageFinished(stage="execute"):
            return {"status": "delivering"}
        case _:
            return {}
