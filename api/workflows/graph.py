"""The check every workflow passes before a GPU sees it, and the door to the other functions on graphs."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from ..errors import Detail, InputTooLarge, InvalidWorkflow
from ..jobs.ports import Workflow
from ..jobs.quoting import cut, listed
from ..ordering import natural_key
from .facts import digest, models, previews, reused, seeds
from .format import graph_in
from .inserted import CLASSES, Inserted
from .links import MAX_DEPTH, circles, deepest
from .nodes import NodeReader, finding, link_findings
from .overrides import apply_overrides
from .rewrite import bind_files, bind_prefixes, force, refresh, save_streamed_frames

__all__ = [
    "CLASSES",
    "Inserted",
    "apply_overrides",
    "bind_files",
    "bind_prefixes",
    "check",
    "digest",
    "force",
    "models",
    "previews",
    "refresh",
    "reused",
    "save_streamed_frames",
    "seeds",
]

_MAX_FINDINGS = 50
_MAX_CIRCLES = 10
_MAX_NAMED = 12


def check(workflow: object, max_nodes: int = 5000, roots: Sequence[str] = ("/runpod-volume",)) -> Workflow:
    """The workflow rebuilt from what ComfyUI needs of it, certain not to wedge it.

    Inputs of other than core nodes may name files below `roots`. Raises InvalidWorkflow with all findings,
    WorkflowInUiFormat, or InputTooLarge when it has too many nodes.
    """
    raw = graph_in(workflow)
    if len(raw) > max_nodes:
        message = f"The workflow has {len(raw):,} nodes; this worker takes {max_nodes:,} (setting MAX_WORKFLOW_NODES)."
        raise InputTooLarge(message, [Detail(field="workflow", code="too_many_nodes", message=message)])
    reader = NodeReader(roots)
    nodes = {node_id: reader.read(node_id, node) for node_id, node in raw.items()}
    rebuilt = {node_id: node for node_id, node in nodes.items() if node is not None}
    details = [*reader.details, *islice(_graph_findings(rebuilt, raw), _MAX_FINDINGS)]
    if details:
        raise _invalid(details)
    return rebuilt


def _graph_findings(workflow: Workflow, raw: dict[Any, Any]) -> Iterator[Detail]:
    yield from link_findings(workflow, raw.keys())
    round_trips = list(islice(circles(workflow), _MAX_CIRCLES))
    yield from (_circle_finding(workflow, circle) for circle in round_trips)
    if workflow and not round_trips:
        node_id, depth = deepest(workflow)
        if depth > MAX_DEPTH:
            text = f"ends a chain of {depth} nodes; ComfyUI cannot follow more than about {MAX_DEPTH}"
            yield finding(node_id, workflow[node_id]["class_type"], "", "too_deep", text)


def _circle_finding(workflow: Workflow, circle: list[str]) -> Detail:
    first = min(circle, key=natural_key)
    start = circle.index(first)
    turned = [*circle[start:], *circle[:start]]
    names = [f"{cut(node_id)} ({cut(workflow[node_id]['class_type'])})" for node_id in turned[:_MAX_NAMED]]
    dots = ["…"] if len(turned) > _MAX_NAMED else []
    way = " → ".join([*names, *dots, cut(first)])
    text = f"is linked in a circle, which can never run: {way}. Cut one of these links"
    return finding(first, workflow[first]["class_type"], "", "cycle", text)


def _invalid(details: list[Detail]) -> InvalidWorkflow:
    details = sorted(details[:_MAX_FINDINGS], key=lambda detail: natural_key(detail.get("node_id", "")))
    return InvalidWorkflow(listed([detail["message"] for detail in details]), details)
