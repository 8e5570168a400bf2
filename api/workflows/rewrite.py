"""A checked workflow made ready for one run on one ComfyUI: the job's own files, folder and cache keys."""

from collections.abc import Collection, Mapping
from pathlib import PurePosixPath
from typing import Any

from ..jobs.ports import Workflow
from .inserted import Inserted, insert_prefixes
from .links import is_link
from .paths import DEFAULT_PREFIX, PREFIX_INPUT, harmless_prefix, prefix_within

# ComfyUI's way to say "from the input folder", which is where uploads go anyway.
_IN_INPUT = " [input]"
# Part of ComfyUI's cache key (class, constants, ancestors), though no node knows it and validation ignores it.
_NONCE_INPUT = "_worker_nonce"


def bind_files(workflow: Workflow, names: Mapping[str, str]) -> tuple[Workflow, tuple[str, ...]]:
    """Put the stored name wherever a value is the caller's file name. Also tells the names that no node uses.

    A name without extension may be a plain word ("red"): it counts everywhere only when no loader has it.
    """
    used: set[str] = set()
    words = {name for name in names if not PurePosixPath(name).suffix}
    files = {name: stored for name, stored in names.items() if name not in words}
    bound = {
        node_id: _bound(node, names if "load" in node["class_type"].lower() else files, used)
        for node_id, node in workflow.items()
    }
    if left := {name: names[name] for name in words - used}:
        bound = {node_id: _bound(node, left, used) for node_id, node in bound.items()}
    return bound, tuple(name for name in names if name not in used)


def bind_prefixes(workflow: Workflow, folder: str) -> tuple[Workflow, Inserted]:
    """Put every `filename_prefix` below `folder`, so that the job owns its files and no other job's are reused.

    One linked to a primitive string is taken from there; what another node makes up is known only when it runs, so
    nodes are inserted that put it there then. They are of the classes CLASSES.
    """
    bound = {node_id: _prefixed(node, folder, workflow) for node_id, node in workflow.items()}
    linked = [node_id for node_id, node in bound.items() if is_link(node["inputs"].get(PREFIX_INPUT))]
    return insert_prefixes(bound, linked, folder) if linked else (bound, Inserted())


def save_streamed_frames(workflow: Workflow) -> Workflow:
    """Run SaveImageWebsocket as SaveImage: its pictures would exist on the socket only. Bind prefixes afterwards."""
    return {
        node_id: _as_save_image(node) if node["class_type"] == "SaveImageWebsocket" else node
        for node_id, node in workflow.items()
    }


def force(workflow: Workflow, nonce: str) -> Workflow:
    """Have everything rendered anew; only loaded models are kept."""
    return refresh(
        workflow, [node_id for node_id, node in workflow.items() if "Loader" not in node["class_type"]], nonce
    )


def refresh(workflow: Workflow, node_ids: Collection[str], nonce: str) -> Workflow:
    """Have these nodes, and all that depend on them, executed whatever is in ComfyUI's cache."""
    return {
        node_id: _with_inputs(node, {_NONCE_INPUT: nonce}) if node_id in node_ids else node
        for node_id, node in workflow.items()
    }


def _bound(node: Mapping[str, Any], names: Mapping[str, str], used: set[str]) -> Mapping[str, Any]:
    changes = {name: _replaced(value, names, used) for name, value in node["inputs"].items() if name != PREFIX_INPUT}
    return _with_inputs(node, changes)


def _replaced(value: Any, names: Mapping[str, str], used: set[str]) -> Any:
    if isinstance(value, str):
        name = value.removesuffix(_IN_INPUT)
        if name not in names:
            return value
        used.add(name)
        return names[name] + value[len(name) :]
    if isinstance(value, dict):
        return {key: _replaced(item, names, used) for key, item in value.items()}
    if isinstance(value, list) and not is_link(value):
        return [_replaced(item, names, used) for item in value]
    return value


def _prefixed(node: Mapping[str, Any], folder: str, workflow: Workflow) -> Mapping[str, Any]:
    prefix = node["inputs"].get(PREFIX_INPUT)
    if is_link(prefix):
        source = workflow.get(prefix[0], {})
        if str(source.get("class_type", "")).startswith("PrimitiveString"):
            value = source["inputs"].get("value")
            prefix = harmless_prefix(value).lstrip("/\\") if isinstance(value, str) else prefix
    return _with_inputs(node, {PREFIX_INPUT: prefix_within(folder, prefix)}) if isinstance(prefix, str) else node


def _as_save_image(node: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**_with_inputs(node, {PREFIX_INPUT: DEFAULT_PREFIX}), "class_type": "SaveImage"}


def _with_inputs(node: Mapping[str, Any], changes: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**node, "inputs": {**node["inputs"], **changes}}
