"""The format of a file, told by its first bytes, whatever its name says."""

from collections.abc import Sequence
from pathlib import Path

from .findings import not_usable

_HEAD_BYTES = 64
_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
    (b"ID3", "mp3"),
)
# What stands behind RIFF and its size.
_RIFF = {b"WEBP": "webp", b"AVI ": "avi", b"WAVE": "wav"}
# The brand behind ftyp; mp4 for all the others.
_BRANDS = {
    b"avif": "avif",
    b"avis": "avif",
    b"heic": "heic",
    b"heix": "heic",
    b"mif1": "heic",
    b"qt  ": "mov",
    b"M4A ": "m4a",
    b"M4B ": "m4a",
}
_EBML = b"\x1a\x45\xdf\xa3"


def format_of(path: Path) -> str | None:
    """png, jpeg, webp, gif, bmp, tiff, avif, heic, mp4, mov, webm, mkv, avi, wav, mp3, flac, ogg, m4a; None else."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "mp4")
    if head.startswith(_EBML):
        return "webm" if b"webm" in head else "mkv"
    # The eleven bits that every MPEG audio frame begins with, and a layer that exists.
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06:
        return "mp3"
    return None


def check_format(path: Path, wanted: Sequence[str], field: str) -> None:
    """Raise InvalidInputFile when the content is in none of the formats."""
    found = format_of(path)
    if found not in wanted:
        names = ", ".join(name.upper() for name in wanted)
        kind = f"is {found.upper()}" if found else "is of an unknown format"
        raise not_usable(field, f"the file {kind} by its content; taken here: {names}", "unsupported_format")
