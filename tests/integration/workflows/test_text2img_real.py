"""Text-to-image graphs before a real ComfyUI: whatever it refuses is a model file that it does not have."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from support.text2img_offers import CHECKPOINTS, FILE_INPUTS, LORAS, SCHNELL, with_models

from api.comfyui.validation import inspect
from api.workflows.graph import check
from api.workflows.text2img import build
from api.workflows.text2img_params import Text2ImgParams

pytestmark = pytest.mark.comfyui
APART = {
    "text_encoders": ["clip_l.safetensors", "clip_g.safetensors", "t5xxl.safetensors"],
    "vae": ["ae.safetensors", "sd3_vae.safetensors"],
}
SWITCHES: dict[str, dict[str, Any]] = {
    "plain": {},
    "split": {"split_sigmas": True, "steps": 2},
    "loras": {"loras": list(LORAS), "lora_weights": [-1.0, 0.25]},
    "patches": {"pag": True, "deepshrink": True},
    "numbers": {"pag": 100, "deepshrink": 9, "split_sigmas": 149, "steps": 150, "cfg": 20, "seed": 2**64 - 1},
    "largest": {"width": 4096, "height": 4096, "batch_size": 64},
    "smallest": {"width": 64, "height": 64, "steps": 1, "cfg": 0.1},
}


@pytest.fixture(scope="module")
def url() -> str:
    if "COMFYUI_TEST_URL" not in os.environ:
        pytest.skip("COMFYUI_TEST_URL is not set")
    return os.environ["COMFYUI_TEST_URL"].rstrip("/")


@pytest.fixture(scope="module")
def info(url: str) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{url}/object_info", timeout=60).json()
    return found


def cases() -> Iterator[Any]:
    for family, checkpoint in {**CHECKPOINTS, "schnell": SCHNELL}.items():
        for name, switches in SWITCHES.items():
            is_unet = family in {"sd15", "sdxl"}
            if is_unet or name != "patches":
                fields = {key: value for key, value in switches.items() if is_unet or key not in {"pag", "deepshrink"}}
                yield pytest.param({**fields, "checkpoint": checkpoint}, id=f"{family}-{name}")


def refusals(url: str, workflow: Any) -> set[tuple[str, str]]:
    """(kind, input) of all that ComfyUI finds wrong."""
    answer = requests.post(f"{url}/prompt", json={"prompt": workflow}, timeout=60)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "prompt_outputs_failed_validation"
    found = [error for node in answer.json()["node_errors"].values() for error in node["errors"]]
    return {(error["type"], error["extra_info"]["input_name"]) for error in found}


@pytest.mark.parametrize("fields", list(cases()))
def test_only_files_are_missing(url: str, info: dict[str, Any], fields: dict[str, Any]) -> None:
    offered = with_models(info)
    made = build(Text2ImgParams.model_validate({"caption": "a cat", **fields}), offered, 1)
    verdict = inspect(check(made.workflow), offered)
    assert (verdict.refused, verdict.dropped, verdict.doubts) == ((), (), ())
    assert refusals(url, made.workflow) <= {("value_not_in_list", name) for name in FILE_INPUTS}


@pytest.mark.parametrize("name", ["flux1-dev.safetensors", "sd3.5_large.safetensors"])
def test_models_that_come_in_parts(url: str, info: dict[str, Any], name: str) -> None:
    offered = with_models(info, diffusion_models=[name], **APART)
    made = build(Text2ImgParams.model_validate({"caption": "a cat", "checkpoint": name}), offered, 1)
    assert inspect(check(made.workflow), offered).refused == ()
    # What TripleCLIPLoader lacks 0.3.64 does not check.
    assert {("value_not_in_list", "unet_name"), ("value_not_in_list", "vae_name")} <= refusals(url, made.workflow)
    assert refusals(url, made.workflow) <= {("value_not_in_list", name) for name in FILE_INPUTS}


def test_the_recording_is_what_it_offers(info: dict[str, Any]) -> None:
    recorded = with_models()
    for name in (
        "KSampler",
        "SamplerCustomAdvanced",
        "ModelSamplingFlux",
        "PatchModelAddDownscale",
        "TripleCLIPLoader",
    ):
        assert with_models(info)[name]["input"] == recorded[name]["input"]
        assert info[name]["output"] == recorded[name]["output"]
