"""The multipart body of uploads."""

from email import message_from_bytes, policy
from pathlib import Path

import pytest

from api.comfyui.upload import UploadBody


def read(path: Path, name: str, size: int = 7) -> tuple[bytes, str, int]:
    with UploadBody(path, name, {"type": "input", "subfolder": "a/ü"}, "image/png") as body:
        pieces = []
        while piece := body.read(size):
            pieces.append(piece)
        return b"".join(pieces), body.content_type, len(body)


@pytest.mark.parametrize(
    "name", ["a.png", "grün ü.png", "空 x.png", 'qu"ote.png', "a;b.png", "per%20cent.png", "back\\slash.png"]
)
def test_pitfall_19_names_survive(tmp_path: Path, name: str):
    (tmp_path / "f").write_bytes(bytes(range(256)))
    content, content_type, length = read(tmp_path / "f", name)
    assert len(content) == length
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    parts = list(message_from_bytes(head + content, policy=policy.HTTP).iter_parts())
    assert [part.get_param("name", header="content-disposition") for part in parts] == ["type", "subfolder", "image"]
    assert parts[1].get_payload(decode=True) == "a/ü".encode()
    assert parts[2].get_filename() == name
    assert parts[2].get_content_type() == "image/png"
    assert parts[2].get_payload(decode=True) == bytes(range(256))


def test_an_empty_file(tmp_path: Path):
    (tmp_path / "f").touch()
    content, _content_type, length = read(tmp_path / "f", "f")
    assert len(content) == length
