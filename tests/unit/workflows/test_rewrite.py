import posixpath
import re
from typing import Any

import pytest

from api.errors import Detail, PromptRejected
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
    bound, inserted = graph.bind_prefixes(workflow, "job")
    assert not inserted
    assert bound == {"1": node("SaveImage", filename_prefix=expected), "2": node(x=1)}


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
        "1": node("PrimitiveString", value="../shared/cat"),
        "2": node("SaveImage", images=["9", 0], filename_prefix=["1", 0]),
    }
    bound, inserted = graph.bind_prefixes(workflow, "job-1")
    assert bound["2"]["inputs"]["filename_prefix"] == "job-1/_/shared/cat"
    assert not inserted


def linked(**others: Any) -> dict[str, Any]:
    return {
        "1": node(),
        "9": node("Custom"),
        "3": node("SaveImage", images=["1", 0], filename_prefix=["9", 2]),
        **others,
    }


def test_a_prefix_that_another_node_makes_is_put_below_the_folder_by_inserted_nodes():
    bound, inserted = graph.bind_prefixes(linked(), "job-1")
    joining, slot = bound["3"]["inputs"]["filename_prefix"]
    assert (bound[joining]["class_type"], slot) == ("StringConcatenate", 0)
    inputs = bound[joining]["inputs"]
    assert (inputs["string_a"], inputs["delimiter"]) == ("job-1/", "")
    cleaning = inputs["string_b"][0]
    assert (bound[cleaning]["class_type"], bound[cleaning]["inputs"]["string"]) == ("RegexReplace", ["9", 2])
    assert (
        {node_id for node_id in bound if node_id in inserted} == {joining, cleaning} == bound.keys() - {"1", "3", "9"}
    )
    assert {bound[node_id]["class_type"] for node_id in (joining, cleaning)} == set(graph.CLASSES)
    assert graph.check(bound) == bound


def test_inserted_nodes_take_no_id_of_the_callers():
    _, inserted = graph.bind_prefixes(linked(), "job-1")
    taken = {node_id: node() for node_id in inserted.owners}
    bound, others = graph.bind_prefixes(linked(**taken), "job-1")
    assert not others.owners.keys() & taken.keys()
    assert all(bound[node_id] == node() for node_id in taken)


@pytest.mark.parametrize(
    ("made_up", "path"),
    [
        ("cat", "job/cat"),
        ("a/cat", "job/a/cat"),
        ("../x/cat", "job/_/x/cat"),
        ("a/../../../x", "job/a/_/_/_/x"),
        ("/etc/x", "job/etc/x"),
        (".../x", "job/_/x"),
        ("", "job/_"),
        ("/", "job/_"),
        ("./", "job/_."),
        ("..", "job/_"),
        ("a.b.c", "job/a.b.c"),
        ("x/..\n", "job/x/_\n"),
    ],
)
def test_no_text_a_node_makes_up_leaves_the_folder(made_up, path):
    bound, _ = graph.bind_prefixes(linked(), "job")
    joining = bound[bound["3"]["inputs"]["filename_prefix"][0]]["inputs"]
    cleaning = bound[joining["string_b"][0]]["inputs"]
    # What the two core nodes do with it, and SaveImage after them.
    text = joining["string_a"] + re.sub(cleaning["regex_pattern"], cleaning["replace"], made_up)
    assert posixpath.normpath(text) == path


def test_errors_of_inserted_nodes_are_told_of_the_callers():
    _, inserted = graph.bind_prefixes(linked(), "job")
    cleaning = next(iter(inserted.owners))
    found = Detail(
        node_id=cleaning,
        class_type="RegexReplace",
        field=f"workflow.{cleaning}.inputs.string",
        code="return_type_mismatch",
        message="'string' needs STRING but gets INT by output 2 of node 9.",
    )
    error = PromptRejected(
        f"ComfyUI rejected the workflow: node {cleaning} (RegexReplace): {found['message']}", [found]
    )
    inserted.attribute(error)
    assert (
        str(error)
        == error.message
        == (
            "ComfyUI rejected the workflow: node 3 (SaveImage): "
            "'filename_prefix' needs STRING but gets INT by output 2 of node 9."
        )
    )
    assert error.details == [
        Detail(
            node_id="3",
            class_type="SaveImage",
            field="workflow.3.inputs.filename_prefix",
            code="return_type_mismatch",
            message="'filename_prefix' needs STRING but gets INT by output 2 of node 9.",
        )
    ]


def test_a_comfyui_without_the_nodes_that_are_needed():
    _, inserted = graph.bind_prefixes(linked(), "job")
    error = inserted.refusal(["RegexReplace"])
    assert "has RegexReplace" in error.message
    assert [detail["node_id"] for detail in error.details] == ["3"]


def test_the_name_of_a_file_does_not_count_for_whether_its_picture_is_reused():
    bound, _ = graph.bind_prefixes(linked(), "job")
    assert graph.reused(bound, {"1"}, "3")
