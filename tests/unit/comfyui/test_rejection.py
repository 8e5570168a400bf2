"""Validation errors of a real ComfyUI, made readable."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.recorded import rejections

from api.comfyui.choices import choices_of, nearest
from api.comfyui.rejection import Rejection
from api.errors import ComfyUnreachable, PromptRejected

CASES = rejections()
SAMPLERS = ["euler", "euler_ancestral", "heun", "dpmpp_2m", "magic_sampler"]
INFO = {
    "KSamplerSelect": {"input": {"required": {"sampler_name": ["COMBO", {"options": SAMPLERS}]}}},
    "SaveImage": {"input": {"required": {"images": ["IMAGE", {}]}}},
    "NoSuchNodes": {},
}


def lookup(class_type: str | None) -> Mapping[str, Any]:
    if class_type is None:
        return INFO
    return {class_type: INFO[class_type]} if class_type in INFO else {}


def no_lookup(class_type: str | None) -> Mapping[str, Any]:
    raise AssertionError("nothing is to be suggested here")


def rejected(case: str, look: Any = no_lookup) -> Rejection:
    found = Rejection.read(CASES[case]["answer"], CASES[case]["workflow"], look)
    assert found
    return found


@pytest.mark.parametrize("case", CASES)
def test_every_recorded_case_reads_well(case: str):
    found = rejected(case, lookup)
    error = found.error()
    assert isinstance(error, PromptRejected)
    assert error.message.startswith("ComfyUI rejected the workflow: ")
    told = json.dumps([error.message, error.details])
    for leak in ("Traceback", "/comfyui/", "execution.py", "traceback", "input_config"):
        assert leak not in told
    for detail in error.details:
        assert detail["message"] and detail["code"]
    assert "\n" not in error.message and len(error.message) < 400


@pytest.mark.parametrize(
    ("case", "field", "message"),
    [
        (
            "missing required input upstream (top-level details is empty!)",
            "workflow.1.inputs.batch_size",
            "The required input 'batch_size' is missing.",
        ),
        (
            "link is a list of length 1",
            "workflow.2.inputs.images",
            "'images' must be a link [node id, output index], not \"['1']\".",
        ),
        (
            "link to a node that does not exist",
            "workflow.2.inputs.images",
            "It is linked to node 99, which is not there.",
        ),
        (
            "link with int node id",
            "workflow.2.inputs.images",
            'It is linked to node 1 by number; a link names its node as text: ["1", 0].',
        ),
        (
            "link slot out of range",
            "workflow.2.inputs.images",
            "It is linked to an output that the other node does not have.",
        ),
        (
            "type mismatch (MASK -> IMAGE)",
            "workflow.2.inputs.images",
            "'images' needs IMAGE but gets MASK by output 0 of node 1.",
        ),
        (
            "int bigger than max",
            "workflow.1.inputs.width",
            "'width': Value 16385 bigger than max of 16384.",
        ),
        ("int as word", "workflow.1.inputs.width", "'width' must be INT, not 'wide'."),
        (
            "missing file -> custom_validation_failed",
            "workflow.1.inputs.image",
            "'image': Invalid image file: nope.png. Upload it with the job, or use the name of one that is there.",
        ),
    ],
)
def test_pitfall_9_the_findings_come_from_the_node_errors(case: str, field: str, message: str):
    detail = rejected(case).details[0]
    assert detail["field"] == field
    assert detail["message"] == message
    assert detail["class_type"]


def test_the_input_of_another_node_is_not_blamed():
    detail = rejected("inputs is null").details[0]
    assert detail["node_id"] == "1"
    assert "field" not in detail


def test_value_not_in_list_suggests_from_the_list_it_came_with():
    case = CASES["value not in list (short list)"]
    text = json.dumps(case["answer"]).replace("magic", "Bicubik")
    found = Rejection.read(json.loads(text), case["workflow"], no_lookup)
    assert found and found.details[0]["nearest"] == ["bicubic"]
    assert found.details[0]["received"] == "Bicubik"
    assert found.error().message.endswith(" Nearest: bicubic.")


def test_value_not_in_a_long_list_is_looked_up():
    detail = rejected("value not in list (list > 20 entries: input_config null)", lookup).details[0]
    assert detail["nearest"] == ["magic_sampler"]


def test_an_empty_list_means_no_model():
    detail = rejected("model missing (empty list)").details[0]
    assert "no such model file" in detail["message"]
    assert "nearest" not in detail


def test_an_unknown_class_suggests_classes():
    detail = rejected("unknown class_type", lookup).details[0]
    assert detail["code"] == "missing_node_type"
    assert (detail["node_id"], detail["class_type"]) == ("1", "NoSuchNode")
    assert detail["nearest"] == ["NoSuchNodes"]


def test_the_newer_form_of_an_unknown_class():
    answer = {
        "error": {
            "type": "missing_node_type",
            "message": "Node 'My Loader' not found. The custom node may not be installed.",
            "details": "Node ID '#57:8'",
            "extra_info": {"node_id": "57:8", "class_type": "Nope", "node_title": "My Loader"},
        },
        "node_errors": {},
    }
    found = Rejection.read(answer, {}, lookup)
    assert found and found.details[0]["node_id"] == "57:8"
    assert found.details[0]["class_type"] == "Nope"


def test_a_failing_lookup_takes_nothing_but_the_suggestions():
    def down(_class_type: str | None) -> Mapping[str, Any]:
        raise ComfyUnreachable("gone")

    detail = rejected("unknown class_type", down).details[0]
    assert detail["code"] == "missing_node_type" and "nearest" not in detail


def test_no_output_node_says_what_to_add():
    assert "SaveImage" in rejected("no output node").error().message


def test_a_cycle_without_any_hint():
    assert "circle" in rejected("2-cycle").error().message


def test_findings_have_a_stable_order():
    found = rejected("several errors on one node")
    assert [detail["field"] for detail in found.details] == [
        "workflow.1.inputs.batch_size",
        "workflow.1.inputs.height",
        "workflow.1.inputs.width",
    ]
    assert found.error().message.endswith("(2 more)")


def test_pitfall_8_node_errors_of_a_200_are_findings_too():
    case = "one good output, one bad output -> 200 with node_errors; only the good one runs"
    assert CASES[case]["status"] == 200
    assert rejected(case).details[0]["node_id"] == "3"


@pytest.mark.parametrize("answer", [{}, {"error": None}, {"error": "text"}, {"node_errors": []}])
def test_what_is_no_rejection(answer: dict):
    assert Rejection.read(answer, {}, no_lookup) is None


@pytest.mark.parametrize(
    "node_errors",
    [{"1": None}, {"1": {"errors": None}}, {"1": {"errors": [None, {}, {"type": "x", "extra_info": 5}]}}],
)
def test_odd_node_errors(node_errors: dict):
    Rejection.read({"error": {"type": "x", "message": "m"}, "node_errors": node_errors}, {}, lookup)


def test_choices_of_both_kinds_of_definition():
    assert choices_of([["a", 1], {}]) == ["a", "1"]
    assert choices_of(["COMBO", {"options": ["a"]}]) == ["a"]
    assert choices_of(["INT", {}]) is None
    assert choices_of(None) is None


def test_nearest_cares_little_for_case_and_folders():
    models = ["SD1.5/v1-5-pruned.safetensors", "sdxl\\sd_xl_base_1.0.safetensors", "other.ckpt"]
    assert nearest("V1-5-Pruned.safetensors", models)[0] == models[0]
    assert nearest("models/sd_xl_base_1.0.safetensors", models)[0] == models[1]
    assert nearest("qqqq", models) == []


def test_nearest_looks_closer_at_what_has_most_in_common():
    models = [f"{at:04d}-loras-of-all-kinds.safetensors" for at in range(5000)]
    models[3333] = "sdxl/watercolor.safetensors"
    assert nearest("sdxl/watrecolour.safetensors", models)[0] == models[3333]
    assert nearest("watercolr.safetensors", models)[0] == models[3333]


@pytest.mark.parametrize("value", ["x" * 1_000_000, {"a": ["b"] * 1000}, ["b"] * 1000])
def test_nothing_is_near_what_is_no_name(value: object):
    assert nearest(value, ["b", "x", str(value)]) == []


def test_what_lies_in_somebodys_own_folder_is_never_suggested():
    own = f"job-{'0123456789abcdef' * 2}"
    choices = [own, f"{own}/input.png", f"clipspace\\{own}\\input.png", "input.jpg"]
    assert nearest("input.png", choices) == ["input.jpg"]
    assert nearest(own[:-1] + "0", choices) == []
    hashed = f"model-{'ab' * 16}.safetensors"
    assert nearest(hashed.replace("model", "modle"), [hashed]) == [hashed]
