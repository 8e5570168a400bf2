"""/api/jobs and the metrics of a whole worker: the examples people have copied, restarts, kept outputs, the log."""

import json
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import sample_jobs
from support.api_worker import ApiWorker
from support.standin_process import ROOT, StandinProcess
from support.waiting import wait_for

pytestmark = pytest.mark.e2e
EXAMPLES = (ROOT / "tests" / "data" / "http_api" / "middleware_examples.md").read_text()
COMMANDS = re.findall(r"^curl .*$", EXAMPLES, re.MULTILINE)


@pytest.fixture(scope="module")
def standin() -> Iterator[StandinProcess]:
    with StandinProcess() as process:
        yield process


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, standin: StandinProcess) -> Iterator[ApiWorker]:
    with ApiWorker(tmp_path_factory.mktemp("worker"), standin.url) as process:
        yield process


@pytest.fixture(scope="module")
def job_id(worker: ApiWorker) -> str:
    made = worker.submit({"input": {"workflow": sample_jobs.flat(0x102030)}})
    assert worker.ended(made)["status"] == "completed"
    return made


def curl(worker: ApiWorker, end: str, job_id: str = "") -> bytes:
    """What the one example that ends so prints; only the port and the id differ."""
    (command,) = [each for each in COMMANDS if each.endswith(end)]
    command = command.replace("localhost:3000", worker.url.removeprefix("http://")).replace("{job_id}", job_id)
    done = subprocess.run(["bash", "-c", command], check=True, capture_output=True, timeout=30)
    return done.stdout


def told(worker: ApiWorker, end: str, job_id: str = "") -> dict[str, Any]:
    body: dict[str, Any] = json.loads(curl(worker, end, job_id))
    return body


def test_no_example_is_left_out() -> None:
    assert len(COMMANDS) == 8


def test_check_job_status(worker: ApiWorker, job_id: str) -> None:
    body = told(worker, "{job_id}/status", job_id)
    assert (body["job_id"], body["status"], body["progress_percentage"]) == (job_id, "completed", 100)
    names = ("type", "processing_time_seconds", "estimated_remaining_time_seconds", "comfyui_instance")
    assert set(names) <= set(body)


def test_get_completed_result(worker: ApiWorker, job_id: str) -> None:
    assert curl(worker, "{job_id}/result", job_id).startswith(b"\x89PNG\r\n")


def test_check_system_health(worker: ApiWorker) -> None:
    body = told(worker, "/health")
    assert body["status"] == "healthy" and body["timestamp"].endswith("Z")
    assert body["uptime"]["total_uptime_hours"] >= 0
    assert (body["comfyui_instances"]["total"], body["comfyui_instances"]["healthy"]) == (1, 1)
    assert (body["job_processing"]["processor_running"], body["job_processing"]["active_jobs"]) == (True, 0)


def test_view_metrics(worker: ApiWorker, job_id: str) -> None:
    assert told(worker, "/api/metrics")["all_time"]["completed"] >= 1
    assert told(worker, "/api/jobs/stats")["completed"] >= 1
    assert told(worker, "/api/jobs/processor/stats")["processor_running"] is True
    assert told(worker, "/api/metrics/performance")["execute"]["count"] >= 1


def test_force_cleanup(worker: ApiWorker) -> None:
    assert told(worker, "/api/jobs/cleanup")["removed"] == 0


def test_quick_status_of_a_worker_whose_comfyui_is_gone(tmp_path: Path) -> None:
    with ApiWorker(tmp_path, "http://127.0.0.1:9", {"API_KEY": "key"}) as worker:
        answer = worker.get("/status")
        assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
        assert worker.get("/status/metrics").status_code == 401


def test_one_log_line_tells_how_a_job_ended(worker: ApiWorker, job_id: str) -> None:
    def said() -> list[dict[str, Any]]:
        lines = worker.process.log.splitlines()
        return [json.loads(line) for line in lines if job_id in line and line.startswith("{") and line.endswith("}")]

    # The job's end is told first and logged then.
    (line,) = wait_for(lambda: [line for line in said() if line.get("status") == "succeeded"], "the line")
    assert line["message"] == line["event"] == "Job completed successfully"
    assert (line["level"], line["service"], line["component"]) == ("info", "comfyui-worker", "job-processor")
    assert (line["jobId"], line["jobType"], line["job_id"]) == (job_id, "workflow", job_id)
    assert line["processingDuration"] >= 0 and line["resultSize"] > 0
    assert line["instance"] == worker.get(f"/api/jobs/{job_id}/status").json()["comfyui_instance"]
    assert "Job finished" not in {line["event"] for line in said()}


