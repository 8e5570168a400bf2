"""Takes what tells of the workflow out of picture files, piece by piece. Pixels are copied, never decoded."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from .containers import GIF, JPEG, PNG, WEBP, Piece, pieces

_COPY_BYTES = 1024 * 1024
_ORIENTATION = 0x0112
_EXIF_PREFIX = b"Exif\x00\x00"
# `comf` is where ComfyUI's SaveAnimatedPNG writes prompt and workflow.
_PNG_TELLING = {b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"comf"}
_WEBP_TELLING = {b"EXIF", b"XMP "}
_WEBP_EXIF_FLAG, _WEBP_XMP_FLAG = 0x08, 0x04
# APP1 (EXIF, XMP), APP13 (Photoshop), COM. APP0, APP2 (colour profile) and APP14 (colour transform) are the picture's.
_JPEG_TELLING = {b"\xe1", b"\xed", b"\xfe"}
_GIF_COMMENT, _GIF_APPLICATION = b"!\xfe", b"!\xff"


def strippable(mime_type: str) -> bool:
    """Whether `strip` knows this kind of file."""
    return mime_type in (PNG, WEBP, JPEG, GIF)


def strip(source: Path, target: Path, mime_type: str) -> bool:
    """Write `source` without its metadata to `target`; False, and nothing written, when it has none.

    Colour profiles stay, and so does the orientation: without it the picture would lie on its side.
    Raises MalformedImage, OSError.
    """
    found = pieces(source, mime_type)
    with source.open("rb") as reader:
        told = [piece for piece in found if _telling(reader, piece, mime_type)]
        # What hangs on behind the picture's end is no part of it and is where some tools hide things.
        if not told and found[-1].end == reader.seek(0, 2):
            return False
        gone = set(told)
        kept = [piece for piece in found if piece not in gone]
        with target.open("w+b") as writer:
            _write(reader, writer, kept, _turned(reader, told), mime_type)
    return True


def _telling(reader: BinaryIO, piece: Piece, mime_type: str) -> bool:
    if mime_type == PNG:
        return piece.tag in _PNG_TELLING
    if mime_type == WEBP:
        return piece.tag in _WEBP_TELLING
    if mime_type == JPEG:
        return piece.tag in _JPEG_TELLING
    return piece.tag == _GIF_COMMENT or (piece.tag == _GIF_APPLICATION and _is_gif_xmp(reader, piece))


def _is_gif_xmp(reader: BinaryIO, piece: Piece) -> bool:
    reader.seek(piece.body + 1)
    return reader.read(11) == b"XMP DataXMP"


def _turned(reader: BinaryIO, told: Sequence[Piece]) -> bytes:
    """An EXIF block that holds the orientation alone, when a dropped one turns the picture; else nothing."""
    for piece in told:
        if piece.tag not in (b"eXIf", b"EXIF", b"\xe1"):
            continue
        reader.seek(piece.body)
        orientation = _orientation(reader.read(piece.end - piece.body))
        if orientation in range(2, 9):
            exif = Image.Exif()
            exif[_ORIENTATION] = orientation
            return exif.tobytes().removeprefix(_EXIF_PREFIX)
    return b""


def _orientation(block: bytes) -> object:
    exif = Image.Exif()
    try:
        exif.load(block)
        return exif.get(_ORIENTATION)
    except (ValueError, SyntaxError, OSError, KeyError, struct.error):
        return None


def _write(reader: BinaryIO, writer: BinaryIO, kept: Sequence[Piece], exif: bytes, mime_type: str) -> None:
    # Each kind wants EXIF elsewhere: PNG before the pixels, JPEG after its first marker, WebP at the end.
    before = {PNG: b"IDAT", JPEG: kept[1].tag if len(kept) > 1 else b""}.get(mime_type)
    pending = _EXIF_PIECES[mime_type](exif) if exif else b""
    for piece in kept:
        if pending and piece.tag == before:
            writer.write(pending)
            pending = b""
        _copy(reader, writer, piece)
    writer.write(pending)
    if mime_type == WEBP:
        _mend_webp(writer, kept, bool(exif))


def _copy(reader: BinaryIO, writer: BinaryIO, piece: Piece) -> None:
    reader.seek(piece.start)
    left = piece.end - piece.start
    while left > 0 and (chunk := reader.read(min(left, _COPY_BYTES))):
        writer.write(chunk)
        left -= len(chunk)


def _mend_webp(writer: BinaryIO, kept: Sequence[Piece], has_exif: bool) -> None:
    """The file's length stands in its header, and the extended header announces what has gone."""
    length = writer.tell()
    writer.seek(4)
    writer.write(struct.pack("<I", length - 8))
    if len(kept) > 1 and kept[1].tag == b"VP8X":
        at = 20
        writer.seek(at)
        flags = writer.read(1)[0] & ~(_WEBP_EXIF_FLAG | _WEBP_XMP_FLAG)
        writer.seek(at)
        writer.write(bytes([flags | (_WEBP_EXIF_FLAG if has_exif else 0)]))


def _png_exif(exif: bytes) -> bytes:
    return struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))


def _webp_exif(exif: bytes) -> bytes:
    return b"EXIF" + struct.pack("<I", len(exif)) + exif + b"\x00" * (len(exif) % 2)


def _jpeg_exif(exif: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + _EXIF_PREFIX + exif


_EXIF_PIECES = {PNG: _png_exif, WEBP: _webp_exif, JPEG: _jpeg_exif}
