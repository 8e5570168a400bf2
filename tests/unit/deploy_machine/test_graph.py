"""Graphs of ComfyUI Deploy made into ones that any ComfyUI runs."""

from typing import Any

import pytest

from api.deploy_machine.accept import job, own_input
from api.deploy_machine.graph import translate
from api.errors import InvalidInput
from api.jobs.request import Limits, parse


def external(kind: str, name: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": f"ComfyUIDeployExternal{kind}", "inputs": {"input_id": name, **inputs}}


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


@pytest.mark.parametrize(
    ("kind", "given", "default", "expected"),
    [
        ("Text", "a dog", "a cat", "a dog"),
        ("Text", None, "a cat", "a cat"),
        ("NumberInt", "7", 1, 7),
        ("NumberSliderInt", 7.0, 1, 7),
        ("NumberSliderInt", "7.0", 1, 7),
        # More than a float holds.
        ("Seed", 2**64 - 1, 1, 2**64 - 1),
        ("Seed", str(2**64 - 1), 1, 2**64 - 1),
        ("Number", 7, 1, 7.0),
        ("Boolean", False, True, False),
        ("Boolean", "false", True, False),
        ("Enum", "euler", "dpm", "euler"),
        ("Checkpoint", None, "a.safetensors", "a.safetensors"),
    ],
)
def test_values_take_the_place_of_their_nodes(kind: str, given: Any, default: Any, expected: Any) -> None:
    raw = {"1": external(kind, "x", default_value=default), "2": node("Any", value=["1", 0], other=["3", 0])}
    graph = translate(raw, {} if given is None else {"x": given}).graph
    assert graph == {"2": node("Any", value=expected, other=["3", 0])}
    assert type(graph["2"]["inputs"]["value"]) is type(expected)
    # What was given stays as it was.
    assert raw["2"]["inputs"]["value"] == ["1", 0]


def test_pictures_are_loaded_by_name() -> None:
    raw = {"5": external("Image", "photo"), "6": node("ImageInvert", image=["5", 0])}
    made = translate(raw, {"photo": "https://example.com/a/b.jpg?x=1"})
    assert made.graph["5"] == node("LoadImage", image="deploy-5.jpg")
    assert made.images == [{"name": "deploy-5.jpg", "image": "https://example.com/a/b.jpg?x=1"}]
    linked = {"5": external("Image", "photo", default_value=["9", 0]), "6": node("ImageInvert", image=["5", 0])}
    assert translate(linked, {}).graph == {"6": node("ImageInvert", image=["9", 0])}
    with pytest.raises(InvalidInput, match="photo"):
        translate(raw, {})


def test_outputs_are_saved_by_nodes_of_comfyui() -> None:
    raw = {
        "1": node("ComfyDeployOutputImage", images=["8", 0], filename_prefix="out", file_type="webp", quality=80),
        "2": node("ComfyDeployOutputText", text=["7", 0], filename_prefix="t", file_type="txt"),
    }
    assert translate(raw, {}).graph == {
        "1": node("SaveImage", images=["8", 0], filename_prefix="out"),
        "2": node("PreviewAny", source=["7", 0]),
    }


def test_seeds_are_new_unless_they_are_fixed() -> None:
    raw = {
        "1": node("KSampler", seed=5),
        "2": node("KSampler", seed=5),
        "3": node("Other", seed=["4", 0]),
        "4": external("Seed", "seed"),
        "5": node("RandomNoise", noise_seed=5),
        "6": node("Other", noise_seed=5),
    }
    ui = {"nodes": [{"id": 2, "type": "KSampler", "widgets_values": [5, "fixed"]}]}
    graph = translate(raw, {}, ui).graph
    assert graph["1"]["inputs"]["seed"] != 5 and graph["2"]["inputs"]["seed"] == 5
    assert graph["5"]["inputs"]["noise_seed"] != 5 and graph["6"]["inputs"]["noise_seed"] == 5
    assert isinstance(graph["3"]["inputs"]["seed"], int)


def test_what_is_not_known_stays_with_its_value() -> None:
    graph = translate({"1": external("Video", "clip", default_value="")}, {"clip": "https://x/y.mp4"}).graph
    assert graph["1"]["inputs"]["input_id"] == "https://x/y.mp4"


def test_nodes_that_are_linked_to_one_another() -> None:
    raw = {
        "1": external("Text", "a", default_value=["2", 0]),
        "2": external("Text", "b", default_value="told"),
        "3": node("Any", value=["1", 0], list=[["1", 0]]),
        "4": external("Text", "c", default_value=["5", 0]),
        "5": external("Text", "d", default_value=["4", 0]),
        "6": node("Any", value=["4", 0]),
    }
    graph = translate(raw, {}).graph
    assert graph["3"] == node("Any", value="told", list=[["1", 0]])
    # A ring means nothing; ComfyUI says so.
    assert set(graph) == {"3", "6"} and graph["6"]["inputs"]["value"][0] in {"4", "5"}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("NumberInt", "many"),
        ("NumberInt", "1e999"),
        ("Number", "nan"),
        ("Number", 10**400),
        ("Lora", "https://x/y.safetensors"),
    ],
)
def test_values_that_cannot_be(kind: str, value: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        translate({"1": external(kind, "x")}, {"x": value})
    assert refused.value.details[0]["field"] == "inputs.x"


def test_a_run_is_a_job() -> None:
    given = {
        "prompt_id": "36dd538d-c13b-437b-94e1-c2efa3d87543",
        "workflow_api_raw": {"1": node("SaveImage", images=["2", 0]), "2": node("EmptyImage")},
        "workflow_api": {},
        "inputs": None,
        "workflow": {"nodes": [], "links": []},
        "status_endpoint": "https://deploy.example/api/update-run",
        "file_upload_endpoint": "https://deploy.example/api/file-upload",
        "cd_token": "a-token-for-this-run",
        "gpu_event_id": None,
    }
    request = parse(job({"id": "1", "input": given}), Limits())
    assert request.report is not None and request.report.token == "a-token-for-this-run"
    assert request.report.run_id == given["prompt_id"] and request.extra_pnginfo == {"workflow": given["workflow"]}
    assert "a-token" not in repr(request)
    assert job({"input": {"workflow": {}}}) == {"input": {"workflow": {}}}
    assert "report" not in own_input({"workflow_api_raw": {}})
