"""Shapes: what takes alike long has one, what does not has another."""

import copy
from typing import Any

import pytest

from api.workflows.shape import shape

GRAPH: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {"seed": 5, "steps": 20, "cfg": 7.0, "sampler_name": "euler", "model": ["4", 0], "latent": ["5", 0]},
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 512, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["4", 1]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "cat"}},
}


def changed(place: str, value: Any) -> dict[str, Any]:
    graph = copy.deepcopy(GRAPH)
    node, name = place.split(".")
    graph[node]["inputs"][name] = value
    return graph


def parts(graph: Any, **options: Any) -> tuple[str, float]:
    digest, _, work = str(shape(graph, **options)).partition(":")
    return digest, float(work)


@pytest.mark.parametrize(
    ("place", "value"), [("3.seed", 6), ("6.text", "a dog"), ("9.filename_prefix", "dog"), ("3.cfg", 1.0)]
)
def test_what_is_made_does_not_matter(place: str, value: Any) -> None:
    assert shape(changed(place, value)) == shape(GRAPH)


@pytest.mark.parametrize(
    ("place", "value"), [("4.ckpt_name", "b.safetensors"), ("3.sampler_name", "heun"), ("3.latent", ["6", 0])]
)
def test_how_it_is_made_does(place: str, value: Any) -> None:
    assert parts(changed(place, value))[0] != parts(GRAPH)[0]


@pytest.mark.parametrize(
    ("place", "value", "times"),
    [("3.steps", 40, 2), ("5.width", 1024, 2), ("5.batch_size", 4, 4), ("5.height", 256, 0.5)],
)
def test_how_much_is_made_is_its_work(place: str, value: Any, times: float) -> None:
    assert parts(changed(place, value)) == (parts(GRAPH)[0], times * parts(GRAPH)[1])


def test_steps_add_up_and_sizes_do_not() -> None:
    graph = copy.deepcopy(GRAPH)
    before = parts(graph)[1]
    graph["10"] = {"class_type": "KSampler", "inputs": {"steps": 10}}
    assert parts(graph)[1] == before * 1.5
    graph["11"] = {"class_type": "EmptyLatentImage", "inputs": {"width": 256, "height": 256}}
    assert parts(graph)[1] == before * 1.5


def test_a_linked_size_is_looked_up() -> None:
    graph = changed("3.steps", ["7", 0])
    graph["7"] = {"class_type": "PrimitiveInt", "inputs": {"value": 60}}
    assert parts(graph)[1] == 3 * parts(GRAPH)[1]


def test_overrides_count() -> None:
    assert parts(GRAPH, overrides={"3.steps": 40})[1] == 2 * parts(GRAPH)[1]


@pytest.mark.parametrize(
    "graph", [None, 5, {}, {"nodes": [], "links": []}, {"1": {"class_type": "A", "inputs": None}}, {"1": 5}]
)
def test_odd_workflows_do_no_harm(graph: Any) -> None:
    found = shape(graph)
    assert found is None or found.count(":") == 1


def test_unknown_overrides_give_none() -> None:
    assert shape(GRAPH, {"nowhere.x": 1}) is None
