"""The caller's workflow takes the place of the one ComfyUI was given; everything else in the file stays as it is."""

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from api.outputs.own_workflow import restore

FOLDER = f"job-{'ab' * 16}"
OWN: dict[str, Any] = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "ü.png"}, "_meta": {"title": 'A "quoted" title'}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "cat"}},
}
GIVEN: dict[str, Any] = {
    "1": {
        "class_type": "LoadImage",
        "inputs": {"image": f"{FOLDER}/ü.png", "_worker_nonce": "f" * 32},
        "_meta": {"title": 'A "quoted" title'},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": f"{FOLDER}/cat"}},
}
# ComfyUI adds what IS_CHANGED told.
TOLD = {**GIVEN, "1": {**GIVEN["1"], "is_changed": ["e3b0c44298fc1c14"]}}
EXTRA = {"nodes": [{"id": 1, "note": '{"1": {"class_type": "LoadImage"}}'}]}


def put_back(path: Path, mime_type: str) -> bytes:
    """The file's bytes afterwards."""
    before = path.read_bytes()
    assert FOLDER.encode() in before
    assert restore(path, path.name, mime_type, GIVEN, OWN)
    after = path.read_bytes()
    assert len(after) == len(before)
    assert FOLDER.encode() not in after
    return after


def png(path: Path, prompt: str, **others: str) -> None:
    info = PngInfo()
    info.add_text("prompt", prompt)
    for name, text in others.items():
        info.add_text(name, text)
    Image.effect_noise((40, 30), 60).save(path, pnginfo=info)


@pytest.mark.parametrize("how", [{}, {"separators": (",", ":")}], ids=["as ComfyUI writes it", "compact"])
def test_png(how: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    png(path, json.dumps(TOLD, **how), workflow=json.dumps(EXTRA))
    pixels = Image.open(path).tobytes()
    put_back(path, "image/png")
    with Image.open(path) as image:
        image.verify()
    with Image.open(path) as image:
        assert json.loads(image.text["prompt"]) == OWN  # type: ignore[attr-defined]
        assert image.text["workflow"] == json.dumps(EXTRA)  # type: ignore[attr-defined]
        assert image.tobytes() == pixels


def test_animated_png_with_its_private_chunks(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    info = PngInfo()
    info.add(b"comf", f"prompt\0{json.dumps(TOLD)}".encode("latin-1"), after_idat=True)
    frames = [Image.effect_noise((8, 8), 30) for _ in range(2)]
    frames[0].save(path, save_all=True, append_images=frames[1:], pnginfo=info)
    content = put_back(path, "image/png")
    at = content.index(b"comf")
    (length,) = struct.unpack(">I", content[at - 4 : at])
    assert json.loads(content[at + 11 : at + 4 + length]) == OWN
    (crc,) = struct.unpack(">I", content[at + 4 + length : at + 8 + length])
    assert crc == zlib.crc32(content[at : at + 4 + length])


@pytest.mark.parametrize(("form", "mime"), [("WEBP", "image/webp"), ("JPEG", "image/jpeg")])
def test_exif(form: str, mime: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    exif = Image.Exif()
    exif[0x0110], exif[0x010F] = f"prompt:{json.dumps(TOLD)}", f"workflow:{json.dumps(EXTRA)}"
    Image.effect_noise((40, 30), 60).convert("RGB").save(path, form, exif=exif)
    pixels = Image.open(path).tobytes()
    put_back(path, mime)
    with Image.open(path) as image:
        assert json.loads(image.getexif()[0x0110].removeprefix("prompt:")) == OWN
        assert image.getexif()[0x010F] == f"workflow:{json.dumps(EXTRA)}"
        assert image.tobytes() == pixels


def test_json_within_json(tmp_path: Path) -> None:
    path = tmp_path / "a.latent"
    header = json.dumps({"__metadata__": {"prompt": json.dumps(TOLD)}, "t": {"dtype": "F32"}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))
    content = put_back(path, "application/octet-stream")
    read = json.loads(content[8 : 8 + len(header)])
    assert json.loads(read["__metadata__"]["prompt"]) == OWN
    assert read["t"] == {"dtype": "F32"}


def test_any_place_in_a_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\0\0\0\x18ftypmp42" + b'{"1": {' * 3 + b"\xff" * 50_000 + json.dumps(TOLD).encode() + b"\0tail")
    content = put_back(path, "video/mp4")
    assert content.endswith(b"\0tail")
    assert json.loads(content[50_033:-5]) == OWN


def element(ident: bytes, body: bytes) -> bytes:
    return ident + struct.pack(">Q", len(body) | 1 << 56) + body


def test_the_checksum_over_the_tags_of_a_webm(tmp_path: Path) -> None:
    tags = json.dumps(TOLD).encode() + b"\x80"
    checked = element(b"\x12\x54\xc3\x67", b"\xbf\x84" + struct.pack("<I", zlib.crc32(tags)) + tags)
    before, after = element(b"\x1a\x45\xdf\xa3", b"webm"), element(b"\x1f\x43\xb6\x75", b"\0" * 100)
    path = tmp_path / "a.webm"
    path.write_bytes(before + element(b"\x18\x53\x80\x67", after + checked))
    content = put_back(path, "video/webm")
    changed = content[-len(tags) :]
    assert content[-len(tags) - 6 : -len(tags)] == b"\xbf\x84" + struct.pack("<I", zlib.crc32(changed))


def ogg_page(body: bytes, number: int) -> bytes:
    lacing = bytes([255] * (len(body) // 255) + [len(body) % 255])
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, 0, 0, 7, number, 0, len(lacing)) + lacing
    page = head + body
    return page[:22] + struct.pack("<I", bitwise_crc(page)) + page[26:]


def bitwise_crc(page: bytes) -> int:
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def test_the_checksum_of_an_ogg_page(tmp_path: Path) -> None:
    path = tmp_path / "a.opus"
    first, last = ogg_page(b"OpusHead", 0), ogg_page(b"sound", 2)
    path.write_bytes(first + ogg_page(b"OpusTags" + json.dumps(TOLD).encode(), 1) + last)
    content = put_back(path, "audio/opus")
    assert content.startswith(first)
    assert content.endswith(last)
    page = content[len(first) : -len(last)]
    assert struct.unpack("<I", page[22:26])[0] == bitwise_crc(page[:22] + bytes(4) + page[26:])


def another(node_id: str, **inputs: Any) -> dict[str, Any]:
    return {**TOLD, node_id: {**TOLD[node_id], "inputs": {**TOLD[node_id]["inputs"], **inputs}}}


@pytest.mark.parametrize(
    "make",
    [
        lambda path: png(path, json.dumps(another("2", filename_prefix="other"))),
        lambda path: png(path, json.dumps({**TOLD, "3": TOLD["2"]})),
        lambda path: png(path, json.dumps(TOLD)[:-5]),
        lambda path: png(path, "no workflow"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + json.dumps(TOLD).encode()),
        lambda path: path.write_bytes(b'\x89PNG\r\n\x1a\n\0\0\0\x09tEXt{"1": 1}\n'),
    ],
    ids=["other values", "more nodes", "cut off", "none", "empty", "no picture", "cut off chunk"],
)
def test_whatever_else_a_file_tells_stays(make: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    make(path)
    before = path.read_bytes()
    assert not restore(path, "a.png", "image/png", GIVEN, OWN)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("name", "mime"), [("a.zip", "application/zip"), ("a.pt", "application/octet-stream")])
def test_files_whose_checksums_are_not_known_stay(name: str, mime: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(json.dumps(TOLD).encode())
    assert not restore(path, name, mime, GIVEN, OWN)


def test_what_looks_like_it_a_thousand_times_is_not_parsed_each_time(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b'{"1": {' * 500_000)
    assert not restore(path, "a.mp4", "video/mp4", GIVEN, OWN)


def test_a_workflow_that_nothing_was_changed_in(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    png(path, json.dumps(OWN))
    assert not restore(path, "a.png", "image/png", OWN, OWN)
