"""Output nodes that write pictures: SaveImage, the previews, animations, and frames to the client's socket."""

import functools
import json
import random
import string
import time
from collections.abc import Iterator
from typing import Any

from PIL import Image as PILImage
from PIL.PngImagePlugin import PngInfo

from .declaration import recorded
from .mask_nodes import to_image
from .node_types import Context, Image, Mask, NodeResult
from .output_names import OutputNames, output_names
from .resample import to_bytes

_WEBP_METHODS = {"default": 4, "fastest": 0, "slowest": 6}
# EXIF tags of WebP metadata: the prompt under Model, the rest from Make downwards.
_EXIF_PROMPT, _EXIF_REST = 0x0110, 0x010F
_SAVED_LEVEL = 4


def pictures(images: Image) -> list[PILImage.Image]:
    return [PILImage.fromarray(to_bytes(image)) for image in images]


def metadata(context: Context) -> Iterator[tuple[str, str]]:
    """What is written into files: the prompt first, then each key of extra_pnginfo, as JSON."""
    yield "prompt", json.dumps(context.prompt)
    for key, value in (context.extra_pnginfo or {}).items():
        yield key, json.dumps(value)


def listed(names: OutputNames, filename: str, kind: str) -> dict[str, str]:
    return {"filename": filename, "subfolder": names.subfolder, "type": kind}


def _save(context: Context, images: Image, filename_prefix: str = "ComfyUI") -> NodeResult:
    # Indexed before anything else: the error of a constant in place of a link is the recorded one.
    height, width = images[0].shape[:2]
    names = output_names(filename_prefix, context.output_dir, width, height)
    return _write_pngs(context, images, names, "output", _SAVED_LEVEL)


def _preview(context: Context, images: Image, level: int = 1) -> NodeResult:
    height, width = images[0].shape[:2]
    prefix = f"ComfyUI_temp_{_temp_suffix(context.temp_dir.as_posix(), context.node_id)}"
    names = output_names(prefix, context.temp_dir, width, height)
    return _write_pngs(context, images, names, "temp", level)


def _preview_mask(context: Context, mask: Mask) -> NodeResult:
    # Compressed like a saved one, as recorded.
    return _preview(context, to_image(mask), _SAVED_LEVEL)


@functools.lru_cache(maxsize=1000)
def _temp_suffix(directory: str, node_id: str) -> str:
    """Five letters that stay the same for one node of one server."""
    return "".join(random.choices(string.ascii_lowercase, k=5))


def _write_pngs(context: Context, images: Image, names: OutputNames, kind: str, level: int) -> NodeResult:
    info = PngInfo()
    for key, text in metadata(context):
        info.add_text(key, text)
    entries = []
    for index, picture in enumerate(pictures(images)):
        filename = names.name(index, "png")
        picture.save(names.folder / filename, pnginfo=info, compress_level=level)
        entries.append(listed(names, filename, kind))
    return NodeResult((), {"images": entries})


def _send(context: Context, images: Image) -> NodeResult:
    """Each picture as a full-size PNG frame, in the place of a preview."""
    for step, picture in enumerate(pictures(images)):
        context.progress(step, len(images), ("PNG", picture, None))
    return NodeResult()


def _save_webp(
    context: Context, images: Image, filename_prefix: str, fps: float, lossless: bool, quality: int, method: str
) -> NodeResult:
    exif = PILImage.Exif()
    for offset, (key, text) in enumerate(metadata(context)):
        exif[_EXIF_PROMPT if offset == 0 else _EXIF_REST + 1 - offset] = f"{key}:{text}"
    options = {"exif": exif, "lossless": lossless, "quality": quality, "method": _WEBP_METHODS.get(method)}
    return _write_animation(context, images, filename_prefix, "webp", fps, options)


def _save_apng(context: Context, images: Image, filename_prefix: str, fps: float, compress_level: int) -> NodeResult:
    info = PngInfo()
    for key, text in metadata(context):
        # A private chunk behind the pixels, as recorded.
        info.add(b"comf", f"{key}\0{text}".encode("latin-1"), after_idat=True)
    options = {"pnginfo": info, "compress_level": compress_level}
    return _write_animation(context, images, filename_prefix, "png", fps, options)


def _write_animation(
    context: Context, images: Image, prefix: str, extension: str, fps: float, options: dict[str, Any]
) -> NodeResult:
    first, *rest = pictures(images)
    names = output_names(prefix, context.output_dir, first.width, first.height)
    filename = names.name(0, extension)
    duration = int(1000 / fps)
    first.save(names.folder / filename, save_all=True, append_images=rest, duration=duration, **options)
    # By the frames given, not by the frames that differ; a PNG says true even with one.
    animated = extension == "png" or len(images) != 1
    return NodeResult((), {"images": [listed(names, filename, "output")], "animated": [animated]})


NODES = (
    recorded("SaveImage", _save),
    recorded("PreviewImage", _preview),
    recorded("MaskPreview", _preview_mask),
    # The time: never the same, so it always runs.
    recorded("SaveImageWebsocket", _send, fingerprint=lambda input_dir, inputs: time.time()),
    recorded("SaveAnimatedWEBP", _save_webp),
    recorded("SaveAnimatedPNG", _save_apng),
)
