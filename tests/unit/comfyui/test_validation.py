"""What would be refused, told from node definitions alone: as a real ComfyUI refused it, and nothing beyond."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from support.recorded import rejections

from api.comfyui.output_kinds import output_kind
from api.comfyui.rejection import Rejection
from api.comfyui.validation import Verdict, inspect
from api.errors import Detail, InvalidInput
from api.workflows import graph

ROOT = Path(__file__).resolve().parents[3]
STANDIN: dict[str, Any] = json.loads((ROOT / "api" / "standin" / "object_info.json").read_text())
SAMPLERS = ["euler", "euler_cfg_pp", "euler_ancestral", "heun", "dpm_2", "lms", "ddpm", "lcm", "ipndm", "deis"] * 3


def declared(required: dict[str, Any], output: list[Any], **more: Any) -> dict[str, Any]:
    return {"input": {"required": required}, "output": output, "output_node": False, "python_module": "nodes", **more}


INFO: dict[str, Any] = {
    **STANDIN,
    "ImageAddNoise": declared(
        {
            "image": ["IMAGE", {}],
            "seed": ["INT", {"min": 0, "max": 18446744073709551615}],
            "strength": ["FLOAT", {"min": 0.0, "max": 1.0}],
        },
        ["IMAGE"],
    ),
    "KSamplerSelect": declared({"sampler_name": [SAMPLERS]}, ["SAMPLER"]),
    "CheckpointLoaderSimple": declared({"ckpt_name": [[], {"tooltip": "…"}]}, ["MODEL", "CLIP", "VAE"]),
}
# What the worker mends or refuses itself, before ComfyUI could say the same in other words.
MENDED = {"inputs key missing on an upstream node", "inputs key missing on the output node", "inputs is null"}


def is_sound(workflow: Any) -> bool:
    """Whether the worker would send it at all."""
    try:
        graph.check(workflow)
    except InvalidInput:
        return False
    return True


def lookup(class_type: str | None) -> dict[str, Any]:
    return INFO if class_type is None else {class_type: INFO.get(class_type)}


def worded(details: tuple[Detail, ...]) -> list[tuple[Any, ...]]:
    return [tuple(detail.get(key) for key in ("node_id", "code", "field", "message", "nearest")) for detail in details]


RECORDED = {case: recorded for case, recorded in rejections().items() if is_sound(recorded["workflow"])}


@pytest.mark.parametrize("case", RECORDED)
def test_what_comfyui_refused_is_refused_in_the_same_words(case: str):
    recorded = RECORDED[case]
    verdict = inspect(graph.check(recorded["workflow"]), INFO)
    theirs = Rejection.read(recorded["answer"], recorded["workflow"], lookup)
    assert theirs
    assert bool(verdict.refused) == (recorded["status"] == 400)
    if case not in MENDED:
        assert worded(verdict.refused or verdict.dropped) == worded(theirs.details)


def accepted() -> dict[str, Any]:
    """Every workflow that was run while ComfyUI was recorded, of the classes known here."""
    found: dict[str, Any] = {}
    for path in sorted((ROOT / "tests/data/comfyui/recordings").glob("*.json")):
        events = json.loads(path.read_text())["events"]
        answers = {event["id"]: event for event in events if event["do"] == "answer"}
        for event in events:
            if (event["do"], event.get("path")) != ("ask", "/prompt") or not isinstance(event.get("json"), dict):
                continue
            answer, prompt = answers.get(event["id"], {"status": 0}), event["json"].get("prompt")
            if answer["status"] == 200 and isinstance(prompt, dict) and not answer["json"].get("node_errors"):
                found[f"{path.stem}-{event['id']}"] = prompt
    for path in sorted((ROOT / "tests/data/comfyui/nodes/workflows").glob("*.json")):
        found[path.stem] = json.loads(path.read_text())
    return {case: workflow for case, workflow in found.items() if is_sound(workflow)}


ACCEPTED = accepted()


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_comfyui_ran_is_not_refused(case: str):
    workflow = graph.save_streamed_frames(graph.check(ACCEPTED[case]))
    uploads = {node["inputs"].get("image") for node in workflow.values() if node["class_type"].startswith("LoadImage")}
    unknown = {node["class_type"] for node in workflow.values()} - INFO.keys()
    info = {**INFO, **{name: declared({}, ["*"] * 9, output_node=True) for name in unknown}}
    verdict = inspect(workflow, info, uploads - {None})
    assert (verdict.refused, verdict.dropped) == ((), ())
    assert verdict.outputs


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def saved(source: dict[str, Any], slot: int = 0) -> dict[str, Any]:
    return {"1": source, "9": node("SaveImage", images=["1", slot], filename_prefix="x")}


def judged(workflow: dict[str, Any], version: str = "0.3.64", uploads: tuple[str, ...] = (), **more: Any) -> Verdict:
    return inspect(graph.check(workflow), {**INFO, **more}, uploads, version)


def codes(details: tuple[Detail, ...]) -> list[tuple[str | None, str | None]]:
    return [(detail.get("node_id"), detail.get("code")) for detail in details]


def test_everything_that_is_missing_is_told_at_once():
    workflow = saved(node("ImageScal", image=["2", 0])) | {
        "2": node("LoadImage", image="gone.png"),
        "3": node("Nope"),
    }
    verdict = judged(workflow)
    assert codes(verdict.refused) == [
        ("1", "missing_node_type"),
        ("3", "missing_node_type"),
        ("2", "custom_validation_failed"),
    ]
    assert verdict.refused[0]["nearest"][0] == "ImageScale"


@pytest.mark.parametrize("bad", ["class", "value"])
def test_of_a_thousand_mistakes_the_first_few_get_suggestions(bad: str):
    workflow = {str(at): node("ImageScaleX" if bad == "class" else "Mode", mode="fsat") for at in range(1000)}
    saving = {f"s{at}": node("SaveImage", images=[str(at), 0], filename_prefix="a") for at in range(1000)}
    started = time.process_time()
    verdict = judged(workflow | saving, Mode=declared({"mode": [["fast", "slow"]]}, ["IMAGE"]))
    assert time.process_time() - started < 1.0
    suggested = ["nearest" in detail for detail in verdict.refused]
    assert suggested == [True] * 10 + [False] * 40


V3_COMBO = declared({"mode": ["COMBO", {"options": ["fast", "slow"]}]}, ["IMAGE"])


@pytest.mark.parametrize(("version", "refused"), [("0.3.64", False), ("", False), ("0.38.1", True), ("1.2.0", True)])
def test_values_of_v3_combos_are_refused_where_comfyui_refuses_them(version: str, refused: bool):
    verdict = judged(saved(node("V3", mode="fsat")), version, V3=V3_COMBO)
    (detail,) = verdict.refused or verdict.doubts
    assert bool(verdict.refused) is refused
    assert (detail["code"], detail["nearest"]) == ("value_not_in_list", ["fast"])
    assert ("takes it all the same" in detail["message"]) is not refused


NOT_UNDERSTOOD = {
    "remote combo": (["COMBO", {"remote": {"route": "/x"}, "options": []}], "anything"),
    "combo without a list": (["COMBO", {}], "anything"),
    "several values": (["COMBO", {"options": ["a"], "multiselect": True}], ["a", "b"]),
    "several values, newer": (["COMBO", {"options": ["a"], "multi_select": {}}], ["a", "b", "c"]),
    "folder listing": (["COMBO", {"options": [], "image_folder": "output"}], "anything"),
    "autogrow": (["COMFY_AUTOGROW_V3", {"template": {}}], None),
    "dynamic combo": (["COMFY_DYNAMICCOMBO_V3", {"options": []}], None),
    "type of its own": (["MY_TYPE", {"min": "a"}], {"x": 1}),
    "no definition": ({"odd": True}, 5),
    "empty definition": ([], 5),
    "text with limits": (["STRING", {"min": 3, "max": 5}], "long text"),
    "file in a subfolder": ([["a.png"], {"image_upload": True}], "sub/b.png"),
    "file elsewhere": ([["a.png"], {"image_upload": True}], "b.png [output]"),
    "wrapped list value": ([["a", "b"]], {"__value__": "b"}),
    "number as text": (["INT", {"min": 0, "max": 9}], "7"),
    "truth as text": (["BOOLEAN", {}], "maybe"),
    "number for a combo of numbers": ([[1, 2]], 2),
}


@pytest.mark.parametrize("case", NOT_UNDERSTOOD)
def test_what_is_not_understood_is_let_through(case: str):
    config, value = NOT_UNDERSTOOD[case]
    given = {} if value is None else {"x": value}
    verdict = judged(saved(node("Odd", **given)), Odd=declared({"x": config}, ["IMAGE"]))
    assert (verdict.refused, verdict.outputs) == ((), ("9",))


def test_links_of_inputs_that_grow_are_followed():
    workflow = saved(node("Grows", **{"images.image0": ["2", 0]})) | {"2": node("EmptyImage", width=0)}
    grows = declared({"images": ["COMFY_AUTOGROW_V3", {}]}, ["IMAGE"])
    assert {code for node_id, code in codes(judged(workflow, Grows=grows).refused) if node_id == "2"} == {
        "required_input_missing",
        "value_smaller_than_min",
    }


@pytest.mark.parametrize(
    ("received", "expected", "fits"),
    [
        ("IMAGE", "IMAGE", True),
        ("IMAGE", "MASK,IMAGE", True),
        ("INT,FLOAT", "FLOAT", True),
        ("*", "MASK", True),
        ("IMAGE", "*", True),
        ("COMFY_MATCHTYPE_V3", "MASK", True),
        (["a", "b"], "COMBO", True),
        (["a"], ["b"], True),
        ("IMAGE", "MASK", False),
        ("INT", "FLOAT", False),
    ],
)
def test_links_between_types(received: Any, expected: Any, fits: bool):
    workflow = {"1": node("From"), "2": node("To", x=["1", 0])}
    to = declared({"x": [expected, {}]}, [], output_node=True)
    verdict = judged(workflow, From=declared({}, [received]), To=to)
    assert (not verdict.refused) is fits


def test_custom_nodes_may_have_more_outputs_than_they_list():
    workflow = {"1": node("From"), "2": node("SaveImage", images=["1", 7], filename_prefix="x")}
    custom = declared({}, ["IMAGE"], python_module="custom_nodes.pack")
    assert judged(workflow, From=custom).refused == ()
    assert codes(judged(workflow, From=declared({}, ["IMAGE"])).refused) == [("2", "exception_during_validation")]


@pytest.mark.parametrize("value", ["photo.png", "photo.png [input]"])
def test_files_that_come_along_are_there(value: str):
    assert judged(saved(node("LoadImage", image=value)), uploads=("photo.png",)).refused == ()
    assert codes(judged(saved(node("LoadImage", image=value))).refused) == [("1", "custom_validation_failed")]


def test_nodes_that_no_output_needs_are_not_checked():
    workflow = saved(node("EmptyImage", width=8, height=8, batch_size=1, color=0))
    verdict = judged(workflow | {"5": node("EmptyImage", width=-5)})
    assert (verdict.refused, verdict.dropped) == ((), ())


def test_a_part_that_cannot_run_is_dropped():
    workflow = saved(node("EmptyImage", width=8, height=8, batch_size=1, color=0))
    workflow |= {"5": node("EmptyImage", width=-5, height=8, batch_size=1, color=0)}
    verdict = judged(workflow | {"6": node("PreviewImage", images=["5", 0])})
    assert (codes(verdict.dropped), verdict.outputs) == ([("5", "value_smaller_than_min")], ("9",))


def test_long_chains_and_wide_graphs_are_no_trouble():
    chain = {"0": node("EmptyImage", width=8, height=8, batch_size=1, color=0)}
    chain |= {str(n): node("ImageInvert", image=[str(n - 1), 0]) for n in range(1, 890)}
    chain |= {f"s{n}": node("PreviewImage", images=[str(n), 0]) for n in range(890)}
    verdict = judged(chain)
    assert (verdict.refused, len(verdict.outputs)) == ((), 890)


def test_of_thousands_of_findings_some_are_told():
    chain = {"9": node("SaveImage", images=["n0", 0], filename_prefix="x")}
    chain |= {f"n{n}": node("EmptyImage", width=-1) for n in range(300)}
    chain |= {f"p{n}": node("PreviewImage", images=[f"n{n}", 0]) for n in range(300)}
    assert 50 <= len(judged(chain).refused) <= 250
    assert len(judged({f"u{n}": node(f"Unknown{n}") for n in range(300)}).refused) == 50


@pytest.mark.parametrize(
    ("class_type", "kinds", "made"),
    [
        ("SaveImage", ["IMAGE"], "image"),
        ("SaveAnimatedWEBP", ["IMAGE"], "image"),
        ("MaskPreview", ["MASK"], "image"),
        ("SaveVideo", ["VIDEO"], "video"),
        ("SaveWEBM", ["IMAGE"], "video"),
        ("VHS_VideoCombine", ["IMAGE"], "video"),
        ("SaveAudioMP3", ["AUDIO"], "audio"),
        ("PreviewAny", ["*"], "text"),
        ("ShowText|pysssss", ["STRING"], "text"),
        ("SaveLatent", ["LATENT"], "file"),
        ("SaveGLB", ["MESH"], "file"),
    ],
)
def test_kinds_of_output(class_type: str, kinds: list[str], made: str):
    inputs = {f"x{number}": [kind] for number, kind in enumerate(kinds)}
    assert output_kind(class_type, declared(inputs, [], output_node=True)) == made
