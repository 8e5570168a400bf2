"""Makes node classes: from recorded object_info, from plain functions, and for nodes only the stand-in has."""

from collections.abc import Callable
from typing import Any

from .node_types import Context, Fingerprint, NodeClass, NodeResult, Validate
from .object_info import RECORDED


def recorded(
    name: str,
    run: Callable[..., NodeResult],
    *,
    fingerprint: Fingerprint | None = None,
    validate: Validate | None = None,
) -> NodeClass:
    """A node of ComfyUI's own that needs its context."""
    return NodeClass(name, run, RECORDED[name], fingerprint, validate)


def pure(name: str, function: Callable[..., Any], *, input_is_list: bool = False) -> NodeClass:
    """A node of ComfyUI's own that only computes: inputs by name in, one value or a tuple of values out."""

    def run(context: Context, **inputs: Any) -> NodeResult:
        values = function(**inputs)
        return NodeResult(values if isinstance(values, tuple) else (values,))

    return NodeClass(name, run, RECORDED[name], input_is_list=input_is_list)


def invented(
    name: str,
    run: Callable[..., NodeResult],
    *,
    description: str,
    required: dict[str, Any],
    optional: dict[str, Any] | None = None,
    outputs: tuple[str, ...] = (),
) -> NodeClass:
    """A node that no real ComfyUI has; without outputs it is an output node."""
    sections = {"required": required} | ({"optional": optional} if optional else {})
    info = {
        "input": sections,
        "input_order": {section: list(inputs) for section, inputs in sections.items()},
        "output": list(outputs),
        "output_is_list": [False] * len(outputs),
        "output_name": list(outputs),
        "name": name,
        "display_name": f"{name} (stand-in only)",
        "description": description,
        "python_module": "custom_nodes.standin",
        "category": "standin",
        "output_node": not outputs,
    }
    return NodeClass(name, run, info)
