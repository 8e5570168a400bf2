"""`python -m api.client` as it is typed: what it asks, prints and exits with."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from support.fake_worker import Answer, FakeWorker, sse
from support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]
JOB = "550e8400-e29b-41d4-a716-446655440000"
WORKFLOW = {"3": {"class_type": "KSampler", "inputs": {"seed": 1}}, "6": {"class_type": "X", "inputs": {"text": "a"}}}
DONE = {
    "job_id": JOB,
    "status": "completed",
    "result": {"images": [{"filename": "a.png", "type": "url", "data": f"/output/{JOB}/0"}]},
}
PROGRESS = ("progress", {"percent": 50, "node": "KSampler", "node_id": "3", "step": 4, "steps": 8})
FINISHED = ("finished", {"status": "completed"})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "workflow.json").write_text(json.dumps(WORKFLOW))
    (tmp_path / "a.png").write_bytes(b"picture")
    return tmp_path


def environment(worker: FakeWorker) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    address = {"COMFYUI_WORKER_URL": worker.url, "COMFYUI_WORKER_API_KEY": "k1"}
    return {
        **kept,
        **address,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "PYTHONIOENCODING": "utf-8",
        "TZ": "UTC",
    }


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "api.client", "--retries", "1", *arguments]


def run(worker: FakeWorker, home: Path, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        check=False,
        cwd=home,
        env=environment(worker),
        capture_output=True,
        text=True,
        timeout=60,
        **more,
    )


def ready(worker: FakeWorker) -> None:
    worker.answer("POST", "/run", 202, {"job_id": JOB, "status": "pending"})
    worker.give("GET", f"/events/{JOB}", sse(("snapshot", {"status": "pending", "position": 2}), PROGRESS, FINISHED))
    worker.answer("GET", f"/status/{JOB}", 200, DONE)
    worker.serve_file(f"/output/{JOB}/0", b"result")


def test_submit_runs_follows_and_fetches(worker: FakeWorker, home: Path):
    ready(worker)
    sets = ["--set", "6.text=a cat = nice", "--set", "3.seed=7", "--set", '6.x="7"']
    images = ["--image", "a.png", "--image", "mask.png=a.png", "--image", "far.png=https://example.org/x?a=b"]
    options = ["--priority", "high", "--gpu", "fast", "--out", "made"]
    done = run(worker, home, "submit", "workflow.json", *images, *sets, *options)
    assert (done.returncode, done.stdout) == (0, "made/a.png\n"), done.stderr
    assert (home / "made" / "a.png").read_bytes() == b"result"
    assert done.stderr.splitlines() == [f"job {JOB}", "waiting, 2 ahead", " 50 % KSampler", "completed"]
    (asked,) = worker.asked("POST", "/run")
    assert [(item["name"], item["image"][:8]) for item in asked.json["images"]] == [
        ("a.png", "cGljdHVy"),
        ("mask.png", "cGljdHVy"),
        ("far.png", "https://"),
    ]
    assert asked.json["overrides"] == {"6.text": "a cat = nice", "3.seed": 7, "6.x": "7"}
    assert (asked.json["priority"], asked.json["gpu"], asked.headers["authorization"]) == ("high", "fast", "Bearer k1")


def test_no_wait_prints_the_id_alone(worker: FakeWorker, home: Path):
    ready(worker)
    done = run(worker, home, "submit", "workflow.json", "--no-wait")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{JOB}\n", "")


def test_a_job_file_and_standard_input_are_taken_too(worker: FakeWorker, home: Path):
    ready(worker)
    job = {"input": {"workflow": WORKFLOW, "images": [{"name": "b.png", "image": "eA=="}], "force": True}}
    done = run(worker, home, "submit", "-", "--no-wait", input=json.dumps(job))
    assert done.returncode == 0, done.stderr
    (asked,) = worker.asked("POST", "/run")
    assert asked.json["workflow"] == WORKFLOW
    assert asked.json["images"] == [{"name": "b.png", "image": "eA=="}]
    assert asked.json["force"] is True


def test_a_failed_job_exits_with_1_and_says_why(worker: FakeWorker, home: Path):
    worker.give("GET", f"/events/{JOB}", sse(("finished", {"status": "failed"})))
    worker.answer("GET", f"/status/{JOB}", 200, {"job_id": JOB, "status": "failed", "error": "Node 3 (KSampler): no."})
    done = run(worker, home, "watch", JOB)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"job {JOB} is failed: Node 3 (KSampler): no." in done.stderr
    assert run(worker, home, "status", JOB).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["submit", "missing.json"], "cannot be read"),
        (["submit", "a.png"], "is not"),
        (["submit", "workflow.json", "--image", "no.png"], "there is no file no.png"),
        (["submit", "workflow.json", "--set", "6"], "NODE.INPUT=VALUE"),
        (["--url", "localhost:8000", "health"], "must begin with http"),
        (["frobnicate"], "invalid choice"),
        (["submit", "workflow.json", "--priority", "top"], "invalid choice"),
    ],
)
def test_wrong_usage_exits_with_2(worker: FakeWorker, home: Path, arguments: list[str], told: str):
    done = run(worker, home, *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_an_absent_server_exits_with_3(home: Path):
    with FakeWorker() as worker:
        pass
    done = run(worker, home, "health")
    hint = "Say where the worker is with --url or COMFYUI_WORKER_URL."
    assert (done.returncode, done.stderr) == (3, f"No answer from {worker.url}: connection refused. {hint}\n")


def test_a_refusal_exits_with_4_and_its_findings(worker: FakeWorker, home: Path):
    details = [{"message": "No node class 'X'.", "nearest": ["Y", "Z"]}]
    worker.answer("POST", "/run", 400, {"message": "The workflow is not valid.", "details": details})
    done = run(worker, home, "submit", "workflow.json")
    assert done.returncode == 4
    assert done.stderr == "The workflow is not valid.\n  No node class 'X'. Nearest: Y, Z.\n"


def test_a_wrong_key_names_the_option(worker: FakeWorker, home: Path):
    worker.answer("GET", "/health", 401, {"message": "A valid API key is needed."})
    done = run(worker, home, "health")
    assert done.returncode == 4
    assert done.stderr == "A valid API key is needed.\n  Give the key with --api-key or COMFYUI_WORKER_API_KEY.\n"


def test_comfyui_in_the_place_of_the_worker_is_called_so(worker: FakeWorker, home: Path):
    worker.give("POST", "/run", Answer(405, b"405: Method Not Allowed"))
    worker.answer("GET", "/system_stats", 200, {"system": {"comfyui_version": "0.3.64"}})
    done = run(worker, home, "submit", "workflow.json")
    assert (done.returncode, done.stderr.startswith(f"{worker.url} is ComfyUI itself")) == (4, True), done.stderr


def test_something_else_in_its_place_is_not(worker: FakeWorker, home: Path):
    worker.give("POST", "/run", Answer(405, b"405: Method Not Allowed"))
    assert run(worker, home, "submit", "workflow.json").stderr == "Method Not Allowed (status 405).\n"


def test_address_and_key_may_stand_behind_the_command(worker: FakeWorker, home: Path):
    worker.answer("GET", "/health", 200, {"status": "healthy"})
    away = ["--url", "http://127.0.0.1:9", "--api-key", "wrong"]
    done = run(worker, home, *away, "health", "--url", worker.url, "--api-key", "k2")
    assert done.returncode == 0, done.stderr
    assert worker.asked("GET", "/health")[0].headers["authorization"] == "Bearer k2"


def test_a_wait_that_is_given_up_ends_with_what_the_job_waits_for(worker: FakeWorker, home: Path):
    over = threading.Event()
    worker.give("GET", f"/events/{JOB}", sse(("snapshot", {"status": "pending"}), hold=over))
    worker.answer("GET", f"/status/{JOB}", 200, {"job_id": JOB, "status": "pending"})
    worker.answer("GET", f"/why/{JOB}", 200, {"job_id": JOB, "status": "pending", "why": "The queue is paused."})
    try:
        done = run(worker, home, "watch", JOB, "--wait-timeout", "0.3")
    finally:
        over.set()
    told = ["waiting", "The job has not ended within 0.3 s; it goes on. The queue is paused."]
    assert (done.returncode, done.stderr.splitlines()) == (5, told)


def test_a_running_job_is_being_cancelled(worker: FakeWorker, home: Path):
    worker.answer("POST", f"/jobs/{JOB}/cancel", 200, {"job_id": JOB, "status": "running"})
    assert run(worker, home, "cancel", JOB).stdout == f"job {JOB} is being cancelled\n"


def test_its_files_are_a_package_anywhere(worker: FakeWorker, home: Path):
    (home / "mine").mkdir()
    for file in (ROOT / "api").glob("client*.py"):
        shutil.copy(file, home / "mine")
    worker.answer("GET", "/health", 200, {"status": "healthy"})
    here = {**environment(worker), "PYTHONPATH": str(home)}
    alone = [sys.executable, "-m", "mine.client", "health"]
    done = subprocess.run(alone, check=False, cwd=home, env=here, capture_output=True, text=True, timeout=60)
    assert (done.returncode, json.loads(done.stdout or "{}")) == (0, {"status": "healthy"}), done.stderr


def test_cancel_list_stats_health_validate(worker: FakeWorker, home: Path):
    worker.answer("POST", f"/jobs/{JOB}/cancel", 200, {"job_id": JOB, "status": "cancelled"})
    jobs = [
        {"job_id": JOB, "status": "failed", "created_at": 1704067200.5, "error": "no"},
        {"job_id": "j2", "status": "pending"},
    ]
    worker.answer("GET", "/jobs", 200, {"jobs": jobs, "next": None})
    worker.answer("GET", "/stats", 200, {"total_jobs": 2})
    worker.answer("GET", "/health", 200, {"status": "healthy"})
    worker.answer("POST", "/validate", 200, {"ok": False, "errors": []})
    assert run(worker, home, "cancel", JOB).stdout == f"job {JOB} is cancelled\n"
    assert run(worker, home, "list").stdout == f"{JOB}\tfailed\t2024-01-01 00:00:00+00:00\tno\nj2\tpending\n"
    assert json.loads(run(worker, home, "stats").stdout) == {"total_jobs": 2}
    assert json.loads(run(worker, home, "health").stdout) == {"status": "healthy"}
    assert run(worker, home, "validate", "workflow.json").returncode == 1


def test_runpod_by_option(worker: FakeWorker, home: Path):
    worker.answer("GET", "/v2/ep1/health", 200, {"jobs": {}})
    done = run(worker, home, "--runpod", "ep1", "--url", f"{worker.url}/v2", "--api-key", "rk", "health")
    assert done.returncode == 0, done.stderr
    assert worker.asked("GET", "/v2/ep1/health")[0].headers["authorization"] == "Bearer rk"


@pytest.mark.parametrize("cancels", [False, True])
def test_ctrl_c_leaves_the_job_or_stops_it_as_asked(worker: FakeWorker, home: Path, cancels: bool):
    over = threading.Event()
    worker.answer("POST", "/run", 202, {"job_id": JOB, "status": "pending"})
    worker.give("GET", f"/events/{JOB}", sse(PROGRESS, hold=over))
    worker.answer("POST", f"/jobs/{JOB}/cancel", 200, {"job_id": JOB, "status": "cancelled"})
    more = ["--cancel-on-interrupt"] if cancels else []
    process = subprocess.Popen(
        command("submit", "workflow.json", *more),
        cwd=home,
        env=environment(worker),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: worker.asked("GET", f"/events/{JOB}"), "the client to follow the job")
        assert process.stderr is not None
        while "KSampler" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        _stdout, stderr = process.communicate(timeout=20)
    finally:
        process.kill()
        over.set()
    assert process.returncode == 130
    assert (len(worker.asked("POST", f"/jobs/{JOB}/cancel")) == 1) is cancels
    assert ("is cancelled" if cancels else f"cancel {JOB}") in stderr


def test_on_a_terminal_one_line_moves(worker: FakeWorker, home: Path):
    ready(worker)
    terminal, theirs = pty.openpty()
    try:
        done = subprocess.run(
            command("watch", JOB),
            check=False,
            cwd=home,
            env=environment(worker),
            stdout=subprocess.PIPE,
            stderr=theirs,
            timeout=60,
        )
        drawn = os.read(terminal, 65536).decode()
    finally:
        os.close(terminal)
        os.close(theirs)
    assert done.returncode == 0
    assert "\r\x1b[K[############............]  50 % KSampler 4/8" in drawn
    assert drawn.rstrip("\r\n").count("\n") == 0
