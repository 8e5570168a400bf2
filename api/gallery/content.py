"""What a file that was sent in is, by its content: a picture, video or sound that is that alone, or it is refused."""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from ..inputs.disguise import what_opens_others
from ..inputs.findings import not_usable
from ..inputs.formats import format_of
from ..inputs.media import check_media
from ..jobs.cancel import CancelToken
from ..outputs.facts import facts
from . import structure

FIELD = "file"
# By the formats of `format_of`: the extension in the folder, and the media type.
_TYPES = {
    "png": ("png", "image/png"),
    "jpeg": ("jpg", "image/jpeg"),
    "webp": ("webp", "image/webp"),
    "gif": ("gif", "image/gif"),
    "bmp": ("bmp", "image/bmp"),
    "tiff": ("tiff", "image/tiff"),
    "avif": ("avif", "image/avif"),
    "mp4": ("mp4", "video/mp4"),
    "mov": ("mov", "video/quicktime"),
    "webm": ("webm", "video/webm"),
    "mkv": ("mkv", "video/x-matroska"),
    "avi": ("avi", "video/x-msvideo"),
    "wav": ("wav", "audio/wav"),
    "mp3": ("mp3", "audio/mpeg"),
    "flac": ("flac", "audio/flac"),
    "ogg": ("ogg", "audio/ogg"),
    "m4a": ("m4a", "audio/mp4"),
}
_FRONT_BYTES = 1024
_MARKUP = re.compile(rb"<(?:!doctype|html|head|body|script|svg|iframe|\?xml|\?php)", re.IGNORECASE)


class Content(NamedTuple):
    """Width and height are None for what is no picture."""

    extension: str
    media_type: str
    width: int | None
    height: int | None


def examined(path: Path, max_pixels: int) -> Content:
    """What the file is. Pictures are decoded to their end. Raises InvalidInputFile, InputTooLarge."""
    kind = format_of(path)
    if kind not in _TYPES:
        names = ", ".join(_TYPES)
        raise not_usable(FIELD, f"by its content it is none of what the gallery takes: {names}", "unsupported_format")
    extension, media_type = _TYPES[kind]
    if media_type.startswith("image/"):
        # Also refuses what would have other files opened.
        check_media(path, f"{FIELD}.{extension}", "", max_pixels, FIELD, CancelToken())
    else:
        _check_front(path)
    if flaw := structure.flaw(path, kind):
        raise not_usable(FIELD, f"it is not built as {kind.upper()} is: {flaw}", "malformed")
    return _told(path, extension, media_type)


def glanced(path: Path) -> Content | None:
    """What a file that ComfyUI made is, by its head alone; None for what the gallery does not show."""
    kind = format_of(path)
    return _told(path, *_TYPES[kind]) if kind in _TYPES else None


def confirmed(path: Path, sha256: str) -> Content | None:
    """What a file is that has nothing beside it to tell; None when its content has another hash, or no known kind."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return glanced(path) if digest == sha256 else None


def _told(path: Path, extension: str, media_type: str) -> Content:
    found = facts(path, f"{FIELD}.{extension}", media_type)
    return Content(extension, media_type, found.width, found.height)


def _check_front(path: Path) -> None:
    if kind := what_opens_others(path):
        raise not_usable(FIELD, f"it is {kind}, which would have other files or URLs opened", "refers_elsewhere")
    with path.open("rb") as file:
        if _MARKUP.search(file.read(_FRONT_BYTES)):
            raise not_usable(FIELD, "it is a page of markup as well, which a browser might run", "polyglot")
