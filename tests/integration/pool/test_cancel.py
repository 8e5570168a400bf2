"""A cancel, whatever its reason, ends at once what the job waits for."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support import sample_jobs
from support.standin_process import StandinProcess
from support.waiting import wait_for

from api import wiring
from api.errors import WorkerError, WorkerStopping
from api.jobs.cancel import CancelToken
from api.settings import Settings

PICTURE = sample_jobs.png((200, 30, 60))


@pytest.fixture
def standin() -> Iterator[StandinProcess]:
    with StandinProcess() as process:
        yield process


@pytest.fixture
def services(standin: StandinProcess, tmp_path: Path) -> Iterator[wiring.Services]:
    """With patience: what ends here early was cut."""
    settings = Settings(
        comfy_host=standin.url,
        work_dir=tmp_path / "work",
        comfy_run_dir=tmp_path,
        comfy_read_timeout_s=60,
        comfy_start_timeout_s=60,
        comfy_unreachable_grace_s=60,
    )
    services = wiring.build(settings)
    yield services
    services.close()


def cancelled(services: wiring.Services, ready: Any, reason: WorkerError | None = None) -> tuple[dict[str, Any], float]:
    """The result of a job that is cancelled when it is `ready`, and how long it took from there."""
    token = CancelToken()
    job = sample_jobs.job(sample_jobs.inverted(), images={"input.png": PICTURE})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(services.handler, job, cancel=token)
        wait_for(ready, "the job to wait")
        begun = time.monotonic()
        token.cancel(reason)
        return running.result(50), time.monotonic() - begun


@pytest.mark.parametrize("endpoint", ["/view", "/upload/image", "/prompt", "/queue", "/history"])
def test_a_request_that_hangs_is_cut(standin: StandinProcess, services: wiring.Services, endpoint: str) -> None:
    services.handler(sample_jobs.job(sample_jobs.flat()))
    if endpoint == "/queue":
        standin.set_fault("slow_execute", 2000)  # else nobody asks
    standin.set_fault("http_hang", f"{endpoint}:1")
    result, seconds = cancelled(services, lambda: "http_hang" not in standin.faults())
    assert result["code"] == "CANCELLED", result
    assert seconds < 6


def test_a_worker_that_stops_hands_its_job_back_at_once(standin: StandinProcess, services: wiring.Services) -> None:
    services.handler(sample_jobs.job(sample_jobs.flat()))
    standin.set_fault("http_hang", "/view:1")
    reason = WorkerStopping("The worker is shutting down.")
    result, seconds = cancelled(services, lambda: "http_hang" not in standin.faults(), reason)
    assert result["code"] == "WORKER_STOPPING"
    assert seconds < 3


def test_the_wait_for_a_comfyui_that_hangs_is_cut(standin: StandinProcess, services: wiring.Services) -> None:
    standin.set_fault("http_hang", "/prompt:1")
    result, seconds = cancelled(services, lambda: "http_hang" not in standin.faults())
    assert result["code"] == "CANCELLED"
    assert seconds < 3


def test_the_wait_for_a_comfyui_that_went_away_is_cut(standin: StandinProcess, services: wiring.Services) -> None:
    services.handler(sample_jobs.job(sample_jobs.flat()))
    standin.set_fault("http_hang", "/upload/image:1")

    def gone() -> bool:
        if "http_hang" in standin.faults():
            return False
        standin.kill()
        return True

    result, seconds = cancelled(services, gone)
    assert result["code"] == "CANCELLED"
    assert seconds < 3


def test_the_time_limit_does_not_throw_away_what_is_finished(standin: StandinProcess, tmp_path: Path) -> None:
    """It is for the execution: fetching the outputs may take longer."""
    settings = Settings(comfy_host=standin.url, work_dir=tmp_path / "work", comfy_run_dir=tmp_path)
    services = wiring.build(settings)
    try:
        services.handler(sample_jobs.job(sample_jobs.flat(1)))
        standin.set_fault("http_delay", 400)
        result = services.handler(sample_jobs.job(sample_jobs.flat(2), timeout_s=0.3))
    finally:
        services.close()
    assert "error" not in result, result
    assert len(result["images"]) == 1
