"""Nodes whose pixels depend on their neighbours or on the whole picture: blur, sharpen, quantize, morphology."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage

from .declaration import pure
from .node_types import Image
from .resample import to_bytes

Kernel = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
_SHARPEN_STRENGTH = 10


def _gaussian(radius: int, sigma: float) -> Kernel:
    """Sigma counts in half widths of the kernel, not in pixels."""
    line = np.linspace(-1, 1, 2 * radius + 1, dtype=np.float32)
    bell = np.exp(-(line[:, None] ** 2 + line**2) / np.float32(2 * sigma * sigma))
    kernel: Kernel = bell / bell.sum()
    return kernel


def _convolved(image: Image, kernel: Kernel) -> Image:
    radius = kernel.shape[0] // 2
    rows, columns = image.shape[1:3]
    padded = np.pad(image, ((0, 0), (radius, radius), (radius, radius), (0, 0)), "reflect")
    total = np.zeros_like(image)
    for (y, x), weight in np.ndenumerate(kernel):
        total += weight * padded[:, y : y + rows, x : x + columns]
    return total


def _blur(image: Image, blur_radius: int, sigma: float) -> Image:
    return _convolved(image, _gaussian(blur_radius, sigma)) if blur_radius else image


def _sharpen(image: Image, sharpen_radius: int, sigma: float, alpha: float) -> Image:
    """Unsharp mask as one kernel whose sum is 1."""
    if sharpen_radius == 0:
        return image
    kernel = _gaussian(sharpen_radius, sigma) * np.float32(-_SHARPEN_STRENGTH * alpha)
    kernel[sharpen_radius, sharpen_radius] += 1 - kernel.sum()
    return np.clip(_convolved(image, kernel), 0, 1)


def _quantize(image: Image, colors: int, dither: str) -> Image:
    pictures = [_quantized(PILImage.fromarray(pixels), colors, dither) for pixels in to_bytes(image[..., :3])]
    return np.stack(pictures).astype(np.float32) / np.float32(255)


def _quantized(picture: PILImage.Image, colors: int, dither: str) -> Pixels:
    """Twice: once for the palette, then every pixel to its nearest colour."""
    palette = picture.quantize(colors, dither=PILImage.Dither.NONE)
    if dither.startswith("bayer"):
        picture = PILImage.fromarray(_ordered(np.asarray(picture), int(dither.removeprefix("bayer-")), colors))
    method = PILImage.Dither.FLOYDSTEINBERG if dither == "floyd-steinberg" else PILImage.Dither.NONE
    return np.asarray(picture.quantize(colors, palette=palette, dither=method).convert("RGB"))


def _ordered(pixels: Pixels, size: int, colors: int) -> Pixels:
    """Bayer's threshold pattern added, twice as strong as the palette's colours lie apart on average."""
    rows, columns = pixels.shape[:2]
    pattern = _bayer(size)
    tiled = np.tile(pattern, (-(-rows // size), -(-columns // size)))[:rows, :columns, None]
    return np.clip(pixels + tiled * (2 * 256 / colors), 0, 255).astype(np.uint8)


def _bayer(size: int) -> npt.NDArray[np.float64]:
    """Thresholds in -0.5..0.5, each once."""
    matrix = np.zeros((1, 1))
    while matrix.shape[0] < size:
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return (matrix + 0.5) / matrix.size - 0.5


def _extreme(image: Image, size: int, pick: np.ufunc, border: float) -> Image:
    """The extreme over a square; beyond the border nothing counts."""
    before, after = size // 2, size - 1 - size // 2
    for axis in (1, 2):
        margins = [(0, 0)] * 4
        margins[axis] = (before, after)
        padded = np.pad(image, margins, constant_values=border)
        windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=axis)
        image = pick.reduce(windows, axis=-1)
    return image


def _dilate(image: Image, size: int) -> Image:
    return _extreme(image, size, np.maximum, -np.inf)


def _erode(image: Image, size: int) -> Image:
    return _extreme(image, size, np.minimum, np.inf)


def _open(image: Image, size: int) -> Image:
    return _dilate(_erode(image, size), size)


def _close(image: Image, size: int) -> Image:
    return _erode(_dilate(image, size), size)


_OPERATIONS: dict[str, Callable[[Image, int], Image]] = {
    "erode": _erode,
    "dilate": _dilate,
    "open": _open,
    "close": _close,
    "gradient": lambda image, size: _dilate(image, size) - _erode(image, size),
    "top_hat": lambda image, size: image - _open(image, size),
    "bottom_hat": lambda image, size: _close(image, size) - image,
}


def _morphology(image: Image, operation: str, kernel_size: int) -> Image:
    if operation not in _OPERATIONS:
        raise ValueError(f"Unsupported operation: {operation}")
    return _OPERATIONS[operation](image, kernel_size)


NODES = (
    pure("ImageBlur", _blur),
    pure("ImageSharpen", _sharpen),
    pure("ImageQuantize", _quantize),
    pure("Morphology", _morphology),
)
