"""Stripping at container level: the workflow goes, every pixel stays."""

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from support.output_files import comfy_apng, comfy_exif, comfy_info, comfy_png, picture, png_chunk

from api.outputs.containers import MalformedImage
from api.outputs.metadata import strip

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def pixels(path: Path) -> list[bytes]:
    with Image.open(path) as image:
        frames = []
        for frame in range(getattr(image, "n_frames", 1)):
            image.seek(frame)
            frames.append(image.convert("RGBA").tobytes())
        return frames


def stripped(path: Path, mime_type: str) -> Path:
    target = path.with_name("stripped")
    assert strip(path, target, mime_type)
    assert b"secret" not in target.read_bytes()
    assert pixels(target) == pixels(path)
    return target


def test_png_loses_every_kind_of_text(tmp_path: Path) -> None:
    info = comfy_info()
    info.add_text("zipped", "a secret " * 100, zip=True)
    info.add_itxt("international", "a secret ☃")
    picture().save(tmp_path / "a.png", pnginfo=info, exif=comfy_exif(), icc_profile=ICC)
    with Image.open(stripped(tmp_path / "a.png", "image/png")) as image:
        image.load()
        assert not image.text
        assert image.info["icc_profile"] == ICC


def test_png_pixel_chunks_are_copied_not_recoded(tmp_path: Path) -> None:
    data = comfy_png(tmp_path / "a.png", 300, 300).read_bytes()
    start = data.index(b"IDAT") - 4
    assert stripped(tmp_path / "a.png", "image/png").read_bytes().endswith(data[start:])


def test_animated_png_loses_comfyuis_own_chunk(tmp_path: Path) -> None:
    stripped(comfy_apng(tmp_path / "a.png"), "image/png")


def test_png_data_behind_the_end_is_dropped(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    clean = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(clean + b"secret")
    assert stripped(tmp_path / "a.png", "image/png").read_bytes() == clean


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp(tmp_path: Path, lossless: bool, mode: str) -> None:
    picture(mode=mode).save(tmp_path / "a.webp", lossless=lossless, exif=comfy_exif(), xmp=b"<x>secret</x>")
    data = stripped(tmp_path / "a.webp", "image/webp").read_bytes()
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    assert data[12:16] == b"VP8X"
    assert data[20] & 0x0C == 0


def test_animated_webp(tmp_path: Path) -> None:
    first, *others = [picture(seed=seed) for seed in range(3)]
    first.save(tmp_path / "a.webp", save_all=True, append_images=others, exif=comfy_exif(), lossless=True)
    stripped(tmp_path / "a.webp", "image/webp")


def test_jpeg_keeps_profile_and_scan(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.jpg", exif=comfy_exif(), icc_profile=ICC, comment=b"secret", xmp=b"secret")
    target = stripped(tmp_path / "a.jpg", "image/jpeg")
    with Image.open(target) as image:
        assert image.info["icc_profile"] == ICC


def test_gif_comment(tmp_path: Path) -> None:
    first, *others = [picture(seed=seed).quantize() for seed in range(3)]
    first.save(tmp_path / "a.gif", save_all=True, append_images=others, comment=b"secret " * 100, loop=0)
    with Image.open(stripped(tmp_path / "a.gif", "image/gif")) as image:
        assert image.info["loop"] == 0


@pytest.mark.parametrize(("name", "mime_type"), [("a.jpg", "jpeg"), ("a.webp", "webp"), ("a.png", "png")])
def test_orientation_survives_alone(tmp_path: Path, name: str, mime_type: str) -> None:
    picture().save(tmp_path / name, exif=comfy_exif(orientation=6))
    with Image.open(stripped(tmp_path / name, f"image/{mime_type}")) as image:
        assert dict(image.getexif()) == {0x0112: 6}


@pytest.mark.parametrize(("name", "mime_type"), [("a.jpg", "jpeg"), ("a.webp", "webp"), ("a.png", "png")])
def test_nothing_to_strip_writes_nothing(tmp_path: Path, name: str, mime_type: str) -> None:
    picture().save(tmp_path / name)
    assert not strip(tmp_path / name, tmp_path / "out", f"image/{mime_type}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["png", "webp", "jpeg", "gif"])
def test_a_truncated_file_is_refused(tmp_path: Path, kind: str) -> None:
    picture(64, 64).save(tmp_path / "a", format=kind)
    data = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(data[:30])
    with pytest.raises(MalformedImage):
        strip(tmp_path / "a", tmp_path / "out", f"image/{kind}")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tail=st.binary(max_size=60), kind=st.sampled_from(["png", "webp", "jpeg", "gif"]))
def test_garbage_is_refused_or_copied_never_worse(tmp_path: Path, tail: bytes, kind: str) -> None:
    head = {
        "png": b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", bytes(13)),
        "webp": b"RIFF" + struct.pack("<I", len(tail) + 4) + b"WEBP",
        "jpeg": b"\xff\xd8",
        "gif": b"GIF89a" + bytes(7),
    }[kind]
    (tmp_path / "a").write_bytes(head + tail)
    try:
        strip(tmp_path / "a", tmp_path / "out", f"image/{kind}")
    except MalformedImage:
        return
