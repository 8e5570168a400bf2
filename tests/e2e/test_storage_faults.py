"""Faults of what outputs are written to: S3 down, slow, refusing; a disk that is full. The picture is never lost."""

import contextlib
import hashlib
import json
import resource
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import DEVNULL, PIPE, run
from typing import Any

import pytest
import requests
from support import sample_jobs
from support.rig import Rig, assert_inverted, nothing_left_behind, open_things, unchecked_rig
from support.s3_server import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, S3Server
from support.standin_process import ROOT, StandinProcess
from support.waiting import wait_for

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def standin() -> Iterator[StandinProcess]:
    with StandinProcess() as process:
        yield process


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as server:
        server.create_bucket()
        yield server


@pytest.fixture
def s3(server: S3Server) -> Iterator[S3Server]:
    yield server
    server.reset()


def _bucket(s3: S3Server, **changed: str) -> dict[str, str]:
    """The settings that send a worker there."""
    return {
        "bucket_endpoint_url": s3.url,
        "bucket_name": "outputs",
        "bucket_region": REGION,
        "bucket_access_key_id": ACCESS_KEY_ID,
        "bucket_secret_access_key": SECRET_ACCESS_KEY,
        **changed,
    }


def _puts(s3: S3Server) -> int:
    return sum(seen.method == "PUT" for seen in s3.requests)


@contextlib.contextmanager
def _rig(standin: StandinProcess, folder: Path, bucket: dict[str, str]) -> Iterator[Rig]:
    # Sockets to S3 are kept for the life of the process: those are counted by a test of their own.
    with nothing_left_behind(kept=frozenset({"socket"})), unchecked_rig(standin, folder, **bucket) as rig:
        yield rig


def test_s3_takes_the_output(standin: StandinProcess, tmp_path: Path, s3: S3Server) -> None:
    with _rig(standin, tmp_path, _bucket(s3)) as rig:
        (image,) = rig.run_uploaded(within_s=20)["images"]
    assert image["type"] == "s3_url"
    fetched = requests.get(image["data"], timeout=10)
    assert fetched.headers["Content-Type"] == "image/png"
    assert hashlib.sha256(fetched.content).hexdigest() == image["sha256"]


def test_sockets_to_s3_do_not_grow_with_the_jobs(standin: StandinProcess, tmp_path: Path, s3: S3Server) -> None:
    with _rig(standin, tmp_path, _bucket(s3)) as rig:
        rig.run_uploaded(within_s=20)
        before = open_things()["socket"]
        for _ in range(5):
            rig.run_uploaded(within_s=20)
        wait_for(lambda: open_things()["socket"] <= before, "no more sockets than after the first job")


def test_s3_that_is_slow_gets_the_output_all_the_same(standin: StandinProcess, tmp_path: Path, s3: S3Server) -> None:
    s3.hold()
    release = threading.Timer(3, s3.release)
    with _rig(standin, tmp_path, _bucket(s3, bucket_timeout_s="20")) as rig:
        release.start()
        (image,) = rig.run_uploaded(within_s=20)["images"]
        release.join()
    assert image["type"] == "s3_url"
    assert _puts(s3) == 1


def test_s3_that_fails_for_a_moment_is_asked_again(standin: StandinProcess, tmp_path: Path, s3: S3Server) -> None:
    s3.fail(2, status=503, code="SlowDown", method="PUT")
    with _rig(standin, tmp_path, _bucket(s3)) as rig:
        (image,) = rig.run_uploaded(within_s=20)["images"]
    assert image["type"] == "s3_url"
    assert _puts(s3) == 3


def test_wrong_keys_give_the_picture_inline_and_say_so(standin: StandinProcess, tmp_path: Path, s3: S3Server) -> None:
    s3.fail(None, status=403, code="InvalidAccessKeyId")
    with _rig(standin, tmp_path, _bucket(s3)) as rig:
        result = rig.run_uploaded(within_s=15)
    assert _puts(s3) == 1
    _is_inline_with_a_word_on_s3(result, "InvalidAccessKeyId")


@pytest.mark.timeout(240)
def test_s3_that_is_down_gives_the_picture_inline_and_says_so(
    standin: StandinProcess, tmp_path: Path, s3: S3Server
) -> None:
    """In all four ways at once, since the worker is patient with each."""
    s3.go_down()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoints = {
            "refuses": "http://127.0.0.1:9",
            "unknown": "http://no-such-host.invalid",
            "hangs-up": s3.url,
            "silent": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }

        def run_on(way: str) -> dict[str, Any]:
            bucket = _bucket(s3, bucket_endpoint_url=endpoints[way])
            with unchecked_rig(standin, tmp_path / way, **bucket) as rig:
                return rig.run_uploaded(within_s=30)

        with nothing_left_behind(kept=frozenset({"socket"})), ThreadPoolExecutor() as pool:
            results = list(pool.map(run_on, endpoints))
    for result in results:
        _is_inline_with_a_word_on_s3(result, "bucket")


def _is_inline_with_a_word_on_s3(result: dict[str, Any], word: str) -> None:
    assert_inverted(result)
    assert result["images"][0]["type"] == "base64"
    assert word in json.dumps(result["errors"])
    assert SECRET_ACCESS_KEY not in json.dumps(result)


# --- a disk that is full: files may only grow to a size that this job's do not fit ---


@pytest.mark.parametrize(
    ("limit_bytes", "input_size"),
    [(32_000, 32), (2_000, 64)],
    ids=["on fetching an output", "on storing an input"],
)
def test_a_full_disk_is_a_clear_error(standin: StandinProcess, limit_bytes: int, input_size: int) -> None:
    job = sample_jobs.job(sample_jobs.enlarged(size=1024), images={"input.png": sample_jobs.noise_png(input_size)})
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "job.json")
        file.write_text(json.dumps(job))
        work_dir = Path(scratch, "work")
        ended = run(
            [sys.executable, "-m", "api", "run", str(file)],
            cwd=ROOT,
            env={"COMFY_HOST": standin.url, "WORK_DIR": str(work_dir), "COMFY_RUN_DIR": scratch},
            stdin=DEVNULL,
            stdout=PIPE,
            text=True,
            timeout=60,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes)),
        )
        result = json.loads(ended.stdout)
        assert ended.returncode == 1
        assert result["code"] == "DISK_FULL", result
        assert "Traceback" not in ended.stdout
        assert list(work_dir.iterdir()) == []
