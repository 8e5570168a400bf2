import time
from typing import Any

import pytest

from api.errors import InvalidWorkflow
from api.workflows import graph

WORKFLOW = graph.check(
    {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a dog"}, "_meta": {"title": "Positive v1.5"}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry"}, "_meta": {"title": "Text"}},
        "8": {"class_type": "Upscale", "inputs": {"text": "x", "model.scale": 2}, "_meta": {"title": "Text"}},
        "12:3": {"class_type": "KSampler", "inputs": {"seed": 1, "positive": ["6", 0]}, "_meta": {"title": "6"}},
    }
)


def refusal(**overrides: Any) -> list[dict[str, Any]]:
    with pytest.raises(InvalidWorkflow) as caught:
        graph.apply_overrides(WORKFLOW, overrides)
    assert caught.value.details[0]["message"] in caught.value.message
    return caught.value.details


@pytest.mark.parametrize(
    ("key", "node_id", "name"),
    [
        ("6.text", "6", "text"),
        ("Positive v1.5.text", "6", "text"),
        ("12:3.seed", "12:3", "seed"),
        ("8.model.scale", "8", "model.scale"),
        ("Text.model.scale", "8", "model.scale"),
        ("12:3.positive", "12:3", "positive"),
    ],
)
def test_nodes_are_found_by_id_and_title(key, node_id, name):
    changed = graph.apply_overrides(WORKFLOW, {key: "new"})
    assert changed[node_id]["inputs"][name] == "new"
    assert {key: node for key, node in changed.items() if key != node_id} == {
        key: node for key, node in WORKFLOW.items() if key != node_id
    }


def test_the_original_is_left_alone():
    graph.apply_overrides(WORKFLOW, {"6.text": "new"})
    assert WORKFLOW["6"]["inputs"]["text"] == "a dog"


def test_an_id_beats_a_title():
    assert graph.apply_overrides(WORKFLOW, {"6.text": "new"})["6"]["inputs"]["text"] == "new"


@pytest.mark.parametrize(
    ("key", "code", "nearest"),
    [
        ("6.txt", "unknown_input", ["text"]),
        ("4.name", "unknown_input", ["ckpt_name"]),
        ("positive.text", "unknown_node", ["Positive v1.5"]),
        ("99.text", "unknown_node", None),
        ("6", "invalid_override", None),
        ("6.", "invalid_override", None),
        (".text", "invalid_override", None),
        ("", "invalid_override", None),
        ("Text.text", "ambiguous_title", None),
    ],
)
def test_a_key_that_fits_nothing_gets_the_nearest_names(key, code, nearest):
    (detail,) = refusal(**{key: "new"})
    assert (detail["field"], detail["code"], detail.get("nearest")) == (f"overrides.{key}", code, nearest)


def test_of_hundreds_of_wrong_keys_the_first_few_get_names():
    node = {"class_type": "KSampler", "inputs": {"seed": 1}}
    workflow = {str(at): {**node, "_meta": {"title": f"The sampler number {at}"}} for at in range(1000)}
    started = time.process_time()
    with pytest.raises(InvalidWorkflow) as caught:
        graph.apply_overrides(workflow, {f"The smapler number {at}.seed": 2 for at in range(500)})
    assert time.process_time() - started < 1.0
    assert ["nearest" in detail for detail in caught.value.details] == [True] * 10 + [False] * 490
    assert caught.value.details[7]["nearest"][0] == "The sampler number 7"


def test_an_ambiguous_title_lists_its_nodes():
    assert "nodes 7, 8" in refusal(**{"Text.text": 1})[0]["message"]


def test_two_keys_for_one_input():
    (detail,) = refusal(**{"6.text": "a", "Positive v1.5.text": "b"})
    assert detail["code"] == "override_twice"
    assert "'6.text'" in detail["message"]


def test_all_findings_come_at_once():
    assert len(refusal(**{"6.txt": 1, "99.text": 1, "6.text": 1})) == 2


def test_values_are_not_quoted():
    assert "secret prompt" not in str(refusal(**{"6.txt": "secret prompt"}))
