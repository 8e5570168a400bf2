"""One of ComfyUI's node errors, put into a sentence with the input it is about and the values that would do."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import ComfyError, Detail
from .choices import Suggestions, choices_of
from .wording import presentable, presentable_value

# Node definitions of one class, or of all when given None.
Lookup = Callable[[str | None], Mapping[str, Any]]
_BARE_KEY = re.compile(r"'?([\w.:-]+)'?$")


class Finding(NamedTuple):
    """What is wrong, with which input, and what it might have been meant to be."""

    message: str
    input_name: str = ""
    nearest: tuple[str, ...] = ()


class Nodes:
    """What is known about the workflow's nodes and their classes; `nearest` suggests names."""

    def __init__(self, workflow: Mapping[str, Any], lookup: Lookup, nearest: Suggestions) -> None:
        self.nearest = nearest
        self._workflow = workflow
        self._lookup = lookup

    def __contains__(self, node_id: str) -> bool:
        return node_id in self._workflow

    def class_of(self, node_id: str) -> str:
        """The class_type of a node; empty when it has none."""
        return str(as_mapping(self._workflow.get(node_id)).get("class_type") or "")

    def input_linked(self, node_id: str, target: str | None = None) -> str:
        """The one input of the node that is linked to `target` (None: linked at all); empty when not just one."""
        inputs = as_mapping(as_mapping(self._workflow.get(node_id)).get("inputs"))
        links = {name: str(value[0]) for name, value in inputs.items() if isinstance(value, list) and value}
        fitting = [name for name, linked in links.items() if target in {None, linked}]
        return fitting[0] if len(fitting) == 1 else ""

    def classes(self) -> list[str]:
        """All node classes of this ComfyUI; empty when it does not tell."""
        return list(self._info(None))

    def definition(self, class_type: str, input_name: str) -> Any:
        """The definition of an input, `[type, options]`; None when unknown."""
        info = as_mapping(self._info(class_type).get(class_type))
        groups = (as_mapping(group) for group in as_mapping(info.get("input")).values())
        return next((group[input_name] for group in groups if input_name in group), None)

    def _info(self, class_type: str | None) -> Mapping[str, Any]:
        try:
            return self._lookup(class_type)
        except ComfyError:  # the nearest names are an extra, the rejection stands without
            return {}


@dataclass(frozen=True, slots=True)
class NodeError:
    """An item of `node_errors[id].errors`."""

    node_id: str
    class_type: str
    code: str
    message: str
    details: str
    extra: Mapping[str, Any]

    @classmethod
    def read(cls, node_id: str, class_type: str, error: Mapping[str, Any]) -> "NodeError":
        """`extra_info` may carry a traceback: it is kept out of everything made from this."""
        code = str(error.get("type") or "")
        return cls(
            node_id,
            class_type,
            code,
            str(error.get("message") or code),
            str(error.get("details") or ""),
            as_mapping(error.get("extra_info")),
        )

    @property
    def input_name(self) -> str:
        """The input of this node as the server names it; empty when it does not."""
        if self.code == "exception_during_inner_validation":
            return ""  # what stands there is the input of the node that is linked to this one
        return str(self.extra.get("input_name") or "")

    @property
    def received(self) -> str:
        """The value as it may be quoted."""
        value = presentable_value(self.extra.get("received_value"))
        return repr(value)

    def detail(self, nodes: Nodes) -> Detail:
        """The finding as the caller sees it."""
        finding = _EXPLAIN.get(self.code, _other)(self, nodes)
        detail = Detail(node_id=self.node_id, class_type=self.class_type, code=self.code, message=finding.message)
        input_name = self.input_name or finding.input_name
        if input_name:
            detail["field"] = f"workflow.{self.node_id}.inputs.{input_name}"
        if "received_value" in self.extra:
            detail["received"] = presentable_value(self.extra["received_value"])
        if finding.nearest:
            detail["nearest"] = list(finding.nearest)
        return detail


def as_mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def _missing(error: NodeError, _nodes: Nodes) -> Finding:
    name = error.input_name or error.details
    return Finding(f"The required input {name!r} is missing.", name)


