import base64
import hashlib
import tracemalloc
from pathlib import Path

import pytest

from api.errors import DiskFull, InputTooLarge, InternalError, InvalidInputFile
from api.inputs.decode import decode, inline, url_scheme
from api.inputs.spool import SizeLimit, Spool

LIMIT = SizeLimit("images.0.image", 10_000_000, "MAX_INPUT_FILE_MB")


def decoded(text: str, tmp_path: Path, limit: SizeLimit = LIMIT) -> bytes:
    with Spool(tmp_path / "file", limit) as spool:
        decode(inline(text, "images.0.image"), spool, "images.0.image")
    content = (tmp_path / "file").read_bytes()
    assert (spool.size_bytes, spool.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    return content


@pytest.mark.parametrize(
    "text",
    [
        "aGVsbG8=",
        "aGVsbG8",
        " aGVs\r\nbG8=\n",
        "a G V s b G 8 =",
        "data:image/png;base64,aGVsbG8=",
        "DATA:;BASE64,aGVsbG8=",
        "data:audio/ogg;codecs=opus;base64,aGVsbG8",
        "\n data:image/png;base64,\naGVsbG8=",
    ],
)
def test_base64_as_people_send_it(text, tmp_path):
    assert decoded(text, tmp_path) == b"hello"


@pytest.mark.parametrize("size", [1, 2, 3, 1 << 20, (1 << 20) + 1, 3_000_001])
@pytest.mark.parametrize("wrapped", [False, True])
def test_any_size_over_the_slices(size, wrapped, tmp_path):
    content = bytes(index * 7 % 251 for index in range(size))
    text = base64.encodebytes(content).decode() if wrapped else base64.b64encode(content).decode()
    assert decoded(text, tmp_path) == content
    assert decoded(text.strip().rstrip("="), tmp_path) == content


def test_memory_does_not_grow_with_the_file(tmp_path):
    text = "QUJD" * 2_000_000
    tracemalloc.start()
    try:
        decoded_size = len(text) * 3 // 4
        with Spool(tmp_path / "file", LIMIT) as spool:
            decode(inline(text, "f"), spool, "f")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert spool.size_bytes == decoded_size
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("aGVsbG8_", "URL-safe alphabet"),
        ("cat.png", "looks like a file name"),
        ("C:\\pictures\\cat.png", "looks like a file name"),
        ("hello, world", "character ',' at position 5"),
        ("<html>", "character '<' at position 0"),
        ("aGVs\ud800", "character '\\ud800'"),
        ("aGVsbG8=aGVsbG8=", "padding (=) in the middle"),
        ("QQ==" + "A" * (1 << 20), "padding (=) in the middle"),
        ("A" * ((1 << 20) - 2) + "==" + "AAAA", "padding (=) in the middle"),
        ("aGVsb", "cut off"),
        ("QQ===", "cut off"),
        ("", "empty"),
        (" \n", "empty"),
        ("data:image/png;base64,", "empty"),
        ("data:image/png;base64", "must look like"),
    ],
)
def test_what_is_not_base64(text, said, tmp_path):
    with pytest.raises(InvalidInputFile) as caught:
        decoded(text, tmp_path)
    assert said in caught.value.message
    assert caught.value.message.startswith("images.0.image: ")
    assert caught.value.details[0]["field"] == "images.0.image"


def test_a_foreign_character_far_inside_is_placed(tmp_path):
    text = "A" * 2_000_000 + "\n?" + "A" * 100
    with pytest.raises(InvalidInputFile, match="position 2000001"):
        decoded(text, tmp_path)


def test_a_data_uri_without_the_word_base64_is_taken_as_base64():
    # worker-comfyui dropped whatever stood before the comma.
    assert inline("data:image/png,aGVsbG8=", "f") == ("data:image/png,aGVsbG8=", 15, "image/png")


def test_media_type_of_a_data_uri():
    assert inline("data:Image/PNG;x=y;base64,aa", "f").media_type == "image/png"
    assert inline("aGk=", "f").media_type == ""


@pytest.mark.parametrize(
    ("source", "scheme"),
    [("https://x", "https"), (" S3://b/k", "s3"), ("file:///x", "file"), ("aGk=", None), ("data:;base64,aa", None)],
)
def test_urls_are_told_from_content(source, scheme):
    assert url_scheme(source) == scheme


def test_the_limit_stops_the_writing(tmp_path):
    limit = SizeLimit("images.0.image", 1000, "MAX_INPUT_FILE_MB")
    with pytest.raises(InputTooLarge, match="larger than 1,000 bytes"):
        decoded("AAAA" * 1_000_000, tmp_path, limit)
    assert (tmp_path / "file").stat().st_size <= 1000


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_full_disk_says_so(size, tmp_path):
    (tmp_path / "file").symlink_to("/dev/full")
    with pytest.raises(DiskFull, match="No space left to write the input files"):
        decoded("A" * size * 4, tmp_path)


def test_a_scratch_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(InternalError, match="WORK_DIR"):
        decoded("aGk=", tmp_path)
