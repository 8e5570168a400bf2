"""Scaling of IMAGE arrays by ComfyUI's five methods, as torch computes them on a CPU, to the last bit where feasible.

Fused multiply-adds are imitated in float64: their rounding decides which side of an integer a pixel falls on.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage

from .node_types import Image

Indices = npt.NDArray[np.intp]
Weights = npt.NDArray[np.float32]
# Per tap: which source line each output line takes, and how much of it.
Taps = list[tuple[Indices, Weights]]

_CUBIC = np.float32(-0.75)
# torch takes another kernel, with another order of rounding, when output width + height is at most this.
_SMALL = 128


def scale(image: Image, width: int, height: int, method: str, crop: str = "disabled") -> Image:
    """`crop="center"` cuts to the target's proportions first."""
    if width < 1 or height < 1:
        sizes = f"input (H: {image.shape[1]}, W: {image.shape[2]}) output (H: {height}, W: {width})"
        raise RuntimeError(f"Input and output sizes should be greater than 0, but got {sizes}")
    if crop == "center":
        image = _center(image, width, height)
    return _METHODS[method](image, width, height)


def to_bytes(image: Image) -> npt.NDArray[np.uint8]:
    """0..1 to 0..255 as ComfyUI saves: truncated, not rounded."""
    levels: npt.NDArray[np.uint8] = np.clip(np.float32(255) * image, 0, 255).astype(np.uint8)
    return levels


def _center(image: Image, width: int, height: int) -> Image:
    old_height, old_width = image.shape[1:3]
    old, new = old_width / old_height, width / height
    x = round((old_width - old_width * (new / old)) / 2) if old > new else 0
    y = round((old_height - old_height * (old / new)) / 2) if old < new else 0
    return image[:, y : old_height - y, x : old_width - x]


def _positions(size: int, target: int) -> Weights:
    """Where the middle of each output line lies in the source, in lines."""
    step = np.float32(size) / np.float32(target)
    return _fused(step, np.arange(target, dtype=np.float32) + np.float32(0.5), np.float32(-0.5))


def _fused(a: Weights | np.float32, b: Weights, c: Weights | np.float32) -> Weights:
    """a·b + c, rounded once."""
    return (np.asarray(a, np.float64) * b + c).astype(np.float32)


def _weighted(terms: Sequence[tuple[Weights, Image]]) -> Image:
    """Σ weight · value in the order in which the compiler fused torch's loop."""
    (first, value), (second, other), *rest = terms
    total = _fused(first, value, second * other)
    for weight, further in rest:
        total = _fused(weight, further, total)
    return total


def _linear_taps(size: int, target: int) -> Taps:
    position = np.maximum(_positions(size, target), 0)
    low = np.minimum(position.astype(np.intp), size - 1)
    share = np.clip(position - low, 0, 1).astype(np.float32)
    return [(low, np.float32(1) - share), (np.minimum(low + 1, size - 1), share)]


def _cubic_taps(size: int, target: int) -> Taps:
    position = _positions(size, target)
    low = np.floor(position)
    share = position - low
    weights = (_outer(share + 1), _inner(share), _inner(1 - share), _outer(1 - share + 1))
    return [
        (np.clip(low.astype(np.intp) + offset, 0, size - 1), weight)
        for offset, weight in zip((-1, 0, 1, 2), weights, strict=True)
    ]


def _inner(x: Weights) -> Weights:
    return _fused(_CUBIC + 2, x, -(_CUBIC + 3)) * x * x + 1


def _outer(x: Weights) -> Weights:
    return _fused(_fused(_CUBIC, x, -5 * _CUBIC), x, 8 * _CUBIC) * x - 4 * _CUBIC


def _across(taps: Taps, image: Image) -> list[tuple[Weights, Image]]:
    return [(weight[:, None], image[:, :, index]) for index, weight in taps]


def _down(taps: Taps, image: Image) -> list[tuple[Weights, Image]]:
    return [(weight[:, None, None], image[:, index]) for index, weight in taps]


def _separable(image: Image, width: int, height: int, taps: Callable[[int, int], Taps]) -> Image:
    rows = _weighted(_across(taps(image.shape[2], width), image))
    return _weighted(_down(taps(image.shape[1], height), rows))


def _bilinear(image: Image, width: int, height: int) -> Image:
    if width + height > _SMALL:
        return _separable(image, width, height, _linear_taps)
    columns = _linear_taps(image.shape[2], width)
    corners = [
        (down * across, pixels)
        for down, rows in _down(_linear_taps(image.shape[1], height), image)
        for across, pixels in _across(columns, rows)
    ]
    return _weighted(corners)


def _bicubic(image: Image, width: int, height: int) -> Image:
    return _separable(image, width, height, _cubic_taps)


def _nearest(image: Image, width: int, height: int) -> Image:
    return image[:, _nearest_lines(image.shape[1], height)][:, :, _nearest_lines(image.shape[2], width)]


def _nearest_lines(size: int, target: int) -> Indices:
    step = np.float32(size) / np.float32(target)
    lines = np.floor((np.arange(target, dtype=np.float32) + np.float32(0.5)) * step)
    indices: Indices = np.minimum(lines.astype(np.intp), size - 1)
    return indices


def _area(image: Image, width: int, height: int) -> Image:
    """The mean over each output pixel's whole source pixels; divided once per direction, as torch does."""
    rows, tall = _windows(image.shape[1], height)
    columns, wide = _windows(image.shape[2], width)
    total = np.zeros((image.shape[0], height, width, image.shape[3]), np.float32)
    for row, in_row in rows:
        for column, in_column in columns:
            total += image[:, row][:, :, column] * (in_row[:, None, None] * in_column[:, None])
    return total / tall[:, None, None] / wide[:, None]


def _windows(size: int, target: int) -> tuple[Taps, Weights]:
    """The k-th line of every window with 1 where the window has one, and the windows' sizes."""
    start = np.arange(target) * size // target
    end = -(-(np.arange(target) + 1) * size // target)
    length = end - start
    taps = [
        (np.minimum(start + k, size - 1), (k < length).astype(np.float32)) for k in range(int(length.max(initial=0)))
    ]
    return taps, length.astype(np.float32)


def _lanczos(image: Image, width: int, height: int) -> Image:
    """Through 8 bits, by Pillow."""
    pictures = [
        np.asarray(PILImage.fromarray(pixels).resize((width, height), PILImage.Resampling.LANCZOS))
        for pixels in to_bytes(image)
    ]
    return np.stack(pictures).astype(np.float32) / np.float32(255)


_METHODS: dict[str, Callable[[Image, int, int], Image]] = {
    "nearest-exact": _nearest,
    "bilinear": _bilinear,
    "area": _area,
    "bicubic": _bicubic,
    "lanczos": _lanczos,
}
