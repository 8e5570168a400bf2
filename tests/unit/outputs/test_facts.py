"""Media type, size and frames from headers alone."""

from pathlib import Path

import pytest
from support.output_files import comfy_apng, huge_png, picture

from api.outputs.facts import Facts, facts


@pytest.mark.parametrize(
    ("name", "options", "mime_type"),
    [
        ("a.png", {}, "image/png"),
        ("a.jpg", {}, "image/jpeg"),
        ("progressive.jpg", {"progressive": True}, "image/jpeg"),
        ("lossy.webp", {}, "image/webp"),
        ("lossless.webp", {"lossless": True}, "image/webp"),
        ("extended.webp", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}, "image/webp"),
        ("a.gif", {}, "image/gif"),
        ("a.bmp", {}, "image/bmp"),
        ("a.tiff", {}, "image/tiff"),
    ],
)
def test_size_of_each_picture_kind(tmp_path: Path, name: str, options: dict, mime_type: str) -> None:
    picture(123, 45).save(tmp_path / name, **options)
    assert facts(tmp_path / name, name) == Facts(mime_type, 123, 45, 1)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_frames_of_an_animation(tmp_path: Path, name: str) -> None:
    first, *others = [picture(20, 10, seed=seed) for seed in range(4)]
    first.save(tmp_path / name, save_all=True, append_images=others, duration=50)
    found = facts(tmp_path / name, name)
    assert (found.width, found.height, found.frames) == (20, 10, 4)


def test_comfyui_animated_png(tmp_path: Path) -> None:
    assert facts(comfy_apng(tmp_path / "a.png"), "a.png").frames == 3


def test_content_beats_extension_for_pictures(tmp_path: Path) -> None:
    picture().save(tmp_path / "x", format="WEBP")
    assert facts(tmp_path / "x", "lying.png", "image/png").mime_type == "image/webp"


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [
        ("m.glb", "model/gltf-binary"),
        ("l.latent", "application/octet-stream"),
        ("w.safetensors", "application/octet-stream"),
        ("v.MP4", "video/mp4"),
        ("v.webm", "video/webm"),
        ("v.mov", "video/quicktime"),
        ("v.mkv", "video/x-matroska"),
        ("s.flac", "audio/flac"),
        ("s.opus", "audio/opus"),
        ("s.mp3", "audio/mpeg"),
        ("s.wav", "audio/wav"),
        ("p.ply", "model/ply"),
        ("p.obj", "model/obj"),
        ("d.svg", "image/svg+xml"),
        ("t.txt", "text/plain"),
        ("t.json", "application/json"),
    ],
)
def test_other_kinds_by_extension(tmp_path: Path, name: str, mime_type: str) -> None:
    (tmp_path / name).write_bytes(b"RIFF\0\0\0\0WAVEfmt anything")
    assert facts(tmp_path / name, name, "application/wrong") == Facts(mime_type)


def test_unknown_extension_keeps_what_was_claimed(tmp_path: Path) -> None:
    (tmp_path / "x.weird").write_bytes(b"?")
    assert facts(tmp_path / "x.weird", "x.weird", "application/x-weird").mime_type == "application/x-weird"
    assert facts(tmp_path / "x.weird", "x.weird", "").mime_type == "application/octet-stream"


@pytest.mark.parametrize("cut", [9, 20, 40, 100])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_broken_header_leaves_the_facts_empty_or_right(tmp_path: Path, kind: str, cut: int) -> None:
    path = tmp_path / "x"
    picture(64, 64).save(path, format=kind)
    path.write_bytes(path.read_bytes()[:cut])
    assert facts(path, "x").width in (None, 64)


def test_a_missing_file_is_no_error_here(tmp_path: Path) -> None:
    assert facts(tmp_path / "gone.png", "gone.png", "image/png") == Facts("image/png")


def test_a_picture_beyond_pillows_bomb_limit_has_its_size(tmp_path: Path) -> None:
    assert facts(huge_png(tmp_path / "huge.png"), "huge.png") == Facts("image/png", 20_000, 20_000, 1)
