"""Runs a workflow on the stand-in's nodes without its server: inputs first, no cache, no events."""

from pathlib import Path
from typing import Any

from PIL import Image

from api.standin import node_call
from api.standin.node_types import Interrupted
from api.standin.nodes import NODES


class RecordingContext:
    """What a node tells while it runs; asks for an interrupt at the given progress call."""

    def __init__(self, runner: "NodeRunner", node_id: str) -> None:
        self.node_id = node_id
        self.input_dir, self.output_dir, self.temp_dir = runner.input_dir, runner.output_dir, runner.temp_dir
        self.prompt, self.extra_pnginfo = runner.prompt, runner.extra_pnginfo
        self._runner = runner

    def progress(self, value: int, maximum: int, preview: Any = None) -> None:
        self._runner.steps.append((value, maximum))
        if preview is not None:
            self._runner.frames.append(preview)
        if len(self._runner.steps) == self._runner.interrupt_at:
            raise Interrupted

    def send_image(self, image: Image.Image) -> None:
        self._runner.frames.append(("PNG", image, None))

    def send_text(self, text: str) -> None:
        self._runner.texts.append(text)


class NodeRunner:
    def __init__(self, directory: Path, input_dir: Path | None = None) -> None:
        self.input_dir = input_dir or directory / "input"
        self.output_dir, self.temp_dir = directory / "output", directory / "temp"
        for path in (self.input_dir, self.output_dir, self.temp_dir):
            path.mkdir(parents=True, exist_ok=True)
        self.prompt: dict[str, Any] = {}
        self.extra_pnginfo: dict[str, Any] | None = None
        self.interrupt_at: int | None = None
        self.steps: list[tuple[int, int]] = []
        self.frames: list[Any] = []
        self.texts: list[str] = []

    def run(self, workflow: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The ui of every node that has one, as history tells it."""
        self.prompt = {node_id: self._signed(node) for node_id, node in workflow.items()}
        outcomes: dict[str, node_call.Outcome] = {}
        for node_id in workflow:
            self._run_node(node_id, outcomes)
        return {node_id: outcome.ui for node_id, outcome in outcomes.items() if outcome.ui}

    def value(self, class_type: str, **inputs: Any) -> Any:
        """One node called by itself: its first output."""
        result = NODES[class_type].run(RecordingContext(self, "1"), **inputs)
        return result.outputs[0]

    def path(self, entry: dict[str, str]) -> Path:
        root = {"output": self.output_dir, "temp": self.temp_dir}[entry["type"]]
        return root / entry["subfolder"] / entry["filename"]

    def _signed(self, node: dict[str, Any]) -> dict[str, Any]:
        """Files say what the node's own check of changes said, as in ComfyUI."""
        fingerprint = NODES[node["class_type"]].fingerprint
        return node | {"is_changed": [fingerprint(self.input_dir, node["inputs"])]} if fingerprint else node

    def _run_node(self, node_id: str, outcomes: dict[str, node_call.Outcome]) -> node_call.Slots:
        if node_id not in outcomes:
            node = self.prompt[node_id]
            node_class = NODES[node["class_type"]]
            values = node_call.resolve_inputs(node, node_class, lambda source: self._run_node(source, outcomes))
            outcomes[node_id] = node_call.call(node_class, RecordingContext(self, node_id), values, lambda: None)
        return outcomes[node_id].slots
