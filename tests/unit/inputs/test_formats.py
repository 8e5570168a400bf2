"""Formats of files by their first bytes."""

import io
from pathlib import Path

import pytest
from PIL import Image

from api.errors import InvalidInputFile
from api.inputs.formats import check_format, format_of


def pixels(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif", "bmp", "tiff", "avif"])
def test_pictures_are_told_by_content(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "picture.txt"
    path.write_bytes(pixels(kind))
    assert format_of(path) == kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypisom\0\0\2\0", "mp4"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0", "mov"),
        (b"\0\0\0\x20ftypM4A \0\0\0\0", "m4a"),
        (b"\0\0\0\x20ftypheic\0\0\0\0", "heic"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm", "webm"),
        (b"\x1aE\xdf\xa3\xa3B\x86\x81\x01B\x82\x88matroska", "mkv"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "wav"),
        (b"RIFF\x24\0\0\0AVI LIST", "avi"),
        (b"ID3\4\0\0", "mp3"),
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"fLaC\0\0\0\x22", "flac"),
        (b"OggS\0\2", "ogg"),
        (b"\xff\xff", "mp3"),
        (b"\xff\xe0\0\0", None),
        (b"<svg xmlns=", None),
        (b"", None),
    ],
)
def test_other_media_too(tmp_path: Path, head: bytes, kind: str | None) -> None:
    path = tmp_path / "file"
    path.write_bytes(head)
    assert format_of(path) == kind


def test_what_is_not_wanted_is_refused_by_its_real_format(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(pixels("gif"))
    with pytest.raises(InvalidInputFile) as caught:
        check_format(path, ("png", "jpeg"), "images.0.image")
    assert caught.value.message == "images.0.image: the file is GIF by its content; taken here: PNG, JPEG."
    assert caught.value.details[0]["code"] == "unsupported_format"
