"""ComfyUI's own check of a prompt, made from its node definitions alone: nothing is submitted, nothing runs.

It finds what ComfyUI finds (0.3.64) and words it alike. What it cannot know is let through: checks that custom nodes
bring along, files in subfolders, inputs that are made up as they are needed.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ..errors import Detail
from .choices import Suggestions
from .declared import DeclaredInput, DeclaredNode, types_match
from .rejection import Rejection

_COERCIONS: Mapping[str, Callable[[Any], Any]] = {"INT": int, "FLOAT": float}
# From here on the values of V3 combos are checked too (seen in 0.38.1, not in 0.3.64).
_CHECKS_V3_COMBOS = (0, 4)
_IN_INPUT = " [input]"
# Nodes that findings are told of.
_MAX_NODES_TOLD = 50
_V3_DOUBT = "{} This ComfyUI takes it all the same; the node may fail on it."

NodeErrors = list[dict[str, Any]]
Nodes = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`refused` is why ComfyUI would refuse the prompt; when empty, `dropped` is why it would leave outputs out.

    `outputs` are the output nodes that would run, `doubts` what is let through and may still fail.
    """

    refused: tuple[Detail, ...]
    dropped: tuple[Detail, ...]
    doubts: tuple[Detail, ...]
    outputs: tuple[str, ...]


def inspect(workflow: Nodes, info: Mapping[str, Any], uploads: Collection[str] = (), version: str = "") -> Verdict:
    """Check a graph (no circles, no dangling links) against object_info. `uploads`: files that come with the job."""
    return _Inspection(workflow, info, frozenset(uploads), _numbers(version) >= _CHECKS_V3_COMBOS).verdict()


class _Inspection:
    def __init__(self, workflow: Nodes, info: Mapping[str, Any], uploads: frozenset[str], strict_combos: bool) -> None:
        self._workflow = workflow
        self._info = info
        self._uploads = uploads
        self._strict_combos = strict_combos
        self._nearest = Suggestions()
        self._nodes = {
            node_id: DeclaredNode.read(node["class_type"], info[node["class_type"]])
            for node_id, node in workflow.items()
            if node["class_type"] in info
        }
        self._errors: dict[str, NodeErrors] = {}
        self._doubts: dict[str, NodeErrors] = {}
        self._bad: dict[str, bool] = {}

    def verdict(self) -> Verdict:
        unknown = [node_id for node_id in self._workflow if node_id not in self._nodes]
        outputs = [node_id for node_id, node in self._nodes.items() if node.is_output]
        good = tuple(node_id for node_id in outputs if not self._is_bad(node_id))
        for node_id in unknown:  # what they were made from may be wrong as well
            self._is_bad(node_id)
        refused = [detail for node_id in unknown[:_MAX_NODES_TOLD] for detail in self._unknown_class(node_id)]
        found = self._worded(self._errors)
        doubts = self._worded(self._doubts, _V3_DOUBT)
        if refused or (outputs and not good):
            return Verdict((*refused, *found), (), doubts, ())
        if not outputs:
            return Verdict(self._of_prompt({"type": "prompt_no_outputs"}), (), doubts, ())
        return Verdict((), found, doubts, good)

    def _is_bad(self, root: str) -> bool:
        """Whether the node or one it is made from has errors; each node is checked once, sources first."""
        pending = [root]
        while pending:
            node_id = pending[-1]
            if node_id in self._bad:
                pending.pop()
                continue
            if node_id not in self._errors:
                self._errors[node_id] = list(self._check(node_id))
            sources = list(self._sources(node_id))
            if waiting := [source for source in sources if source not in self._bad]:
                pending += waiting
                continue
            pending.pop()
            self._bad[node_id] = bool(self._errors[node_id]) or any(self._bad[source] for source in sources)
        return self._bad[root]

    def _sources(self, node_id: str) -> Iterator[str]:
        """Nodes whose outputs it takes, by links that are sound."""
        node, inputs = self._nodes.get(node_id), self._workflow[node_id]["inputs"]
        faulty = {error["extra_info"].get("input_name") for error in self._errors[node_id]}
        for name, value in inputs.items():
            followed = node is None or node.dynamic or name in node.inputs
            linked = isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
            if followed and linked and name not in faulty and value[0] in self._workflow:
                yield value[0]

    def _check(self, node_id: str) -> Iterator[dict[str, Any]]:
        node, inputs = self._nodes.get(node_id), self._workflow[node_id]["inputs"]
        for declared in node.inputs.values() if node else ():
            if declared.name not in inputs:
                if declared.required and not declared.dynamic:
                    yield _error("required_input_missing", declared)
                continue
            value = inputs[declared.name]
            fault = self._link(value, declared) if isinstance(value, list) else self._value(node_id, value, declared)
            if fault:
                yield fault

    def _link(self, link: list[Any], declared: DeclaredInput) -> dict[str, Any] | None:
        if declared.dynamic or declared.options.get("multiselect") or "multi_select" in declared.options:
            return None
        if len(link) != 2:
            return _error("bad_linked_input", declared, link)
        source_id, slot = link
        if not isinstance(source_id, str) or source_id not in self._workflow:
            return _raised(declared, "KeyError", repr(source_id))
        if not isinstance(slot, int):
            kind = type(slot).__name__
            return _raised(declared, "TypeError", f"tuple indices must be integers or slices, not {kind}")
        source = self._nodes.get(source_id)
        if source is None:
            return None
        if not 0 <= slot < len(source.outputs):
            # Custom nodes may answer for outputs that they do not list.
            return None if source.custom else _raised(declared, "IndexError", "tuple index out of range")
        received = source.outputs[slot]
        if types_match(received, declared.kind):
            return None
        return _error("return_type_mismatch", declared, received_type=received, linked_node=link)

    def _value(self, node_id: str, value: Any, declared: DeclaredInput) -> dict[str, Any] | None:
        if isinstance(value, dict) and "__value__" in value:
            value = value["__value__"]
        coerce = _COERCIONS.get(declared.kind) if isinstance(declared.kind, str) else None
        if coerce:
            try:
                value = coerce(value)
            except (ValueError, TypeError, OverflowError):
                return _error("invalid_input_type", declared, value)
            return _out_of_range(value, declared)
        if declared.choices is None or value in declared.choices or self._uploaded(value):
            return None
        if declared.file_kind:
            return _missing_file(value, declared)
        error = _error("value_not_in_list", declared, value)
        if declared.kind == "COMBO" and not self._strict_combos:
            self._doubts.setdefault(node_id, []).append(error)
            return None
        return error

    def _uploaded(self, value: Any) -> bool:
        return isinstance(value, str) and value.removesuffix(_IN_INPUT) in self._uploads

    def _unknown_class(self, node_id: str) -> tuple[Detail, ...]:
        about = {"node_id": node_id, "class_type": self._workflow[node_id]["class_type"]}
        return self._of_prompt({"type": "missing_node_type", "extra_info": about})

    def _of_prompt(self, error: Mapping[str, Any]) -> tuple[Detail, ...]:
        return self._read({"error": error})

    def _worded(self, errors: Mapping[str, NodeErrors], text: str = "{}") -> tuple[Detail, ...]:
        found = islice(((node_id, items) for node_id, items in errors.items() if items), _MAX_NODES_TOLD)
        node_errors = {
            node_id: {"class_type": self._workflow[node_id]["class_type"], "errors": items} for node_id, items in found
        }
        details = self._read({"node_errors": node_errors})
        for detail in details:
            detail["message"] = text.format(detail["message"])
        return details

    def _read(self, content: Mapping[str, Any]) -> tuple[Detail, ...]:
        rejection = Rejection.read(content, self._workflow, self._lookup, self._nearest)
        return rejection.details if rejection else ()

    def _lookup(self, class_type: str | None) -> Mapping[str, Any]:
        return self._info if class_type is None else {class_type: self._info.get(class_type)}


