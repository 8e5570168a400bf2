import json
from typing import Any

import pytest

from api.workflows import graph


def node(class_type: str = "A", **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def test_seeds_are_found_also_behind_primitives():
    workflow = {
        "10": node("KSampler", seed=7, steps=20),
        "3": node("RandomNoise", noise_seed=2**63),
        "4": node("KSampler", seed=["5", 0]),
        "5": node("PrimitiveInt", value=99),
        "6": node("KSampler", seed=["10", 0]),
        "7": node("Toggle", seed=True),
    }
    assert graph.seeds(workflow) == {"3": {"noise_seed": 2**63}, "4": {"seed": 99}, "10": {"seed": 7}}


def test_models_are_told_by_their_extension():
    workflow = {
        "2": node("LoraStack", lora={"on": True, "lora": "styles/b.SAFETENSORS"}),
        "1": node("CheckpointLoaderSimple", ckpt_name="a.ckpt"),
        "3": node("CLIPTextEncode", text="draw\na.ckpt"),
        "4": node("UnetLoaderGGUF", unet_name="c.gguf", link=["x.pt", 0]),
    }
    assert graph.models(workflow) == [
        {"name": "a.ckpt", "node_id": "1", "input": "ckpt_name"},
        {"name": "styles/b.SAFETENSORS", "node_id": "2", "input": "lora"},
        {"name": "c.gguf", "node_id": "4", "input": "unet_name"},
    ]


def test_the_digest_is_of_what_runs():
    first = {"1": node(x=1, y="ü"), "2": node()}
    shuffled = {"2": node() | {"_meta": {"title": "T"}}, "1": {"inputs": {"y": "ü", "x": 1}, "class_type": "A"}}
    assert graph.digest(first) == graph.digest(shuffled)
    assert graph.digest(first) != graph.digest({"1": node(x=2, y="ü"), "2": node()})
    assert len(graph.digest(json.loads(json.dumps(first)))) == 64


@pytest.mark.parametrize(
    ("cached", "expected"),
    [(set(), False), ({"3"}, True), ({"1"}, False), ({"1", "2"}, True), ({"9"}, False)],
)
def test_an_output_is_reused_when_all_it_was_made_from_is(cached, expected):
    workflow = {"1": node(), "2": node(), "3": node("SaveImage", images=["1", 0], mask=["2", 0], again=["1", 1])}
    assert graph.reused(workflow, cached, "3") is expected


def test_an_output_without_parents_or_made_within_another_node_is_not_reused():
    assert not graph.reused({"1": node()}, {"2"}, "1")
    assert not graph.reused({"1": node()}, {"1"}, "1.0.0.2")
