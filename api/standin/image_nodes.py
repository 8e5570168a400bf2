"""Nodes that compute pixel by pixel: empty, invert, blend, composite, alpha."""

from collections.abc import Callable

import numpy as np

from .declaration import pure
from .node_types import Image, Mask
from .resample import scale


def _empty(width: int, height: int, batch_size: int, color: int) -> Image:
    levels = np.array([color >> 16 & 255, color >> 8 & 255, color & 255], np.float32) / np.float32(255)
    return np.tile(levels, (batch_size, height, width, 1))


def _invert(image: Image) -> Image:
    return 1 - image


def _overlay(below: Image, above: Image) -> Image:
    return np.where(below <= 0.5, 2 * below * above, 1 - 2 * (1 - below) * (1 - above))


def _soft_light(below: Image, above: Image) -> Image:
    lightened = np.where(below <= 0.25, ((16 * below - 12) * below + 4) * below, np.sqrt(below))
    dark = below - (1 - 2 * above) * below * (1 - below)
    return np.where(above <= 0.5, dark, below + (2 * above - 1) * (lightened - below))


_BLENDS: dict[str, Callable[[Image, Image], Image]] = {
    "normal": lambda below, above: above,
    "multiply": lambda below, above: below * above,
    "screen": lambda below, above: 1 - (1 - below) * (1 - above),
    "overlay": _overlay,
    "soft_light": _soft_light,
    "difference": lambda below, above: below - above,
}


def _blend(image1: Image, image2: Image, blend_factor: float, blend_mode: str) -> Image:
    if image1.shape != image2.shape:
        image2 = scale(image2, image1.shape[2], image1.shape[1], "bicubic", "center")
    if blend_mode not in _BLENDS:
        raise ValueError(f"Unsupported blend mode: {blend_mode}")
    blended = _BLENDS[blend_mode](image1, image2)
    return np.clip(image1 * (1 - blend_factor) + blended * blend_factor, 0, 1)


def _composite(
    destination: Image, source: Image, x: int, y: int, resize_source: bool, mask: Mask | None = None
) -> Image:
    """The source over the destination at x, y where the mask is 1; what hangs over the edge is cut."""
    rows, columns = destination.shape[1:3]
    if resize_source:
        source = scale(source, columns, rows, "bilinear")
    height, width = min(source.shape[1], rows - y), min(source.shape[2], columns - x)
    result = destination.copy()
    if height <= 0 or width <= 0:
        return result
    part = result[:, y : y + height, x : x + width]
    above = _repeated(source, len(result))[:, :height, :width, : result.shape[3]]
    weight = _repeated(_weights(mask, source), len(result))[:, :height, :width]
    part[:] = weight * above + (1 - weight) * part
    return result


def _repeated(images: Image, count: int) -> Image:
    return np.resize(images, (count, *images.shape[1:]))


def _weights(mask: Mask | None, source: Image) -> Image:
    """The mask in the source's size, with one channel."""
    if mask is None:
        return np.ones((1, *source.shape[1:3], 1), np.float32)
    return scale(mask[..., None], source.shape[2], source.shape[1], "bilinear")


def _join_alpha(image: Image, alpha: Mask) -> Image:
    count = min(image.shape[0], alpha.shape[0])
    opacity = 1 - scale(alpha[..., None], image.shape[2], image.shape[1], "bilinear")
    return np.concatenate((image[:count, ..., :3], opacity[:count]), axis=3)


def _split_alpha(image: Image) -> tuple[Image, Mask]:
    opacity = image[..., 3] if image.shape[3] > 3 else np.ones(image.shape[:3], np.float32)
    return image[..., :3], 1 - opacity


NODES = (
    pure("EmptyImage", _empty),
    pure("ImageInvert", _invert),
    pure("ImageBlend", _blend),
    pure("ImageCompositeMasked", _composite),
    pure("JoinImageWithAlpha", _join_alpha),
    pure("SplitImageWithAlpha", _split_alpha),
)
