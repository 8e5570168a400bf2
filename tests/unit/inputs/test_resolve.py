import base64
import hashlib
import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from api.errors import (
    InputNotFound,
    InputTooLarge,
    InputUnavailable,
    InputUrlRefused,
    InvalidInput,
    InvalidInputFile,
    JobCancelled,
)
from api.inputs.resolve import InputPolicy, InputResolver
from api.jobs.cancel import CancelToken
from api.jobs.request import ImageSpec


def png(color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(buffer, "PNG")
    return buffer.getvalue()


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def specs(*sources: tuple[str, str]) -> list[ImageSpec]:
    return [ImageSpec(name, source, f"images.{index}") for index, (name, source) in enumerate(sources)]


def unreachable(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host} was looked up")


def resolver(open_s3=None, **policy) -> InputResolver:
    return InputResolver(InputPolicy(**policy), open_s3, lookup=unreachable)


def refusal(*sources: tuple[str, str], tmp_path: Path, **policy) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        resolver(**policy).resolve(specs(*sources), tmp_path, CancelToken())
    return caught.value


def test_files_lie_in_the_workdir_with_what_is_known_of_them(tmp_path):
    workdir = tmp_path / "not" / "made" / "yet"
    files = resolver().resolve(specs(("faces/a.png", text(png())), ("b.mp4", "aGk=")), workdir, CancelToken())
    first, second = files
    assert (first.name, first.mime_type, first.size_bytes) == ("faces/a.png", "image/png", len(png()))
    assert first.sha256 == hashlib.sha256(png()).hexdigest()
    assert first.path.read_bytes() == png()
    assert first.path.parent == workdir
    assert (second.name, second.mime_type, second.path.read_bytes()) == ("b.mp4", "video/mp4", b"hi")


def test_no_files(tmp_path):
    assert resolver().resolve((), tmp_path, CancelToken()) == ()


def test_equal_content_lies_on_disk_once(tmp_path):
    files = resolver().resolve(specs(("a.png", text(png())), ("b.png", text(png()))), tmp_path, CancelToken())
    assert [file.name for file in files] == ["a.png", "b.png"]
    assert files[0].path == files[1].path
    assert files[0].sha256 == files[1].sha256
    assert len(list(tmp_path.iterdir())) == 1


def test_one_name_twice_with_equal_content_is_one_file(tmp_path):
    (file,) = resolver().resolve(specs(("a.png", text(png())), ("a.png", text(png()))), tmp_path, CancelToken())
    assert file.path.exists()


def test_one_name_with_two_contents(tmp_path):
    error = refusal(("a.png", text(png())), ("a.png", text(png("blue"))), tmp_path=tmp_path)
    assert isinstance(error, InvalidInputFile)
    assert (error.details[0]["field"], error.details[0]["code"]) == ("images.1.name", "duplicate_name")


def test_all_bad_files_are_named_at_once(tmp_path):
    error = refusal(("a.png", "?"), ("b.png", text(png())), ("c.png", "aGk="), ("d", "ftp://x/"), tmp_path=tmp_path)
    assert isinstance(error, InvalidInputFile)
    assert [detail["field"] for detail in error.details] == ["images.0.image", "images.2.image", "images.3.image"]


def test_size_of_one_file(tmp_path):
    error = refusal(("a", "A" * 80), tmp_path=tmp_path, max_file_bytes=50)
    assert isinstance(error, InputTooLarge)
    assert "MAX_INPUT_FILE_MB" in error.message


def test_size_of_all_files(tmp_path):
    error = refusal(("a", "A" * 40), ("b", "B" * 40), tmp_path=tmp_path, max_file_bytes=50, max_total_bytes=40)
    assert isinstance(error, InputTooLarge)
    assert "MAX_INPUT_TOTAL_MB" in error.message


def test_urls_can_be_switched_off(tmp_path):
    error = refusal(("a", "https://x/y"), ("b", "s3://b/k"), tmp_path=tmp_path, urls=False)
    assert isinstance(error, InputUrlRefused)
    assert len(error.details) == 2


@pytest.mark.parametrize("url", ["ftp://h/x", "file:///etc/passwd", "s3://bucket", "s3:///key", "s3://bucket/key"])
def test_urls_that_are_refused_without_asking_anyone(url, tmp_path):
    assert isinstance(refusal(("a", url), tmp_path=tmp_path), InputUrlRefused)


def test_s3_urls_are_opened_by_whoever_has_the_keys(tmp_path):
    asked = []

    def open_s3(bucket: str, key: str) -> Iterator[bytes]:
        asked.append((bucket, key))
        yield png()[:10]
        yield png()[10:]

    (file,) = resolver(open_s3).resolve(specs(("a.png", "s3://b/faces/x y?.png")), tmp_path, CancelToken())
    assert (asked, file.path.read_bytes()) == ([("b", "faces/x y?.png")], png())


def test_s3_content_is_limited_and_closed(tmp_path):
    closed = []

    def endless(bucket: str, key: str) -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 100
        finally:
            closed.append(True)

    with pytest.raises(InputTooLarge):
        resolver(endless, max_file_bytes=1000).resolve(specs(("a", "s3://b/k")), tmp_path, CancelToken())
    assert closed


@pytest.mark.parametrize("kind", [InputUnavailable, InputUrlRefused])
def test_s3_errors_name_the_field(kind, tmp_path):
    def failing(bucket: str, key: str) -> Iterator[bytes]:
        raise kind("Could not read it.")

    with pytest.raises(kind, match=r"^images\.0\.image: Could not read it\.$") as caught:
        resolver(failing).resolve(specs(("a", "s3://b/k")), tmp_path, CancelToken())
    assert caught.value.details[0]["field"] == "images.0.image"


def test_an_empty_object(tmp_path):
    with pytest.raises(InvalidInputFile, match="empty"):
        resolver(lambda bucket, key: iter(())).resolve(specs(("a", "s3://b/k")), tmp_path, CancelToken())


def test_a_cancelled_job_fetches_nothing(tmp_path):
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(JobCancelled):
        resolver().resolve(specs(("a", "aGk=")), tmp_path, cancel)
    assert not list(tmp_path.iterdir())


def test_a_cancel_between_chunks(tmp_path):
    cancel = CancelToken()

    def open_s3(bucket: str, key: str) -> Iterator[bytes]:
        yield b"x"
        cancel.cancel()
        yield b"y"

    with pytest.raises(JobCancelled):
        resolver(open_s3).resolve(specs(("a", "s3://b/k")), tmp_path, cancel)


def held_by(path: Path, source: str = "spool:1") -> dict[str, Path]:
    return {source: path}


def test_a_source_of_the_hosts_is_copied_and_checked_like_any_other(tmp_path):
    kept = tmp_path / "kept"
    kept.write_bytes(png())
    (file,) = resolver().resolve(specs(("a.png", "spool:1")), tmp_path / "work", CancelToken(), held_by(kept))
    assert (file.path.read_bytes(), file.mime_type) == (png(), "image/png")
    assert file.sha256 == hashlib.sha256(png()).hexdigest()
    assert file.path.parent == tmp_path / "work"
    # The copy is the job's, the original the host's.
    file.path.unlink()
    assert kept.read_bytes() == png()


@pytest.mark.parametrize(
    ("content", "policy", "kind"),
    [
        (png()[:40], {}, InvalidInputFile),
        (png(), {"max_pixels": 63}, InputTooLarge),
        (png(), {"max_file_bytes": 20}, InputTooLarge),
        (png(), {"max_total_bytes": 20}, InputTooLarge),
        (b"#EXTM3U", {}, InvalidInputFile),
    ],
)
def test_the_limits_hold_for_files_of_the_host_too(content, policy, kind, tmp_path):
    kept = tmp_path / "kept"
    kept.write_bytes(content)
    with pytest.raises(kind) as caught:
        resolver(**policy).resolve(specs(("a.png", "spool:1")), tmp_path / "work", CancelToken(), held_by(kept))
    assert caught.value.details[0]["field"] == "images.0.image"


def test_only_what_the_host_holds_is_read_from_its_disk(tmp_path):
    kept = tmp_path / "kept"
    kept.write_bytes(png())
    for source in ("spool:2", str(kept), f"file://{kept}"):
        with pytest.raises(InvalidInput):
            resolver().resolve(specs(("a.png", source)), tmp_path / "work", CancelToken(), held_by(kept))


def test_a_file_of_the_host_that_is_gone(tmp_path):
    with pytest.raises(InputUnavailable, match=r"images\.0\.image: the file the worker kept for it is gone"):
        resolver().resolve(specs(("a.png", "spool:1")), tmp_path, CancelToken(), held_by(tmp_path / "gone"))


def test_a_bucket_that_has_no_such_object_is_not_asked_again(tmp_path):
    def missing(bucket: str, key: str) -> Iterator[bytes]:
        raise InputNotFound("There is none.")

    with pytest.raises(InputNotFound, match=r"^images\.0\.image: There is none\.$") as caught:
        resolver(missing).resolve(specs(("a", "s3://b/k")), tmp_path, CancelToken())
    assert not caught.value.retryable


def test_all_urls_of_a_job_share_one_deadline(tmp_path):
    def endless(bucket: str, key: str) -> Iterator[bytes]:
        while True:
            yield b"x"

    limited = resolver(endless, total_timeout_s=0.2, max_file_bytes=10**9)
    started = time.monotonic()
    with pytest.raises(InputUnavailable, match=r"longer than 0\.2 s together \(setting INPUT_URLS_TIMEOUT_S\)"):
        limited.resolve(specs(("a", "s3://b/1"), ("b", "s3://b/2")), tmp_path, CancelToken())
    assert time.monotonic() - started < 5
