"""Text-to-image graphs: one of each family and switch, held against what a real ComfyUI declares."""

from typing import Any

import pytest
from pydantic import ValidationError
from support.text2img_offers import (
    CHECKPOINTS,
    LORAS,
    MYSTERY,
    SCHNELL,
    recorded,
    with_detail_daemon,
    with_models,
)

from api.comfyui.validation import inspect
from api.errors import Detail, InvalidInput
from api.workflows.graph import check, models, seeds
from api.workflows.text2img import Text2Img, build
from api.workflows.text2img_params import Text2ImgParams

OFFERED = with_models()
SEED = 77


def made(info: dict[str, Any] = OFFERED, shapes: Any = None, **fields: Any) -> Text2Img:
    """A request's graph, which has to be one that the worker and ComfyUI take."""
    shapes_of = (lambda _folder, _name: shapes) if shapes is not None else (lambda _folder, _name: None)
    result = build(Text2ImgParams.model_validate({"caption": "a cat", **fields}), info, SEED, shapes_of)
    verdict = inspect(check(result.workflow), info)
    assert (verdict.refused, verdict.dropped, verdict.doubts) == ((), (), ())
    assert [result.workflow[node]["class_type"] for node in verdict.outputs] == ["SaveImage"]
    assert_all_used(result)
    return result


def assert_all_used(result: Text2Img) -> None:
    linked = {value[0] for node in result.workflow.values() for value in node["inputs"].values() if is_link(value)}
    assert [node for node in result.workflow if node not in linked] == [str(len(result.workflow))]


def is_link(value: Any) -> bool:
    return isinstance(value, list)


def refused(info: dict[str, Any] = OFFERED, **fields: Any) -> Detail:
    """The one finding about a request that cannot be served."""
    with pytest.raises(InvalidInput) as caught:
        made(info, **fields)
    (detail,) = caught.value.details
    assert detail["message"] in caught.value.message
    return detail


def classes(result: Text2Img) -> list[str]:
    return [node["class_type"] for node in result.workflow.values()]


def inputs(result: Text2Img, class_type: str) -> dict[str, Any]:
    (found,) = [node["inputs"] for node in result.workflow.values() if node["class_type"] == class_type]
    return dict(found)


def source(result: Text2Img, link: list[Any]) -> str:
    return str(result.workflow[link[0]]["class_type"])


# --- families ---


def test_sd15() -> None:
    result = made(checkpoint=CHECKPOINTS["sd15"], negative="dogs")
    assert (result.family, result.width, result.height, result.seed) == ("sd15", 512, 512, SEED)
    sampler = inputs(result, "KSampler")
    assert (sampler["steps"], sampler["cfg"], sampler["sampler_name"], sampler["scheduler"], sampler["denoise"]) == (
        *(25, 7.0, "dpmpp_2m", "karras", 1.0),
    )
    texts = [result.workflow[sampler[name][0]]["inputs"]["text"] for name in ("positive", "negative")]
    assert texts == ["a cat", "dogs"]
    assert source(result, sampler["latent_image"]) == "EmptyLatentImage"


def test_sdxl() -> None:
    result = made(checkpoint=CHECKPOINTS["sdxl"], seed=5)
    assert (result.family, result.width, result.height, result.seed) == ("sdxl", 1024, 1024, 5)
    assert list(seeds(result.workflow).values()) == [{"seed": 5}]
    assert [each["name"] for each in models(result.workflow)] == [CHECKPOINTS["sdxl"]]


def test_sd3_has_latents_and_noise_of_its_own() -> None:
    result = made(checkpoint=CHECKPOINTS["sd3"])
    sampler = inputs(result, "KSampler")
    assert result.family == "sd3"
    assert source(result, sampler["latent_image"]) == "EmptySD3LatentImage"
    assert source(result, sampler["model"]) == "ModelSamplingSD3"
    assert (inputs(result, "ModelSamplingSD3")["shift"], sampler["cfg"]) == (3.0, 4.5)


