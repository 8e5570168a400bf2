"""`python handler.py` away from RunPod: one local job, the SDK's local API, and the plain `handler` function."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support import sample_jobs
from support.ports import free_port
from support.runpod_platform import RunpodPlatform
from support.standin_process import StandinProcess
from support.waiting import wait_for
from support.worker_process import ROOT, WorkerProcess

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def standin() -> Iterator[StandinProcess]:
    with StandinProcess() as process:
        yield process


def _output(worker: WorkerProcess) -> dict[str, Any]:
    """The result that a worker printed as its last line."""
    result: dict[str, Any] = json.loads(worker.stdout.splitlines()[-1])
    return result


def test_the_test_job_in_the_folder_is_run_and_told(standin: StandinProcess, tmp_path: Path) -> None:
    shutil.copy(ROOT / "test_input.json", tmp_path)
    with WorkerProcess({"COMFY_HOST": standin.url}, cwd=tmp_path) as worker:
        assert worker.wait() == 0
        log = worker.log
    assert "local_test completed successfully" in log
    assert "sunset" in log


def test_a_job_on_the_command_line_is_run(standin: StandinProcess, tmp_path: Path) -> None:
    text = json.dumps({"id": "by-hand", **sample_jobs.job(sample_jobs.flat())})
    with WorkerProcess({"COMFY_HOST": standin.url}, arguments=["--test_input", text], cwd=tmp_path) as worker:
        assert worker.wait() == 0
        assert "by-hand completed successfully" in worker.log


def test_a_job_is_run_on_one_of_several(standin: StandinProcess, tmp_path: Path) -> None:
    shutil.copy(ROOT / "test_input.json", tmp_path)
    with WorkerProcess({"COMFY_HOST": f"{standin.url},127.0.0.1:9"}, cwd=tmp_path) as worker:
        assert worker.wait() == 0
        assert "local_test completed successfully" in worker.log


def test_the_command_line_runs_it_on_one_of_several_too(standin: StandinProcess, tmp_path: Path) -> None:
    hosts = {**os.environ, "COMFY_HOST": f"{standin.url},127.0.0.1:9"}
    command = [sys.executable, "-m", "api", "run", str(ROOT / "test_input.json")]
    done = subprocess.run(command, cwd=ROOT, env=hosts, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["images"]


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    shown = subprocess.run(
        f"{sys.executable} -m api openapi | head -c 10",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (len(shown.stdout), shown.stderr) == (10, "")


def test_a_local_job_that_fails_exits_with_1(standin: StandinProcess, tmp_path: Path) -> None:
    text = json.dumps({"input": {"workflow": {"1": sample_jobs.node("NoSuchNode")}}})
    with WorkerProcess({"COMFY_HOST": standin.url}, arguments=["--test_input", text], cwd=tmp_path) as worker:
        assert worker.wait() == 1
        assert "NoSuchNode" in worker.log


def test_without_a_comfyui_it_says_so_and_exits_with_1(tmp_path: Path) -> None:
    shutil.copy(ROOT / "test_input.json", tmp_path)
    nobody = {"COMFY_HOST": "127.0.0.1:9", "COMFY_API_AVAILABLE_MAX_RETRIES": "3"}
    with WorkerProcess(nobody, cwd=tmp_path) as worker:
        assert worker.wait() == 1
        log = worker.log
    assert "The ComfyUI at http://127.0.0.1:9 cannot be used" in log
    assert "COMFY_HOST" in log
    assert "Traceback" not in log


def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with WorkerProcess({"WORKER_CONCURRENCY": "many"}, cwd=tmp_path) as worker:
        assert worker.wait() == 1
        assert "WORKER_CONCURRENCY" in worker.log
        assert "Traceback" not in worker.log


def test_the_local_api_gives_what_the_handler_gives(standin: StandinProcess, tmp_path: Path) -> None:
    port = free_port()
    arguments = ["--rp_serve_api", "--rp_api_host", "127.0.0.1", "--rp_api_port", str(port)]
    job = _comparable_job()
    with WorkerProcess({"COMFY_HOST": standin.url}, arguments=arguments, cwd=tmp_path) as worker:
        wait_for(lambda: _listens(port), f"the local API\n{worker.log}", 20)
        served = requests.post(f"http://127.0.0.1:{port}/runsync", json=job, timeout=30).json()

    assert served["status"] == "COMPLETED"
    assert _comparable(served["output"]) == _comparable(_by_function(standin, job))


def test_the_function_gives_what_the_worker_posts(standin: StandinProcess) -> None:
    job = _comparable_job()
    with (
        RunpodPlatform(hold_s=1.0) as platform,
        WorkerProcess({"COMFY_HOST": standin.url, **platform.env()}),
    ):
        posted = platform.result(platform.submit(job))

    assert _comparable(posted["output"]) == _comparable(_by_function(standin, job))


def _comparable_job() -> dict[str, Any]:
    # Without the metadata, which holds the job's own file names, the picture's bytes are the same each time.
    images = {"input.png": sample_jobs.png()}
    return sample_jobs.job(sample_jobs.inverted(), images=images, metadata="strip", force=True)


def _comparable(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key != "timings_s"}


def _by_function(standin: StandinProcess, job: dict[str, Any]) -> dict[str, Any]:
    """What `from handler import handler` answers in a process of its own."""
    code = f"import handler, json; print(json.dumps(handler.handler(json.loads({json.dumps(job)!r}))))"
    with WorkerProcess({"COMFY_HOST": standin.url}, command=["-c", code]) as worker:
        assert worker.wait() == 0, worker.log
        return _output(worker)


def _listens(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/docs", timeout=5).ok
    except requests.ConnectionError:
        return False
