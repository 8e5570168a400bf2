"""Nodes the worker puts between a linked `filename_prefix` and its source, and how they are kept out of sight."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from ..errors import Detail, InvalidWorkflow, WorkerError
from ..jobs.ports import Workflow
from ..jobs.quoting import cut
from .nodes import finding
from .paths import PREFIX_INPUT

# Core nodes of ComfyUI (seen in 0.3.64): one takes out what could leave the folder, one puts the folder in front.
_REPLACE, _JOIN = "RegexReplace", "StringConcatenate"
CLASSES = (_REPLACE, _JOIN)
# Dots in a row, and the start of a prefix that names nothing: the folder itself would become the file's name.
_UNFIT = r"\.{2,}|\A(?=[\s./\\]*\Z)"


class Owner(NamedTuple):
    """The caller's node that an inserted one works for."""

    node_id: str
    class_type: str


@dataclass(frozen=True)
class Inserted:
    """The inserted nodes by id. Falsy when there are none."""

    owners: Mapping[str, Owner] = field(default_factory=lambda: MappingProxyType({}))

    def __bool__(self) -> bool:
        return bool(self.owners)

    def __contains__(self, node_id: object) -> bool:
        return node_id in self.owners

    def refusal(self, missing: Sequence[str]) -> InvalidWorkflow:
        """What to say when ComfyUI lacks classes that the inserted nodes need."""
        text = (
            f"'{PREFIX_INPUT}' is linked, which this worker takes only where ComfyUI has {' and '.join(missing)} "
            "to keep the files in the job's own folder. Give a text instead of the link, or update ComfyUI"
        )
        owners = sorted(set(self.owners.values()))
        details = [
            finding(owner.node_id, owner.class_type, f".inputs.{PREFIX_INPUT}", "linked_prefix", text)
            for owner in owners
        ]
        return InvalidWorkflow(details[0]["message"], details)

    def attribute(self, error: WorkerError) -> None:
        """Change the error so that it speaks of the caller's nodes."""
        error.message = self._reworded(error.message)
        error.args = (error.message, *error.args[1:])
        error.details = [self.attributed_detail(detail) for detail in error.details]

    def attributed_detail(self, detail: Detail) -> Detail:
        """The finding, about the caller's node when it was about an inserted one."""
        told = detail.copy()
        told["message"] = self._reworded(told.get("message", ""))
        owner = self.owners.get(told.get("node_id", ""))
        if owner:
            told["node_id"], told["class_type"] = cut(owner.node_id), owner.class_type
            told["field"] = f"workflow.{cut(owner.node_id)}.inputs.{PREFIX_INPUT}"
            told["message"] = _renamed_input(told["message"])
        return told

    def _reworded(self, text: str) -> str:
        for node_id, owner in self.owners.items():
            if node_id in text:
                shown = cut(owner.node_id)
                for class_type in CLASSES:
                    text = text.replace(f"{node_id} ({class_type})", f"{shown} ({owner.class_type})")
                text = _renamed_input(text.replace(node_id, shown))
        return text


def insert_prefixes(workflow: Workflow, node_ids: Sequence[str], folder: str) -> tuple[Workflow, Inserted]:
    """Have the linked `filename_prefix` of these nodes put below `folder` while the workflow runs."""
    free_ids = _free_ids(workflow)
    extended: dict[str, Mapping[str, Any]] = dict(workflow)
    owners: dict[str, Owner] = {}
    for node_id in node_ids:
        node, cleaning, joining = workflow[node_id], next(free_ids), next(free_ids)
        extended[cleaning] = _cleaning(node["inputs"][PREFIX_INPUT])
        extended[joining] = _joining(cleaning, folder)
        extended[node_id] = {**node, "inputs": {**node["inputs"], PREFIX_INPUT: [joining, 0]}}
        owners |= dict.fromkeys((cleaning, joining), Owner(node_id, node["class_type"]))
    return extended, Inserted(owners)


def _free_ids(workflow: Workflow) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        # Closed at both ends, so that none is part of another.
        if (node_id := f"~folder{number}~") not in workflow:
            yield node_id


def _cleaning(link: Any) -> dict[str, Any]:
    flags = {"case_insensitive": False, "multiline": False, "dotall": False, "count": 0}
    return {"class_type": _REPLACE, "inputs": {"string": link, "regex_pattern": _UNFIT, "replace": "_", **flags}}


def _joining(cleaning: str, folder: str) -> dict[str, Any]:
    inputs = {"string_a": f"{folder}/", "string_b": [cleaning, 0], "delimiter": ""}
    return {"class_type": _JOIN, "inputs": inputs}


def _renamed_input(text: str) -> str:
    return re.sub(r"'(?:string|string_b)'", f"'{PREFIX_INPUT}'", text)
