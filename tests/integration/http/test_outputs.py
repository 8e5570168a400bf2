"""Outputs as files over sockets: whole, ranges, caches, names, and nothing that runs in a browser."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from support.live_rig import LiveRig, guarded, live_rig

from api.jobs.job import Job
from api.jobs.ports import OutputFile

CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
ETAG = f'"{DIGEST}"'


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRig]:
    with live_rig(tmp_path_factory.mktemp("live")) as rig:
        yield rig


def made(live: LiveRig, filename: str = "a.png", mime_type: str = "image/png", content: bytes = CONTENT) -> Job:
    """A job with one output."""
    digest = hashlib.sha256(content).hexdigest()

    def run(job_id: Any, host: Any) -> dict[str, Any]:
        path = live.jobs.spool.root / f"made-{job_id}"
        path.write_bytes(content)
        file = OutputFile("1", "images", 0, filename, "", "output", False, path, mime_type, len(content), digest)
        put = host.inline.put(job_id, file)
        entry = {"filename": filename, "type": put.type, "data": put.data, "mime_type": mime_type}
        return {"images": [{**entry, "size_bytes": len(content), "sha256": digest}]}

    return live.ran(run)


def path_of(job: Job, filename: str = "a.png") -> str:
    return f"/output/{job.id}/0/{quote(filename)}"


def test_the_file_comes_as_it_was_made(live: LiveRig) -> None:
    answer = live.get(path_of(made(live)))
    assert (answer.status_code, answer.content) == (200, CONTENT)
    headers = answer.headers
    assert (headers["Content-Type"], headers["ETag"]) == ("image/png", ETAG)
    assert (headers["Content-Length"], headers["Accept-Ranges"]) == (str(len(CONTENT)), "bytes")
    assert headers["Content-Disposition"] == 'inline; filename="a.png"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "private, max-age=31536000, immutable"


def test_head_tells_the_same_without_the_file(live: LiveRig) -> None:
    path = path_of(made(live))
    head, whole = live.request("HEAD", path), live.get(path)
    assert (head.status_code, head.content) == (200, b"")
    varying = {"date", "x-request-id"}
    assert {k.lower(): v for k, v in head.headers.items() if k.lower() not in varying} == {
        k.lower(): v for k, v in whole.headers.items() if k.lower() not in varying
    }
    assert live.request("HEAD", path, headers={"Range": "bytes=0-9"}).headers["Content-Length"] == "10"


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=1023900-", 1023900, 1023999),
        ("bytes=-100", 1023900, 1023999),
        ("bytes=-99999999", 0, 1023999),
        ("bytes=1023999-99999999", 1023999, 1023999),
        ("Bytes = 5 - 6", 5, 6),
    ],
)
def test_a_range_comes_alone(live: LiveRig, wanted: str, first: int, last: int) -> None:
    answer = live.get(path_of(made(live)), headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (206, CONTENT[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(CONTENT)}"
    assert answer.headers["Content-Length"] == str(last - first + 1)


@pytest.mark.parametrize("wanted", ["bytes=1024000-", "bytes=1024000-1024001", "bytes=-0", "bytes=9999999999999-"])
def test_a_range_beyond_the_file_is_refused(live: LiveRig, wanted: str) -> None:
    answer = live.get(path_of(made(live)), headers={"Range": wanted})
    assert (answer.status_code, answer.json()["statusCode"]) == (416, 416)
    assert answer.headers["Content-Range"] == f"bytes */{len(CONTENT)}"


@pytest.mark.parametrize("wanted", ["bytes=5-4", "bytes=-", "bytes=a-b", "items=0-1", "bytes", "bytes=0-1,5-6", ""])
def test_what_is_no_single_range_is_ignored(live: LiveRig, wanted: str) -> None:
    answer = live.get(path_of(made(live)), headers={"Range": wanted})
    assert (answer.status_code, len(answer.content)) == (200, len(CONTENT))


def test_an_empty_file_has_no_ranges(live: LiveRig) -> None:
    path = path_of(made(live, content=b""))
    assert (live.get(path).status_code, live.get(path).content) == (200, b"")
    assert live.get(path, headers={"Range": "bytes=0-"}).status_code == 416


@pytest.mark.parametrize(
    ("known", "status"), [(ETAG, 304), (f'"x", W/{ETAG}', 304), ("*", 304), ('"x"', 200), (DIGEST, 200), ("", 200)]
)
def test_what_the_caller_has_is_not_sent_again(live: LiveRig, known: str, status: int) -> None:
    answer = live.get(path_of(made(live)), headers={"If-None-Match": known})
    assert (answer.status_code, answer.headers["ETag"]) == (status, ETAG)
    assert len(answer.content) == (0 if status == 304 else len(CONTENT))


@pytest.mark.parametrize(
    ("validator", "status"), [(ETAG, 206), ('"x"', 200), (f"W/{ETAG}", 200), ("Sat, 01 Jan 2028 00:00:00 GMT", 200)]
)
def test_a_range_of_another_file_is_not_mixed_in(live: LiveRig, validator: str, status: int) -> None:
    headers = {"Range": "bytes=0-1", "If-Range": validator}
    assert live.get(path_of(made(live)), headers=headers).status_code == status


@pytest.mark.parametrize(
    ("mime_type", "shown"),
    [
        ("video/mp4", True),
        ("audio/flac", True),
        ("image/webp", True),
        ("image/svg+xml", False),
        ("text/html", False),
        ("application/xhtml+xml", False),
        ("application/json", False),
        ("text/plain", False),
        ("", False),
    ],
)
def test_what_may_run_in_a_browser_is_only_to_be_saved(live: LiveRig, mime_type: str, shown: bool) -> None:
    answer = live.get(path_of(made(live, mime_type=mime_type)))
    assert answer.headers["Content-Disposition"].partition(";")[0] == ("inline" if shown else "attachment")
    assert ("sandbox" in answer.headers.get("Content-Security-Policy", "")) is not shown
    assert answer.headers["Content-Type"] == (mime_type or "application/octet-stream")


@pytest.mark.parametrize(
    ("filename", "disposition"),
    [
        ("a b.png", 'inline; filename="a b.png"'),
        ("Käse 🧀.png", "inline; filename=\"K_se _.png\"; filename*=UTF-8''K%C3%A4se%20%F0%9F%A7%80.png"),
        ('q"; x="1.png', "inline; filename=\"q_; x=_1.png\"; filename*=UTF-8''q%22%3B%20x%3D%221.png"),
        ("sub/dir/a.png", 'inline; filename="a.png"'),
        ("100%.png", "inline; filename=\"100_.png\"; filename*=UTF-8''100%25.png"),
    ],
)
def test_names_are_safe_and_whole(live: LiveRig, filename: str, disposition: str) -> None:
    answer = live.get(path_of(made(live, filename), filename))
    assert (answer.status_code, answer.headers["Content-Disposition"]) == (200, disposition)


def test_only_outputs_of_the_job_are_there(live: LiveRig) -> None:
    job = made(live)
    (live.jobs.spool.folder(job.id) / "secret.txt").write_text("secret")
    others = [
        f"/output/{job.id}/1/a.png",
        f"/output/{job.id}/-1/a.png",
        f"/output/{job.id}/0/b.png",
        f"/output/{job.id}/0/../secret.txt",
        f"/output/{job.id}/0/..%2f..%2fsecret.txt",
        "/output/550e8400-e29b-41d4-a716-446655440000/0/a.png",
    ]
    assert [live.get(path).status_code for path in others] == [404] * len(others)
    assert live.get(f"/output/{job.id}/x/a.png").status_code == 422


def test_a_file_that_is_gone_is_told_without_its_place(live: LiveRig) -> None:
    job = made(live)
    live.jobs.service.output(job.id, 0).path.unlink()
    answer = live.get(path_of(job))
    assert (answer.status_code, answer.json()["code"]) == (502, "OUTPUT_UNAVAILABLE")
    assert str(live.jobs.spool.root) not in answer.text


def test_a_download_under_way_survives_the_deletion_of_its_job(live: LiveRig) -> None:
    content = bytes(20_000_000)
    job = made(live, content=content)
    with requests.get(live.url + path_of(job), stream=True, timeout=15) as answer:
        pieces = answer.iter_content(100_000)
        size = len(next(pieces))
        live.jobs.service.delete(job.id)
        size += sum(len(piece) for piece in pieces)
    assert size == len(content)


def test_a_signed_link_needs_no_key(tmp_path: Path) -> None:
    guard = guarded("secret")
    with live_rig(tmp_path, guard, "secret") as live:
        filename = "Käse 🧀.png"
        job = made(live, filename)
        token = guard.sign(f"/output/{job.id}/0/{filename}", 4e9)
        url = live.url + path_of(job, filename)
        assert requests.get(f"{url}?token={token}", timeout=15).status_code == 200
        assert requests.head(f"{url}?token={token}", timeout=15).status_code == 200
        assert requests.get(url, timeout=15).status_code == 401
