"""What a safetensors file has to be, down to its last byte."""

from pathlib import Path
from typing import Any

import pytest
from support.safetensors_files import made, whole

from api.errors import InvalidInputFile
from api.models import safetensors


def check(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    safetensors.check(path)


def tensor(start: int, end: int, shape: list[int] | None = None, dtype: str = "U8") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape if shape is not None else [end - start], "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "content",
    [
        whole(),
        made({}, b""),
        made({"__metadata__": {"format": "pt"}, "b": tensor(2, 5), "a": tensor(0, 2)}, b"12345"),
        made({"empty": tensor(0, 0, [0]), "a": tensor(0, 2)}, b"12"),
        made({"scalar": tensor(0, 4, [], "F32")}, b"1234"),
        made({"half a byte each": tensor(0, 2, [4], "F4")}, b"12"),
        # One that this release does not know is left to ComfyUI.
        made({"a": tensor(0, 3, [7], "F128")}, b"123"),
    ],
)
def test_whole_files_pass(tmp_path: Path, content: bytes) -> None:
    check(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "does not begin"),
        (b"<html>not found</html>", "does not begin"),
        (whole()[:-1], "take 16 bytes and it has 15"),
        (whole() + b"x", "take 16 bytes and it has 17"),
        (whole()[:20], "does not begin"),
        (made([], b""), "no object"),
        ((5).to_bytes(8, "little") + b"{nope", "not JSON"),
        ((200).to_bytes(8, "little") + b"[" * 200, "not JSON"),
        (made({"a": tensor(0, 2), "b": tensor(1, 3)}, b"123"), "overlap"),
        (made({"a": tensor(0, 2), "b": tensor(3, 4)}, b"1234"), "gaps"),
        (made({"a": tensor(0, 4, [3])}, b"1234"), "does not fit"),
        (made({"a": tensor(4, 0, [-4])}, b"1234"), "does not fit"),
        (made({"a": {"dtype": "F32"}}, b""), "no place"),
        (made({"a": 7}, b""), "no place"),
        (made({"a": {"dtype": [], "shape": [1], "data_offsets": [0, 1]}}, b"1"), "no place"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(InvalidInputFile, match=reason):
        check(tmp_path, content)


def test_the_shapes_of_its_tensors(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(made({"__metadata__": {}, "a": tensor(0, 6, [2, 3]), "b": tensor(6, 6, [0]), "c": 7}, b"123456"))
    assert safetensors.shapes(path) == {"a": [2, 3], "b": [0]}
