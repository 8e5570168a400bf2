"""Calls one node: resolves its inputs, maps it over lists, merges what it gives.

Values travel between nodes as lists, one list per output slot; a node runs once per item of its longest input.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .graph import is_link
from .node_types import Context, NodeClass, NodeResult

Slots = list[list[Any]]


@dataclass(frozen=True)
class Blocked:
    """A value that stops the nodes behind it; the message, if any, is told to the client as an error."""

    message: str | None


@dataclass
class Outcome:
    """What a node gave: one list per output slot, merged ui, the messages of blocked calls."""

    slots: Slots
    ui: dict[str, list[Any]] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)


def resolve_inputs(
    node: Mapping[str, Any], node_class: NodeClass, slots_of: Callable[[str], Slots]
) -> dict[str, list[Any]]:
    """Every known input as a list: a link's slot, or the constant alone. Unknown names are dropped."""
    sections = node_class.info["input"]
    known = sections.get("required", {}).keys() | sections.get("optional", {}).keys()
    values: dict[str, list[Any]] = {}
    for name, value in node["inputs"].items():
        if name in known:
            values[name] = slots_of(value[0])[value[1]] if is_link(value) else [value]
    return values


def call(
    node_class: NodeClass, context: Context, values: dict[str, list[Any]], before_each: Callable[[], None]
) -> Outcome:
    is_list = node_class.info["output_is_list"]
    outcome = Outcome([[] for _ in is_list])
    if node_class.input_is_list:
        calls = [values]
    else:
        times = max((len(value) for value in values.values()), default=1)
        calls = [{name: value[min(i, len(value) - 1)] for name, value in values.items()} for i in range(times)]
    for inputs in calls:
        blocked = _first_blocked(inputs)
        if blocked is not None:
            _add_blocked(outcome, blocked, context)
            continue
        before_each()
        _add(outcome, node_class.run(context, **inputs), is_list)
    return outcome


def _first_blocked(inputs: Mapping[str, Any]) -> Blocked | None:
    return next((value for value in inputs.values() if isinstance(value, Blocked)), None)


def _add_blocked(outcome: Outcome, blocked: Blocked, context: Context) -> None:
    """The message is told once, by the first node that meets it; what comes behind is blocked silently."""
    if blocked.message is not None:
        outcome.blocked.append(blocked.message)
    for slot in outcome.slots:
        slot.append(Blocked(None))


def _add(outcome: Outcome, result: NodeResult, is_list: list[bool]) -> None:
    for slot, value, as_list in zip(outcome.slots, result.outputs, is_list, strict=False):
        if as_list and not isinstance(value, Blocked):
            slot.extend(value)
        else:
            slot.append(value)
    for key, items in (result.ui or {}).items():
        outcome.ui.setdefault(key, []).extend(items)


def shown(values: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Inputs as execution_error tells them: plain values as they are, the rest as text."""
    return {name: [_shown(value) for value in items] for name, items in values.items()}


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return tensor_text(value) if isinstance(value, np.ndarray) else str(value)


def tensor_text(array: np.ndarray) -> str:
    """About what torch prints for the same numbers."""
    whole = bool(np.all(array == np.round(array)))
    text = np.array2string(
        array,
        separator=", ",
        prefix="tensor(",
        threshold=1000,
        formatter={"float_kind": (lambda x: f"{x:.0f}.") if whole else (lambda x: f"{x:.4f}")},
    )
    return f"tensor({text})"