def _not_in_list(error: NodeError, nodes: Nodes) -> Finding:
    # input_config is null when the list has more than 20 values: the node's definition has them.
    choices = choices_of(error.extra.get("input_config"))
    if choices is None:
        choices = choices_of(nodes.definition(error.class_type, error.input_name))
    if choices == []:
        reason = "there is none to choose from on this ComfyUI (no such model file installed?)"
    else:
        reason = "not one of the values it accepts"
    near = nodes.nearest(error.extra.get("received_value"), choices or [])
    return Finding(f"{error.input_name!r} is {error.received}, {reason}.", nearest=tuple(near))


def _out_of_range(error: NodeError, _nodes: Nodes) -> Finding:
    return Finding(f"{error.input_name!r}: {presentable(error.message)}.")


def _wrong_type(error: NodeError, _nodes: Nodes) -> Finding:
    config = error.extra.get("input_config")
    wanted = config[0] if isinstance(config, list) and config and isinstance(config[0], str) else "another type"
    return Finding(f"{error.input_name!r} must be {wanted}, not {error.received}.")


def _wrong_link_type(error: NodeError, _nodes: Nodes) -> Finding:
    config, link = error.extra.get("input_config"), error.extra.get("linked_node")
    wanted = config[0] if isinstance(config, list) and config else "another type"
    source = f" by output {link[1]} of node {link[0]}" if isinstance(link, list) and len(link) == 2 else ""
    return Finding(f"{error.input_name!r} needs {wanted} but gets {error.extra.get('received_type')}{source}.")


def _bad_link(error: NodeError, _nodes: Nodes) -> Finding:
    return Finding(f"{error.input_name!r} must be a link [node id, output index], not {error.received}.")


def _custom(error: NodeError, _nodes: Nodes) -> Finding:
    # details are "image - Invalid image file: nope.png"
    name, _dash, text = error.details.partition(" - ")
    if not text:
        return Finding(presentable(f"{error.message}: {error.details}"))
    hint = " Upload it with the job, or use the name of one that is there." if "Invalid image file" in text else ""
    return Finding(f"{name!r}: {presentable(text)}.{hint}", name)


def _exception(error: NodeError, nodes: Nodes) -> Finding:
    """An exception while validating: its text alone says little, `'99'` being a KeyError."""
    kind = str(error.extra.get("exception_type") or "")
    key = _BARE_KEY.match(error.details)
    if kind == "KeyError" and key:
        return _missing_key(error, nodes, key[1])
    if kind == "IndexError" or "tuple indices must be integers" in error.details:
        what = "It is linked to an output that the other node does not have."
        return Finding(what, nodes.input_linked(error.node_id))
    if kind == "RecursionError":
        return Finding("The chain of nodes before it is too long (more than about 980).")
    reason = ": ".join(part for part in (kind, presentable(error.details)) if part)
    return Finding(f"ComfyUI could not check the node: {reason}")


def _missing_key(error: NodeError, nodes: Nodes, key: str) -> Finding:
    if key == "inputs":
        return Finding("The node has no inputs.")
    linked = nodes.input_linked(error.node_id, key)
    if key in nodes:
        return Finding(f'It is linked to node {key} by number; a link names its node as text: ["{key}", 0].', linked)
    return Finding(f"It is linked to node {key}, which is not there.", linked)


def _other(error: NodeError, _nodes: Nodes) -> Finding:
    return Finding(presentable(f"{error.message}: {error.details}").rstrip(": "))


_EXPLAIN: Mapping[str, Callable[[NodeError, Nodes], Finding]] = {
    "required_input_missing": _missing,
    "value_not_in_list": _not_in_list,
    "value_bigger_than_max": _out_of_range,
    "value_smaller_than_min": _out_of_range,
    "invalid_input_type": _wrong_type,
    "return_type_mismatch": _wrong_link_type,
    "bad_linked_input": _bad_link,
    "custom_validation_failed": _custom,
    "exception_during_validation": _exception,
    "exception_during_inner_validation": _exception,
}
