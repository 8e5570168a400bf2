"""S3 as it really answers: headers, multipart, URLs, faults, a bucket of the request's own."""

import hashlib
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from structlog.testing import capture_logs
from support.output_files import comfy_png, noise, output_file
from support.s3_server import ACCESS_KEY_ID, SECRET_ACCESS_KEY, S3Server
from support.waiting import wait_for

from api.errors import InputNotFound, InputUrlRefused, InvalidInput, InvalidSettings, StorageUnreachable
from api.ids import JobId
from api.jobs.ports import InputFile, OutputFile
from api.jobs.request import OutputOptions, S3Config
from api.outputs.delivery import Delivery
from api.outputs.disk import DiskSink
from api.outputs.inline import InlineSink
from api.outputs.s3 import RequestBuckets, S3Sink
from api.remotes import SharedInputs
from api.s3 import S3Connection, connect

JOB = JobId("job-1")
MIB = 1 << 20


@pytest.fixture
def connection(server: S3Server) -> S3Connection:
    return connect(f"{server.url}/outputs", ACCESS_KEY_ID, SECRET_ACCESS_KEY, read_timeout_s=20)


@pytest.fixture
def sink(connection: S3Connection) -> S3Sink:
    return S3Sink(connection, retry_limit_s=5)


@pytest.fixture
def video(tmp_path: Path) -> OutputFile:
    return output_file(noise(tmp_path / "clip.mp4", 20 * MIB), mime_type="video/mp4")


@pytest.fixture
def small(tmp_path: Path) -> OutputFile:
    return output_file(comfy_png(tmp_path / "Ünï ☃.png"), mime_type="image/png")


def test_a_video_goes_in_parts_and_comes_back(server: S3Server, sink: S3Sink, video: OutputFile) -> None:
    url = sink.put(JOB, video).data
    parts = [int(seen.headers["Content-Length"]) for seen in server.requests if seen.method == "PUT"]
    assert sorted(parts) == [4 * MIB, 8 * MIB, 8 * MIB]
    answer = requests.get(url, timeout=60)
    assert answer.content == video.path.read_bytes()
    assert answer.headers["Content-Type"] == "video/mp4"
    assert "Content-Disposition" not in answer.headers


def test_a_small_file_is_one_put_that_every_clone_takes(server: S3Server, sink: S3Sink, small: OutputFile) -> None:
    sink.put(JOB, small)
    (put,) = server.requests
    headers = {name.lower() for name in put.headers}
    assert put.path == "/outputs/job-1/%C3%9Cn%C3%AF%20%E2%98%83.png", "path style"
    assert put.headers["Content-Type"] == "image/png"
    assert "AWS4-HMAC-SHA256" in put.headers["Authorization"]
    assert not [name for name in headers if "checksum" in name or name in ("content-encoding", "transfer-encoding")]
    assert server.keys() == ["job-1/Ünï ☃.png"]


def test_presigned_for_seven_days_or_as_set(connection: S3Connection, small: OutputFile) -> None:
    for options, expires in (({}, "604800"), ({"url_expiry_s": 60}, "60")):
        url = S3Sink(connection, **options).put(JOB, small).data
        assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == [expires]
        assert SECRET_ACCESS_KEY not in url


@pytest.mark.parametrize("expiry", [0, -1, 604_801])
def test_an_expiry_s3_does_not_know_is_refused_at_start(connection: S3Connection, expiry: int) -> None:
    with pytest.raises(InvalidSettings, match="BUCKET_URL_EXPIRY_S"):
        S3Sink(connection, url_expiry_s=expiry)


def test_public_urls_are_plain_and_encoded(server: S3Server, connection: S3Connection, small: OutputFile) -> None:
    url = S3Sink(connection, public_url="https://cdn.example.com/pics/").put(JOB, small).data
    assert url == "https://cdn.example.com/pics/job-1/%C3%9Cn%C3%AF%20%E2%98%83.png"


def test_prefix_of_url_and_setting_and_template(server: S3Server, small: OutputFile) -> None:
    connection = connect(f"{server.url}/outputs/from/url", ACCESS_KEY_ID, SECRET_ACCESS_KEY)
    S3Sink(connection, key_prefix="set", key_template="{job_id}/{node_id}.{ext}").put(JOB, small)
    assert server.keys() == ["from/url/set/job-1/9.png"]


def test_passing_500s_are_outlasted(server: S3Server, sink: S3Sink, small: OutputFile) -> None:
    server.fail(4)
    sink.put(JOB, small)
    assert [seen.status for seen in server.requests] == [500] * 4 + [200]


