"""LoadImage and LoadImageMask: picture files as IMAGE and MASK."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image as PILImage
from PIL import ImageOps, ImageSequence

from .declaration import recorded
from .node_types import Context, Image, Inputs, Mask, NodeResult

_ANNOTATION = re.compile(r"(.*?) ?\[(output|input|temp)]", re.DOTALL)
Roots = dict[str, Path]


def _split(name: str) -> tuple[str, str]:
    """`name [output]` and the like say which directory; input if nothing does."""
    if not name.endswith("]"):
        return name, "input"
    match = _ANNOTATION.fullmatch(name)
    return (match[1], match[2]) if match else (name, "input")


def _beside(input_dir: Path) -> Roots:
    """Where output and temp are when only input is known: beside it, unless they were moved."""
    return {kind: input_dir.parent / kind for kind in ("output", "temp")} | {"input": input_dir}


def _locate(name: str, roots: Roots) -> Path:
    """As in 0.3.64 nothing keeps the path inside its directory."""
    file, kind = _split(name)
    return roots[kind] / file


def _validate(input_dir: Path, inputs: Inputs) -> str | None:
    name = inputs.get("image")
    if "image" not in inputs or (isinstance(name, list) and len(name) == 2):
        return None  # missing, or a link that is known only when it runs
    roots = _beside(input_dir)
    path = _locate(cast(str, name), roots)
    known = roots[_split(cast(str, name))[1]].is_dir()
    # os.path answers False to names that no file can have, where Path raises.
    return None if not known or os.path.exists(path) else f"Invalid image file: {name}"  # noqa: PTH110


def _fingerprint(input_dir: Path, inputs: Inputs) -> Any:
    return hashlib.sha256(_locate(inputs["image"], _beside(input_dir)).read_bytes()).hexdigest()


def _open(context: Context, name: str) -> PILImage.Image:
    roots = {"output": context.output_dir, "input": context.input_dir, "temp": context.temp_dir}
    return PILImage.open(_locate(name, roots))


def _load(context: Context, image: str) -> NodeResult:
    """All frames of the first one's size, as one batch."""
    images: list[Image] = []
    masks: list[Mask] = []
    with _open(context, image) as picture:
        for frame in ImageSequence.Iterator(picture):
            upright = ImageOps.exif_transpose(frame)
            pixels = _levels(upright.convert("RGB"))
            if images and pixels.shape != images[0].shape:
                continue
            images.append(pixels)
            masks.append(_transparency(upright))
    return NodeResult((np.stack(images), np.stack(masks)))


def _levels(picture: PILImage.Image) -> Image:
    return np.asarray(picture).astype(np.float32) / np.float32(255)


def _transparency(picture: PILImage.Image) -> Mask:
    """1 where nothing is; 64×64 zeros, whatever the picture's size, without an alpha channel."""
    if picture.mode == "P" and "transparency" in picture.info:
        picture = picture.convert("RGBA")
    if "A" not in picture.getbands():
        return np.zeros((64, 64), np.float32)
    return 1 - _levels(picture.getchannel("A"))


def _load_mask(context: Context, image: str, channel: str) -> NodeResult:
    """One channel of the first frame; the alpha channel inverted."""
    with _open(context, image) as picture:
        upright = ImageOps.exif_transpose(picture).convert("RGBA")
    levels = _levels(upright.getchannel(channel[0].upper()))[None]
    return NodeResult((1 - levels if channel == "alpha" else levels,))


NODES = (
    recorded("LoadImage", _load, fingerprint=_fingerprint, validate=_validate),
    recorded("LoadImageMask", _load_mask, fingerprint=_fingerprint, validate=_validate),
)
