"""Nodes that rearrange pixels and batches without changing pixels: crop, flip, rotate, pad, stitch, batch."""

import numpy as np

from .declaration import pure, recorded
from .node_types import Image, Mask, NodeResult, TextContext
from .resample import scale

_COLORS: dict[str, tuple[float, float, float]] = {
    "white": (1, 1, 1),
    "black": (0, 0, 0),
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
}


def _crop(image: Image, width: int, height: int, x: int, y: int) -> Image:
    """Past the edge is less than asked for, at least one pixel."""
    x, y = min(x, image.shape[2] - 1), min(y, image.shape[1] - 1)
    return image[:, y : y + height, x : x + width]


def _flip(image: Image, flip_method: str) -> Image:
    return image[:, ::-1] if flip_method.startswith("x") else image[:, :, ::-1]


def _rotate(image: Image, rotation: str) -> Image:
    """Clockwise."""
    turns = {"90 degrees": 1, "180 degrees": 2, "270 degrees": 3}.get(rotation, 0)
    return np.rot90(image, turns, axes=(2, 1))


def _pad_for_outpaint(
    image: Image, left: int, top: int, right: int, bottom: int, feathering: int
) -> tuple[Image, Mask]:
    count, height, width, channels = image.shape
    sides = ((top, bottom), (left, right))
    padded = np.full((count, height + top + bottom, width + left + right, channels), 0.5, np.float32)
    padded[:, top : top + height, left : left + width] = image
    mask = np.pad(_feathered(height, width, sides, feathering), sides, constant_values=1)
    return padded, mask[None]


def _feathered(height: int, width: int, sides: tuple[tuple[int, int], tuple[int, int]], feathering: int) -> Mask:
    """0 inside the old picture, rising to 1 at the sides that grow."""
    if feathering == 0 or feathering * 2 >= min(height, width):
        return np.zeros((height, width), np.float32)
    rows, columns = _distance(height, *sides[0]), _distance(width, *sides[1])
    share = np.clip((feathering - np.minimum(rows[:, None], columns)) / feathering, 0, None)
    return (share * share).astype(np.float32)


def _distance(size: int, before: int, after: int) -> Mask:
    """From each line to the nearest end that grows."""
    lines = np.arange(size, dtype=np.float32)
    far = np.full(size, size, np.float32)
    return np.minimum(lines if before else far, size - lines if after else far)


def _with_alpha(image: Image, channels: int) -> Image:
    return np.pad(image, ((0, 0), (0, 0), (0, 0), (0, channels - image.shape[3])), constant_values=1)


def _same_channels(first: Image, second: Image) -> tuple[Image, Image]:
    channels = max(first.shape[3], second.shape[3])
    return _with_alpha(first, channels), _with_alpha(second, channels)


def _batch(image1: Image, image2: Image) -> Image:
    first, second = _same_channels(image1, image2)
    if first.shape[1:] != second.shape[1:]:
        second = scale(second, first.shape[2], first.shape[1], "bilinear", "center")
    return np.concatenate((first, second))


def _repeat(image: Image, amount: int) -> Image:
    return np.tile(image, (amount, 1, 1, 1))


def _from_batch(image: Image, batch_index: int, length: int) -> Image:
    start = min(image.shape[0] - 1, batch_index)
    return image[start : start + length].copy()


def _rebatch(images: list[Image], batch_size: list[int]) -> tuple[list[Image]]:
    """Gets and gives lists; a run of equal sizes is cut anew."""
    singles = [image[i : i + 1] for image in images for i in range(image.shape[0])]
    batches: list[list[Image]] = []
    for single in singles:
        last = batches[-1] if batches else []
        if last and len(last) < batch_size[0] and last[0].shape == single.shape:
            last.append(single)
        else:
            batches.append([single])
    return ([np.concatenate(batch) for batch in batches],)


def _stitch(
    image1: Image,
    direction: str,
    match_image_size: bool,
    spacing_width: int,
    spacing_color: str,
    image2: Image | None = None,
) -> Image:
    if image2 is None:
        return image1
    along = 2 if direction in ("right", "left") else 1
    first, second = _same_batch(image1, image2)
    second = _matched(first, second, along) if match_image_size else second
    first, second = _same_channels(first, second)
    breadth = max(first.shape[3 - along], second.shape[3 - along])
    first, second = (_centered(image, 3 - along, breadth, spacing_color) for image in (first, second))
    parts = [first, second] if direction in ("right", "down") else [second, first]
    if spacing_width > 0:
        parts.insert(1, _filled(first, along, spacing_width, spacing_color))
    return np.concatenate(parts, axis=along)


def _same_batch(first: Image, second: Image) -> tuple[Image, Image]:
    """The shorter one goes on with its last picture."""
    count = max(first.shape[0], second.shape[0])
    lengthened = [np.pad(image, ((0, count - image.shape[0]), *[(0, 0)] * 3), "edge") for image in (first, second)]
    return lengthened[0], lengthened[1]


def _matched(first: Image, second: Image, along: int) -> Image:
    """The second as broad as the first, in its own proportions."""
    rows, columns = second.shape[1:3]
    if along == 2:
        height = first.shape[1]
        return scale(second, int(height * columns / rows), height, "lanczos")
    width = first.shape[2]
    return scale(second, width, int(width * rows / columns), "lanczos")


def _centered(image: Image, axis: int, breadth: int, color: str) -> Image:
    missing = breadth - image.shape[axis]
    before = _filled(image, axis, missing // 2, color)
    after = _filled(image, axis, missing - missing // 2, color)
    return np.concatenate((before, image, after), axis=axis)


def _filled(like: Image, axis: int, size: int, color: str) -> Image:
    shape = list(like.shape)
    shape[axis] = size
    filled = np.ones(shape, np.float32)
    filled[..., :3] = _COLORS[color]
    return filled


def _size(context: TextContext, image: Image) -> NodeResult:
    count, height, width = image.shape[:3]
    context.send_text(f"width: {width}, height: {height}\n batch size: {count}")
    return NodeResult((width, height, count))


NODES = (
    pure("ImageCrop", _crop),
    pure("ImageFlip", _flip),
    pure("ImageRotate", _rotate),
    pure("ImagePadForOutpaint", _pad_for_outpaint),
    pure("ImageBatch", _batch),
    pure("RepeatImageBatch", _repeat),
    pure("ImageFromBatch", _from_batch),
    pure("RebatchImages", _rebatch, input_is_list=True),
    pure("ImageStitch", _stitch),
    recorded("GetImageSize", _size),
)
