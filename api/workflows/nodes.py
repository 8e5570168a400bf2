"""One node of a workflow, rebuilt from what ComfyUI shall see of it, and everything wrong with it."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from ..errors import Detail
from ..jobs.json_value import PlainCopier
from ..jobs.ports import Workflow
from ..jobs.quoting import cut, cut_any, kind_of, quote
from .links import is_link, links_of
from .paths import PREFIX_INPUT, faults, harmless_prefix

# The core node with the most outputs has 16; custom ones go to a few dozen.
_MAX_SLOT = 1000
Node = dict[str, Any]


class NodeReader:
    """Rebuilds the nodes of one workflow and collects findings about them."""

    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = roots
        self.details: list[Detail] = []
        self._copier = PlainCopier()

    def read(self, node_id: Any, raw: Any) -> Node | None:
        """The node as a plain dict of class_type, inputs and _meta; None when it cannot be one.

        Whatever else it carries (is_changed) is dropped: ComfyUI would keep it in its history.
        """
        if not isinstance(node_id, str):
            text = f"the id of a node must be a string, not {kind_of(node_id)}"
            self._add(cut_any(node_id) if isinstance(node_id, int) else "?", "", "", "invalid_node_id", text)
            return None
        if not isinstance(raw, dict):
            text = f"must be an object with class_type and inputs, not {kind_of(raw)}"
            self._add(node_id, "", "", "not_a_node", text)
            return None
        class_type = raw.get("class_type")
        if not isinstance(class_type, str) or not class_type:
            self._add(node_id, "", ".class_type", "missing_class_type", _about_class(raw, class_type))
            class_type = ""
        inputs = raw.get("inputs")
        if inputs is not None and not isinstance(inputs, dict):
            self._add(node_id, class_type, ".inputs", "wrong_type", f"inputs must be an object, not {kind_of(inputs)}")
            inputs = None
        return self._rebuilt(node_id, class_type, inputs or {}, raw.get("_meta"))

    def _rebuilt(self, node_id: str, class_type: str, inputs: dict[Any, Any], meta: Any) -> Node:
        # A node without inputs kills ComfyUI's worker thread when nothing needs the node: always give it some.
        raw = {"class_type": class_type, "inputs": inputs} | ({"_meta": meta} if isinstance(meta, dict) else {})
        known = len(self._copier.flaws)
        node: Node = (self._copier.copy({node_id: raw}) or {}).get(node_id) or {}
        for flaw in self._copier.flaws[known:]:
            place = flaw.path[1:]
            text = f"{quote('.'.join(place[1:] or place) or 'it')} {flaw.message}"
            self._add(node_id, class_type, "".join(f".{part}" for part in place), flaw.code, text)
        node["class_type"], node["inputs"] = class_type, node.get("inputs") or {}
        self._check_paths(node_id, node)
        return node

    def _check_paths(self, node_id: str, node: Node) -> None:
        for name, value in node["inputs"].items():
            for fault in faults(node["class_type"], name, value, roots=self._roots):
                self._add(node_id, node["class_type"], f".inputs.{name}", fault.code, f"{quote(name)} {fault.message}")
                self.details[-1]["received"] = fault.received
        prefix = node["inputs"].get(PREFIX_INPUT)
        if isinstance(prefix, str | int | float):  # ComfyUI takes a number for its text
            node["inputs"][PREFIX_INPUT] = harmless_prefix(str(prefix))
        elif prefix is not None and not is_link(prefix):
            text = f"{quote(PREFIX_INPUT)} must be a string, not {kind_of(prefix)}"
            self._add(node_id, node["class_type"], f".inputs.{PREFIX_INPUT}", "wrong_type", text)

    def _add(self, node_id: str, class_type: str, below: str, code: str, message: str) -> None:
        self.details.append(finding(node_id, class_type, below, code, message))


def finding(node_id: str, class_type: str, below: str, code: str, message: str) -> Detail:
    """A detail about a node; `below` is the rest of the path to its field, with the leading dot."""
    shown = cut(node_id)
    place = f"Node {shown} ({cut(class_type)})" if class_type else f"Node {shown}"
    detail = Detail(node_id=shown, field=f"workflow.{shown}{below}", code=code, message=f"{place}: {message}.")
    if class_type:
        detail["class_type"] = cut(class_type)
    return detail


def link_findings(workflow: Workflow, known: Collection[Any]) -> Iterator[Detail]:
    """Links to nodes that are not there (`known` has the ids of the unsound ones too), and to outputs no node has."""
    for node_id, node in workflow.items():
        for name, target, slot in links_of(node):
            below = f".inputs.{cut(name)}"
            if target not in known:
                text = f"{quote(name)} is linked to node {cut(target)}, which is not in the workflow"
                yield finding(node_id, node["class_type"], below, "dangling_link", text)
            elif not 0 <= slot <= _MAX_SLOT:
                text = f"{quote(name)} is linked to an output of node {cut(target)} that no node has"
                yield finding(node_id, node["class_type"], below, "bad_link_slot", f"{text}: {cut(str(slot))}")


def _about_class(raw: dict[Any, Any], class_type: Any) -> str:
    if "class_type" not in raw:
        return "has no class_type; every node needs the name of its class"
    return f"class_type must be a name, not {kind_of(class_type) if class_type != '' else 'empty'}"
