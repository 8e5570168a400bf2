"""Workflows as comfyui-api takes them: files in the graph, marks in file names, and what it has no way to take."""

import pytest

from api.errors import InvalidWorkflow
from api.remote.salad_graph import Origin, bound


def node(class_type: str, **inputs: object) -> dict[str, object]:
    return {"class_type": class_type, "inputs": inputs}


def test_files_stand_where_their_names_stood() -> None:
    workflow = {
        "1": node("LoadImage", image="a.png [input]"),
        "2": node("LoadVideo", file="b.mp4"),
        "3": node("LoadAudio", audio="c.wav"),
        "4": node("LoadImage", image="other.png"),
    }
    there = bound(workflow, {"a.png": "QUJD", "b.mp4": "https://s3/b.mp4?sig", "c.wav": "/9j/"}).workflow
    assert there["1"]["inputs"]["image"] == "QUJD"
    assert there["2"]["inputs"]["file"] == "https://s3/b.mp4?sig"
    assert there["3"]["inputs"]["audio"] == " /9j/"
    assert there["4"]["inputs"]["image"] == "other.png"
    assert workflow["1"]["inputs"]["image"] == "a.png [input]"  # type: ignore[index]


def test_each_file_is_known_by_the_mark_of_its_node() -> None:
    workflow = {
        "7": node("SaveImage", filename_prefix="deep/er/pic"),
        "8": node("SaveImageWebsocket", images=["1", 0]),
        "9": node("SaveVideo", filename_prefix="../../out/"),
    }
    there = bound(workflow, {})
    prefixes = [there.workflow[node_id]["inputs"]["filename_prefix"] for node_id in workflow]
    assert prefixes == ["n0_pic", "n1_ComfyUI", "n2_ComfyUI"]
    assert there.origin_of("id-1_n0_pic_00001_.png", "id-1") == (Origin("7", "deep/er"), "pic_00001_.png")
    assert there.origin_of("id-1_n1_ComfyUI_00001_.png", "id-1") == (Origin("8", ""), "ComfyUI_00001_.png")
    assert there.origin_of("id-1_n2_ComfyUI_00001_.mp4", "id-1") == (Origin("9", "out"), "ComfyUI_00001_.mp4")
    assert there.origin_of("id-1_n9_x.png", "id-1") == (Origin(), "n9_x.png")
    assert there.origin_of("foreign.png", "id-1") == (Origin(), "foreign.png")


def test_what_it_has_no_way_to_take_is_named() -> None:
    workflow = {
        "1": node("LoadMaskFile", mask="a.png"),
        "2": node("SaveImage", filename_prefix=["5", 0]),
        "3": node("SomeWords", text="red"),
    }
    with pytest.raises(InvalidWorkflow) as caught:
        bound(workflow, {"a.png": "QUJD", "red": "QUJD"})
    assert [detail["field"] for detail in caught.value.details] == [
        "workflow.1.inputs.mask",
        "workflow.2.inputs.filename_prefix",
    ]