def _error(code: str, declared: DeclaredInput, value: Any = None, **extra: Any) -> dict[str, Any]:
    """An item of `node_errors[id].errors`, in ComfyUI's form."""
    about = {"input_name": declared.name, "input_config": declared.config, **extra}
    if code not in {"required_input_missing", "return_type_mismatch"}:
        about["received_value"] = value
    return {"type": code, "message": code, "details": declared.name, "extra_info": about}


def _raised(declared: DeclaredInput, kind: str, text: str) -> dict[str, Any]:
    """An exception ComfyUI runs into while it checks the node."""
    about = {"input_name": declared.name, "exception_type": kind}
    return {"type": "exception_during_validation", "message": "", "details": text, "extra_info": about}


def _out_of_range(value: Any, declared: DeclaredInput) -> dict[str, Any] | None:
    lowest, highest = declared.options.get("min"), declared.options.get("max")
    if isinstance(lowest, int | float) and value < lowest:
        error = _error("value_smaller_than_min", declared, value)
        return error | {"message": f"Value {value} smaller than min of {lowest}"}
    if isinstance(highest, int | float) and value > highest:
        error = _error("value_bigger_than_max", declared, value)
        return error | {"message": f"Value {value} bigger than max of {highest}"}
    return None


def _missing_file(value: Any, declared: DeclaredInput) -> dict[str, Any] | None:
    """A file that is not in the input folder; one in a subfolder or another folder cannot be seen from here."""
    name = value.removesuffix(_IN_INPUT) if isinstance(value, str) else ""
    if not name or "/" in name or "\\" in name or name.endswith("]") or name in (declared.choices or ()):
        return None
    error = _error("custom_validation_failed", declared, value)
    return error | {"details": f"{declared.name} - Invalid {declared.file_kind} file: {value}"}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