def test_flux_takes_its_cfg_as_guidance() -> None:
    result = made(checkpoint=CHECKPOINTS["flux"], width=1280, height=768, cfg=2.5)
    sampler, shift = inputs(result, "KSampler"), inputs(result, "ModelSamplingFlux")
    assert (result.family, sampler["cfg"], inputs(result, "FluxGuidance")["guidance"]) == ("flux", 1.0, 2.5)
    assert (shift["width"], shift["height"], source(result, sampler["model"])) == (1280, 768, "ModelSamplingFlux")
    assert source(result, sampler["positive"]) == "FluxGuidance"
    assert source(result, sampler["negative"]) == "ConditioningZeroOut"
    assert source(result, sampler["latent_image"]) == "EmptySD3LatentImage"
    assert inputs(made(checkpoint=CHECKPOINTS["flux"]), "FluxGuidance")["guidance"] == 3.5


def test_schnell_needs_four_steps_and_no_guidance() -> None:
    result = made(checkpoint=SCHNELL)
    assert (inputs(result, "KSampler")["steps"], inputs(result, "KSampler")["cfg"]) == (4, 1.0)
    assert not {"FluxGuidance", "ModelSamplingFlux"} & set(classes(result))


def test_what_flux_cannot_heed_is_told() -> None:
    told = made(checkpoint=SCHNELL, cfg=3, negative="dogs").warnings
    assert [(each["field"], each["code"]) for each in told] == [("negative", "no_effect"), ("cfg", "no_effect")]
    assert made(checkpoint=CHECKPOINTS["flux"], cfg=3, negative=" ").warnings == ()


def test_a_distilled_model_gets_few_steps() -> None:
    info = with_models(checkpoints=["sdxl_lightning_8step.safetensors", "hyperrealismXL.safetensors"])
    sampler = inputs(made(info, checkpoint="sdxl_lightning_8step"), "KSampler")
    assert (sampler["steps"], sampler["cfg"], sampler["scheduler"]) == (8, 1.0, "sgm_uniform")
    assert inputs(made(info, checkpoint="hyperrealismXL"), "KSampler")["steps"] == 25


# --- sizes and numbers ---


@pytest.mark.parametrize("family", CHECKPOINTS)
@pytest.mark.parametrize("side", [64, 4096])
def test_the_bounds_are_sizes_themselves(family: str, side: int) -> None:
    result = made(checkpoint=CHECKPOINTS[family], width=side, height=side, steps=150, cfg=20, batch_size=64)
    assert (result.width, result.height, result.warnings) == (side, side, ())


