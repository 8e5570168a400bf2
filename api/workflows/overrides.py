"""Values put into a raw workflow by the caller: {"6.text": "a cat", "Positive prompt.text": "a cat"}."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import Detail, InvalidWorkflow
from ..jobs.ports import Workflow
from ..jobs.quoting import cut, listed, quote
from ..likeness import MOST_SUGGESTED, alike


class _Refused(Exception):
    def __init__(
        self, code: str, message: str, suggest: Callable[[], Iterable[str]] = tuple, node_id: str = ""
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.suggest, self.node_id = code, message, suggest, node_id


def apply_overrides(workflow: Workflow, overrides: Mapping[str, Any]) -> Workflow:
    """A copy with the inputs set. Keys are `<node id or title>.<input>`; a link may give way to a value.

    Raises InvalidWorkflow with a finding per key that names no input, or names one that another key has set.
    """
    changed = {node_id: {**node, "inputs": dict(node["inputs"])} for node_id, node in workflow.items()}
    set_by: dict[tuple[str, str], str] = {}
    titles = _by_title(workflow)
    details: list[Detail] = []
    for key, value in overrides.items():
        try:
            place = place_of(workflow, key, titles)
            if place in set_by:
                raise _Refused("override_twice", f"sets the same input as {quote(set_by[place])}; leave one out")
        except _Refused as refused:
            near = refused.suggest() if len(details) < MOST_SUGGESTED else ()
            details.append(_detail(key, refused, [cut(name) for name in near]))
        else:
            set_by[place] = key
            changed[place[0]]["inputs"][place[1]] = value
    if details:
        raise InvalidWorkflow(listed([detail["message"] for detail in details]), details)
    return changed


def place_of(workflow: Workflow, key: str, titles: Mapping[str, list[str]] | None = None) -> tuple[str, str]:
    """Node id and input that a key means. Titles and inputs may hold dots, so every dot may be the one between."""
    titles = _by_title(workflow) if titles is None else titles
    splits = [(key[:at], key[at + 1 :]) for at, char in enumerate(key) if char == "." and 0 < at < len(key) - 1]
    if not splits:
        raise _Refused("invalid_override", 'names no input; write it as "<node id or title>.<input>", such as "6.text"')
    nodes = {
        (node_id, name)
        for reference, name in splits
        for node_id in ([reference] if reference in workflow else titles.get(reference, ()))
    }
    if not nodes:
        called = key.rpartition(".")[0]
        text = f"no node has the id or title {quote(called)}"
        raise _Refused("unknown_node", text, lambda: nearest(called, [*workflow, *titles]))
    fitting = sorted(place for place in nodes if place[1] in workflow[place[0]]["inputs"])
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        ids = [node_id for node_id, _ in fitting]
        raise _Refused("ambiguous_title", f"fits nodes {', '.join(map(cut, ids[:5]))}: use the node id")
    node_id, name = min(nodes)
    inputs = workflow[node_id]["inputs"]
    text = f"node {cut(node_id)} ({cut(workflow[node_id]['class_type'])}) has no input {quote(name)}"
    raise _Refused("unknown_input", text, lambda: nearest(name, inputs) or list(inputs)[:5], node_id)


def _by_title(workflow: Workflow) -> dict[str, list[str]]:
    """The ids of the nodes that have a title, by it."""
    found: dict[str, list[str]] = {}
    for node_id, node in workflow.items():
        title = node.get("_meta", {}).get("title")
        if isinstance(title, str) and title:
            found.setdefault(title, []).append(node_id)
    return found


def nearest(word: str, names: Iterable[str]) -> list[str]:
    """The names that the word may have been meant for, at most three."""
    by_fold = {name.casefold(): name for name in names}
    return [by_fold[fold] for fold in alike(word.casefold(), by_fold, most=3, cutoff=0.5)]


def _detail(key: str, refused: _Refused, nearest: list[str]) -> Detail:
    near = f" Nearest: {', '.join(nearest)}." if nearest else ""
    field = f"overrides.{cut(key)}"
    detail = Detail(field=field, code=refused.code, message=f"Override {quote(key)}: {refused.message}.{near}")
    if nearest:
        detail["nearest"] = nearest
    if refused.node_id:
        detail["node_id"] = cut(refused.node_id)
    return detail
