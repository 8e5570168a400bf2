"""Small pictures: what is made, what is refused, and how many are kept."""

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image
from support.output_files import png_chunk

from api.errors import InvalidInput
from api.outputs.thumbnail import thumbnail
from api.routes.thumbnails import Thumbnails


def _black(path: Path, width: int, height: int) -> Path:
    """A PNG of one bit per pixel: a few kB, however large."""
    packer = zlib.compressobj(1)
    row = bytes(1 + (width + 7) // 8)
    pixels = b"".join(packer.compress(row * 1000) for _ in range(height // 1000)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")
    )
    return path


def test_a_picture_is_made_small_and_a_bomb_is_left_alone(tmp_path: Path) -> None:
    small = thumbnail(_black(tmp_path / "fine.png", 4000, 2000), 64)
    assert small and Image.open(io.BytesIO(small)).size == (64, 32)
    assert thumbnail(_black(tmp_path / "bomb.png", 20_001, 10_000), 64) is None


def test_the_last_ones_are_kept_as_far_as_there_is_room() -> None:
    thumbnails = Thumbnails()
    made: list[str] = []

    def ask(tag: str, size_bytes: int = 15_000_000) -> int:
        def make() -> bytes:
            made.append(tag)
            return bytes(size_bytes)

        return thumbnails.answer("a.png", tag, 64, None, make, whole=False).status_code

    for tag in ("a", "b", "a", "b", "c", "b", "a"):
        assert ask(tag) == 200
    assert made == ["a", "b", "c", "a"]
    assert ask("larger than all that is kept", 40_000_000) == 200


def test_what_is_no_picture_is_told_and_not_tried_again() -> None:
    thumbnails, made = Thumbnails(), []
    for _ in range(2):
        with pytest.raises(InvalidInput):
            thumbnails.answer("a.txt", "a", 64, None, lambda: made.append(1), whole=True)
    assert made == [1]
