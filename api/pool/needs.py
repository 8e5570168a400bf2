"""What a workflow needs of a ComfyUI, what a ComfyUI has, and what is missing where. Nothing is asked over the wire."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..comfyui.choices import Suggestions
from ..comfyui.declared import DeclaredNode
from ..errors import Detail, PromptRejected
from ..ids import InstanceName
from ..jobs.ports import Workflow
from ..jobs.quoting import cut, quote
from ..workflows import graph

_MOST_TOLD = 20


@dataclass(frozen=True, slots=True)
class Needs:
    """`classes`: each node class with a node of it; `files`: (node, input, model file); `kind` names workflows alike.

    Alike are those of the same node classes and models: the measured times of one tell of the others.
    """

    classes: Mapping[str, str]
    files: tuple[tuple[str, str, str], ...]
    models: frozenset[str]
    kind: str
    class_of: Mapping[str, str]


NOTHING = Needs({}, (), frozenset(), "", {})


def needs_of(workflow: Workflow) -> Needs:
    """The needs of a checked workflow."""
    found = graph.models(workflow)
    names = frozenset(model["name"] for model in found)
    counted = Counter(node["class_type"] for node in workflow.values())
    told = repr((sorted(counted.items()), sorted(names)))
    return Needs(
        classes={node["class_type"]: node_id for node_id, node in workflow.items()},
        files=tuple((model["node_id"], model["input"], model["name"]) for model in found),
        models=names,
        kind=hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:16],
        class_of={model["node_id"]: workflow[model["node_id"]]["class_type"] for model in found},
    )


class Offers:
    """What one ComfyUI has, by its object_info."""

    def __init__(self, info: Mapping[str, Any]) -> None:
        self._info = info
        self._declared: dict[str, DeclaredNode] = {}

    def lacks(self, needs: Needs) -> tuple[Detail, ...]:
        """Node classes and model files that are not there; lists that cannot be seen count as having all."""
        classes = [self._no_class(name, node_id) for name, node_id in needs.classes.items() if name not in self._info]
        files = [
            missing
            for node_id, input_name, file in needs.files
            if (missing := self._no_file(node_id, needs.class_of[node_id], input_name, file))
        ]
        return (*classes, *files)

    def _no_class(self, name: str, node_id: str) -> Detail:
        return Detail(
            node_id=node_id,
            class_type=cut(name),
            field=f"workflow.{node_id}.class_type",
            code="missing_node_type",
            message=f"no node class {quote(name)}",
        )

    def _no_file(self, node_id: str, class_type: str, input_name: str, file: str) -> Detail | None:
        if class_type not in self._info:
            return None
        if class_type not in self._declared:
            self._declared[class_type] = DeclaredNode.read(class_type, self._info[class_type])
        declared = self._declared[class_type].inputs.get(input_name)
        choices = declared.choices if declared else None
        if choices is None or file in choices:
            return None
        return Detail(
            node_id=node_id,
            class_type=cut(class_type),
            field=f"workflow.{node_id}.inputs.{input_name}",
            code="value_not_in_list",
            message=f"no {quote(file)} for {input_name} of {cut(class_type)}",
            received=cut(file, 500),
        )

    def nearest(self, missing: Detail, suggest: Suggestions) -> list[str]:
        """The names that resemble one that is missing here."""
        if missing["code"] == "missing_node_type":
            return suggest(missing["class_type"], list(self._info))
        declared = self._declared[missing["class_type"]].inputs[missing["field"].rpartition(".")[2]]
        return suggest(missing["received"], [str(choice) for choice in declared.choices or ()])


def refusal(lacking: Iterable[tuple[InstanceName, Offers, tuple[Detail, ...]]]) -> PromptRejected:
    """The error of a job that no ComfyUI has the nodes and models for; its details name what is missing where."""
    told: list[str] = []
    details: list[Detail] = []
    suggest = Suggestions()
    for name, offers, missing in lacking:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        told.append(f"{name} has {missing[0]['message']}{more}")
        for detail in missing[: _MOST_TOLD - len(details)]:
            named = Detail(**{**detail, "message": f"{name} has {detail['message']}."})
            if near := offers.nearest(detail, suggest):
                named["nearest"] = near
            details.append(named)
    text = f"No ComfyUI has all the nodes and models of the workflow: {'; '.join(told[:_MOST_TOLD])}."
    return PromptRejected(text, details)
