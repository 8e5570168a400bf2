"""Nodes about masks: make, cut, combine, convert."""

from collections.abc import Callable

import numpy as np

from .declaration import pure
from .node_types import Image, Mask

_CHANNELS = ("red", "green", "blue", "alpha")


def _solid(value: float, width: int, height: int) -> Mask:
    return np.full((1, height, width), value, np.float32)


def _invert(mask: Mask) -> Mask:
    return 1 - mask


def _crop(mask: Mask, x: int, y: int, width: int, height: int) -> Mask:
    return _batched(mask)[:, y : y + height, x : x + width]


def _batched(mask: Mask) -> Mask:
    return mask.reshape((-1, *mask.shape[-2:]))


def _feather(mask: Mask, left: int, top: int, right: int, bottom: int) -> Mask:
    result = _batched(mask).copy()
    rows, columns = result.shape[1:]
    for x, rate in _rates(left, columns):
        result[:, :, x] *= rate
    # Counted from the far end as ComfyUI does it: its first step, -0, fades the near edge.
    for x, rate in _rates(right, columns):
        result[:, :, -x] *= rate
    for y, rate in _rates(top, rows):
        result[:, y] *= rate
    for y, rate in _rates(bottom, rows):
        result[:, -y] *= rate
    return result


def _rates(width: int, size: int) -> list[tuple[int, float]]:
    width = min(width, size)
    return [(step, (step + 1) / width) for step in range(width)]


def _grow(mask: Mask, expand: int, tapered_corners: bool) -> Mask:
    """Pixel by pixel: to four neighbours with tapered corners, else to eight; negative shrinks."""
    pick = np.minimum if expand < 0 else np.maximum
    result = _batched(mask)
    for _ in range(abs(expand)):
        result = _step(result, pick, tapered_corners)
    return result


def _step(mask: Mask, pick: np.ufunc, tapered_corners: bool) -> Mask:
    rows, columns = mask.shape[1:]
    padded = np.pad(mask, ((0, 0), (1, 1), (1, 1)), "edge")
    result = mask
    for y in range(3):
        for x in range(3):
            if not tapered_corners or 1 in (x, y):
                result = pick(result, padded[:, y : y + rows, x : x + columns])
    return result


def _threshold(mask: Mask, value: float) -> Mask:
    return (mask > np.float32(value)).astype(np.float32)


def _logical(function: np.ufunc) -> Callable[[Mask, Mask], Mask]:
    return lambda below, above: function(np.rint(below) != 0, np.rint(above) != 0).astype(np.float32)


_OPERATIONS: dict[str, Callable[[Mask, Mask], Mask]] = {
    "multiply": lambda below, above: below * above,
    "add": lambda below, above: below + above,
    "subtract": lambda below, above: below - above,
    "and": _logical(np.logical_and),
    "or": _logical(np.logical_or),
    "xor": _logical(np.logical_xor),
}


def _composite(destination: Mask, source: Mask, x: int, y: int, operation: str) -> Mask:
    result, above = _batched(destination).copy(), _batched(source)
    part = result[:, y : y + above.shape[1], x : x + above.shape[2]]
    part[:] = _OPERATIONS[operation](part, above[:, : part.shape[1], : part.shape[2]])
    return np.clip(result, 0, 1)


def to_image(mask: Mask) -> Image:
    return np.repeat(_batched(mask)[..., None], 3, axis=3)


def _from_image(image: Image, channel: str) -> Mask:
    return image[..., _CHANNELS.index(channel)]


def _from_color(image: Image, color: int) -> Mask:
    levels = np.rint(np.clip(image * np.float32(255), 0, 255)).astype(np.int64)
    packed = (levels[..., 0] << 16) + (levels[..., 1] << 8) + levels[..., 2]
    mask: Mask = (packed == color).astype(np.float32)
    return mask


NODES = (
    pure("SolidMask", _solid),
    pure("InvertMask", _invert),
    pure("CropMask", _crop),
    pure("FeatherMask", _feather),
    pure("GrowMask", _grow),
    pure("ThresholdMask", _threshold),
    pure("MaskComposite", _composite),
    pure("MaskToImage", to_image),
    pure("ImageToMask", _from_image),
    pure("ImageColorToMask", _from_color),
)