@pytest.mark.parametrize(("family", "side"), [("sdxl", 1000), ("flux", 1008)])
def test_sides_are_rounded_and_that_is_told(family: str, side: int) -> None:
    result = made(checkpoint=CHECKPOINTS[family], width=1003, height=512)
    assert (result.width, result.height) == (side, 512)
    (warning,) = result.warnings
    assert (warning["field"], warning["code"], str(side) in warning["message"]) == ("width", "rounded", True)
    made_by = "EmptyLatentImage" if family == "sdxl" else "EmptySD3LatentImage"
    assert inputs(result, made_by) == {"width": side, "height": 512, "batch_size": 1}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("caption", value) for value in ("", "  \n", None, 5)),
        *(("width", value) for value in (63, 4097, 512.5, True, "wide")),
        *(("steps", value) for value in (0, 151)),
        *(("cfg", value) for value in (0.09, 20.1, float("nan"))),
        *(("seed", value) for value in (-1, 2**64)),
        *(("loras", value) for value in (["a"] * 33, "a", [3])),
        *(("lora_weights", value) for value in ([101], {"a": "much"})),
        *(("pag", value) for value in (-1, 101, "perhaps")),
        *(("deepshrink", value) for value in (1, 9.1, [])),
        *(("detail_daemon", value) for value in (-5.1, 5.1)),
        *(("split_sigmas", value) for value in (-1, 150, 2.5)),
        ("family", "sd4"),
        ("batch_size", 65),
    ],
)
def test_values_that_are_none(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Text2ImgParams.model_validate({"caption": "a cat", field: value})
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


def test_other_words_for_the_same() -> None:
    fields = {"negative_prompt": "dogs", "sampler_name": "EULER", "batch": 3, "family": "SD 1.5"}
    result = made(checkpoint=CHECKPOINTS["sdxl"], scheduler="beta", **fields)
    sampler = inputs(result, "KSampler")
    assert (sampler["sampler_name"], sampler["scheduler"], result.family) == ("euler", "beta", "sd15")
    assert inputs(result, "EmptyLatentImage")["batch_size"] == 3


@pytest.mark.parametrize(("field", "near"), [("sampler", "dpmpp_2m"), ("scheduler", "karras")])
def test_a_sampler_that_is_not_there(field: str, near: str) -> None:
    detail = refused(**{field: f"{near}x"})
    assert (detail["field"], detail["nearest"][0]) == (field, near)


# --- the checkpoint ---


def test_without_a_checkpoint_the_first_that_can_be_one_is_taken() -> None:
    info = with_models(checkpoints=["svd_xt.safetensors", "unheard-of.safetensors", CHECKPOINTS["sdxl"]])
    assert made(info).checkpoint == "unheard-of.safetensors"
    assert made(info, family="sdxl").checkpoint == CHECKPOINTS["sdxl"]
    assert refused(info, family="flux")["code"] == "none_offered"
    assert made(with_models(checkpoints=["only.safetensors"]), family="flux").checkpoint == "only.safetensors"


@pytest.mark.parametrize("info", [with_models(loras=LORAS), {}])
def test_no_checkpoint_at_all(info: dict[str, Any]) -> None:
    detail = refused(info)
    assert (detail["field"], detail["code"], "models/checkpoints" in detail["message"]) == (
        *("checkpoint", "none_offered", True),
    )


def test_a_checkpoint_may_be_named_loosely() -> None:
    assert made(checkpoint="flux1-DEV-fp8").checkpoint == CHECKPOINTS["flux"]
    assert made(checkpoint=r"flux1\flux1-dev-fp8.safetensors").checkpoint == CHECKPOINTS["flux"]
    twice = with_models(checkpoints=["a/sdxl.safetensors", "b/sdxl.safetensors"])
    assert set(refused(twice, checkpoint="sdxl")["nearest"]) == {"a/sdxl.safetensors", "b/sdxl.safetensors"}


def test_a_checkpoint_that_is_not_there() -> None:
    detail = refused(checkpoint="sd_xl_bas_1.0")
    assert (detail["field"], detail["code"], detail["nearest"][0]) == (
        *("checkpoint", "value_not_in_list", CHECKPOINTS["sdxl"]),
    )
    assert refused(checkpoint="mistery")["nearest"] == [MYSTERY]


def test_a_name_that_tells_nothing_is_taken_for_sd15_and_that_is_told() -> None:
    result = made(checkpoint=MYSTERY)
    assert (result.family, [each["code"] for each in result.warnings]) == ("sd15", ["family_assumed"])
    assert made(checkpoint=MYSTERY, family="sdxl").warnings == ()


def test_a_model_for_something_else_is_refused_unless_the_family_is_said() -> None:
    info = with_models(checkpoints=["svd_xt.safetensors"])
    assert refused(info, checkpoint="svd_xt.safetensors")["code"] == "unknown_family"
    assert made(info, checkpoint="svd_xt.safetensors", family="sd15").family == "sd15"


# --- parts that come apart ---

APART = {
    "text_encoders": ["t5xxl_fp16.safetensors", "clip_l.safetensors", "clip_g.safetensors"],
    "vae": ["sdxl_vae.safetensors", "ae.safetensors"],
}


def test_a_diffusion_model_of_flux_is_loaded_with_its_parts() -> None:
    result = made(with_models(diffusion_models=["flux1-dev.safetensors"], **APART), checkpoint="flux1-dev")
    assert classes(result)[:3] == ["UNETLoader", "DualCLIPLoader", "VAELoader"]
    encoders = inputs(result, "DualCLIPLoader")
    assert (encoders["clip_name1"], encoders["clip_name2"], encoders["type"]) == (
        *("clip_l.safetensors", "t5xxl_fp16.safetensors", "flux"),
    )
    assert inputs(result, "VAELoader") == {"vae_name": "ae.safetensors"}
    assert inputs(result, "VAEDecode")["vae"] == ["3", 0]


def test_sd3_as_it_is_published_holds_no_text_encoders() -> None:
    info = with_models(checkpoints=["sd3.5_large.safetensors"], **APART)
    result = made(info)
    assert inputs(result, "TripleCLIPLoader") == {
        "clip_name1": "clip_l.safetensors",
        "clip_name2": "clip_g.safetensors",
        "clip_name3": "t5xxl_fp16.safetensors",
    }
    assert "VAELoader" not in classes(result)
    few = with_models(checkpoints=["sd3.5_large.safetensors"], text_encoders=APART["text_encoders"][1:])
    assert inputs(made(few), "DualCLIPLoader")["type"] == "sd3"


def test_parts_that_are_not_there() -> None:
    detail = refused(with_models(diffusion_models=["flux1-dev.safetensors"], vae=APART["vae"]))
    assert (detail["field"], detail["code"]) == ("checkpoint", "incomplete_checkpoint")
    assert "clip_l.safetensors and t5xxl.safetensors" in detail["message"]
    detail = refused(with_models(diffusion_models=["flux1-dev.safetensors"], text_encoders=APART["text_encoders"]))
    assert "ae.safetensors" in detail["message"]


# --- LoRAs ---


def test_loras_follow_one_another_with_their_weights() -> None:
    result = made(loras=["oil-paint", LORAS[1]], lora_weights=[0.5])
    loaders = [node["inputs"] for node in result.workflow.values() if node["class_type"] == "LoraLoader"]
    assert [(each["lora_name"], each["strength_model"], each["strength_clip"]) for each in loaders] == [
        (LORAS[0], 0.5, 0.5),
        (LORAS[1], 1.0, 1.0),
    ]
    assert [source(result, each["model"]) for each in loaders] == ["CheckpointLoaderSimple", "LoraLoader"]
    texts = [node["inputs"]["clip"] for node in result.workflow.values() if node["class_type"] == "CLIPTextEncode"]
    assert texts == [["3", 1], ["3", 1]]


def test_weights_by_name() -> None:
    result = made(loras=list(LORAS), lora_weights={LORAS[1]: -0.3})
    loaders = [node["inputs"] for node in result.workflow.values() if node["class_type"] == "LoraLoader"]
    assert [each["strength_model"] for each in loaders] == [1.0, -0.3]


def test_loras_that_are_not_there() -> None:
    detail = refused(loras=[LORAS[1], "oil-pant"])
    assert (detail["field"], detail["nearest"][0]) == ("loras.1", LORAS[0])
    assert refused(loras=["detail"], lora_weights=[1, 1])["field"] == "lora_weights"
    assert refused(loras=["detail"], lora_weights={"other": 1})["field"] == "lora_weights.other"


# --- switches ---


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_pag_and_deepshrink_patch_the_model_that_is_sampled(family: str) -> None:
    result = made(checkpoint=CHECKPOINTS[family], pag=True, deepshrink=1.5)
    pag, shrink = inputs(result, "PerturbedAttentionGuidance"), inputs(result, "PatchModelAddDownscale")
    assert (pag["scale"], shrink["downscale_factor"], shrink["downscale_method"]) == (3.0, 1.5, "bicubic")
    assert source(result, inputs(result, "KSampler")["model"]) == "PerturbedAttentionGuidance"
    assert source(result, pag["model"]) == "PatchModelAddDownscale"


@pytest.mark.parametrize("family", ["sd3", "flux"])
@pytest.mark.parametrize("switch", ["pag", "deepshrink"])
def test_what_would_change_nothing_is_refused(family: str, switch: str) -> None:
    detail = refused(checkpoint=CHECKPOINTS[family], **{switch: True})
    assert (detail["field"], detail["code"]) == (switch, "no_effect")


@pytest.mark.parametrize("family", CHECKPOINTS)
def test_detail_daemon_wraps_the_sampler(family: str) -> None:
    info = with_detail_daemon(OFFERED)
    result = made(info, checkpoint=CHECKPOINTS[family], detail_daemon=0.25)
    assert source(result, inputs(result, "SamplerCustomAdvanced")["sampler"]) == "DetailDaemonSamplerNode"
    assert inputs(result, "DetailDaemonSamplerNode")["detail_amount"] == 0.25
    assert source(result, inputs(result, "DetailDaemonSamplerNode")["sampler"]) == "KSamplerSelect"
    guider = "BasicGuider" if family == "flux" else "CFGGuider"
    assert source(result, inputs(result, "SamplerCustomAdvanced")["guider"]) == guider
    assert list(seeds(result.workflow).values()) == [{"noise_seed": SEED}]


@pytest.mark.parametrize("family", CHECKPOINTS)
def test_split_sigmas_samples_in_two_parts(family: str) -> None:
    info = with_detail_daemon(OFFERED)
    result = made(info, checkpoint=CHECKPOINTS[family], split_sigmas=True, detail_daemon=True, steps=9)
    nodes = [node["inputs"] for node in result.workflow.values() if node["class_type"] == "SamplerCustomAdvanced"]
    first, second = nodes
    assert [source(result, each["noise"]) for each in nodes] == ["RandomNoise", "DisableNoise"]
    assert [source(result, each["sampler"]) for each in nodes] == ["KSamplerSelect", "DetailDaemonSamplerNode"]
    assert (first["sigmas"][1], second["sigmas"][1]) == (0, 1)
    assert (second["latent_image"][1], result.workflow[second["latent_image"][0]]["inputs"]) == (0, first)
    assert inputs(result, "SplitSigmas")["step"] == 4
    assert inputs(made(split_sigmas=3), "SplitSigmas")["step"] == 3


def test_a_split_needs_steps_on_both_sides() -> None:
    assert refused(split_sigmas=True, steps=1)["field"] == "split_sigmas"
    assert "below the number of steps, 8" in refused(split_sigmas=8, steps=8)["message"]


@pytest.mark.parametrize(
    ("switch", "node"),
    [
        ("pag", "PerturbedAttentionGuidance"),
        ("deepshrink", "PatchModelAddDownscale"),
        ("detail_daemon", "DetailDaemonSamplerNode"),
        ("split_sigmas", "SplitSigmas"),
    ],
)
def test_a_switch_whose_node_is_not_installed(switch: str, node: str) -> None:
    info = {name: entry for name, entry in OFFERED.items() if name != node}
    detail = refused(info, **{switch: True})
    assert (detail["field"], detail["code"], detail["class_type"]) == (switch, "node_missing", node)
    assert node in detail["message"]
    assert refused(info, **{switch: True, "checkpoint": CHECKPOINTS["sd15"]})["field"] == switch
    assert [made(info, **{switch: off}).warnings for off in (False, 0, None)] == [(), (), ()]


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        made(loras=["none"], sampler="none", detail_daemon=True)
    assert [each["field"] for each in caught.value.details] == ["loras.0", "sampler", "detail_daemon"]


def test_a_node_that_is_none_of_a_switch() -> None:
    info = {name: entry for name, entry in OFFERED.items() if name != "KSampler"}
    detail = refused(info)
    assert ("field" in detail, detail["class_type"]) == (False, "KSampler")


def test_what_a_node_of_another_release_wants_beside_is_given() -> None:
    info = with_models()
    info["KSampler"]["input"]["required"]["mode"] = ["COMBO", {"options": ["new", "old"]}]
    assert inputs(made(info), "KSampler")["mode"] == "new"


def test_the_recording_has_no_model() -> None:
    assert recorded()["LoraLoader"]["input"]["required"]["lora_name"][0] == []
