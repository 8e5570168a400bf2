"""The first draft of a manifest, guessed from exported workflows."""

from typing import Any

import pytest

from api.errors import InvalidInput
from api.workflows.draft import draft
from api.workflows.manifest import Manifest


def node(class_type: str, title: str = "", **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs, **({"_meta": {"title": title}} if title else {})}


def inputs_of(**nodes: Any) -> dict[str, Any]:
    """The inputs of the draft of a workflow with these nodes (n1 is node 1)."""
    manifest, _ = draft({name.removeprefix("n"): value for name, value in nodes.items()})
    Manifest.model_validate(manifest)
    return manifest["inputs"]


SAMPLER = node("KSampler", seed=5, steps=20, cfg=8, denoise=1.0, positive=["6", 0], negative=["8", 0])
TXT2IMG = {
    "n3": SAMPLER,
    "n4": node("CheckpointLoaderSimple", ckpt_name="v1-5.safetensors"),
    "n5": node("EmptyLatentImage", width=512, height=768, batch_size=1),
    "n6": node("CLIPTextEncode", "CLIP Text Encode (Prompt)", text="a cat", clip=["4", 1]),
    "n7": node("CLIPTextEncode", text="blurry", clip=["4", 1]),
    "n8": node("ConditioningZeroOut", conditioning=["7", 0]),
    "n9": node("SaveImage", images=["3", 0], filename_prefix="x"),
}


def test_prompts_are_told_apart_by_what_they_feed() -> None:
    found = inputs_of(**TXT2IMG)
    assert found["prompt"] == {"type": "string", "target": "6.text", "default": "a cat"}
    assert (found["negative_prompt"]["target"], found["negative_prompt"]["default"]) == ("7.text", "blurry")


def test_numbers_people_change_are_inputs_with_the_export_as_default() -> None:
    found = inputs_of(**TXT2IMG)
    assert found["seed"] == {"type": "seed", "target": "3.seed"}
    assert {name: found[name]["default"] for name in ("steps", "cfg", "denoise", "width", "height")} == {
        "steps": 20, "cfg": 8, "denoise": 1.0, "width": 512, "height": 768,
    }  # fmt: skip
    assert list(found)[:2] == ["prompt", "negative_prompt"]
    assert "batch_size" not in found and "clip" not in found


def test_the_saving_node_is_the_result_and_models_are_named() -> None:
    manifest, _ = draft({name.removeprefix("n"): value for name, value in TXT2IMG.items()}, "Text to image")
    assert (manifest["title"], manifest["result"]) == ("Text to image", "9")
    assert manifest["requires"] == {"models": ["v1-5.safetensors"]}


def test_a_text_from_a_primitive_is_set_there() -> None:
    found = inputs_of(
        n1=node("PrimitiveString", value="a dog"),
        n2=node("CLIPTextEncode", text=["1", 0]),
        n3=node("KSampler", positive=["2", 0]),
        n4=node("PrimitiveInt", "Number of pictures", value=2),
        n5=node("SaveImage", images=["3", 0]),
    )
    assert found["prompt"] == {"type": "string", "target": "1.value", "default": "a dog"}
    assert found["number_of_pictures"] == {"type": "integer", "target": "4.value", "default": 2}


def test_files_are_inputs_under_the_titles_they_were_given() -> None:
    found = inputs_of(
        n1=node("LoadImage", "Load Image", image="example.png"),
        n2=node("LoadImage", "Style reference", image="style.png"),
        n3=node("LoadImage", image="other.png"),
        n4=node("LoadImageMask", image="m.png", channel="alpha"),
        n5=node("LoadAudio", audio="a.wav"),
        n6=node("Mix", a=["1", 0], b=["2", 0], c=["3", 0], d=["4", 0], e=["5", 0]),
    )
    assert {name: (kind["type"], kind["target"]) for name, kind in found.items()} == {
        "image": ("image", "1.image"),
        "style_reference": ("image", "2.image"),
        "image_2": ("image", "3.image"),
        "mask": ("image", "4.image"),
        "audio": ("audio", "5.audio"),
    }


def test_one_seed_serves_all_samplers() -> None:
    found = inputs_of(n1=node("KSampler", seed=1), n2=node("KSamplerAdvanced", noise_seed=2, latent=["1", 0]))
    assert found == {"seed": {"type": "seed", "target": ["1.seed", "2.noise_seed"]}}


def test_a_picture_inside_the_workflow_becomes_one_that_is_sent_beside_it() -> None:
    manifest, template = draft(
        {"1": node("ETN_LoadImageBase64", image=""), "2": node("SaveImage", images=["1", 0], filename_prefix="x")}
    )
    assert template["1"]["class_type"] == "LoadImage"
    assert manifest["inputs"]["image"] == {"type": "image", "target": "1.image"}


def test_what_is_out_of_the_usual_is_still_within_the_drafted_limits() -> None:
    found = inputs_of(n1=node("KSampler", steps=500, cfg=-1.5))
    assert (found["steps"]["maximum"], found["cfg"]["minimum"]) == (500, -1.5)


def test_the_editors_format_is_refused() -> None:
    with pytest.raises(InvalidInput, match="editor's format"):
        draft({"nodes": [], "links": []})
