"""Media types of input files: by content for pictures, by name for everything else. Pictures are read to their end."""

import struct
import zlib
from pathlib import Path, PurePosixPath

from PIL import Image

from ..jobs.cancel import CancelToken
from ..jobs.quoting import quote
from .findings import not_usable, too_large

# The limit is ours, per job: Pillow's own holds for the whole process and warns where nobody reads it.
Image.MAX_IMAGE_PIXELS = None

UNKNOWN = "application/octet-stream"
_MAX_FRAMES = 1000
# Formats that hold pixels and nothing else: Pillow hands EPS, for one, to an interpreter.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
_PICTURES = {
    ".png": "image/png",
    ".apng": "image/apng",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".jpe": "image/jpeg",
    ".jfif": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".avif": "image/avif",
}
_OTHERS = {
    ".mp4": "video/mp4",
    ".m4v": "video/x-m4v",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
    ".avi": "video/x-msvideo",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
    ".svg": "image/svg+xml",
    ".heic": "image/heic",
    ".exr": "image/x-exr",
    ".hdr": "image/vnd.radiance",
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
    ".obj": "model/obj",
    ".stl": "model/stl",
    ".txt": "text/plain",
    ".csv": "text/csv",
    ".json": "application/json",
    ".zip": "application/zip",
    ".latent": UNKNOWN,
    ".safetensors": UNKNOWN,
}
# What Pillow raises on files made to break it, over all its formats.
_PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
)


def check_media(path: Path, name: str, declared: str, max_pixels: int, field: str, cancel: CancelToken) -> str:
    """The media type of a file. What is declared a picture, by name or else by `declared`, must be one, whole.

    Raises InvalidInputFile when it cannot be decoded, InputTooLarge when it has too many pixels.
    """
    extension = PurePosixPath(name).suffix.lower()
    if extension in _PICTURES or (extension not in _OTHERS and declared in _PICTURES.values()):
        return _checked_picture(path, name, max_pixels, field, cancel)
    if extension in _OTHERS:
        return _OTHERS[extension]
    return _picture_type(path) or declared or UNKNOWN


def _checked_picture(path: Path, name: str, max_pixels: int, field: str, cancel: CancelToken) -> str:
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            # A second picture inside a phone's JPEG is no frame: ComfyUI leaves it out as well.
            frames = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
            for frame in range(min(frames, _MAX_FRAMES)):
                cancel.raise_if_set()
                picture.seek(frame)
                _check_pixels(picture.width, picture.height, frames, max_pixels, field)
                picture.load()
            return _type_of(picture)
    except _PILLOW_ERRORS:
        reason = f"{quote(name)} should be a picture but cannot be read as one: damaged, cut off or something else"
        raise not_usable(field, reason, "invalid_picture") from None


def _check_pixels(width: int, height: int, frames: int, max_pixels: int, field: str) -> None:
    if width * height * frames > max_pixels:
        size = f"{width} × {height}" + (f" × {frames} frames" if frames > 1 else "")
        reason = f"the picture is {size}, more than {max_pixels:,} pixels (setting MAX_INPUT_PIXELS)"
        raise too_large(field, reason, "too_many_pixels")


def _picture_type(path: Path) -> str | None:
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            return _type_of(picture)
    except _PILLOW_ERRORS:
        return None


def _type_of(picture: Image.Image) -> str:
    return "image/jpeg" if picture.format == "MPO" else Image.MIME.get(picture.format or "", UNKNOWN)
