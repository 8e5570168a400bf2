"""Latents: empty ones, the model-free `pixel_space` VAE, and SaveLatent's safetensors file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .declaration import pure, recorded
from .node_types import Context, Image, NodeResult
from .output_names import output_names
from .save_nodes import listed, metadata

Latent = dict[str, Any]
_ALIGNMENT = 8


@dataclass(frozen=True)
class PixelSpace:
    """A VAE whose latents are the pixels themselves, in -1..1."""


def _empty(width: int, height: int, batch_size: int) -> Latent:
    return {"samples": np.zeros((batch_size, 4, height // 8, width // 8), np.float32)}


def _load_vae(vae_name: str) -> PixelSpace:
    return PixelSpace()


def _encode(pixels: Image, vae: PixelSpace) -> Latent:
    return {"samples": np.moveaxis(pixels[..., :3], -1, 1) * 2 - 1}


def _decode(samples: Latent, vae: PixelSpace) -> Image:
    pixels: Image = np.clip((np.moveaxis(samples["samples"], 1, -1) + 1) / 2, 0, 1)
    return pixels


def _save(context: Context, samples: Latent, filename_prefix: str) -> NodeResult:
    names = output_names(filename_prefix, context.output_dir)
    filename = names.name(0, "latent")
    tensors = {"latent_format_version_0": np.zeros(0, np.float32), "latent_tensor": samples["samples"]}
    write_safetensors(names.folder / filename, tensors, dict(metadata(context)))
    return NodeResult((), {"latents": [listed(names, filename, "output")]})


def write_safetensors(path: Path, tensors: dict[str, npt.NDArray[np.float32]], texts: dict[str, str]) -> None:
    """Length of the header, header as JSON padded with blanks, then the numbers."""
    header: dict[str, Any] = {"__metadata__": texts}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + tensor.nbytes
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    numbers = b"".join(tensor.astype("<f4").tobytes() for tensor in tensors.values())
    path.write_bytes(len(text).to_bytes(8, "little") + text + numbers)


NODES = (
    pure("EmptyLatentImage", _empty),
    pure("VAELoader", _load_vae),
    pure("VAEEncode", _encode),
    pure("VAEDecode", _decode),
    recorded("SaveLatent", _save),
)
