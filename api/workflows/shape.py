"""Which workflows take alike long: those of one structure and the same models, by how much they have to do."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import InvalidInput
from ..jobs.ports import Workflow
from .facts import MODEL_FILE, constant
from .format import graph_in
from .links import is_link
from .overrides import apply_overrides

# Texts that say what is done, not to what: models, samplers. Prompts and the names of files say nothing about the time.
_TELLING = "_name"
_ALSO_TELLING = frozenset({"scheduler", "upscale_method"})
_SIDES = (("width", "height"), ("target_width", "target_height"))
_MEGAPIXEL = 1_000_000
_Reduce = Callable[[Iterator[float]], float]


def _most(values: Iterator[float]) -> float:
    return max(values, default=1.0)


def _added(values: Iterator[float]) -> float:
    return sum(values) or 1.0


# What is repeated, by the names ComfyUI's nodes and the common custom ones have for it, and how nodes add up.
_AMOUNTS: tuple[tuple[frozenset[str], _Reduce], ...] = (
    (frozenset({"steps"}), _added),
    (frozenset({"batch_size", "amount"}), _most),
    (frozenset({"length", "frames", "num_frames", "video_frames", "frame_count"}), _most),
    (frozenset({"seconds", "duration"}), _added),
)


def shape(workflow: object, overrides: Mapping[str, Any] | None = None) -> str | None:
    """`<hash of the structure>:<amount of work>` of a workflow as it is sent; None for what is none."""
    try:
        graph: Workflow = {str(key): _node(node) for key, node in graph_in(workflow).items() if isinstance(node, dict)}
        graph = apply_overrides(graph, overrides) if overrides else graph
    except InvalidInput:
        return None
    return f"{_structure(graph)}:{_work(graph):.10g}"


def _node(node: Mapping[str, Any]) -> dict[str, Any]:
    inputs = node.get("inputs")
    return {**node, "inputs": inputs if isinstance(inputs, dict) else {}}


def _structure(graph: Workflow) -> str:
    bare = {
        node_id: [node.get("class_type"), {name: _told(name, value) for name, value in node["inputs"].items()}]
        for node_id, node in graph.items()
    }
    return hashlib.sha256(json.dumps(bare, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _told(name: str, value: Any) -> Any:
    """The value of an input as far as it belongs to the structure; None where it may be any."""
    if isinstance(value, str):
        tells = name.endswith(_TELLING) or name in _ALSO_TELLING or MODEL_FILE.fullmatch(value)
        return value if tells else None
    return value if is_link(value) else None


def _work(graph: Workflow) -> float:
    work = _most(iter([area for node in graph.values() for area in _areas(graph, node["inputs"])]))
    for names, add_up in _AMOUNTS:
        work *= add_up(_numbers(graph, names))
    return work


def _areas(graph: Workflow, inputs: Mapping[str, Any]) -> Iterator[float]:
    for width, height in _SIDES:
        sides = [_number(constant(graph, inputs.get(side))) for side in (width, height)]
        if sides[0] and sides[1]:
            yield sides[0] * sides[1]
    if megapixels := _number(constant(graph, inputs.get("megapixels"))):
        yield megapixels * _MEGAPIXEL


def _numbers(graph: Workflow, names: frozenset[str]) -> Iterator[float]:
    for node in graph.values():
        for name in names & node["inputs"].keys():
            if number := _number(constant(graph, node["inputs"][name])):
                yield number


def _number(value: Any) -> float:
    """A positive number, or 0."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < _MEGAPIXEL * _MEGAPIXEL else 0.0
