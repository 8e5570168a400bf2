"""Runs one prompt: cache, order, events, errors. Knows neither the queue nor HTTP.

The cache holds what the previous prompt's nodes gave, by input signature, as ComfyUI's classic cache does.
"""

import logging
import math
import time
import traceback
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import graph
from .node_call import Outcome, Slots, call, resolve_inputs, shown
from .node_types import Interrupted, NodeClass
from .progress import Progress
from .validation import type_name

_LOG = logging.getLogger(__name__)
_OOM = "torch.OutOfMemoryError"
_OOM_TIP = (
    "This error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before you might have "
    "accidentally set the batch_size to a large number."
)


@dataclass(frozen=True)
class Directories:
    input: Path
    output: Path
    temp: Path
    models: Path


@dataclass(frozen=True)
class Hooks:
    """What the engine gives a run: sending, interrupts, and the faults that strike inside one."""

    send: Callable[[str, dict[str, Any] | bytes, Any], None]
    wants_metadata: Callable[[Any], bool]
    check_interrupt: Callable[[], None]
    executing: Callable[[str, str], None]
    before_node: Callable[[NodeClass, int], None]


@dataclass(frozen=True)
class Cached:
    """A node's values and, of nodes with ui, what history and `executed` tell again later."""

    slots: Slots
    ui: dict[str, Any] | None
    meta: dict[str, Any] | None


@dataclass
class Result:
    success: bool
    messages: list[list[Any]] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

    def history_entry(self) -> dict[str, Any]:
        status = {"status_str": "success" if self.success else "error", "completed": self.success}
        return {"outputs": self.outputs, "status": status | {"messages": self.messages}, "meta": self.meta}


class NodeContext:
    """The world as one node sees it (`Context` of node_types)."""

    def __init__(self, run: "PromptRun", node_id: str) -> None:
        self._run = run
        self.node_id = node_id
        self.prompt = run.prompt
        self.client_id = run.client_id
        self.input_dir = run.directories.input
        self.output_dir = run.directories.output
        self.temp_dir = run.directories.temp

    @property
    def extra_data(self) -> Any:
        return self._run.extra_data

    @property
    def extra_pnginfo(self) -> dict[str, Any] | None:
        # extra_data that is no object raises here, so it is an error of the node, as recorded.
        pnginfo: dict[str, Any] | None = self._run.extra_data.get("extra_pnginfo")
        return pnginfo

    def progress(self, value: int, maximum: int, preview: Any = None) -> None:
        self._run.hooks.check_interrupt()
        self._run.progress.update(self.node_id, value, maximum, preview)

    def send_image(self, image: Any) -> None:
        """A full-size PNG frame, as SaveImageWebsocket sends them."""
        self._run.progress.image(self.node_id, image)

    def send_text(self, text: str) -> None:
        self._run.progress.text(self.node_id, text)