def test_one_failing_part_repeats_that_part_alone(server: S3Server, sink: S3Sink, video: OutputFile) -> None:
    server.fail(1, method="PUT", status=503, code="SlowDown")
    sink.put(JOB, video)
    assert len([seen for seen in server.requests if seen.method == "PUT"]) == 4
    assert len([seen for seen in server.requests if seen.method == "POST"]) == 2


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "InvalidAccessKeyId", "access key id is unknown"),
        (403, "SignatureDoesNotMatch", "secret access key does not fit"),
        (403, "AccessDenied", "access denied"),
        (404, "NoSuchBucket", "does not exist"),
        (400, "AuthorizationHeaderMalformed", "set BUCKET_REGION"),
        (418, "Teapot", "HTTP 418 Teapot"),
    ],
)
def test_denials_are_final_and_explained(
    server: S3Server, sink: S3Sink, small: OutputFile, status: int, code: str, says: str
) -> None:
    server.fail(None, status=status, code=code)
    with pytest.raises(StorageUnreachable, match=says) as caught:
        sink.put(JOB, small)
    assert len(server.requests) == 1
    assert SECRET_ACCESS_KEY not in str(caught.value)
    assert "X-Amz" not in str(caught.value)


def test_a_denied_video_leaves_no_half_upload(server: S3Server, sink: S3Sink, video: OutputFile) -> None:
    server.fail(None, status=403, code="AccessDenied", method="PUT")
    with pytest.raises(StorageUnreachable):
        sink.put(JOB, video)
    wait_for(lambda: not server.half_uploads(), "the half upload is aborted")


def test_after_an_outage_files_get_one_try_until_it_answers_again(
    server: S3Server, connection: S3Connection, small: OutputFile
) -> None:
    now = [0.0]
    sink = S3Sink(connection, retry_limit_s=0.2, clock=lambda: now[0])
    server.go_down()
    for _ in range(2):
        with pytest.raises(StorageUnreachable, match="can be reached"):
            sink.put(JOB, small)
    server.reset()
    assert sink.put(JOB, small).type == "s3_url"


def test_nobody_listening() -> None:
    with S3Server() as gone:
        address = gone.url
    sink = S3Sink(connect(f"{address}/outputs", "id", "secret"), retry_limit_s=0.2)
    with pytest.raises(StorageUnreachable, match="EndpointConnectionError"):
        sink.put(JOB, output_file(Path(__file__)))


def test_a_slow_storage_is_waited_for(server: S3Server, sink: S3Sink, small: OutputFile) -> None:
    server.hold()
    done: list[str] = []
    thread = threading.Thread(target=lambda: done.append(sink.put(JOB, small).type))
    thread.start()
    assert server.held.wait(20)
    assert done == []
    server.release()
    thread.join(20)
    assert done == ["s3_url"]


def test_silence_is_an_outage(server: S3Server, small: OutputFile) -> None:
    connection = connect(f"{server.url}/outputs", ACCESS_KEY_ID, SECRET_ACCESS_KEY, read_timeout_s=0.2)
    server.hold()
    with pytest.raises(StorageUnreachable, match="ReadTimeoutError"):
        S3Sink(connection, retry_limit_s=0.1).put(JOB, small)


def test_refused_key_falls_back_to_base64_and_the_others_arrive(server: S3Server, sink: S3Sink, tmp_path: Path) -> None:
    files = [output_file(comfy_png(tmp_path / f"{n}.png", 20 + n, 20), index=n) for n in range(8)]
    server.refuse_keys("job-1/3.png")
    delivery = Delivery(inline=InlineSink(), s3=sink)
    entries, details = delivery.deliver(JOB, files, OutputOptions(), None, tmp_path)
    assert [entry.where.type for entry in entries] == ["s3_url"] * 3 + ["base64"] + ["s3_url"] * 4
    assert [entry.width for entry in entries] == list(range(20, 28))
    assert len(details) == 1
    assert "AccessDenied" in details[0]["message"]


def test_storage_down_loses_nothing(server: S3Server, connection: S3Connection, tmp_path: Path) -> None:
    server.go_down()
    files = [output_file(comfy_png(tmp_path / f"{n}.png", 100, 100), index=n) for n in range(6)]
    sink = S3Sink(connection, retry_limit_s=0.1)
    delivery = Delivery(inline=InlineSink(), s3=sink, disk=DiskSink(tmp_path / "volume"), inline_limit_bytes=100_000)
    entries, details = delivery.deliver(JOB, files, OutputOptions(), None, tmp_path)
    assert len(entries) == len(details) == 6
    kept = [entry for entry in entries if entry.original or entry.where.type == "file"]
    assert kept
    assert len(list((tmp_path / "volume").rglob("*.png"))) == len(kept)


