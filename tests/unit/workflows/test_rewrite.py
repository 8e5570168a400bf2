from typing import Any

import pytest

from api.workflows import graph


def node(class_type: str = "A", **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def bound_inputs(names: dict[str, str], class_type: str = "A", **inputs: Any) -> dict[str, Any]:
    bound, _ = graph.bind_files({"1": node(class_type, **inputs)}, names)
    return dict(bound["1"]["inputs"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a.png", "job/x.png"),
        ("a.png [input]", "job/x.png [input]"),
        ("a.png [output]", "a.png [output]"),
        ("b/a.png", "b/a.png"),
        ("a cat, a.png", "a cat, a.png"),
        (["a.png", "b.png"], ["job/x.png", "b.png"]),
        ({"files": [{"name": "a.png"}]}, {"files": [{"name": "job/x.png"}]}),
        (["a.png", 0], ["a.png", 0]),
        (5, 5),
    ],
)
def test_values_that_are_the_name_get_the_stored_one(value, expected):
    assert bound_inputs({"a.png": "job/x.png"}, "LoadImage", image=value) == {"image": expected}


def test_prefixes_are_never_file_names():
    assert bound_inputs({"a.png": "job/x.png"}, filename_prefix="a.png") == {"filename_prefix": "a.png"}


def test_names_with_subfolder():
    assert bound_inputs({"faces/a.png": "job/faces/a.png"}, image="faces/a.png") == {"image": "job/faces/a.png"}


def test_names_no_node_uses_are_told():
    _, unused = graph.bind_files({"1": node(image="a.png")}, {"a.png": "x", "b.png": "y", "c": "z"})
    assert unused == ("b.png", "c")


def test_a_plain_word_counts_in_loaders_first():
    workflow = {"1": node("LoadImage", image="red"), "2": node("ImageToMask", channel="red")}
    bound, unused = graph.bind_files(workflow, {"red": "job/red"})
    assert (bound["1"]["inputs"], bound["2"]["inputs"], unused) == ({"image": "job/red"}, {"channel": "red"}, ())


def test_a_plain_word_counts_everywhere_when_no_loader_has_it():
    assert bound_inputs({"clip": "job/clip"}, "MyVideoReader", file="clip") == {"file": "job/clip"}


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("cat", "job/cat"),
        ("sub/cat", "job/sub/cat"),
        ("", "job/ComfyUI"),
        (".", "job/ComfyUI"),
        ("./", "job/ComfyUI"),
        ("sub/", "job/sub"),
        ("a//b", "job/a/b"),
    ],
)
def test_prefixes_move_below_the_jobs_folder(prefix, expected):
    workflow = {"1": node("SaveImage", filename_prefix=prefix), "2": node(x=1)}
    bound = graph.bind_prefixes(workflow, "job")
    assert bound == {"1": node("SaveImage", filename_prefix=expected), "2": node(x=1)}


def test_a_linked_prefix_stays_a_link():
    workflow = {"1": node("SaveImage", filename_prefix=["2", 0])}
    assert graph.bind_prefixes(workflow, "job") == workflow


def test_streamed_frames_are_saved():
    saved = graph.save_streamed_frames({"3": node("SaveImageWebsocket", images=["1", 0]), "4": node()})
    assert saved == {"3": node("SaveImage", images=["1", 0], filename_prefix="ComfyUI"), "4": node()}


def test_force_leaves_loaded_models_alone():
    workflow = {
        "1": node("CheckpointLoaderSimple"),
        "2": node("LoadImage"),
        "3": node("KSampler", seed=1),
        "4": node("LoraLoader"),
    }
    forced = graph.force(workflow, "n1")
    assert {node_id for node_id in workflow if forced[node_id]["inputs"].get("_worker_nonce") == "n1"} == {"2", "3"}


def test_refresh_touches_only_the_nodes_named():
    workflow = {"1": node(x=1), "2": node()}
    assert graph.refresh(workflow, {"1"}, "n") == {"1": node(x=1, _worker_nonce="n"), "2": node()}
    assert workflow["1"] == node(x=1)


def test_a_prefix_linked_to_a_primitive_string_is_put_below_the_folder_too():
    workflow = {
        "1": {"class_type": "PrimitiveString", "inputs": {"value": "../shared/cat"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["9", 0], "filename_prefix": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["9", 0], "filename_prefix": ["9", 0]}},
        "9": {"class_type": "Custom", "inputs": {}},
    }
    bound = graph.bind_prefixes(workflow, "job-1")
    assert bound["2"]["inputs"]["filename_prefix"] == "job-1/_/shared/cat"
    assert bound["3"]["inputs"]["filename_prefix"] == ["9", 0]
