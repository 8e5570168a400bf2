"""One suite for every sink: whatever the place, the same bytes can be fetched from where it says they are."""

import base64
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests
from support.output_files import noise, output_file
from support.s3_server import ACCESS_KEY_ID, SECRET_ACCESS_KEY, S3Server

from api.errors import DiskFull, OutputUnavailable, WorkerError
from api.ids import JobId
from api.jobs.ports import Delivered, OutputSink
from api.outputs.disk import DiskSink
from api.outputs.inline import InlineSink
from api.outputs.s3 import S3Sink
from api.s3 import connect

JOB = JobId("job-1")


@dataclass(frozen=True)
class Place:
    """A sink, and how a caller gets at what it was given."""

    sink: OutputSink
    type: str
    fetch: Callable[[str], bytes]
    break_it: Callable[[], None] | None = None


@pytest.fixture(scope="module")
def s3_server() -> Iterator[S3Server]:
    with S3Server() as server:
        server.create_bucket()
        server.create_bucket("public", public=True)
        yield server


def download(url: str) -> bytes:
    answer = requests.get(url, timeout=30)
    answer.raise_for_status()
    return answer.content


@pytest.fixture(params=["inline", "disk", "s3", "s3-public"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "inline":
        yield Place(InlineSink(), "base64", lambda data: base64.b64decode(data, validate=True))
        return
    if request.param == "disk":
        yield Place(DiskSink(tmp_path / "volume"), "file", lambda data: Path(data).read_bytes())
        return
    server: S3Server = request.getfixturevalue("s3_server")
    public = request.param == "s3-public"
    bucket = "public" if public else "outputs"
    connection = connect(server.url, ACCESS_KEY_ID, SECRET_ACCESS_KEY, bucket)
    public_url = f"{server.url}/public/" if public else None
    sink = S3Sink(connection, key_prefix=f"contract/{tmp_path.name}", public_url=public_url, retry_limit_s=1)
    yield Place(sink, "s3_url", download, server.go_down)
    server.reset()


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("empty.txt", 0),
        ("one.bin", 1),
        ("picture.png", 70_000),
        ("Ünïcode ☃ 中文 (1)+&%?#.png", 5_000),
        ("video.mp4", 21 << 20),
        ("x" * 300 + ".webm", 100),
        ("../../escape.png", 100),
        (".hidden", 100),
        ("a\\b\nc.png", 100),
    ],
)
def test_the_same_bytes_come_back(place: Place, tmp_path: Path, name: str, size: int) -> None:
    source = noise(tmp_path / "source", size, seed=size)
    delivered = place.sink.put(JOB, output_file(source, name, mime_type="video/mp4"))
    assert delivered.type == place.type
    assert place.fetch(delivered.data) == source.read_bytes()


def test_files_of_one_name_do_not_overwrite_each_other(place: Place, tmp_path: Path) -> None:
    files = [
        output_file(noise(tmp_path / f"{n}", 1000, seed=n), "same.png", node_id=str(n // 2), index=n % 2)
        for n in range(8)
    ]
    with ThreadPoolExecutor(4) as pool:
        delivered = list(pool.map(lambda file: place.sink.put(JOB, file), files))
    assert [place.fetch(where.data) for where in delivered] == [file.path.read_bytes() for file in files]


def test_jobs_do_not_overwrite_each_other(place: Place, tmp_path: Path) -> None:
    file = output_file(noise(tmp_path / "a", 1000, seed=1), "same.png")
    other = replace(file, path=noise(tmp_path / "b", 1000, seed=2))
    delivered = {job: place.sink.put(JobId(job), it) for job, it in (("a/b", file), ("a_b", other))}
    assert place.fetch(delivered["a/b"].data) == file.path.read_bytes()
    assert place.fetch(delivered["a_b"].data) == other.path.read_bytes()


def test_the_same_output_again_takes_the_same_place(place: Place, tmp_path: Path) -> None:
    first = output_file(noise(tmp_path / "a", 1000, seed=1), "same.png")
    again = replace(first, path=noise(tmp_path / "b", 1000, seed=2))
    place.sink.put(JOB, first)
    assert place.fetch(place.sink.put(JOB, again).data) == again.path.read_bytes()


def test_the_source_stays(place: Place, tmp_path: Path) -> None:
    file = output_file(noise(tmp_path / "a", 1000))
    place.sink.put(JOB, file)
    assert file.path.stat().st_size == 1000


def test_a_missing_source_is_our_error(place: Place, tmp_path: Path) -> None:
    with pytest.raises(OutputUnavailable, match=r"gone\.png"):
        place.sink.put(JOB, output_file(tmp_path / "gone.png"))


@pytest.mark.parametrize("place", ["s3"], indirect=True)  # the disk breaks in ways of its own, below
def test_a_place_out_of_order_is_our_error(place: Place, tmp_path: Path) -> None:
    assert place.break_it is not None
    place.break_it()
    with pytest.raises(WorkerError) as caught:
        place.sink.put(JOB, output_file(noise(tmp_path / "a", 1000)))
    assert SECRET_ACCESS_KEY not in caught.value.message
    assert caught.value.retryable


@pytest.fixture
def small_files_only() -> Iterator[int]:
    """The process may write files of a megabyte; beyond, the system answers as a full quota does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        yield 1 << 20
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_disk_full_and_leaves_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    source = noise(tmp_path / "large.mp4", 3 << 20)
    limit = request.getfixturevalue("small_files_only")
    sink = DiskSink(tmp_path / "volume")
    with pytest.raises(DiskFull, match=r"large\.mp4"):
        sink.put(JOB, output_file(source))
    assert [path for path in (tmp_path / "volume").rglob("*") if path.is_file()] == []
    small = output_file(noise(tmp_path / "small", limit // 2))
    assert sink.put(JOB, small) == Delivered("file", str(tmp_path / "volume" / "job-1" / "small"))


def test_a_folder_that_cannot_be_is_our_error(tmp_path: Path) -> None:
    (tmp_path / "volume").write_text("a file where the folder should be")
    with pytest.raises(WorkerError, match="Could not keep"):
        DiskSink(tmp_path / "volume").put(JOB, output_file(noise(tmp_path / "a", 10)))
