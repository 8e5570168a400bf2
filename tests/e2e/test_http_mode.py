"""The HTTP API mode as a process: the same result as in the other mode, and jobs that outlive stops and kills."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from support import sample_jobs
from support.api_worker import ApiWorker
from support.ports import free_port
from support.standin_process import StandinProcess
from support.start_script import StartScript
from support.waiting import wait_for
from support.worker_process import ROOT

pytestmark = pytest.mark.e2e

_JOB = sample_jobs.job(
    sample_jobs.inverted(), images={"input.png": sample_jobs.png()}, output_format="webp", metadata="strip"
)


@pytest.fixture
def comfyui() -> Iterator[StandinProcess]:
    with StandinProcess() as standin:
        yield standin


def executions(comfyui: StandinProcess) -> int:
    """How many prompts ComfyUI has executed to their end; nothing interrupts one here."""
    return comfyui.log.count("Prompt executed")


def queued(comfyui: StandinProcess) -> int:
    """How many prompts ComfyUI runs or keeps waiting."""
    queue = requests.get(f"{comfyui.url}/queue", timeout=5).json()
    return len(queue["queue_running"]) + len(queue["queue_pending"])


def started(worker: ApiWorker, job_id: str) -> None:
    wait_for(lambda: worker.status(job_id)["status"] == "running" and _node(worker, job_id), "the node")


def heard(worker: ApiWorker) -> None:
    """Until the signal was taken. A busy machine makes it not ready for other reasons, and two signals into one."""
    wait_for(lambda: worker.get("/readyz?verbose=1").json()["checks"]["serving"] != "ok", "the signal to be heard")


def _node(worker: ApiWorker, job_id: str) -> Any:
    return (worker.status(job_id).get("progress") or {}).get("node_id")


def test_the_result_is_that_of_the_other_mode(comfyui: StandinProcess, tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    job.write_text(json.dumps(_JOB))
    direct = subprocess.run(
        [sys.executable, "-m", "api", "run", str(job)],
        cwd=ROOT,
        env={**os.environ, "COMFY_HOST": comfyui.url, "WORK_DIR": str(tmp_path / "work")},
        capture_output=True,
        check=True,
        timeout=60,
    )
    comfyui.restart()  # nothing of the first run is in its cache
    with ApiWorker(tmp_path, comfyui.url) as worker:
        through_http = worker.ended(worker.submit(_JOB))["result"]
    assert through_http == json.loads(direct.stdout)
    assert through_http["images"][0]["mime_type"] == "image/webp"


def test_the_sdk_is_never_imported(comfyui: StandinProcess, tmp_path: Path) -> None:
    with ApiWorker(tmp_path, comfyui.url, {"PYTHONPROFILEIMPORTTIME": "1"}) as worker:
        worker.ended(worker.submit(_JOB))
        lines = [line for line in worker.process.log.splitlines() if line.startswith("import time:")]
    imported = {line.rsplit("|", 1)[1].strip() for line in lines}
    assert "api.serving" in imported
    assert not [name for name in imported if name.split(".")[0] == "runpod"]


def test_arguments_are_refused_with_the_variables_to_use(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "handler.py", "--port", "9000"],
        cwd=ROOT,
        env={**os.environ, "HTTP_API_MODE": "true", "SQLITE_DB_PATH": str(tmp_path / "jobs.db")},
        capture_output=True,
        check=False,
        text=True,
        timeout=20,
    )
    assert ended.returncode == 1 and "--port 9000" in ended.stderr and "API_PORT" in ended.stderr


def test_a_comfyui_that_never_came_up_is_unhealthy_to_runpods_clients(tmp_path: Path) -> None:
    def workers(word: str) -> bool:
        return bool(worker.get("/v2/any/health").json()["workers"][word] == 1)

    with ApiWorker(tmp_path, f"http://127.0.0.1:{free_port()}", {"COMFY_START_TIMEOUT_S": "0.5"}) as worker:
        wait_for(lambda: workers("unhealthy"), "the end of patience")
        worker.know("COMFY_START_TIMEOUT_S", "60")
        worker.start()
        assert workers("initializing")


def test_after_sigterm_a_running_job_is_finished_and_no_new_one_is_taken(
    comfyui: StandinProcess, tmp_path: Path
) -> None:
    with ApiWorker(tmp_path, comfyui.url) as worker:
        running = worker.submit(sample_jobs.job(sample_jobs.slow(2.0)))
        started(worker, running)
        worker.process.terminate()
        heard(worker)
        assert worker.get("/readyz").status_code == 503
        refused = worker.post("/run", json=_JOB["input"])
        assert (refused.status_code, refused.json()["code"]) == (503, "WORKER_STOPPING")
        assert worker.process.wait() == 0
        worker.start()
        # Not handed back: nobody has had the time to run it again.
        assert worker.status(running)["status"] == "completed"


def test_what_does_not_finish_in_time_is_handed_back_and_followed_by_the_next_worker(
    comfyui: StandinProcess, tmp_path: Path
) -> None:
    with ApiWorker(tmp_path, comfyui.url, {"SHUTDOWN_GRACE_S": "0.5"}) as worker:
        job_id = worker.submit(sample_jobs.job(sample_jobs.slow(4.0)))
        started(worker, job_id)
        worker.process.terminate()
        assert worker.process.wait() == 0
        worker.start()
        assert worker.ended(job_id)["status"] == "completed"
    wait_for(lambda: executions(comfyui) >= 1, "the log")
    assert executions(comfyui) == 1


@pytest.mark.parametrize("seconds", [1.5, 5.0], ids=["finished meanwhile", "still running"])
def test_after_a_kill_the_prompt_is_collected_or_followed_not_rendered_again(
    comfyui: StandinProcess, tmp_path: Path, seconds: float
) -> None:
    with ApiWorker(tmp_path, comfyui.url) as worker:
        job_id = worker.submit(sample_jobs.job(sample_jobs.slow(seconds)))
        started(worker, job_id)
        worker.kill()
        if seconds < 2:
            wait_for(lambda: executions(comfyui) == 1, "the end of the prompt")
        worker.start()
        assert worker.ended(job_id)["status"] == "completed"
    wait_for(lambda: executions(comfyui) >= 1, "the log")
    assert executions(comfyui) == 1


def test_a_kill_before_the_end_is_written_down_renders_nothing_again(comfyui: StandinProcess, tmp_path: Path) -> None:
    with ApiWorker(tmp_path, comfyui.url) as worker:
        job_id = worker.submit(sample_jobs.job(sample_jobs.slow(0.7)))
        started(worker, job_id)
        with closing(sqlite3.connect(worker.database, isolation_level=None)) as backup:
            backup.execute("BEGIN EXCLUSIVE")
            wait_for(lambda: list(tmp_path.rglob(f"{job_id}/result-*.json")), "the result")
            worker.kill()
        worker.start()
        assert worker.ended(job_id)["status"] == "completed"
        wait_for(lambda: requests.get(f"{comfyui.url}/history", timeout=5).json() == {}, "ComfyUI to forget it")
    wait_for(lambda: executions(comfyui) >= 1, "the log")
    assert executions(comfyui) == 1


def test_a_second_signal_ends_it_at_once_and_a_cancel_its_job_in_line(comfyui: StandinProcess, tmp_path: Path) -> None:
    with ApiWorker(tmp_path, comfyui.url) as worker:
        started(worker, job_id := worker.submit(sample_jobs.job(sample_jobs.slow(20.0))))
        worker.post("/queue/pause")
        worker.process.terminate()
        heard(worker)
        worker.process.terminate()
        assert worker.process.wait(5) == 128 + signal.SIGTERM
        assert worker.process.log.count("Asked to stop again") == 1
        worker.start()
        wait_for(lambda: worker.status(job_id)["status"] == "pending", "the job to be in line again")
        assert worker.post(f"/jobs/{job_id}/cancel").ok
        assert worker.status(job_id)["error"] == "cancelled"
        # Nobody has followed the prompt, and it does not run on for nobody.
        wait_for(lambda: not queued(comfyui), "the prompt to be stopped", 5)


def test_it_starts_while_its_database_is_locked_and_goes_on_when_it_is_free(
    comfyui: StandinProcess, tmp_path: Path
) -> None:
    with ApiWorker(tmp_path, comfyui.url) as worker:
        started(worker, job_id := worker.submit(sample_jobs.job(sample_jobs.slow(0.5))))
        worker.kill()
        with closing(sqlite3.connect(worker.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            worker.start()
            # What waits for the database keeps nobody waiting who only reads.
            assert worker.status(job_id)["status"] == "running"
            other.execute("COMMIT")
        assert worker.ended(job_id)["status"] == "completed"
        assert executions(comfyui) == 1
        assert "Traceback" not in worker.process.log


def test_a_job_that_kills_comfyui_is_given_up_and_takes_no_other_down(tmp_path: Path) -> None:
    deadly, harmless = sample_jobs.job(sample_jobs.chain(6)), sample_jobs.job(sample_jobs.flat())
    with (
        StandinProcess(faults={"kill_during": 5}) as comfyui,
        restarted(comfyui),
        ApiWorker(tmp_path, comfyui.url) as worker,
    ):
        jobs = [worker.submit(job) for job in (deadly, harmless)]
        given_up, done = (worker.ended(job_id, timeout_s=60) for job_id in jobs)
        assert done["status"] == "completed"
        assert given_up["status"] == "failed"
        assert given_up["code"] == "COMFY_DIED"
        assert "ended while the job was executing node 5. This was run 3 of 3" in given_up["error"]
        assert worker.ended(worker.submit(sample_jobs.job(sample_jobs.flat(7))))["status"] == "completed"


@contextmanager
def restarted(comfyui: StandinProcess) -> Iterator[None]:
    """Start ComfyUI again, as faulty as before, whenever it has died."""
    over = threading.Event()

    def supervise() -> None:
        while not over.wait(0.1):
            if not comfyui.is_running and not over.wait(0.6):  # none starts at once
                comfyui.restart(faults={"kill_during": 5})

    supervisor = threading.Thread(target=supervise)
    supervisor.start()
    try:
        yield
    finally:
        over.set()
        supervisor.join()


def test_start_sh_serves_it(tmp_path: Path) -> None:
    port = free_port()
    environment = {"HTTP_API_MODE": "true", "API_HOST": "127.0.0.1", "API_PORT": str(port), "COMFY_STANDIN": "true"}
    script = StartScript(tmp_path, **environment, SQLITE_DB_PATH=str(tmp_path / "jobs.db"), WORKER_ROOT=str(ROOT))
    with script:
        wait_for(lambda: _answer(f"http://127.0.0.1:{port}/readyz"), "the API and its ComfyUI", timeout_s=40)
        result = requests.post(f"http://127.0.0.1:{port}/v2/any/runsync", json=_JOB, timeout=30).json()
        assert result["status"] == "COMPLETED", result
        script.signal(signal.SIGTERM)
        assert script.status() == 0


def _answer(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False
