"""Values put into a raw workflow by the caller: {"6.text": "a cat", "Positive prompt.text": "a cat"}."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Detail, InvalidWorkflow
from ..jobs.ports import Workflow
from ..jobs.quoting import cut, listed, quote


class _Refused(Exception):
    def __init__(self, code: str, message: str, nearest: Iterable[str] = (), node_id: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.nearest, self.node_id = code, message, [cut(name) for name in nearest], node_id


def apply_overrides(workflow: Workflow, overrides: Mapping[str, Any]) -> Workflow:
    """A copy with the inputs set. Keys are `<node id or title>.<input>`; a link may give way to a value.

    Raises InvalidWorkflow with a finding per key that names no input, or names one that another key has set.
    """
    changed = {node_id: {**node, "inputs": dict(node["inputs"])} for node_id, node in workflow.items()}
    set_by: dict[tuple[str, str], str] = {}
    details: list[Detail] = []
    for key, value in overrides.items():
        try:
            place = place_of(workflow, key)
            if place in set_by:
                raise _Refused("override_twice", f"sets the same input as {quote(set_by[place])}; leave one out")
        except _Refused as refused:
            details.append(_detail(key, refused))
        else:
            set_by[place] = key
            changed[place[0]]["inputs"][place[1]] = value
    if details:
        raise InvalidWorkflow(listed([detail["message"] for detail in details]), details)
    return changed


def place_of(workflow: Workflow, key: str) -> tuple[str, str]:
    """Node id and input that a key means. Titles and inputs may hold dots, so every dot may be the one between."""
    splits = [(key[:at], key[at + 1 :]) for at, char in enumerate(key) if char == "." and 0 < at < len(key) - 1]
    if not splits:
        raise _Refused("invalid_override", 'names no input; write it as "<node id or title>.<input>", such as "6.text"')
    nodes = {(node_id, name) for reference, name in splits for node_id in _nodes_called(workflow, reference)}
    if not nodes:
        names = [*workflow, *(title for title in map(_title, workflow.values()) if title)]
        reference = key.rpartition(".")[0]
        raise _Refused("unknown_node", f"no node has the id or title {quote(reference)}", nearest(reference, names))
    fitting = sorted(place for place in nodes if place[1] in workflow[place[0]]["inputs"])
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        ids = [node_id for node_id, _ in fitting]
        raise _Refused("ambiguous_title", f"fits nodes {', '.join(map(cut, ids[:5]))}: use the node id")
    node_id, name = min(nodes)
    inputs = workflow[node_id]["inputs"]
    text = f"node {cut(node_id)} ({cut(workflow[node_id]['class_type'])}) has no input {quote(name)}"
    raise _Refused("unknown_input", text, nearest(name, inputs) or list(inputs)[:5], node_id)


def _nodes_called(workflow: Workflow, reference: str) -> list[str]:
    if reference in workflow:
        return [reference]
    return [node_id for node_id, node in workflow.items() if _title(node) == reference]


def _title(node: Mapping[str, Any]) -> str:
    title = node.get("_meta", {}).get("title")
    return title if isinstance(title, str) else ""


def nearest(word: str, names: Iterable[str]) -> list[str]:
    """The names that the word may have been meant for, at most three."""
    by_fold = {name.casefold(): name for name in names}
    return [by_fold[fold] for fold in difflib.get_close_matches(word.casefold(), by_fold, n=3, cutoff=0.5)]


def _detail(key: str, refused: _Refused) -> Detail:
    near = f" Nearest: {', '.join(refused.nearest)}." if refused.nearest else ""
    field = f"overrides.{cut(key)}"
    detail = Detail(field=field, code=refused.code, message=f"Override {quote(key)}: {refused.message}.{near}")
    if refused.nearest:
        detail["nearest"] = refused.nearest
    if refused.node_id:
        detail["node_id"] = cut(refused.node_id)
    return detail
