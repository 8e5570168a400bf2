"""How far a prompt has come, told from its events: nodes done, percent of the graph."""

from collections.abc import Collection
from dataclasses import dataclass

from .events import (
    ComfyEvent,
    Hint,
    HintKind,
    NodeExecuted,
    NodeExecuting,
    NodesCached,
    Progress,
    ProgressState,
)


@dataclass(frozen=True, slots=True)
class ProgressReading:
    """`percent` is 0 to 100 and never goes back."""

    percent: float
    nodes_done: int
    nodes_total: int


class ProgressMeter:
    """Turns the events of one run into readings. Every node counts the same; cached ones count as done."""

    def __init__(self, node_ids: Collection[str]) -> None:
        self._nodes = frozenset(node_ids)
        self._done: set[str] = set()
        self._bars: dict[str, float] = {}
        self._states_come = False
        self._running: str | None = None
        self._percent = 0.0

    def note(self, event: ComfyEvent) -> ProgressReading | None:
        """The new reading; None when the event does not change it."""
        before = self.reading()
        if isinstance(event, NodesCached):
            self._done.update(event.node_ids)
        elif isinstance(event, NodeExecuting):
            self._begin(event)
        elif isinstance(event, Progress):
            self._bar(event.node_id, event.value, event.maximum)
        elif isinstance(event, ProgressState):
            self._states(event)
        elif isinstance(event, NodeExecuted):
            self._done.add(event.node_id)
        elif isinstance(event, Hint) and event.kind is HintKind.SUCCEEDED:
            self._done.update(self._nodes)
        after = self._advance()
        return after if after != before else None

    def reading(self) -> ProgressReading:
        """The present state."""
        return ProgressReading(self._percent, len(self._done & self._nodes), len(self._nodes))

    def _advance(self) -> ProgressReading:
        done = self._done & self._nodes
        partial = sum(share for node, share in self._bars.items() if node in self._nodes and node not in self._done)
        if self._nodes:
            self._percent = max(self._percent, 100.0 * (len(done) + partial) / len(self._nodes))
        return self.reading()

    def _begin(self, event: NodeExecuting) -> None:
        # Before progress_state existed (ComfyUI below 0.3.42) a node was done when the next one began.
        if self._running and not self._states_come:
            self._done.add(self._running)
        self._running = event.node_id

    def _bar(self, node_id: str, value: float, maximum: float) -> None:
        if maximum > 0:
            self._bars[node_id] = min(1.0, max(0.0, value / maximum))

    def _states(self, event: ProgressState) -> None:
        self._states_come = True
        for node_id, state in event.nodes().items():
            if state.finished:
                self._done.add(node_id)
            elif state.maximum > 0:
                self._bars[node_id] = min(1.0, max(0.0, state.value / state.maximum))
