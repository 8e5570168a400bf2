"""The nodes of text-to-image, as a real 0.3.64 declares them, over models that are names only.

The same words, model, seed and steps give the same picture, others another one: a gradient with some noise.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage

from .latent_nodes import PixelSpace
from .node_types import Context, NodeClass, NodeResult

# Copied from a real 0.3.64 without any model file.
_RECORDED: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
_SCALE = 8
_PREVIEW_SIDE = 64
Latent = dict[str, Any]


@dataclass(frozen=True)
class _Named:
    """Whatever stands for a model, a text encoder, a conditioning …: what it was made of."""

    made_of: tuple[Any, ...]

    def with_(self, *more: Any) -> "_Named":
        return replace(self, made_of=(*self.made_of, *more))


def diffusion_nodes(checkpoints: Sequence[str], loras: Sequence[str] = ()) -> dict[str, NodeClass]:
    """The nodes, offering these model files; nothing without a checkpoint."""
    if not checkpoints:
        return {}
    offered = {("CheckpointLoaderSimple", "ckpt_name"): checkpoints, ("LoraLoader", "lora_name"): loras}
    return {name: NodeClass(name, run, _info(name, offered)) for name, run in _RUNS.items()}


def _info(name: str, offered: Mapping[tuple[str, str], Sequence[str]]) -> dict[str, Any]:
    info = copy.deepcopy(_RECORDED[name])
    for (class_type, input_name), values in offered.items():
        if class_type == name:
            info["input"]["required"][input_name][0] = sorted(values)
    return info


def _load(context: Context, ckpt_name: str) -> NodeResult:
    return NodeResult((_Named((ckpt_name,)), _Named((ckpt_name,)), PixelSpace()))


def _load_lora(context: Context, model: _Named, clip: _Named, **given: Any) -> NodeResult:
    values = tuple(given.values())
    return NodeResult((model.with_(*values), clip.with_(*values)))


def _encode(context: Context, text: str, clip: _Named) -> NodeResult:
    return NodeResult((clip.with_(text),))


def _named(context: Context, **given: Any) -> NodeResult:
    """What only says something about another thing."""
    return NodeResult((_Named(tuple(given.values())),))


def _patch(context: Context, model: _Named, **given: Any) -> NodeResult:
    return NodeResult((model.with_(*given.values()),))


def _empty(context: Context, width: int, height: int, batch_size: int) -> NodeResult:
    return NodeResult(({"samples": np.zeros((batch_size, 16, height // _SCALE, width // _SCALE), np.float32)},))


def _split(context: Context, sigmas: _Named, step: int) -> NodeResult:
    return NodeResult((sigmas.with_("high", step), sigmas.with_("low", step)))


def _sample(context: Context, latent_image: Latent, steps: int, **given: Any) -> NodeResult:
    return NodeResult((_sampled(context, latent_image, steps, tuple(given.values())),))


def _sample_apart(context: Context, latent_image: Latent, sigmas: _Named, **given: Any) -> NodeResult:
    *_model, steps, _denoise = [value for value in sigmas.made_of if isinstance(value, int | float)] or [1, 1]
    latent = _sampled(context, latent_image, int(steps), (sigmas, *given.values()))
    return NodeResult((latent, latent))


def _sampled(context: Context, latent: Latent, steps: int, made_of: tuple[Any, ...]) -> Latent:
    """Pixels in -1..1, batch, channels, height, width: what PixelSpace decodes."""
    old = latent["samples"]
    fresh = old.shape[1] != 3
    scale = _SCALE if fresh else 1
    shape = (old.shape[0], 3, old.shape[2] * scale, old.shape[3] * scale)
    seed = hashlib.sha256(repr((made_of, steps, None if fresh else old.tobytes())).encode()).digest()
    pixels = _picture(np.random.default_rng(list(seed)), shape)
    shown = PILImage.fromarray(((pixels[0].transpose(1, 2, 0) + 1) * 127.5).astype(np.uint8))
    shown.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
    for step in range(1, steps + 1):
        context.progress(step, steps, shown)
    return {"samples": pixels}


def _picture(random: np.random.Generator, shape: tuple[int, int, int, int]) -> npt.NDArray[np.float32]:
    corners = random.uniform(-0.9, 0.9, (4, 3)).astype(np.float32)
    down, right = (np.linspace(0, 1, side, dtype=np.float32) for side in shape[2:])
    upper, lower = (np.outer(1 - right, first) + np.outer(right, second) for first, second in corners.reshape(2, 2, 3))
    gradient = (1 - down)[:, None, None] * upper + down[:, None, None] * lower
    noise = random.normal(0, 0.04, (shape[0], 3, 1, 1)).astype(np.float32)
    pixels: npt.NDArray[np.float32] = np.clip(gradient.transpose(2, 0, 1)[None] + noise, -1, 1).astype(np.float32)
    return pixels


_RUNS: Mapping[str, Callable[..., NodeResult]] = {
    **dict.fromkeys(_RECORDED, _named),
    **dict.fromkeys(("ModelSamplingSD3", "ModelSamplingFlux"), _patch),
    **dict.fromkeys(("PerturbedAttentionGuidance", "PatchModelAddDownscale"), _patch),
    "CheckpointLoaderSimple": _load,
    "LoraLoader": _load_lora,
    "CLIPTextEncode": _encode,
    "EmptySD3LatentImage": _empty,
    "SplitSigmas": _split,
    "KSampler": _sample,
    "SamplerCustomAdvanced": _sample_apart,
}
