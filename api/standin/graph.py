"""The prompt as a graph: links, input signatures for the cache, the order of execution.

Order and cache keys follow what the recordings show; nothing here knows the server.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

Prompt = dict[str, Any]
Fingerprint = Callable[[dict[str, Any]], Any]


def is_link(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int | float)
    )


def constants(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if not is_link(value)}


def signatures(prompt: Prompt, fingerprint: Fingerprint) -> dict[str, str]:
    """A digest per node over class, constants, fingerprint and ancestors; node ids do not count.

    Walks every node, also unneeded ones: one without `inputs` raises here, in the worker, as in ComfyUI.
    """
    known: dict[str, str] = {}
    for node_id in prompt:
        _sign(prompt, node_id, fingerprint, known)
    return known


def _sign(prompt: Prompt, start: str, fingerprint: Fingerprint, known: dict[str, str]) -> None:
    # Iterative, since graphs of 980 nodes in a chain are accepted. A node still open when met again closes a cycle.
    stack, opened = [start], set[str]()
    while stack:
        node_id = stack[-1]
        if node_id in known:
            stack.pop()
            continue
        missing = [] if node_id in opened else _unsigned_parents(prompt, node_id, known, opened)
        opened.add(node_id)
        if missing:
            stack.extend(missing)
            continue
        known[node_id] = _digest(prompt[node_id], fingerprint, known)
        stack.pop()


def _unsigned_parents(prompt: Prompt, node_id: str, known: dict[str, str], opened: set[str]) -> list[str]:
    inputs = prompt[node_id]["inputs"]
    parents = [inputs[name][0] for name in inputs.keys() if is_link(inputs[name])]  # noqa: SIM118 (a null must raise)
    return [parent for parent in parents if parent in prompt and parent not in known and parent not in opened]


def _digest(node: dict[str, Any], fingerprint: Fingerprint, known: dict[str, str]) -> str:
    parts = [
        [name, "link", known.get(value[0]), value[1]] if is_link(value) else [name, "value", value]
        for name, value in sorted(node["inputs"].items())
    ]
    text = json.dumps([node["class_type"], fingerprint(node), parts], sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


class Plan:
    """Which node runs next: those the wanted outputs need and the cache does not have, outputs first."""

    def __init__(
        self, prompt: Prompt, wanted: Iterable[str], cached: Callable[[str], bool], is_output: Callable[[str], bool]
    ) -> None:
        self._is_output = is_output
        self._waits_for: dict[str, set[str]] = {}
        for node_id in wanted:
            self._add(prompt, node_id, cached)

    def _add(self, prompt: Prompt, wanted: str, cached: Callable[[str], bool]) -> None:
        stack = [wanted]
        while stack:
            node_id = stack.pop()
            if node_id in self._waits_for:
                continue
            inputs = {} if cached(node_id) else prompt[node_id]["inputs"]
            parents = [value[0] for value in dict(inputs).values() if is_link(value) and not cached(value[0])]
            self._waits_for[node_id] = set(parents)
            stack.extend(parents)  # popped last first: the last link's branch runs first

    def __bool__(self) -> bool:
        return bool(self._waits_for)

    def take(self) -> str:
        """The next node; the caller says done() when it has run."""
        ready = [node_id for node_id, parents in self._waits_for.items() if not parents]
        return next(filter(self._is_output, ready), ready[0])

    def done(self, node_id: str) -> None:
        del self._waits_for[node_id]
        for parents in self._waits_for.values():
            parents.discard(node_id)
