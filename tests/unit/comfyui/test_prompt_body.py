"""The request body is rebuilt so that nothing in it can wedge or kill ComfyUI (section 13 of the protocol notes)."""

import json
from typing import Any

import pytest

from api.comfyui.submit import PromptBody
from api.errors import InvalidWorkflow

ID = "0b1f6a1e-5ad3-4b39-9a5d-0b6a4c1d2e3f"
NODE = {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}


def body(workflow: Any, **more: Any) -> dict[str, Any]:
    return json.loads(PromptBody(workflow, **more).encode(ID, "client"))


def test_nothing_but_the_four_keys():
    assert body({"1": NODE}) == {
        "prompt": {"1": NODE},
        "prompt_id": ID,
        "client_id": "client",
        "extra_data": {"client_id": "client"},
    }


@pytest.mark.parametrize("node", [{"class_type": "X"}, {"class_type": "X", "inputs": None}])
def test_poison_node_without_inputs(node: dict):
    assert body({"1": NODE, "2": node})["prompt"]["2"] == {"class_type": "X", "inputs": {}}


@pytest.mark.parametrize(
    "node",
    [
        None,
        [],
        "x",
        {},
        {"class_type": None, "inputs": {}},
        {"class_type": 5, "inputs": {}},
        {"class_type": [], "inputs": {}},
        {"class_type": "X", "inputs": []},
        {"class_type": "X", "inputs": "x"},
    ],
)
def test_poison_that_cannot_be_mended(node: Any):
    with pytest.raises(InvalidWorkflow) as caught:
        body({"1": NODE, "7": node})
    assert caught.value.details[0]["node_id"] == "7"


def test_extra_data_is_an_object_and_has_the_key_and_the_metadata():
    content = body({"1": NODE}, api_key="comfyui-secret", extra_pnginfo={"workflow": {"nodes": []}})
    assert content["extra_data"] == {
        "client_id": "client",
        "api_key_comfy_org": "comfyui-secret",
        "extra_pnginfo": {"workflow": {"nodes": []}},
    }


def test_a_node_keeps_its_title_and_loses_the_rest():
    node = {**NODE, "_meta": {"title": "Save"}, "is_changed": [1], "widgets": 5}
    assert body({1: node})["prompt"] == {"1": {**NODE, "_meta": {"title": "Save"}}}
    assert "_meta" not in body({"1": {**NODE, "_meta": 5}})["prompt"]["1"]


def test_lone_surrogates_and_infinities_pass():
    raw = PromptBody({"1": {"class_type": "X", "inputs": {"a": "\ud800", "b": float("inf")}}}).encode(ID, "c")
    assert b"\\ud800" in raw and b"Infinity" in raw
