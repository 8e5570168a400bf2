import io
import random
import struct
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image

from api.errors import InputTooLarge, InvalidInputFile, JobCancelled
from api.inputs.media import check_media
from api.jobs.cancel import CancelToken

FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "tiff": "TIFF"}


def picture(form: str, size: tuple[int, int] = (40, 30), frames: int = 1) -> bytes:
    noise = [Image.effect_noise(size, 60 + index).convert("RGB") for index in range(frames)]
    buffer = io.BytesIO()
    more = {"save_all": True, "append_images": noise[1:]} if frames > 1 else {}
    noise[0].save(buffer, form, **more)
    return buffer.getvalue()


def check(content: bytes, tmp_path: Path, name: str, declared: str = "", max_pixels: int = 10_000) -> str:
    path = tmp_path / "file"
    path.write_bytes(content)
    return check_media(path, name, declared, max_pixels, "images.0.image", CancelToken())


@pytest.mark.parametrize(("extension", "form"), FORMATS.items())
def test_whole_pictures_pass_with_their_type(extension, form, tmp_path):
    assert check(picture(form), tmp_path, f"a.{extension}") == Image.MIME[form]


@pytest.mark.parametrize(("extension", "form"), FORMATS.items())
def test_a_picture_cut_off_is_refused(extension, form, tmp_path):
    content = picture(form)
    with pytest.raises(InvalidInputFile, match=f"'a.{extension}' should be a picture"):
        check(content[: len(content) * 2 // 3], tmp_path, f"a.{extension}")


def test_the_type_is_that_of_the_content(tmp_path):
    assert check(picture("JPEG"), tmp_path, "a.png") == "image/jpeg"


@pytest.mark.parametrize("content", [b"hello", b"<html>404</html>", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_only_claims_to_be_a_picture(content, tmp_path):
    with pytest.raises(InvalidInputFile):
        check(content, tmp_path, "A.PNG")


def test_declared_by_media_type_where_the_name_says_nothing(tmp_path):
    assert check(picture("PNG"), tmp_path, "mask", "image/png") == "image/png"
    with pytest.raises(InvalidInputFile):
        check(b"hello", tmp_path, "mask", "image/png")


@pytest.mark.parametrize(
    ("name", "declared", "expected"),
    [
        ("clip.mp4", "image/png", "video/mp4"),
        ("x.svg", "", "image/svg+xml"),
        ("x.latent", "", "application/octet-stream"),
        ("x.dat", "text/plain", "text/plain"),
        ("x", "", "application/octet-stream"),
        ("x", "image/svg+xml", "image/svg+xml"),
    ],
)
def test_other_media_pass_unread(name, declared, expected, tmp_path):
    assert check(b"hello", tmp_path, name, declared) == expected


def test_an_undeclared_picture_is_recognised(tmp_path):
    assert check(picture("WEBP"), tmp_path, "mask") == "image/webp"


def test_pixels_are_limited_before_they_are_decoded(tmp_path):
    with pytest.raises(InputTooLarge, match=r"200 × 100, more than 10,000 pixels"):
        check(picture("PNG", (200, 100)), tmp_path, "a.png")


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_frames_count_as_pixels(form, tmp_path):
    content = picture(form, (50, 50), frames=3)
    assert check(content, tmp_path, f"a.{form.lower()}", max_pixels=7500)
    with pytest.raises(InputTooLarge, match="3 frames"):
        check(content, tmp_path, f"a.{form.lower()}", max_pixels=7499)


def test_a_picture_over_pillows_own_limit_is_judged_by_ours(tmp_path):
    small = picture("PNG")
    header = b"IHDR" + struct.pack(">II", 20_000, 10_000) + small[24:29]
    huge = small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]
    with pytest.raises(InputTooLarge, match="20000 × 10000"):
        check(huge, tmp_path, "a.png", max_pixels=199_999_999)
    with pytest.raises(InvalidInputFile):
        check(huge, tmp_path, "a.png", max_pixels=200_000_000)


@pytest.mark.parametrize("name", ["a.mp4", "a.txt", "a.latent", "a.dat", "a"])
@pytest.mark.parametrize("form", ["PNG", "GIF", "TIFF", "AVIF"])
def test_the_limits_of_pictures_hold_under_any_name(form, name, tmp_path):
    with pytest.raises(InputTooLarge, match="200 × 100"):
        check(picture(form, (200, 100)), tmp_path, name)


def test_a_damaged_picture_under_another_name_is_not_ours_to_judge(tmp_path):
    content = picture("PNG")
    assert check(content[: len(content) // 2], tmp_path, "a.latent") == "application/octet-stream"


def tiff_of_many_pages(count: int) -> bytes:
    """Pages of one grey pixel each, 134 bytes apart."""
    pages = bytearray(struct.pack("<2sHI", b"II", 42, 8))
    fields = [(256, 4, 1, 1), (257, 4, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    fields += [(277, 3, 1, 1), (278, 4, 1, 1), (279, 4, 1, 1)]
    body = struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHII", *field) for field in fields)
    for page in range(count):
        after = len(pages) + len(body) + 4 if page < count - 1 else 0
        pages += body + struct.pack("<I", after)
    return bytes(pages)


def gif_of_many_frames(count: int) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return head + frame * count + b";"


@pytest.mark.parametrize(("name", "make"), [("a.tiff", tiff_of_many_pages), ("a.gif", gif_of_many_frames)])
def test_a_million_frames_are_not_counted(name, make, tmp_path):
    assert check(make(3), tmp_path, name)
    started = time.process_time()
    with pytest.raises(InputTooLarge, match="more than 2,000 frames"):
        check(make(300_000), tmp_path, name, max_pixels=200_000_000)
    assert time.process_time() - started < 5


def test_avif_counts_twice(tmp_path):
    assert check(picture("AVIF", (50, 50)), tmp_path, "a.avif", max_pixels=5000)
    with pytest.raises(InputTooLarge, match="50 × 50, counted 2 times for AVIF"):
        check(picture("AVIF", (50, 50)), tmp_path, "a.avif", max_pixels=4999)


def test_pillows_limit_for_the_process_is_left_alone(tmp_path):
    before = Image.MAX_IMAGE_PIXELS
    assert before
    check(picture("PNG"), tmp_path, "a.png")
    assert before == Image.MAX_IMAGE_PIXELS


def test_cancel_stops_the_reading(tmp_path):
    (tmp_path / "file").write_bytes(picture("GIF", frames=3))
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(JobCancelled):
        check_media(tmp_path / "file", "a.gif", "", 10_000, "f", cancel)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("extension", "form"), [*FORMATS.items(), ("avif", "AVIF"), ("jp2", "JPEG2000")])
def test_damaged_pictures_never_raise_anything_else(extension, form, tmp_path):
    dice = random.Random(form)
    whole = picture(form, (24, 24), frames=2 if form in ("GIF", "TIFF", "WEBP") else 1)
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(dice.randint(1, 8)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            check(bytes(damaged), tmp_path, f"a.{extension}", "image/png")
        except (InvalidInputFile, InputTooLarge) as error:
            assert error.details[0]["field"] == "images.0.image"
