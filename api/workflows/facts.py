"""What can be told from a graph: its seeds, models, hash, and the order of its nodes."""

import hashlib
import json
import re
from collections.abc import Iterator, Set
from typing import Any

from ..jobs.ports import Workflow
from ..ordering import natural_key
from .links import is_link, links_of
from .paths import PREFIX_INPUT

_SEED_INPUTS = ("seed", "noise_seed")
MODEL_FILE = re.compile(r".+\.(?:safetensors|ckpt|pt|pth|bin|gguf|sft|onnx)", re.IGNORECASE | re.DOTALL)


def seeds(workflow: Workflow) -> dict[str, dict[str, int]]:
    """{node id: {input: seed}}, also where the seed comes from a primitive node."""
    found: dict[str, dict[str, int]] = {}
    for node_id in sorted(workflow, key=natural_key):
        for name in _SEED_INPUTS:
            seed = constant(workflow, workflow[node_id]["inputs"].get(name))
            if isinstance(seed, int) and not isinstance(seed, bool):
                found.setdefault(node_id, {})[name] = seed
    return found


def constant(workflow: Workflow, value: Any) -> Any:
    """The value of an input; of one that is linked, that of the primitive node it comes from."""
    if is_link(value) and value[0] in workflow:
        return workflow[value[0]]["inputs"].get("value")
    return value


def models(workflow: Workflow) -> list[dict[str, str]]:
    """[{"name", "node_id", "input"}] of every model file the workflow names."""
    return [
        {"name": text, "node_id": node_id, "input": name}
        for node_id in sorted(workflow, key=natural_key)
        for name, value in workflow[node_id]["inputs"].items()
        for text in _texts(value)
        if "\n" not in text and MODEL_FILE.fullmatch(text)
    ]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list) and not is_link(value):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def previews(workflow: Workflow) -> list[str]:
    """The nodes that show pictures without saving them."""
    return [node_id for node_id, node in workflow.items() if "Preview" in node["class_type"]]


def digest(workflow: Workflow) -> str:
    """sha256 of what ComfyUI runs: order of keys and titles do not count."""
    bare = {node_id: {key: node[key] for key in ("class_type", "inputs")} for node_id, node in workflow.items()}
    return hashlib.sha256(json.dumps(bare, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def reused(workflow: Workflow, cached: Set[str], output_node: str) -> bool:
    """Whether ComfyUI took the node's output from its cache: it was cached itself, or all it was made from was."""
    if output_node in cached:
        return True
    if output_node not in workflow:
        return False
    # What a file is called is no part of what it shows.
    parents = {parent for name, parent, _ in links_of(workflow[output_node]) if name != PREFIX_INPUT}
    return bool(parents) and parents <= cached
