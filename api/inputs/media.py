"""Media types of input files: by content for pictures, by name for everything else. Pictures are read to their end."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from PIL import Image, ImageFile

from ..jobs.cancel import CancelToken
from ..jobs.quoting import quote
from ..pictures import PILLOW_ERRORS, open_picture
from .disguise import what_opens_others
from .findings import not_usable, too_large

UNKNOWN = "application/octet-stream"
# Pillow's search for the next page of a TIFF takes longer with every page: a million pages would take hours.
_MAX_FRAMES = 2000
# Formats that tell the number of frames in their header; the others are walked through.
_COUNTED = {"PNG", "WEBP", "AVIF"}
# How often the pixels of a format are held at a time while it is decoded (1.7 GB for 200 million in AVIF).
_WEIGHTS = {"AVIF": 2}
# Larger ones are decoded one at a time in the whole process.
_LARGE_PIXELS = 32_000_000
_TURN_S = 0.1
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


def check_media(path: Path, name: str, declared: str, max_pixels: int, field: str, cancel: CancelToken) -> str:
    """The media type of a file. What is declared a picture, by name or else by `declared`, must be one, whole.

    Raises InvalidInputFile when it cannot be decoded or would make a loader open other files, InputTooLarge when it
    has too many pixels or frames; those of a picture are counted under whatever name it comes.
    """
    if kind := what_opens_others(path):
        reason = f"{quote(name)} is {kind}, which would have other files or URLs opened: send the content itself"
        raise not_usable(field, reason, "refers_elsewhere")
    extension = PurePosixPath(name).suffix.lower()
    check = _PictureCheck(max_pixels, field, cancel)
    if extension in _PICTURES or (extension not in _OTHERS and declared in _PICTURES.values()):
        if found := check.whole(path):
            return found
        reason = f"{quote(name)} should be a picture but cannot be read as one: damaged, cut off or something else"
        raise not_usable(field, reason, "invalid_picture")
    found = check.measured(path)
    return _OTHERS.get(extension) or found or declared or UNKNOWN


class _PictureCheck:
    """Holds one file against the limits of pictures."""

    def __init__(self, max_pixels: int, field: str, cancel: CancelToken) -> None:
        self._max_pixels = max_pixels
        self._field = field
        self._cancel = cancel

    def whole(self, path: Path) -> str | None:
        """The type of a picture that can be decoded to its end; None for anything else."""
        return self._looked_through(path, decoded=True)

    def measured(self, path: Path) -> str | None:
        """The type of a picture within the limits, decoded or not; None for what is no picture."""
        return self._looked_through(path, decoded=False)

    def _looked_through(self, path: Path, *, decoded: bool) -> str | None:
        try:
            with ExitStack() as turn, open_picture(path) as picture:
                for frame, pixels in enumerate(self._frames(picture)):
                    if decoded and frame == 0 and pixels > _LARGE_PIXELS:
                        turn.enter_context(_turn(self._cancel))
                    if decoded:
                        picture.load()
                return _type_of(picture)
        except Image.DecompressionBombError:
            reason = "the picture has more pixels than ComfyUI opens (178,956,970)"
            raise too_large(self._field, reason, "too_many_pixels") from None
        except PILLOW_ERRORS:
            return None

    def _frames(self, picture: ImageFile.ImageFile) -> Iterator[int]:
        """Seek to each frame in turn, and tell its pixels. A second picture in a phone's JPEG (MPO) is no frame."""
        known = getattr(picture, "n_frames", 1) if picture.format in _COUNTED else 1
        pixels = 0
        for frame in range(1 if picture.format == "MPO" else _MAX_FRAMES + 1):
            self._cancel.raise_if_set()
            try:
                picture.seek(frame)
            except EOFError:
                return
            frames = max(known, frame + 1)
            pixels += picture.width * picture.height
            self._check(picture, max(pixels, picture.width * picture.height * known), frames)
            yield picture.width * picture.height

    def _check(self, picture: ImageFile.ImageFile, pixels: int, frames: int) -> None:
        if frames > _MAX_FRAMES:
            reason = f"the picture has more than {_MAX_FRAMES:,} frames; send a video"
            raise too_large(self._field, reason, "too_many_frames")
        weight = _WEIGHTS.get(picture.format or "", 1)
        if pixels * weight > self._max_pixels:
            size = f"{picture.width} × {picture.height}" + (f" × {frames} frames" if frames > 1 else "")
            weighed = f", counted {weight} times for {picture.format}" if weight > 1 else ""
            reason = f"the picture is {size}{weighed}, more than {self._max_pixels:,} pixels (setting MAX_INPUT_PIXELS)"
            raise too_large(self._field, reason, "too_many_pixels")


_large = threading.Lock()


@contextmanager
def _turn(cancel: CancelToken) -> Iterator[None]:
    """Gigabytes at a time: one after the other, however many jobs are taken in."""
    while not _large.acquire(timeout=_TURN_S):
        cancel.raise_if_set()
    try:
        yield
    finally:
        _large.release()


def _type_of(picture: ImageFile.ImageFile) -> str:
    return "image/jpeg" if picture.format == "MPO" else Image.MIME.get(picture.format or "", UNKNOWN)
