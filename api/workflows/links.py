"""How nodes hang together: links, parents, circles, depth. No recursion, so no graph is too deep to look at."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..jobs.ports import Workflow

# ComfyUI walks links recursively and fails at about 980 nodes (0.3.64).
MAX_DEPTH = 900


def is_link(value: Any) -> bool:
    """Whether the value is `[node id, output index]`. Anything else in a list is the node's own business."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and not isinstance(value[1], bool)
    )


def links_of(node: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """(input, linked node, output index) of each linked input."""
    for name, value in node["inputs"].items():
        if is_link(value):
            yield name, value[0], value[1]


def parents_of(workflow: Workflow, node_id: str) -> list[str]:
    """The nodes that the node's inputs come from, each once, in the order of its inputs."""
    found = dict.fromkeys(parent for _, parent, _ in links_of(workflow[node_id]))
    return [parent for parent in found if parent in workflow]


def circles(workflow: Workflow) -> Iterator[list[str]]:
    """Circles of nodes, each in the direction in which data would flow; at least one of every knot."""
    parents = _parent_map(workflow)
    finished: set[str] = set()
    for start in workflow:
        if start not in finished:
            yield from _circles_from(parents, start, finished)


def _circles_from(parents: Mapping[str, list[str]], start: str, finished: set[str]) -> Iterator[list[str]]:
    trail = {start: None}
    pending = [iter(parents[start])]
    while pending:
        parent = next(pending[-1], None)
        if parent is None:
            pending.pop()
            finished.add(trail.popitem()[0])
        elif parent in trail:
            nodes = list(trail)
            yield nodes[nodes.index(parent) :][::-1]
        elif parent not in finished:
            trail[parent] = None
            pending.append(iter(parents[parent]))


def deepest(workflow: Workflow) -> tuple[str, int]:
    """The node at the end of the longest chain and the number of nodes in it. For workflows without circles."""
    parents = _parent_map(workflow)
    depths: dict[str, int] = {}
    pending = list(workflow)
    while pending:
        node_id = pending[-1]
        missing = [] if node_id in depths else [parent for parent in parents[node_id] if parent not in depths]
        if missing:
            pending += missing
            continue
        pending.pop()
        depths.setdefault(node_id, 1 + max((depths[parent] for parent in parents[node_id]), default=0))
    node_id = max(depths, key=lambda item: depths[item])
    return node_id, depths[node_id]


def _parent_map(workflow: Workflow) -> dict[str, list[str]]:
    return {node_id: parents_of(workflow, node_id) for node_id in workflow}
