"""Checksums that containers keep over their tags, set right after a change that moved nothing."""

import functools
import struct
import zlib
from collections.abc import Callable, Mapping
from mmap import mmap

from .containers import PNG

_OGG_PAGE_BYTES = 27
_OGG_CRC_AT = 22
_EBML_SEGMENT, _EBML_CRC = 0x18538067, b"\xbf\x84"


def mend(content: mmap, mime_type: str, at: int) -> None:
    """Set the checksum over the byte `at` right, where this kind of file has one."""
    mender = _MENDERS.get(mime_type)
    if mender:
        mender(content, at)


def _png(content: mmap, at: int) -> None:
    start = 8
    while start + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, start)
        end = start + length + 12
        if start <= at < end:
            struct.pack_into(">I", content, end - 4, zlib.crc32(content[start + 4 : end - 4]))
            return
        start = end


def _ogg(content: mmap, at: int) -> None:
    start = 0
    while content[start : start + 4] == b"OggS" and start + _OGG_PAGE_BYTES <= len(content):
        segments = content[start + 26]
        lacing = content[start + _OGG_PAGE_BYTES : start + _OGG_PAGE_BYTES + segments]
        end = start + _OGG_PAGE_BYTES + segments + sum(lacing)
        if start <= at < end:
            struct.pack_into("<I", content, start + _OGG_CRC_AT, 0)
            struct.pack_into("<I", content, start + _OGG_CRC_AT, _ogg_crc(content[start:end]))
            return
        start = end


@functools.cache
def _ogg_table() -> tuple[int, ...]:
    def entry(byte: int) -> int:
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ 0x04C11DB7 if value & 0x80000000 else value << 1
        return value & 0xFFFFFFFF

    return tuple(map(entry, range(256)))


def _ogg_crc(page: bytes) -> int:
    """Not zlib's: the bits run the other way."""
    table, crc = _ogg_table(), 0
    for byte in page:
        crc = (crc << 8 & 0xFFFFFF00) ^ table[crc >> 24 ^ byte]
    return crc


def _matroska(content: mmap, at: int) -> None:
    """The CRC-32 element that ffmpeg puts first into each part of a segment."""
    start = 0
    while start + 16 <= len(content):
        ident, body = _vint(content, start, keep_marker=True)
        size, body = _vint(content, body, keep_marker=False)
        if ident == _EBML_SEGMENT:
            start = body
            continue
        end = body + size
        if start <= at < end:
            if content[body : body + 2] == _EBML_CRC:
                struct.pack_into("<I", content, body + 2, zlib.crc32(content[body + 6 : end]))
            return
        start = end


def _vint(content: mmap, at: int, *, keep_marker: bool) -> tuple[int, int]:
    """A number of EBML's variable length, and where it ends."""
    first = content[at]
    length = 9 - first.bit_length()
    value = int.from_bytes(content[at : at + length], "big")
    return (value if keep_marker else value & (1 << 7 * length) - 1), at + length


_MENDERS: Mapping[str, Callable[[mmap, int], None]] = {
    PNG: _png,
    "audio/ogg": _ogg,
    "audio/opus": _ogg,
    "video/webm": _matroska,
    "video/x-matroska": _matroska,
}
