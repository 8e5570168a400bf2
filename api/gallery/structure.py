"""Whether a file is built as its format demands, from end to end: no other file hides in front or behind.

Headers alone, no decoding. Sound and video need no more to be harmless; pictures are decoded elsewhere.
"""

import mmap
import re
import struct
from collections.abc import Callable
from pathlib import Path

from ..outputs.containers import GIF, PNG, WEBP, MalformedImage, pieces

_WALKED = {"png": PNG, "webp": WEBP, "gif": GIF}
_BEHIND = "something else follows behind its end"
_CUT = "it ends too early"
# A marker in entropy-coded data: neither a stuffed byte nor a restart nor a fill byte.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG_START, _JPEG_END, _JPEG_SCAN = b"\xff\xd8", 0xD9, 0xDA
_BOX_NAME = re.compile(rb"[A-Za-z0-9 _\-]{4}")
# What encoders that write into a pipe put where they cannot know the size yet.
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)
_ID3_HEADER = 10
_MP3_BITRATES = {
    # kbit/s by (MPEG 1, layer): 1 is layer III.
    (True, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}

Bytes = mmap.mmap


def flaw(path: Path, kind: str) -> str | None:
    """What is wrong with a file of the format `kind`; None when nothing is. Raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if kind in _WALKED:
            return _walked(path, _WALKED[kind], size)
        check = _CHECKS.get(kind)
        if check is None:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return check(data, size)
            except (struct.error, IndexError):
                return _CUT


def _walked(path: Path, mime_type: str, size: int) -> str | None:
    try:
        end = pieces(path, mime_type)[-1].end
    except MalformedImage as error:
        return str(error)
    # The last chunk of a WebP may come without the byte that makes its length even.
    return _BEHIND if size > end + (mime_type == WEBP) else None


def _jpeg(data: Bytes, size: int) -> str | None:
    at = 2
    while True:
        at = _after_jpeg(data, at)
        rest = data[at : at + 2]
        if rest == _JPEG_START:
            at += 2  # a phone's second picture
            continue
        return None if not data[at:size].strip(b"\0") else _BEHIND


def _after_jpeg(data: Bytes, at: int) -> int:
    """Where the picture whose segments begin at `at` ends."""
    while True:
        while data[at + 1] == 0xFF:
            at += 1
        marker = data[at + 1]
        if data[at] != 0xFF:
            raise IndexError(at)
        if marker == _JPEG_END:
            return at + 2
        (length,) = struct.unpack_from(">H", data, at + 2)
        at += 2 + length
        if marker == _JPEG_SCAN:
            found = _JPEG_MARKER.search(data, at)
            if found is None:
                raise IndexError(at)
            at = found.start()


def _boxes(data: Bytes, size: int) -> str | None:
    """ISO's base media files: boxes from end to end, among them what describes the tracks."""
    at, names = 0, []
    while at < size:
        length, name = struct.unpack_from(">I4s", data, at)
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, at + 8)
        elif length == 0:
            length = size - at
        if length < 8 or not _BOX_NAME.fullmatch(name):
            return _BEHIND if b"moov" in names else "it is not made of boxes"
        names.append(name)
        at += length
    if at > size:
        return _CUT
    return None if b"moov" in names else "nothing describes its tracks"


def _riff(data: Bytes, size: int) -> str | None:
    at = 0
    while at < size:
        name, length = struct.unpack_from("<4sI", data, at)
        if name != b"RIFF":
            return _BEHIND
        if length in _UNKNOWN_SIZES:
            return None
        at += 8 + length + length % 2
    return None if at <= size + 1 else _CUT


def _matroska(data: Bytes, _size: int) -> str | None:
    head = data[:64]
    return None if b"matroska" in head or b"webm" in head else "its head does not say which kind it is"


def _flac(data: Bytes, _size: int) -> str | None:
    return None if data[4] & 0x7F == 0 and data[5:8] == b"\0\0\x22" else "it does not begin with what describes it"


def _ogg(data: Bytes, _size: int) -> str | None:
    return None if data[4] == 0 and data[5] <= 7 and data[26] > 0 else "it does not begin with a page"


def _mp3(data: Bytes, size: int) -> str | None:
    at = 0
    while data[at : at + 3] == b"ID3":
        length = 0
        for byte in data[at + 6 : at + _ID3_HEADER]:
            length = length << 7 | byte & 0x7F
        at += _ID3_HEADER + length + (10 if data[at + 5] & 0x10 else 0)
    length = _mp3_frame(data, at)
    is_sound = length and (at + length == size or _mp3_frame(data, at + length))
    return None if is_sound else "it does not begin with frames of sound"


def _mp3_frame(data: Bytes, at: int) -> int:
    """The length of the frame there; 0 for none."""
    first, second, third = data[at], data[at + 1], data[at + 2]
    version, layer = second >> 3 & 3, second >> 1 & 3
    bitrates, rates = _MP3_BITRATES.get((version == 3, layer)), _MP3_RATES.get(version)
    rate_index, bitrate_index = third >> 2 & 3, third >> 4
    if first != 0xFF or second & 0xE0 != 0xE0 or not bitrates or not rates or rate_index == 3:
        return 0
    if bitrate_index in (0, 15):
        return 0
    samples = 144 if version == 3 or layer == 2 else 72
    return samples * bitrates[bitrate_index - 1] * 1000 // rates[rate_index] + (third >> 1 & 1)


_CHECKS: dict[str, Callable[[Bytes, int], str | None]] = {
    "jpeg": _jpeg,
    "mp4": _boxes,
    "mov": _boxes,
    "m4a": _boxes,
    "avi": _riff,
    "wav": _riff,
    "webm": _matroska,
    "mkv": _matroska,
    "flac": _flac,
    "ogg": _ogg,
    "mp3": _mp3,
}
