"""The pieces picture files are made of (PNG, WebP, JPEG, GIF), found by seeking. Decodes no pixel, loads no content."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

PNG, WEBP, JPEG, GIF = "image/png", "image/webp", "image/jpeg", "image/gif"

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# JPEG markers that stand alone: TEM and the restart markers.
_JPEG_BARE = {0x01, *range(0xD0, 0xD8)}
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
_GIF_EXTENSION, _GIF_IMAGE, _GIF_END = 0x21, 0x2C, 0x3B


class Piece(NamedTuple):
    """Bytes `start` to `end` of the file. `body` is where the content after the piece's own header begins."""

    tag: bytes
    start: int
    body: int
    end: int


class MalformedImage(ValueError):
    """The file is not built as its kind demands."""


def pieces(path: Path, mime_type: str) -> list[Piece]:
    """All pieces in order, from the first byte on. Raises MalformedImage, OSError."""
    with path.open("rb") as source:
        size = source.seek(0, 2)
        source.seek(0)
        found = list(_WALKS[mime_type](source))
    if not found or any(piece.end > size for piece in found):
        raise MalformedImage("the file ends too early")
    return found


def walkable(mime_type: str) -> bool:
    """Whether `pieces` knows this kind."""
    return mime_type in _WALKS


def _read(source: BinaryIO, count: int) -> bytes:
    data = source.read(count)
    if len(data) < count:
        raise MalformedImage("the file ends too early")
    return data


def _png(source: BinaryIO) -> Iterator[Piece]:
    if _read(source, 8) != PNG_SIGNATURE:
        raise MalformedImage("not a PNG")
    yield Piece(b"signature", 0, 0, 8)
    start, tag = 8, b""
    while tag != b"IEND":
        source.seek(start)
        length, tag = struct.unpack(">I4s", _read(source, 8))
        yield Piece(tag, start, start + 8, start + length + 12)
        start += length + 12


def _webp(source: BinaryIO) -> Iterator[Piece]:
    riff, length, kind = struct.unpack("<4sI4s", _read(source, 12))
    if riff != b"RIFF" or kind != b"WEBP":
        raise MalformedImage("not a WebP")
    yield Piece(b"RIFF", 0, 8, 12)
    start, end = 12, 8 + length
    while start < end:
        source.seek(start)
        tag, length = struct.unpack("<4sI", _read(source, 8))
        # Chunks are padded to even length; the padding of the last one is left out by some writers.
        yield Piece(tag, start, start + 8, min(start + 8 + length + length % 2, max(end, start + 8 + length)))
        start += 8 + length + length % 2


def _jpeg(source: BinaryIO) -> Iterator[Piece]:
    """Segments up to the first scan; the scan and all after it are one piece, for entropy data has no lengths."""
    if _read(source, 2) != b"\xff\xd8":
        raise MalformedImage("not a JPEG")
    yield Piece(b"\xd8", 0, 2, 2)
    start = 2
    while True:
        source.seek(start)
        mark, marker = _read(source, 2)
        if mark != 0xFF:
            raise MalformedImage("a JPEG marker is missing")
        if marker == 0xFF:
            yield Piece(b"\xff", start, start + 1, start + 1)
            start += 1
        elif marker in _JPEG_BARE:
            yield Piece(bytes([marker]), start, start + 2, start + 2)
            start += 2
        elif marker in (_JPEG_SCAN, _JPEG_END):
            yield Piece(bytes([marker]), start, start + 2, source.seek(0, 2))
            return
        else:
            (length,) = struct.unpack(">H", _read(source, 2))
            yield Piece(bytes([marker]), start, start + 4, start + 2 + length)
            start += 2 + length


def _gif(source: BinaryIO) -> Iterator[Piece]:
    """Header with global colours as `GIF8`, then extensions as `!` and their label, frames as `,`."""
    header = _read(source, 13)
    if header[:4] != b"GIF8":
        raise MalformedImage("not a GIF")
    start = 13 + _gif_colours(header[10])
    yield Piece(b"GIF8", 0, 6, start)
    while True:
        source.seek(start)
        kind = _read(source, 1)[0]
        if kind == _GIF_END:
            yield Piece(b";", start, start + 1, start + 1)
            return
        if kind == _GIF_EXTENSION:
            tag = b"!" + _read(source, 1)
            body = start + 2
        elif kind == _GIF_IMAGE:
            tag, body = b",", start + 11 + _gif_colours(_read(source, 9)[8])
        else:
            raise MalformedImage("a GIF block is of no known kind")
        end = _after_sub_blocks(source, body)
        yield Piece(tag, start, body, end)
        start = end


def _gif_colours(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_sub_blocks(source: BinaryIO, start: int) -> int:
    source.seek(start)
    while length := _read(source, 1)[0]:
        source.seek(length, 1)
    return source.tell()


_WALKS: dict[str, Callable[[BinaryIO], Iterator[Piece]]] = {PNG: _png, WEBP: _webp, JPEG: _jpeg, GIF: _gif}
