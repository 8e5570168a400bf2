"""A bucket that the request brings along: it is reached where it was checked, and cannot hold or lead the worker."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.authority import make_authority
from support.output_files import comfy_png, noise, output_file
from support.s3_server import ACCESS_KEY_ID, SECRET_ACCESS_KEY, S3Server
from support.scripted_site import Site, Visit, answer, drip, serving
from support.waiting import wait_for

from api.errors import InputUrlRefused, StorageUnreachable
from api.ids import JobId
from api.jobs.ports import OutputFile
from api.jobs.request import S3Config
from api.outputs.s3 import RequestBuckets, S3Sink

JOB = JobId("job-1")
# A name no name server knows: whoever connects has been told the address.
HOST = "storage.test"
OK = answer(b"", ETag='"0"')


def to_loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def bucket(port: int, resolve: Callable[[str, int], list[str]] = to_loopback, **options: object) -> S3Sink:
    return of(f"http://{HOST}:{port}/theirs", resolve, **options)


def of(url: str, resolve: Callable[[str, int], list[str]] = to_loopback, **options: object) -> S3Sink:
    factory = RequestBuckets(resolve=resolve, **{"retry_limit_s": 0.2, **options})  # type: ignore[arg-type]
    sink = factory(S3Config(url, ACCESS_KEY_ID, SECRET_ACCESS_KEY))
    assert isinstance(sink, S3Sink)
    return sink


@pytest.fixture
def small(tmp_path: Path) -> OutputFile:
    return output_file(comfy_png(tmp_path / "a.png", 20, 20))


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


def test_it_is_reached_under_its_name_at_the_checked_address(tmp_path: Path, small: OutputFile) -> None:
    video = output_file(noise(tmp_path / "clip.mp4", 9 << 20), mime_type="video/mp4")
    with S3Server() as server:
        server.create_bucket("theirs")
        port = int(server.url.rpartition(":")[2])
        sink = bucket(port)
        url = sink.put(JOB, small).data
        sink.put(JOB, video)
        assert server.read("theirs", "job-1/a.png")[0] == small.path.read_bytes()
        assert server.read("theirs", "job-1/clip.mp4")[0] == video.path.read_bytes()
        assert {seen.headers["Host"] for seen in server.requests} == {f"{HOST}:{port}"}
        assert url.startswith(f"http://{HOST}:{port}/theirs/job-1/a.png?")


def test_the_second_of_two_addresses_is_tried(site: Site, small: OutputFile) -> None:
    site.pages["/theirs/job-1/a.png"] = OK
    assert bucket(site.port, lambda host, port: ["127.0.0.9", "127.0.0.1"]).put(JOB, small).type == "s3_url"


def test_a_name_that_leads_elsewhere_after_the_check_is_not_followed(site: Site, small: OutputFile) -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        if len(asked) == 1:
            return ["93.184.216.34"]
        raise InputUrlRefused("it leads to a private address")

    with pytest.raises(StorageUnreachable, match="private address"):
        bucket(site.port, rebinding).put(JOB, small)
    assert asked == [HOST] * 2
    assert site.visits == []


def test_a_name_that_stops_resolving_is_an_outage(small: OutputFile) -> None:
    def gone(host: str, port: int) -> list[str]:
        raise OSError("unknown")

    with pytest.raises(StorageUnreachable, match="EndpointConnectionError"):
        bucket(1, gone).put(JOB, small)


def test_proxies_of_the_environment_are_not_asked(
    site: Site, small: OutputFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pages["/theirs/job-1/a.png"] = OK
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    bucket(site.port).put(JOB, small)


def _endless(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while not visit.released.is_set():
        visit.send(b"<Error>" * 10_000)


def test_an_endless_answer_is_not_read_to_its_end(site: Site, small: OutputFile) -> None:
    site.pages["/theirs/job-1/a.png"] = _endless
    with pytest.raises(StorageUnreachable, match="too long for S3"):
        bucket(site.port).put(JOB, small)
    assert len(site.visits) == 1


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["body", "chunks", "header", "continue"],
)
def test_an_answer_that_drips_has_a_deadline_and_no_second_file_waits(
    site: Site, small: OutputFile, tmp_path: Path, head: bytes, piece: bytes
) -> None:
    site.pages["/theirs/job-1/a.png"] = drip(head, piece)
    sink = bucket(site.port, upload_limit_s=0.5)
    started = time.monotonic()
    with pytest.raises(StorageUnreachable, match=r"took longer than the 0\.5"):
        sink.put(JOB, small)
    assert time.monotonic() - started < 10
    # The site may be slower to read the request than the deadline is to come.
    wait_for(lambda: site.visits, "the request to be read")
    with pytest.raises(StorageUnreachable, match="given up"):
        sink.put(JOB, output_file(comfy_png(tmp_path / "b.png", 20, 20)))
    assert site.paths() == ["/theirs/job-1/a.png"]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect"])
def test_redirects_are_not_followed(site: Site, small: OutputFile, status: str) -> None:
    with serving() as other:
        elsewhere = answer(
            b"<Error><Code>TemporaryRedirect</Code></Error>",
            status,
            Location=f"http://127.0.0.1:{other.port}/theirs/job-1/a.png",
            x_amz_bucket_region="eu-central-1",
        )
        site.pages["/theirs/job-1/a.png"] = elsewhere
        with pytest.raises(StorageUnreachable, match="redirects"):
            bucket(site.port).put(JOB, small)
        assert other.visits == []
    assert site.paths() == ["/theirs/job-1/a.png"]


def test_a_wrong_region_is_put_right_on_the_same_host_alone(site: Site, small: OutputFile) -> None:
    wrong = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-central-1</Region></Error>"
    site.pages["/theirs/job-1/a.png"] = answer(wrong, "400 Bad Request")
    with pytest.raises(StorageUnreachable, match=r"set s3Config\.region"):
        bucket(site.port).put(JOB, small)
    assert len(site.visits) == 2
    assert {visit.headers["host"] for visit in site.visits} == {f"{HOST}:{site.port}"}


def test_tls_is_for_the_name_though_the_address_is_given(
    tmp_path: Path, small: OutputFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = make_authority(HOST, tmp_path)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
    with serving(tls=authority.server) as site:
        site.pages["/theirs/job-1/a.png"] = OK
        of(f"https://{HOST}:{site.port}/theirs").put(JOB, small)
        assert authority.names == [HOST]
        with pytest.raises(StorageUnreachable, match="SSLError"):
            of(f"https://other.test:{site.port}/theirs").put(JOB, small)
        assert len(site.visits) == 1
