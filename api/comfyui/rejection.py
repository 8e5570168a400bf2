"""ComfyUI's answer to a prompt it will not run (or not wholly), made readable.

The server's own `details` are empty unless the failing node is an output node; `node_errors` have the substance.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import Detail, PromptRejected
from ..ordering import natural_key
from .choices import Suggestions
from .findings import Lookup, NodeError, Nodes, as_mapping
from .wording import presentable

_NO_CLASS = re.compile(r"node '?(.+?)'? (?:does not exist|not found)")
_NODE_ID = re.compile(r"#([^'\s]+)")


@dataclass(frozen=True, slots=True)
class Rejection:
    """What ComfyUI found wrong; never empty."""

    details: tuple[Detail, ...]

    @classmethod
    def read(
        cls,
        content: Mapping[str, Any],
        workflow: Mapping[str, Any],
        lookup: Lookup,
        nearest: Suggestions | None = None,
    ) -> "Rejection | None":
        """From the body of a 400 of `POST /prompt`, or of a 200 with node_errors; None when it holds neither.

        `lookup` gives node definitions (ComfyClient.object_info); it is asked only when names are to be suggested.
        """
        nodes = Nodes(workflow, lookup, nearest or Suggestions())
        details = tuple(_of_nodes(as_mapping(content.get("node_errors")), nodes))
        error = content.get("error")
        if not details and isinstance(error, dict):
            details = (_of_prompt(error, nodes),)
        return cls(details) if details else None

    def error(self) -> PromptRejected:
        """The error for the caller; its message tells the first finding."""
        more = f" ({len(self.details) - 1} more)" if len(self.details) > 1 else ""
        return PromptRejected(f"ComfyUI rejected the workflow: {_sentence(self.details[0])}{more}", self.details)


def _sentence(detail: Detail) -> str:
    class_type = f" ({detail['class_type']})" if detail.get("class_type") else ""
    place = f"node {detail['node_id']}{class_type}: " if detail.get("node_id") else ""
    near = detail.get("nearest")
    return f"{place}{detail['message']}" + (f" Nearest: {', '.join(near)}." if near else "")


def _of_nodes(node_errors: Mapping[str, Any], nodes: Nodes) -> Iterator[Detail]:
    # The server's order follows Python's sets: not the same from one process to the next.
    for node_id in sorted(node_errors, key=natural_key):
        node = as_mapping(node_errors[node_id])
        class_type = str(node.get("class_type") or nodes.class_of(node_id))
        found = node.get("errors")
        found = found if isinstance(found, list) else []
        errors = (NodeError.read(node_id, class_type, as_mapping(item)) for item in found)
        details = [error.detail(nodes) for error in errors]
        yield from sorted(details, key=lambda detail: (detail.get("field", ""), detail["message"]))


def _of_prompt(error: Mapping[str, Any], nodes: Nodes) -> Detail:
    code = str(error.get("type") or "")
    if code in {"invalid_prompt", "missing_node_type"}:  # the second since 0.38
        return _of_class(error, nodes)
    if code == "prompt_no_outputs":
        message = "The workflow has no output node; add one such as SaveImage or PreviewImage."
    elif code == "prompt_outputs_failed_validation":
        message = "No reason given; ComfyUI does that when nodes are linked in a circle."
    else:
        message = presentable(f"{error.get('message') or code}: {error.get('details') or ''}").rstrip(": ")
    return Detail(code=code, message=message)


def _of_class(error: Mapping[str, Any], nodes: Nodes) -> Detail:
    text, extra = str(error.get("message") or ""), as_mapping(error.get("extra_info"))
    quoted_id = _NODE_ID.search(str(error.get("details") or ""))
    node_id = str(extra.get("node_id") or (quoted_id[1] if quoted_id else ""))
    named = _NO_CLASS.search(text)
    class_type = str(extra.get("class_type") or nodes.class_of(node_id) or (named[1] if named else ""))
    class_type = presentable(class_type, 200)
    detail = Detail(node_id=node_id, class_type=class_type, field=f"workflow.{node_id}.class_type")
    if not class_type:
        detail["code"], detail["message"] = "missing_class_type", "The node has no class_type."
        return detail
    detail["code"] = "missing_node_type"
    detail["message"] = (
        f"This ComfyUI has no node class {class_type!r}: the custom node that brings it is not installed."
    )
    if near := nodes.nearest(class_type, nodes.classes()):
        detail["nearest"] = near
    return detail
