"""Which family a model file is of: told by what lies in it, or by its name."""

import pytest
from support.text2img_offers import with_models

from api.errors import InvalidInput
from api.workflows.text2img import Text2Img, build
from api.workflows.text2img_family import named_family
from api.workflows.text2img_params import Text2ImgParams

NAMES = {
    "sd15": (
        *("v1-5-pruned-emaonly.safetensors", "sd_v1-4.ckpt", "SD1.5/whatever.safetensors", "v2-1_768-ema-pruned.ckpt"),
        *("dreamshaper_sd15.safetensors", "stable-diffusion-v1-5.safetensors", "realistic 1.5.safetensors"),
    ),
    "sdxl": (
        *("sd_xl_base_1.0.safetensors", "juggernautXL_v9.safetensors", "RealVisXL_V5.0.safetensors"),
        *("ponyDiffusionV6XL.safetensors", "illustriousXL_v01.safetensors", "sdxl/base.safetensors"),
        *("noobaiXLNAIXL_vPred10.safetensors", "animagine-xl-4.0.safetensors", "sd_xl_turbo_1.0_fp16.safetensors"),
    ),
    "sd3": (
        *("sd3_medium_incl_clips.safetensors", "sd3.5_large_fp8_scaled.safetensors", "sd35_medium.safetensors"),
        *("stable-diffusion-3.5-large-turbo.safetensors", "SD3/base.safetensors"),
    ),
    "flux": (
        "flux1-dev-fp8.safetensors",
        r"FLUX1\schnell.safetensors",
        "fluxmania_V.safetensors",
        "flux_dev.safetensors",
    ),
    None: (
        *("mystery_8.safetensors", "svd_xt.safetensors", "sd_xl_refiner_1.0.safetensors", "sd-v1-5-inpainting.ckpt"),
        *("flux2-dev.safetensors", "flux1-fill-dev.safetensors", "ltx-video-2b.safetensors", "t5xxl.safetensors"),
        *("stable_cascade_stage_c.safetensors", "wan2.1_t2v.safetensors", "hunyuan_dit_1.2.safetensors"),
    ),
}


@pytest.mark.parametrize(("family", "name"), [(family, name) for family, names in NAMES.items() for name in names])
def test_by_name(family: str | None, name: str) -> None:
    assert named_family(name) == family


CONTEXT = "input_blocks.{}.transformer_blocks.0.attn2.to_k.weight"
UNET = "model.diffusion_model."
SD15 = {f"{UNET}input_blocks.0.0.weight": [320, 4, 3, 3], UNET + CONTEXT.format("1.1"): [320, 768]}
SDXL = {f"{UNET}input_blocks.0.0.weight": [320, 4, 3, 3], UNET + CONTEXT.format("4.1"): [640, 2048]}
SD3 = {f"{UNET}joint_blocks.0.context_block.attn.qkv.weight": [4608, 1536]}
FLUX = {
    f"{UNET}double_blocks.0.img_attn.qkv.weight": [9216, 3072],
    f"{UNET}vector_in.in_layer.weight": [3072, 768],
}
DEV = {**FLUX, f"{UNET}guidance_in.in_layer.weight": [3072, 256]}
SD_CLIP, XL_CLIP, CLIP = "cond_stage_model.a", "conditioner.embedders.0.a", "text_encoders.clip_l.a"
VAE = "first_stage_model.decoder.a"
WHOLE = {SD_CLIP: [1], VAE: [1]}
NAME = "model.safetensors"
OFFERED = with_models(
    checkpoints=[NAME, "flux1-dev-fp8.safetensors"],
    text_encoders=["clip_l.safetensors", "clip_g.safetensors", "t5xxl_fp8.safetensors"],
    vae=["ae.safetensors", "sd3_vae.safetensors", "sdxl_vae.safetensors", "vae-ft-mse-840000.safetensors"],
)


def of(shapes: dict[str, list[int]], name: str = NAME, family: str | None = None) -> Text2Img:
    params = Text2ImgParams.model_validate({"caption": "a cat", "checkpoint": name, "family": family})
    return build(params, OFFERED, 1, lambda folder, file: shapes if (folder, file) == ("checkpoints", name) else None)


def classes(result: Text2Img) -> set[str]:
    return {str(node["class_type"]) for node in result.workflow.values()}


@pytest.mark.parametrize(
    ("shapes", "family"),
    [
        ({**SD15, **WHOLE}, "sd15"),
        ({**SDXL, XL_CLIP: [1], VAE: [1]}, "sdxl"),
        ({**SD3, CLIP: [1], VAE: [1]}, "sd3"),
        ({**DEV, CLIP: [1], "vae.decoder.a": [1]}, "flux"),
    ],
)
def test_by_what_lies_in_it(shapes: dict[str, list[int]], family: str) -> None:
    result = of(shapes)
    assert (result.family, result.warnings) == (family, ())
    assert not {"DualCLIPLoader", "CLIPLoader", "VAELoader"} & classes(result)


def test_the_file_counts_more_than_its_name() -> None:
    assert of({**SDXL, XL_CLIP: [1], VAE: [1]}, "flux1-dev-fp8.safetensors").family == "sdxl"
    assert of({**SDXL, XL_CLIP: [1], VAE: [1]}, family="sd15").family == "sd15"


@pytest.mark.parametrize(
    ("shapes", "encoders", "vae"),
    [
        (SD15, "CLIPLoader", "vae-ft-mse-840000.safetensors"),
        (SDXL, "DualCLIPLoader", "sdxl_vae.safetensors"),
        (SD3, "TripleCLIPLoader", "sd3_vae.safetensors"),
        (FLUX, "DualCLIPLoader", "ae.safetensors"),
    ],
)
def test_parts_that_the_file_lacks_are_loaded_beside_it(shapes: dict[str, list[int]], encoders: str, vae: str) -> None:
    result = of(shapes)
    assert {encoders, "VAELoader"} <= classes(result)
    assert {"vae_name": vae} in [node["inputs"] for node in result.workflow.values()]


def test_guidance_is_told_by_the_file() -> None:
    assert "FluxGuidance" in classes(of(DEV))
    assert "FluxGuidance" not in classes(of(FLUX))


def test_without_the_prefix_of_a_checkpoint() -> None:
    assert of({name.removeprefix(UNET): shape for name, shape in SDXL.items()}).family == "sdxl"


@pytest.mark.parametrize(
    "shapes",
    [
        {"a": [1]},
        {**SD15, f"{UNET}input_blocks.0.0.weight": [320, 9, 3, 3]},
        {**SD15, UNET + CONTEXT.format("1.1"): [320, 1280]},
        {**FLUX, f"{UNET}txt_in.individual_token_refiner.blocks.0.a": [1]},
        {f"{UNET}double_blocks.0.img_attn.qkv.weight": [9216, 3072]},
    ],
)
def test_a_file_of_something_else(shapes: dict[str, list[int]]) -> None:
    with pytest.raises(InvalidInput, match='send "family"'):
        of(shapes)
    assert of({**shapes, **WHOLE}, family="sd15").family == "sd15"
