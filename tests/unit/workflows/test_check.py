import json
import time
from pathlib import Path
from typing import Any

import pytest

from api.errors import InputTooLarge, InvalidWorkflow, WorkflowInUiFormat
from api.workflows import graph


def node(class_type: str = "A", **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def refusal(workflow: object, **limits: int) -> InvalidWorkflow:
    with pytest.raises(InvalidWorkflow) as caught:
        graph.check(workflow, **limits)
    assert caught.value.message
    return caught.value


def only_finding(workflow: object) -> dict[str, Any]:
    (detail,) = refusal(workflow).details
    return detail


def chain(length: int) -> dict[str, Any]:
    return {str(index): node(x=[str(index - 1), 0]) if index else node() for index in range(length)}


def test_the_demo_workflow_passes_unchanged():
    job = json.loads((Path(__file__).parents[3] / "test_input.json").read_text())
    assert graph.check(job["input"]["workflow"]) == job["input"]["workflow"]


def test_a_node_is_rebuilt_from_what_counts():
    raw = {"1": {"class_type": "A", "inputs": {"x": [1, {"y": None}]}, "_meta": {"title": "T"}, "is_changed": ["h"]}}
    assert graph.check(raw) == {"1": {"class_type": "A", "inputs": {"x": [1, {"y": None}]}, "_meta": {"title": "T"}}}


def test_the_callers_document_is_left_alone():
    raw = {"1": node("SaveImage", filename_prefix="a..b", deep={"x": [1]})}
    before = json.dumps(raw)
    checked = graph.check(raw)
    checked["1"]["inputs"]["deep"]["x"].append(2)
    assert json.dumps(raw) == before


@pytest.mark.parametrize("raw", [{"class_type": "A"}, {"class_type": "A", "inputs": None}])
def test_missing_inputs_become_empty(raw):
    # ComfyUI 0.3.64 answers 200 to these and its worker thread dies.
    assert graph.check({"1": raw}) == {"1": {"class_type": "A", "inputs": {}}}


@pytest.mark.parametrize("workflow", [None, [], "{}", 3, b"", {}, [node()]])
def test_what_is_no_workflow_is_told_how_to_export_one(workflow):
    assert "Export (API)" in refusal(workflow).message


@pytest.mark.parametrize(
    "workflow",
    [
        {"nodes": [], "links": [], "version": 0.4},
        {"workflow": {"nodes": [{"id": 1}], "links": []}},
        {"prompt": {"nodes": []}, "client_id": "x"},
    ],
)
def test_the_editors_format_is_recognised(workflow):
    with pytest.raises(WorkflowInUiFormat, match="API format"):
        graph.check(workflow)


@pytest.mark.parametrize(
    "wrapped",
    [
        {"prompt": {"1": node()}},
        {"workflow": {"1": node()}},
        {"prompt": {"1": node()}, "client_id": "x", "extra_data": {}},
        {"workflow": {"nodes": [], "links": []}, "output": {"1": node()}},
        {"workflow": {"nodes": []}, "prompt": {"1": node()}},
        {"workflow": {"prompt": {"1": node()}}},
    ],
)
def test_wrappers_are_taken_off(wrapped):
    assert graph.check(wrapped) == {"1": node()}


def test_a_node_called_prompt_is_no_wrapper():
    assert graph.check({"prompt": node(), "workflow": node()}).keys() == {"prompt", "workflow"}


def test_a_single_node_is_recognised():
    assert "under an id" in refusal(node()).message


@pytest.mark.parametrize(
    ("raw", "field", "code"),
    [
        (None, "workflow.1", "not_a_node"),
        ([], "workflow.1", "not_a_node"),
        ("x", "workflow.1", "not_a_node"),
        ({}, "workflow.1.class_type", "missing_class_type"),
        ({"class_type": None}, "workflow.1.class_type", "missing_class_type"),
        ({"class_type": ""}, "workflow.1.class_type", "missing_class_type"),
        ({"class_type": ["A"]}, "workflow.1.class_type", "missing_class_type"),
        ({"class_type": "A", "inputs": []}, "workflow.1.inputs", "wrong_type"),
        ({"class_type": "A", "inputs": "x"}, "workflow.1.inputs", "wrong_type"),
        (node(x=["9", 0]), "workflow.1.inputs.x", "dangling_link"),
        (node(x=["2", -1]), "workflow.1.inputs.x", "bad_link_slot"),
        (node(x=["2", 10**9]), "workflow.1.inputs.x", "bad_link_slot"),
        (node(x=["1", 0]), "workflow.1", "cycle"),
        (node(x=float("nan")), "workflow.1.inputs.x", "not_finite"),
        (node(x={"y": [float("-inf")]}), "workflow.1.inputs.x.y.0", "not_finite"),
        (node(x="\ud83d"), "workflow.1.inputs.x", "invalid_text"),
        (node(x=b"bytes"), "workflow.1.inputs.x", "not_json"),
        (node(x=10**100), "workflow.1.inputs.x", "out_of_range"),
        ({"class_type": "\ud800"}, "workflow.1.class_type", "invalid_text"),
        ({"class_type": "A", "_meta": {"title": "\ud800"}}, "workflow.1._meta.title", "invalid_text"),
    ],
)
def test_a_bad_node_is_named(raw, field, code):
    detail = only_finding({"1": raw, "2": node()})
    assert (detail["node_id"], detail["field"], detail["code"]) == ("1", field, code)
    assert "Node 1" in detail["message"]


def test_the_class_and_the_input_are_in_the_message():
    detail = only_finding({"4": node("KSampler", model=["12", 0])})
    assert detail["class_type"] == "KSampler"
    assert detail["message"] == "Node 4 (KSampler): 'model' is linked to node 12, which is not in the workflow."


@pytest.mark.parametrize("value", [[1, 0], ["9"], ["9", 0, 1], ["9", "0"], ["9", True], ["9", 0.5], [["9", 0], 1], {}])
def test_other_lists_are_comfyuis_business(value):
    assert graph.check({"1": node(x=value)})["1"]["inputs"]["x"] == value


def test_keys_that_are_no_text():
    assert only_finding({1: node()})["code"] == "invalid_node_id"
    assert only_finding({"1": {"class_type": "A", "inputs": {5: 1}}})["code"] == "invalid_key"


def test_all_findings_come_in_the_order_of_the_nodes():
    error = refusal({"10": node(x=["99", 0]), "2": None, "3": {"inputs": {}}})
    assert [detail["node_id"] for detail in error.details] == ["2", "3", "10"]


def test_a_link_to_an_unsound_node_is_no_second_finding():
    assert only_finding({"1": node(x=["2", 0]), "2": None})["node_id"] == "2"


def test_findings_are_bounded():
    assert len(refusal({str(index): None for index in range(3000)}).details) == 50


def test_a_circle_names_its_nodes_in_the_direction_of_the_data():
    detail = only_finding({"1": node("A", x=["3", 0]), "2": node("B", x=["1", 0]), "3": node("C", x=["2", 0])})
    assert detail["code"] == "cycle"
    assert "1 (A) → 2 (B) → 3 (C) → 1" in detail["message"]


def test_every_knot_has_its_circle():
    workflow = {"1": node(x=["2", 0]), "2": node(x=["1", 0]), "3": node(x=["3", 0]), "4": node(x=["1", 0])}
    assert [detail["node_id"] for detail in refusal(workflow).details] == ["1", "3"]


def test_a_diamond_is_no_circle():
    assert graph.check({"1": node(), "2": node(x=["1", 0]), "3": node(x=["1", 0]), "4": node(x=["2", 0], y=["3", 0])})


def test_as_deep_as_comfyui_can_follow():
    assert graph.check(chain(900))
    detail = only_finding(chain(901))
    assert (detail["node_id"], detail["code"]) == ("900", "too_deep")


def test_huge_graphs_are_looked_at_without_recursion():
    assert only_finding(chain(5000))["code"] == "too_deep"
    ring = {str(index): node(x=[str((index + 1) % 5000), 0]) for index in range(5000)}
    assert only_finding(ring)["code"] == "cycle"


def test_a_dense_graph_takes_no_time():
    dense = {
        str(index): node(**{f"i{p}": [str(p), 0] for p in range(max(0, index - 40), index)}) for index in range(900)
    }
    started = time.process_time()
    graph.check(dense)
    assert time.process_time() - started < 2


def test_too_many_nodes():
    with pytest.raises(InputTooLarge, match="3 nodes; this worker takes 2"):
        graph.check({str(index): node() for index in range(3)}, max_nodes=2)


def test_nesting_without_end():
    endless: list[Any] = []
    endless.append(endless)
    assert only_finding({"1": node(x=endless)})["code"] == "too_deep"


def test_values_without_end():
    wide: Any = [0]
    for _ in range(60):
        wide = [wide, wide]
    assert only_finding({"1": node(x=wide), "2": node(y=[1])})["code"] == "too_large"


@pytest.mark.parametrize(
    ("class_type", "inputs"),
    [
        ("LoadImage", {"image": "/etc/passwd"}),
        ("LoadImage", {"image": "../../secret.png"}),
        ("LoadImage", {"image": "a/../../b.png [output]"}),
        ("LoadImageMask", {"image": "..\\x.png"}),
        ("LoadImageOutput", {"image": "C:\\x.png"}),
        ("LoadAudio", {"audio": " /x.wav"}),
        ("LoadVideo", {"file": "\\\\server\\x.mp4"}),
        ("LoadLatent", {"latent": "x/.."}),
        ("LoadImageSetNode", {"images": ["a.png", "../b.png"]}),
        ("SaveImage", {"filename_prefix": "/tmp/x"}),
        ("AnyCustomSaver", {"filename_prefix": "a/../../x"}),
        ("AnyCustomSaver", {"filename_prefix": ".."}),
    ],
)
def test_paths_out_of_comfyuis_folders_are_refused(class_type, inputs):
    detail = only_finding({"1": node(class_type, **inputs)})
    assert (detail["code"], detail["field"]) == ("path_refused", f"workflow.1.inputs.{next(iter(inputs))}")
    assert detail["received"]


@pytest.mark.parametrize(
    ("class_type", "inputs"),
    [
        ("LoadImage", {"image": "faces/a..b.png [input]"}),
        ("LoadImage", {"image": ["2", 0]}),
        ("VHS_LoadVideoPath", {"video": "/runpod-volume/clip.mp4"}),
        ("CLIPTextEncode", {"text": "/imagine ../.."}),
        ("SaveImage", {"filename_prefix": "%date:yyyy%/cat"}),
    ],
)
def test_other_values_are_nobodys_paths(class_type, inputs):
    assert graph.check({"1": node(class_type, **inputs), "2": node()})["1"]["inputs"] == inputs


@pytest.mark.parametrize("prefix", ["a\0b", "a\nb", "x" * 201])
def test_prefixes_that_would_fail_at_the_very_end(prefix):
    assert only_finding({"1": node("SaveImage", filename_prefix=prefix)})["code"] == "invalid_prefix"


@pytest.mark.parametrize(("prefix", "harmless"), [("a..b", "a_b"), ("v1.../x", "v1_/x"), ("a.b", "a.b")])
def test_dots_that_view_would_not_serve(prefix, harmless):
    checked = graph.check({"1": node("SaveImage", filename_prefix=prefix)})
    assert checked["1"]["inputs"]["filename_prefix"] == harmless


@pytest.mark.parametrize(
    "value",
    ["/proc/self/environ", "../../etc/passwd", "C:\\secrets.txt", {"__value__": "/abs.png"}, ["a", ["/etc/passwd"], 1]],
)
def test_no_input_of_any_node_may_name_a_file_elsewhere(value):
    workflow = {"1": {"class_type": "SomeApiNode", "inputs": {"file": value}}}
    with pytest.raises(InvalidWorkflow) as caught:
        graph.check(workflow)
    assert caught.value.details[0]["code"] == "path_refused"


def test_custom_nodes_may_be_given_files_of_the_volume_but_not_climb_out_of_it():
    def loads(path):
        return {"1": {"class_type": "VHS_LoadVideoPath", "inputs": {"video": path}}}

    assert graph.check(loads("/runpod-volume/clips/a.mp4"))
    assert graph.check(loads("/data/a.mp4"), roots=["/data/"])
    for path in ("/runpod-volume/../etc/passwd", "/runpod-volumes/a", "/data/a.mp4"):
        with pytest.raises(InvalidWorkflow):
            graph.check(loads(path))


@pytest.mark.parametrize(("name", "value"), [("text", "/imagine a cat"), ("regex_pattern", "\\d+"), ("delimiter", "/")])
def test_words_may_begin_with_a_slash(name, value):
    assert graph.check({"1": {"class_type": "Words", "inputs": {name: value}}})


def test_a_prefix_that_is_no_string_cannot_leave_the_jobs_folder():
    assert graph.check({"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": 12345}}})["1"]["inputs"] == {
        "filename_prefix": "12345"
    }
    with pytest.raises(InvalidWorkflow):
        graph.check({"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": {"__value__": "shared/evil"}}}})
