"""Nodes that change an image's size; the maths is in `resample`."""

import math

import numpy as np

from .declaration import pure
from .node_types import Image
from .resample import scale

_MEGAPIXEL = 1024 * 1024


def _scale(image: Image, upscale_method: str, width: int, height: int, crop: str) -> Image:
    """A side of 0 follows the other one; both 0 leave the image alone."""
    if width == 0 and height == 0:
        return image
    rows, columns = image.shape[1:3]
    width = width or max(1, round(columns * height / rows))
    height = height or max(1, round(rows * width / columns))
    return scale(image, width, height, upscale_method, crop)


def _scale_by(image: Image, upscale_method: str, scale_by: float) -> Image:
    rows, columns = image.shape[1:3]
    return scale(image, round(columns * scale_by), round(rows * scale_by), upscale_method)


def _scale_to_total_pixels(image: Image, upscale_method: str, megapixels: float) -> Image:
    rows, columns = image.shape[1:3]
    return _scale_by(image, upscale_method, math.sqrt(megapixels * _MEGAPIXEL / (columns * rows)))


def _scale_to_max_dimension(image: Image, upscale_method: str, largest_size: int) -> Image:
    rows, columns = image.shape[1:3]
    if columns > rows:
        width, height = largest_size, round(rows / columns * largest_size)
    else:
        width, height = round(columns / rows * largest_size), largest_size
    return scale(image, width, height, upscale_method)


def _resize_and_pad(
    image: Image, target_width: int, target_height: int, padding_color: str, interpolation: str
) -> Image:
    rows, columns = image.shape[1:3]
    factor = min(target_width / columns, target_height / rows)
    width, height = int(columns * factor), int(rows * factor)
    shape = (image.shape[0], target_height, target_width, image.shape[3])
    padded = np.full(shape, 1.0 if padding_color == "white" else 0.0, np.float32)
    x, y = (target_width - width) // 2, (target_height - height) // 2
    padded[:, y : y + height, x : x + width] = scale(image, width, height, interpolation)
    return padded


NODES = (
    pure("ImageScale", _scale),
    pure("ImageScaleBy", _scale_by),
    pure("ImageScaleToTotalPixels", _scale_to_total_pixels),
    pure("ImageScaleToMaxDimension", _scale_to_max_dimension),
    pure("ResizeAndPadImage", _resize_and_pad),
)
