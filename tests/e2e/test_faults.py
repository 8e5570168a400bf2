"""Faults of ComfyUI on real processes: the right result or a clear error, in bounded time, and nothing left behind.

The worker runs inside the test process, so that leaked threads, sockets and files can be counted (support/rig.py).
"""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet
from support import sample_jobs
from support.rig import Rig, assert_inverted, nothing_left_behind, rigged, supervised, unchecked_rig
from support.standin_process import StandinProcess
from support.waiting import wait_for

from api.jobs.cancel import CancelToken

pytestmark = pytest.mark.e2e

AWAY = {"COMFY_UNREACHABLE", "COMFY_NOT_STARTED", "COMFY_DIED", "PROMPT_LOST"}


def drill(value: Any) -> ParameterSet:
    """One of several alike: those beside it show the same sooner."""
    return pytest.param(value, marks=pytest.mark.drill)


def _name(value: Any) -> str | None:
    return "-".join(f"{name}={setting}" for name, setting in value.items()) if isinstance(value, dict) else ""


@pytest.fixture
def standin() -> Iterator[StandinProcess]:
    with StandinProcess() as process:
        yield process


@pytest.fixture
def rig(standin: StandinProcess, tmp_path: Path) -> Iterator[Rig]:
    with rigged(standin, tmp_path) as rig:
        yield rig


@pytest.fixture(scope="module")
def lasting() -> Iterator[StandinProcess]:
    """For tests after which it is as good as new."""
    with StandinProcess() as process:
        yield process


@pytest.fixture
def steady(lasting: StandinProcess, tmp_path: Path) -> Iterator[Rig]:
    lasting.clear_faults()
    with rigged(lasting, tmp_path) as rig:
        yield rig


# --- what passes: the right result ---

PASSING = [
    {"http_500": "/prompt:1"},
    {"http_500": "/queue:1"},
    {"http_500": "/queue"},
    {"http_500": "/history:1"},
    {"http_500": "/view:1"},
    {"http_500": "/upload/image:1"},
    {"accept_then_500": 1},
    {"drop_prompt_answer": 1},
    {"truncate_view": "60:1"},
    {"late_history": 400},
    {"lose_history": 1},
    {"stalled_socket": True},
    {"http_delay": 50},
]


@pytest.mark.parametrize("faults", PASSING, ids=_name)
def test_a_fault_that_passes_costs_no_job(steady: Rig, faults: dict[str, Any]) -> None:
    steady.fault(**faults)
    assert_inverted(steady.run_uploaded(within_s=20))
    steady.standin.clear_faults()
    assert_inverted(steady.run_uploaded(within_s=5))


def test_a_cached_output_whose_file_is_gone_is_made_again(rig: Rig) -> None:
    """The same job id means the same file names, so ComfyUI has nothing to do and names the file of the first run."""
    assert rig.run(sample_jobs.flat(), within_s=10, job_id="twice")["images"]
    (file,) = rig.standin.output_dir.rglob("*.png")
    file.unlink()
    (image,) = rig.run(sample_jobs.flat(), within_s=10, job_id="twice")["images"]
    assert sample_jobs.shows(image, (0xC0, 0xFF, 0xEE))


@pytest.mark.parametrize("times", [1, drill(2), drill(3), drill(4), 5])
def test_the_socket_drops_while_a_job_runs(steady: Rig, times: int) -> None:
    steady.fault(slow_execute=120, drop_socket_times=times, drop_socket_after=6)
    result = steady.run(sample_jobs.chain(15, color=times), within_s=20)
    assert [image["node_id"] for image in result["images"]] == ["17"]
    steady.standin.clear_faults()
    assert steady.run(sample_jobs.flat(), within_s=5)["images"]


def test_the_socket_is_deaf_after_it_was_lost(rig: Rig) -> None:
    rig.fault(slow_execute=120, deaf_socket=True, drop_socket_after=6)
    assert rig.run(sample_jobs.chain(10), within_s=20)["images"]
    assert rig.run(sample_jobs.flat(), within_s=10)["images"]


def test_the_whole_process_stands_still_for_a_while(rig: Rig) -> None:
    rig.fault(slow_execute=200)
    rig.fault(freeze=4)
    assert rig.run(sample_jobs.chain(5), within_s=25)["images"]


# --- what stays: a clear error, and the worker goes on afterwards ---

STAYING = [
    ({"http_500": "/prompt"}, {"COMFY_PROTOCOL_ERROR"}),
    ({"http_500": "/history"}, {"COMFY_PROTOCOL_ERROR"}),
    ({"http_500": "/view"}, {"COMFY_PROTOCOL_ERROR", "OUTPUT_UNAVAILABLE"}),
    ({"http_500": "/upload/image"}, {"COMFY_PROTOCOL_ERROR"}),
    ({"truncate_view": 60}, {"COMFY_UNREACHABLE", "OUTPUT_UNAVAILABLE"}),
    ({"view_404": True}, {"OUTPUT_UNAVAILABLE"}),
    ({"lose_history": True}, {"PROMPT_LOST"}),
    ({"dead_worker": 1}, {"COMFY_WEDGED"}),
    ({"oom": 1}, {"OUT_OF_VRAM"}),
    ({"disk_full": 1}, {"EXECUTION_FAILED"}),
]


