"""What a workflow needs and a ComfyUI has: names of missing ones, and workflows that are alike."""

from typing import Any

import pytest

from api.ids import InstanceName
from api.pool.needs import Offers, needs_of, refusal

LOADER = {"input": {"required": {"ckpt_name": [["a.safetensors", "sub/b.safetensors"], {}]}}, "output": ["MODEL"]}
V3 = {"input": {"required": {"ckpt_name": ["COMBO", {"options": ["a.safetensors"]}]}}, "output": ["MODEL"]}


def workflow(model: Any, class_type: str = "Loader", **inputs: Any) -> dict[str, dict[str, Any]]:
    return {"4": {"class_type": class_type, "inputs": {"ckpt_name": model, **inputs}}}


def codes(info: dict[str, Any], graph: dict[str, dict[str, Any]]) -> list[str]:
    return [detail["code"] for detail in Offers(info).lacks(needs_of(graph))]


def test_models_that_are_there_and_models_that_are_not() -> None:
    for info in (LOADER, V3):
        assert codes({"Loader": info}, workflow("a.safetensors")) == []
        assert codes({"Loader": info}, workflow("z.safetensors")) == ["value_not_in_list"]


def test_a_missing_class_is_all_that_is_told_of_its_node() -> None:
    assert codes({"Other": LOADER}, workflow("a.safetensors")) == ["missing_node_type"]


def test_what_cannot_be_seen_counts_as_there() -> None:
    remote = {"input": {"required": {"ckpt_name": ["COMBO", {"remote": {"route": "/x"}}]}}}
    assert codes({"Loader": remote}, workflow("z.safetensors")) == []
    assert codes({"Loader": {"input": {"required": {"ckpt_name": ["STRING", {}]}}}}, workflow("z.safetensors")) == []
    assert codes({"Loader": LOADER}, workflow("a.safetensors", lora="z.safetensors")) == []


@pytest.mark.parametrize("entry", [None, 5, "x", [LOADER], {"input": [1]}, {"input": {"required": {"ckpt_name": 5}}}])
def test_a_definition_that_makes_no_sense_is_no_obstacle(entry: Any) -> None:
    assert codes({"Loader": entry}, workflow("z.safetensors")) == []


def test_values_that_are_no_models_are_comfyuis_to_judge() -> None:
    assert codes({"Loader": LOADER}, workflow("euler")) == []


def test_the_refusal_names_what_is_missing_where_with_the_nearest() -> None:
    needs = needs_of(workflow("B.safetensors"))
    offers = {"one": Offers({"Loader": LOADER}), "two": Offers({"Loaders": LOADER})}
    error = refusal((InstanceName(name), each, each.lacks(needs)) for name, each in offers.items())
    assert error.message == (
        "No ComfyUI has all the nodes and models of the workflow: one has no 'B.safetensors' for ckpt_name of Loader; "
        "two has no node class 'Loader'."
    )
    first, second = error.details
    assert (first["node_id"], first["field"]) == ("4", "workflow.4.inputs.ckpt_name")
    assert first["nearest"][0] == "sub/b.safetensors"
    assert (second["field"], second["nearest"]) == ("workflow.4.class_type", ["Loaders"])


def test_workflows_of_the_same_nodes_and_models_are_alike() -> None:
    kinds = [
        needs_of(each).kind
        for each in (
            workflow("a.safetensors", seed=1, text="x"),
            workflow("a.safetensors", seed=2, text="y"),
            workflow("b.safetensors"),
            workflow("a.safetensors", "Other"),
        )
    ]
    assert kinds[0] == kinds[1]
    assert len(set(kinds)) == 3