def test_a_bucket_of_the_requests_own(server: S3Server, small: OutputFile, tmp_path: Path) -> None:
    server.create_bucket("theirs")
    config = S3Config(server.url, ACCESS_KEY_ID, SECRET_ACCESS_KEY, bucket_name="theirs", prefix="x/y")
    delivery = Delivery(inline=InlineSink(), s3_factory=RequestBuckets())
    delivery.check(OutputOptions(delivery="s3"), config)
    entries, details = delivery.deliver(JOB, [small], OutputOptions(), config, tmp_path)
    assert server.keys("theirs") == ["x/y/job-1/Ünï ☃.png"]
    assert requests.get(entries[0].where.data, timeout=30).content == small.path.read_bytes()
    assert details == []


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (S3Config("https://minio", "id", "secret"), "s3Config.bucketName"),
        (S3Config("https://minio/pics", "", "secret"), "s3Config.accessId missing"),
        (S3Config("minio/pics", "id", "secret"), "s3Config.endpointUrl"),
        (S3Config("https://minio/pics", "id", "secret", bucket_name="other"), "leave one of them out"),
        (S3Config("https://minio/pics", "id", "secret", region="a b"), "s3Config.region"),
        (S3Config("https://minio/pics", "id", "secret", prefix="../up"), "prefix"),
    ],
)
def test_a_requests_bucket_that_cannot_be_is_refused_before_the_run(config: S3Config, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        Delivery(inline=InlineSink(), s3_factory=RequestBuckets()).check(OutputOptions(), config)


def test_a_requests_endpoint_can_be_refused_by_address() -> None:
    def refuse(host: str, port: int) -> list[str]:
        raise InputUrlRefused(f"{host}:{port} is private")

    with pytest.raises(InvalidInput, match=r"10\.0\.0\.1:80 is private"):
        RequestBuckets(resolve=refuse)(S3Config("http://10.0.0.1/pics", "id", "secret"))


def test_objects_are_read_in_chunks(connection: S3Connection, sink: S3Sink, video: OutputFile) -> None:
    sink.put(JOB, video)
    chunks = list(connection.open_object("outputs", "job-1/clip.mp4"))
    assert b"".join(chunks) == video.path.read_bytes()
    assert max(map(len, chunks)) <= MIB


@pytest.mark.parametrize(("bucket", "says"), [("outputs", "NoSuchKey"), ("nowhere", "NoSuchBucket")])
def test_an_object_that_is_not_there(connection: S3Connection, bucket: str, says: str) -> None:
    with pytest.raises(InputNotFound, match=says):
        connection.open_object(bucket, "gone.png")


def test_connections_alike_share_a_client(server: S3Server, connection: S3Connection) -> None:
    again = connect(server.url, ACCESS_KEY_ID, SECRET_ACCESS_KEY, "other", read_timeout_s=20)
    assert again.client is connection.client
    assert connect(server.url, "else", SECRET_ACCESS_KEY, "other", read_timeout_s=20).client is not connection.client


def test_boto3_is_loaded_by_the_first_upload_and_not_before() -> None:
    program = """
import sys
from api.outputs.delivery import Delivery
from api.outputs.s3 import S3Sink
from api.s3 import connect
S3Sink(connect("https://minio/pics", "id", "secret"))
assert not {"boto3", "botocore"} & set(sys.modules)
"""
    root = Path(__file__).resolve().parents[3]
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, cwd=root)


def test_shared_inputs_lie_apart_by_job_until_they_are_removed(
    server: S3Server, connection: S3Connection, tmp_path: Path
) -> None:
    path = noise(tmp_path / "in", 1000)
    file = InputFile("sub/in.png", path, "image/png", 1000, hashlib.sha256(path.read_bytes()).hexdigest())
    shared = SharedInputs(connection, "/kept/outputs")
    url = shared.put(JOB, file)
    assert requests.get(url, timeout=10).content == path.read_bytes()
    shared.put(JobId("../../job"), file)
    keys = server.keys()
    assert len(keys) == 2 and all(key.startswith("kept/outputs/inputs/") and ".." not in key for key in keys)
    shared.remove(JOB, [file])
    assert len(server.keys()) == 1 and requests.get(url, timeout=10).status_code == 404
    shared.remove(JOB, [file])  # again is no harm
    server.refuse_keys("inputs/")
    with capture_logs() as logs:
        shared.remove(JobId("../../job"), [file])
    (told,) = [entry for entry in logs if entry["log_level"] == "warning"]
    assert "AccessDenied" in told["error"] and SECRET_ACCESS_KEY not in str(logs)