@pytest.mark.parametrize(("faults", "codes"), STAYING, ids=_name)
def test_a_fault_that_stays_is_a_clear_error(rig: Rig, faults: dict[str, Any], codes: set[str]) -> None:
    assert rig.run(sample_jobs.flat(), within_s=10)["images"]
    rig.fault(**faults)
    result = rig.run_uploaded(within_s=60)
    assert result.get("code") in codes, result
    assert result["error"]
    assert not result.get("images")
    rig.standin.restart()
    assert_inverted(rig.run_uploaded(within_s=20))


ENDPOINTS = ("/prompt", "/queue", "/history", "/view", "/upload/image")


def _run_hanging(standin: StandinProcess, endpoint: str, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    with unchecked_rig(standin, folder) as rig:
        assert_inverted(rig.run_uploaded(within_s=20))
        rig.fault(http_hang=endpoint)
        failed = rig.run(sample_jobs.inverted("b.png"), within_s=30, images={"b.png": sample_jobs.png((1, 2, 3))})
        rig.standin.clear_faults()
        return failed, rig.run(sample_jobs.flat(), within_s=20)


@pytest.mark.drill
@pytest.mark.timeout(240)
def test_an_endpoint_that_hangs_is_a_clear_error(tmp_path: Path) -> None:
    """All endpoints at once, each with a stand-in of its own: their time-outs are long."""
    with contextlib.ExitStack() as stack:
        standins = [stack.enter_context(StandinProcess()) for _ in ENDPOINTS]
        folders = [tmp_path / str(number) for number in range(len(ENDPOINTS))]
        with nothing_left_behind(), ThreadPoolExecutor(len(ENDPOINTS)) as pool:
            results = dict(zip(ENDPOINTS, pool.map(_run_hanging, standins, ENDPOINTS, folders), strict=True))
    for endpoint, (failed, after) in results.items():
        # The queue is asked only when the socket is silent: then the job may not need it at all.
        unharmed = endpoint == "/queue" and len(failed.get("images", [])) == 1
        assert unharmed or failed.get("code") in AWAY, (endpoint, failed)
        assert len(after["images"]) == 1, (endpoint, after)


# --- ComfyUI dies ---

DEATHS = [drill({"kill_before": True}), {"kill_during": 2}, drill({"kill_during": 8}), drill({"kill_after": True})]


@pytest.mark.parametrize("faults", DEATHS, ids=_name)
def test_comfyui_dies_and_comes_back(rig: Rig, faults: dict[str, Any]) -> None:
    """Its queue and history are gone; the job is run again."""
    rig.fault(**faults, slow_execute=50)
    with supervised(rig.standin):
        result = rig.run(sample_jobs.chain(8), within_s=30)
    assert "error" not in result, result
    assert len(result["images"]) == 1


@pytest.mark.parametrize("faults", DEATHS, ids=_name)
def test_comfyui_dies_and_stays_away(rig: Rig, faults: dict[str, Any]) -> None:
    rig.fault(**faults, slow_execute=50)
    result = rig.run(sample_jobs.chain(8), within_s=30)
    assert result.get("code") in AWAY, result
    assert result["retryable"] is True
    rig.standin.restart()
    assert rig.run(sample_jobs.flat(), within_s=20)["images"]


def test_a_job_that_kills_comfyui_each_time_is_given_up(rig: Rig) -> None:
    rig.fault(kill_during=3)
    with supervised(rig.standin, {"kill_during": 3}):
        result = rig.run(sample_jobs.chain(8), within_s=40)
    assert result.get("code") in AWAY, result


def test_comfyui_is_killed_between_two_jobs(rig: Rig) -> None:
    assert_inverted(rig.run_uploaded(within_s=10))
    rig.standin.restart()
    assert_inverted(rig.run_uploaded(within_s=20))


def test_comfyui_dies_while_an_output_is_fetched(rig: Rig) -> None:
    """The files are on its disk, its history is gone: the job is run again."""
    rig.fault(http_hang="/view:1")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(rig.run_uploaded, 40)
        wait_for(lambda: "http_hang" not in rig.standin.faults(), "the fetch of the output")
        rig.standin.restart()
        assert_inverted(running.result())


# --- cancelled and timed out ---


def test_a_cancel_frees_comfyui_at_once(rig: Rig) -> None:
    cancel = CancelToken()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(rig.run, sample_jobs.slow(60), 10, cancel=cancel)
        wait_for(rig.busy, "the prompt runs")
        cancel.cancel()
        wait_for(lambda: not rig.busy(), "the prompt is interrupted", 2.0)
        assert running.result()["code"] == "CANCELLED"


def test_a_job_over_its_time_limit_is_stopped(rig: Rig) -> None:
    result = rig.run(sample_jobs.slow(60), 10, timeout_s=1)
    assert result["code"] == "TIMED_OUT"
    wait_for(lambda: not rig.busy(), "the prompt is interrupted", 2.0)


def test_a_cancel_that_comfyui_ignores_ends_the_job_after_the_grace(rig: Rig) -> None:
    rig.fault(ignore_interrupt=True)
    result = rig.run(sample_jobs.slow(30), 15, timeout_s=1)
    assert result["code"] == "TIMED_OUT"


def test_a_cancel_ends_the_wait_for_a_comfyui_that_is_away(standin: StandinProcess, tmp_path: Path) -> None:
    standin.kill()
    cancel = CancelToken()
    with rigged(standin, tmp_path, comfy_start_timeout_s=60) as rig, ThreadPoolExecutor(1) as pool:
        running = pool.submit(rig.run, sample_jobs.flat(), 10, cancel=cancel)
        cancel.cancel()
        assert running.result()["code"] == "CANCELLED"
