"""object_info of a ComfyUI with models: recorded from a real one, the names of model files put in."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from api.standin.diffusion_nodes import diffusion_nodes
from api.standin.nodes import NODES

CHECKPOINTS = {
    "sd15": "v1-5-pruned-emaonly.safetensors",
    "sdxl": "sd_xl_base_1.0.safetensors",
    "sd3": "sd3.5_large_fp8_scaled.safetensors",
    "flux": "FLUX1/flux1-dev-fp8.safetensors",
}
SCHNELL = "flux1-schnell-fp8.safetensors"
MYSTERY = "mystery_8.safetensors"
LORAS = ("styles/oil-paint.safetensors", "detail.safetensors")
# What DetailDaemonSamplerNode of ComfyUI-Detail-Daemon tells of itself.
DETAIL_DAEMON: dict[str, Any] = {
    "input": {
        "required": {
            "sampler": ["SAMPLER"],
            "detail_amount": ["FLOAT", {"default": 0.1, "min": -5.0, "max": 5.0, "step": 0.01}],
            "start": ["FLOAT", {"default": 0.2, "min": 0.0, "max": 1.0, "step": 0.01}],
            "end": ["FLOAT", {"default": 0.8, "min": 0.0, "max": 1.0, "step": 0.01}],
            "bias": ["FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.01}],
            "exponent": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.05}],
            "start_offset": ["FLOAT", {"default": 0.0, "min": -1.0, "max": 1.0, "step": 0.01}],
            "end_offset": ["FLOAT", {"default": 0.0, "min": -1.0, "max": 1.0, "step": 0.01}],
            "fade": ["FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.05}],
            "smooth": ["BOOLEAN", {"default": True}],
            "cfg_scale_override": ["FLOAT", {"default": 0, "min": 0.0, "max": 100.0, "step": 0.5}],
        }
    },
    "output": ["SAMPLER"],
    "output_node": False,
    "python_module": "custom_nodes.ComfyUI-Detail-Daemon",
}
_FILES: Mapping[tuple[str, str], str] = {
    ("CheckpointLoaderSimple", "ckpt_name"): "checkpoints",
    ("UNETLoader", "unet_name"): "diffusion_models",
    ("LoraLoader", "lora_name"): "loras",
    ("CLIPLoader", "clip_name"): "text_encoders",
    ("DualCLIPLoader", "clip_name1"): "text_encoders",
    ("DualCLIPLoader", "clip_name2"): "text_encoders",
    ("TripleCLIPLoader", "clip_name1"): "text_encoders",
    ("TripleCLIPLoader", "clip_name2"): "text_encoders",
    ("TripleCLIPLoader", "clip_name3"): "text_encoders",
    ("VAELoader", "vae_name"): "vae",
}
# Inputs that name model files: a ComfyUI without them refuses whatever stands there.
FILE_INPUTS = {name for _, name in _FILES}


def recorded() -> dict[str, Any]:
    """As a real 0.3.64 without any model answers."""
    nodes = {**NODES, **diffusion_nodes(["-"])}
    return {name: node.info for name, node in nodes.items() if "Standin" not in name}


def with_models(info: Mapping[str, Any] | None = None, **files: Sequence[str]) -> dict[str, Any]:
    """An object_info that offers these files, by folder; without any, a checkpoint of each family and LoRAs."""
    files = files or {"checkpoints": [*CHECKPOINTS.values(), SCHNELL, MYSTERY], "loras": LORAS}
    made = copy.deepcopy(dict(info if info is not None else recorded()))
    for (class_type, name), folder in _FILES.items():
        config = made[class_type]["input"]["required"][name]
        offered = list(files.get(folder, ()))
        if config[0] == "COMBO":
            config[1]["options"] = offered
        else:
            config[0] = offered
    return made


def with_detail_daemon(info: Mapping[str, Any]) -> dict[str, Any]:
    return {**info, "DetailDaemonSamplerNode": DETAIL_DAEMON}