def test_a_job_that_ends_in_line_has_a_line_as_well(worker: ApiWorker) -> None:
    worker.post("/queue/pause")
    try:
        assert "The queue is paused" in told(worker, "/health")["warnings"][0]
        waiting = worker.submit({"input": {"workflow": sample_jobs.flat(0x405060)}})
        worker.post(f"/jobs/{waiting}/cancel")
    finally:
        worker.post("/queue/resume")
    lines = [json.loads(line) for line in worker.process.log.splitlines() if waiting in line and "cancelled" in line]
    assert [(line["event"], line["job_id"], line["code"]) for line in lines] == [
        ("Job cancelled", waiting, "CANCELLED")
    ]


def kept(worker: ApiWorker) -> int:
    """Jobs that the database has counted."""
    database = sqlite3.connect(f"file:{worker.database}?mode=ro", uri=True)
    try:
        rows = database.execute("SELECT data FROM job_ends WHERE hour = 0").fetchall()
    finally:
        database.close()
    return sum(sum(json.loads(data)["by_status"].values()) for (data,) in rows)


def run(worker: ApiWorker, *colors: int) -> None:
    for color in colors:
        worker.ended(worker.submit({"input": {"workflow": sample_jobs.slow(0.3, color)}}))


def test_metrics_and_what_was_learned_outlast_a_crash(tmp_path: Path, standin: StandinProcess) -> None:
    with ApiWorker(tmp_path, standin.url, {"METRICS_SAVE_INTERVAL": "100"}) as worker:
        run(worker, 1, 2, 3)
        wait_for(lambda: kept(worker) == 3, "the metrics to be saved")
        worker.kill()
        worker.start()
        body = worker.get("/api/metrics").json()
        assert (body["all_time"]["completed"], body["performance"]["execute"]["count"]) == (3, 3)
        wait_for(lambda: worker.get("/readyz").ok, "ComfyUI")
        expected_s = worker.post("/validate", json={"workflow": sample_jobs.slow(0.3, 4)}).json()["expected_s"]
        assert 0.28 < expected_s < 2.0  # a busy machine is slower, never quicker


@pytest.mark.parametrize("in_file", [pytest.param(False, marks=pytest.mark.drill), True])
def test_what_was_counted_is_saved_on_the_way_out(tmp_path: Path, standin: StandinProcess, in_file: bool) -> None:
    path = tmp_path / "deep" / "metrics.json"
    with ApiWorker(tmp_path, standin.url, {"METRICS_FILE_PATH": str(path)} if in_file else {}) as worker:
        run(worker, 5)
        worker.process.terminate()
        assert worker.process.wait() == 0
        assert kept(worker) == (0 if in_file else 1)
        assert path.exists() is in_file
        worker.start()
        run(worker, 6)
        wait_for(lambda: worker.get("/api/metrics").json()["all_time"]["completed"] == 2, "both jobs to be counted")


def test_kept_outputs_outlast_their_jobs(tmp_path: Path, standin: StandinProcess) -> None:
    folder = tmp_path / "kept"
    with ApiWorker(tmp_path, standin.url, {"OUTPUT_FILES": "true", "OUTPUT_DIR": str(folder)}) as worker:
        job_id = worker.submit({"input": {"workflow": sample_jobs.flat(0x111111), "output_format": "webp"}})
        worker.ended(job_id)
        picture = worker.get(f"/api/jobs/{job_id}/result").content
        assert worker.session.delete(f"{worker.url}/api/jobs/{job_id}", timeout=10).ok
        (path,) = [path for path in folder.rglob("*") if path.is_file()]
        assert re.fullmatch(r"\d{4}-\d\d-\d\d/[0-9a-f-]{36}/flat_00001_\.webp", str(path.relative_to(folder)))
        assert path.parent.name == job_id and path.read_bytes() == picture


def test_a_running_job_says_how_long_it_will_take(worker: ApiWorker, standin: StandinProcess) -> None:
    for color, seconds in ((11, 0.3), (12, 0.6), (13, 0.9)):
        worker.ended(worker.submit({"input": {"workflow": sample_jobs.slow(seconds, color)}}))
    first = worker.submit({"input": {"workflow": sample_jobs.slow(3.0, 14)}})
    second = worker.submit({"input": {"workflow": sample_jobs.slow(2.0, 15)}})

    def info(job_id: str) -> dict[str, Any]:
        body: dict[str, Any] = worker.get(f"/api/jobs/{job_id}/info").json()
        return body

    wait_for(lambda: info(first)["progress_percentage"] >= 30, "some progress")
    now, behind = info(first), info(second)
    # Both are sizes it has never seen: those it has took 0.6 s. A busy machine is slower, never quicker.
    assert 1.0 < now["remaining_seconds"] < 9.0
    assert behind["remaining_seconds"] > now["remaining_seconds"] + 0.3
    assert worker.get(f"/api/jobs/{first}/result").status_code == 409
    for job_id in (second, first):
        worker.post(f"/jobs/{job_id}/cancel")
        worker.ended(job_id)
