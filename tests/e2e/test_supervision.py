"""A worker beside the ComfyUI (a stand-in) that start.sh keeps: a stuck one is restarted, and jobs get reasons."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support import sample_jobs
from support.start_script import StartScript
from support.waiting import wait_for

from api import wiring
from api.jobs.cancel import CancelToken
from api.jobs.events import JobEvent, NodeStarted
from api.settings import Settings


@pytest.fixture
def script(tmp_path: Path) -> Iterator[StartScript]:
    with StartScript(tmp_path, COMFY_STANDIN="true") as running:
        wait_for(running.object_info, "the stand-in")
        yield running


@pytest.fixture
def services(script: StartScript, tmp_path: Path) -> Iterator[wiring.Services]:
    settings = Settings(
        comfy_host=f"127.0.0.1:{script.port}",
        comfy_run_dir=script.run_dir,
        comfy_root=script.comfy_root,
        work_dir=tmp_path / "work",
        comfy_cancel_grace_s=1,
        comfy_stall_s=1,
        comfy_unreachable_grace_s=10,
    )
    services = wiring.build(settings)
    yield services
    services.close()


def fault(script: StartScript, **faults: Any) -> None:
    requests.post(f"http://127.0.0.1:{script.port}/standin/faults", json=faults, timeout=10).raise_for_status()


def test_a_prompt_that_ignores_its_cancel_costs_comfyui_a_restart(
    script: StartScript, services: wiring.Services
) -> None:
    fault(script, ignore_interrupt=True)
    before = script.comfyui_pid()
    token = CancelToken()

    def cancel_it(event: JobEvent) -> None:
        if isinstance(event, NodeStarted):
            token.cancel()

    result = services.handler(sample_jobs.job(sample_jobs.slow(60)), cancel_it, token)
    assert result["code"] == "CANCELLED"
    wait_for(lambda: script.comfyui_pid() not in {None, before}, "another ComfyUI")
    assert len(services.handler(sample_jobs.job(sample_jobs.flat()))["images"]) == 1


def test_a_dead_worker_thread_is_found_and_the_job_runs_on_a_fresh_comfyui(
    script: StartScript, services: wiring.Services
) -> None:
    before = script.comfyui_pid()
    fault(script, dead_worker=1)
    result = services.handler(sample_jobs.job(sample_jobs.flat()))
    assert "error" not in result, result
    assert script.comfyui_pid() != before


def test_a_silent_end_of_the_worker_thread_costs_no_job(script: StartScript, services: wiring.Services) -> None:
    """A SystemExit in a node: no line in the log, only the thread is gone."""
    before = script.comfyui_pid()
    fault(script, silent_death=1)
    result = services.handler(sample_jobs.job(sample_jobs.flat()))
    assert "error" not in result, result
    assert script.comfyui_pid() != before


def test_a_node_that_says_nothing_for_long_is_left_alone(script: StartScript, services: wiring.Services) -> None:
    before = script.comfyui_pid()
    fault(script, silent_node=6)
    assert len(services.handler(sample_jobs.job(sample_jobs.flat()))["images"]) == 1
    assert script.comfyui_pid() == before


def test_a_job_that_kills_comfyui_each_time_is_failed_with_the_reason(
    script: StartScript, services: wiring.Services
) -> None:
    killed: list[int] = []

    def kill_it(event: JobEvent) -> None:
        if isinstance(event, NodeStarted) and event.class_type == "StandinSleep":
            killed.append(script.comfyui_pid() or 0)
            os.kill(killed[-1], signal.SIGKILL)

    result = services.handler(sample_jobs.job(sample_jobs.slow(60)), kill_it)
    assert (result["code"], len(set(killed))) == ("COMFY_DIED", 2), result
    (detail,) = result["details"]
    assert (detail["code"], detail["node_id"]) == ("killed", "2")
    assert "SIGKILL" in result["error"]
    assert detail["log_tail"]
    assert len(services.handler(sample_jobs.job(sample_jobs.flat()))["images"]) == 1


def test_the_files_of_a_job_are_removed_where_comfyuis_folder_is_seen(
    script: StartScript, services: wiring.Services
) -> None:
    (script.comfy_root / "output").mkdir(exist_ok=True)
    seen = wiring.build(services.settings)
    try:
        assert len(seen.handler(sample_jobs.job(sample_jobs.flat()))["images"]) == 1
        seen.cleaner.settle()
        assert not list((script.comfy_root / "output").rglob("*.png"))
    finally:
        seen.close()


def test_a_living_comfyui_is_not_blamed_for_old_log_lines(script: StartScript, services: wiring.Services) -> None:
    """Another job ran out of memory earlier; this one only loses its history."""
    failing = sample_jobs.flat(0x31)
    failing["5"] = sample_jobs.node("StandinFail", image=["1", 0], message="CUDA out of memory", kind="RuntimeError")
    failing["6"] = sample_jobs.node("SaveImage", images=["5", 0], filename_prefix="never")
    assert services.handler(sample_jobs.job(failing))["code"] == "OUT_OF_VRAM"
    fault(script, lose_history=1)
    result = services.handler(sample_jobs.job(sample_jobs.flat(0x32)))
    assert "error" not in result, result