class PromptRun:
    """One execution of one prompt."""

    def __init__(
        self,
        item: tuple[Any, str, dict[str, Any], Any, list[str]],
        client_id: Any,
        cache: dict[str, Cached],
        nodes: Mapping[str, NodeClass],
        directories: Directories,
        hooks: Hooks,
    ) -> None:
        _, self.prompt_id, self.prompt, self.extra_data, self._wanted = item
        self.client_id = client_id
        self.directories = directories
        self.hooks = hooks
        self._cache = cache
        self._nodes = nodes
        self._executed: list[str] = []
        self._calls = 0
        self._messages: list[list[Any]] = []
        self.progress = Progress(
            self.prompt_id,
            lambda event, data: hooks.send(event, data, client_id),
            lambda: hooks.wants_metadata(client_id),
        )

    def execute(self) -> Result:
        self._tell("execution_start", {})
        self._signatures = graph.signatures(self.prompt, self._fingerprint)
        for gone in self._cache.keys() - set(self._signatures.values()):
            del self._cache[gone]
        self._tell("execution_cached", {"nodes": [node_id for node_id in self.prompt if self._cached(node_id)]})
        plan = graph.Plan(self.prompt, self._wanted, lambda node_id: self._cached(node_id) is not None, self._is_output)
        success = True
        while plan and success:
            node_id = plan.take()
            success = self._node(node_id)
            plan.done(node_id)
        return self._result(success)

    def succeed(self) -> None:
        """The last message of a good run; apart, since the engine may die before it."""
        self._tell("execution_success", {})

    def _result(self, success: bool) -> Result:
        result = Result(success, self._messages)
        for node_id in self.prompt:
            entry = self._cached(node_id)
            if entry and entry.ui is not None:
                result.outputs[node_id] = entry.ui
                result.meta[node_id] = entry.meta
        return result

    def _class_of(self, node_id: str) -> NodeClass:
        return self._nodes[self.prompt[node_id]["class_type"]]

    def _is_output(self, node_id: str) -> bool:
        return self._class_of(node_id).info.get("output_node") is True

    def _cached(self, node_id: str) -> Cached | None:
        return self._cache.get(self._signatures.get(node_id, ""))

    def _fingerprint(self, node: dict[str, Any]) -> Any:
        node_class = self._nodes[node["class_type"]]
        if node_class.fingerprint is None:
            return None
        try:
            value = node_class.fingerprint(self.directories.input, graph.constants(node["inputs"]))
        except Exception as failure:  # noqa: BLE001 (0.3.64 warns and runs the node, which then tells the error)
            _LOG.warning("WARNING: %s", failure)
            value = math.nan
        return uuid.uuid4().hex if isinstance(value, float) and math.isnan(value) else value

    def _node(self, node_id: str) -> bool:
        entry = self._cached(node_id)
        if entry is not None:
            self._send("executed", self._about(node_id) | {"output": entry.ui, "prompt_id": self.prompt_id})
            self.progress.finish(node_id)
            self._executed.append(node_id)
            return True
        self.progress.start(node_id)
        self.hooks.executing(node_id, self.prompt_id)
        values: dict[str, list[Any]] = {}
        try:
            values.update(resolve_inputs(self.prompt[node_id], self._class_of(node_id), self._slots_of))
            self._keep(node_id, self._call(node_id, values))
        except Interrupted:
            self._interrupted(node_id)
            return False
        except Exception as failure:  # noqa: BLE001 (whatever a node raises is the prompt's error)
            self._failed(node_id, failure, values)
            return False
        self.progress.finish(node_id)
        self._executed.append(node_id)
        return True

    def _slots_of(self, node_id: str) -> Slots:
        entry = self._cached(node_id)
        return entry.slots if entry else []

    def _call(self, node_id: str, values: dict[str, list[Any]]) -> Outcome:
        node_class = self._class_of(node_id)
        self._calls += 1
        self.hooks.before_node(node_class, self._calls)
        return call(node_class, NodeContext(self, node_id), values, self.hooks.check_interrupt)

    def _keep(self, node_id: str, outcome: Outcome) -> None:
        for message in outcome.blocked:
            self._send("execution_error", self._blocked_error(node_id, message))
        ui = outcome.ui or None
        meta = None
        if ui is not None:
            meta = self._about(node_id, "node_id") | {"parent_node": None, "real_node_id": node_id}
            self._send("executed", self._about(node_id) | {"output": ui, "prompt_id": self.prompt_id})
        self._cache[self._signatures[node_id]] = Cached(outcome.slots, ui, meta)

    def _about(self, node_id: str, key: str = "node") -> dict[str, Any]:
        return {key: node_id, "display_node": node_id}

    def _error_head(self, node_id: str) -> dict[str, Any]:
        class_type = self.prompt[node_id]["class_type"]
        return {"node_id": node_id, "node_type": class_type, "executed": list(self._executed)}

    def _interrupted(self, node_id: str) -> None:
        _LOG.info("Processing interrupted")
        # Told to everybody when nobody asked by client id.
        self._tell("execution_interrupted", self._error_head(node_id), prompt_id_first=True, broadcast=True)

    def _failed(self, node_id: str, failure: Exception, values: dict[str, list[Any]]) -> None:
        kind = type_name(failure)
        trace = traceback.format_tb(failure.__traceback__)
        _LOG.error("!!! Exception during processing !!! %s\n%s", failure, "".join(trace))
        told = {
            "exception_message": f"{failure}\n" + (_OOM_TIP if kind == _OOM else ""),
            "exception_type": kind,
            "traceback": trace,
            "current_inputs": shown(values | self._hidden(node_id)),
            "current_outputs": list(self.prompt),
        }
        self._tell("execution_error", self._error_head(node_id) | told, prompt_id_first=True)

    def _hidden(self, node_id: str) -> dict[str, list[Any]]:
        hidden = self._class_of(node_id).info["input"].get("hidden", {})
        known: dict[str, Any] = {"prompt": self.prompt, "unique_id": node_id}
        if isinstance(self.extra_data, dict):
            known["extra_pnginfo"] = self.extra_data.get("extra_pnginfo")
        return {name: [known[name]] for name in hidden if name in known}

    def _blocked_error(self, node_id: str, message: str) -> dict[str, Any]:
        told = {
            "exception_message": f"Execution Blocked: {message}",
            "exception_type": "ExecutionBlocked",
            "traceback": [],
            "current_inputs": [],
            "current_outputs": [],
        }
        return {"prompt_id": self.prompt_id} | self._error_head(node_id) | told

    def _tell(
        self, event: str, data: dict[str, Any], *, prompt_id_first: bool = False, broadcast: bool = False
    ) -> None:
        """A message that history keeps as well."""
        prompt_id = {"prompt_id": self.prompt_id}
        data = prompt_id | data if prompt_id_first else data | prompt_id
        data = data | {"timestamp": int(time.time() * 1000)}
        self._messages.append([event, data])
        if broadcast or self.client_id is not None:
            self.hooks.send(event, data, self.client_id)

    def _send(self, event: str, data: dict[str, Any]) -> None:
        """A message of this client alone: without a client id nobody gets it."""
        if self.client_id is not None:
            self.hooks.send(event, data, self.client_id)
