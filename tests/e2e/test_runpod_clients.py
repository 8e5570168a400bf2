"""The unmodified official RunPod clients, pointed at a worker of one's own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support import sample_jobs
from support.api_process import ApiProcess
from support.standin_process import ROOT, StandinProcess
from support.webhook_receiver import receiving

pytestmark = pytest.mark.e2e
KEY = "rpa_OWN_KEY"


@pytest.fixture(scope="module")
def api() -> Iterator[ApiProcess]:
    settings = {"API_KEY": KEY, "WORKER_CONCURRENCY": "1", "WEBHOOK_ALLOW_PRIVATE": "true"}
    with StandinProcess() as standin, ApiProcess({"COMFY_HOST": standin.url, **settings}) as process:
        yield process


def clients(api: ApiProcess, mode: str, home: Path) -> dict[str, Any]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": f"{ROOT / 'tests'}",
        "RUNPOD_ENDPOINT_BASE_URL": f"{api.url}/v2",
    }
    script = ROOT / "tests" / "support" / "official_clients.py"
    command = [sys.executable, str(script), mode, KEY]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def has_picture(output: Any) -> bool:
    return sample_jobs.pixels(output["images"][0]).size == (64, 64)


def test_the_client_does_all_it_can_do_against_the_cloud(api: ApiProcess, tmp_path: Path) -> None:
    found = clients(api, "sync", tmp_path)
    assert (found["status"], has_picture(found["output"]), has_picture(found["run_sync"])) == ("COMPLETED", True, True)
    assert found["failed"] == "FAILED"
    *progress, result = found["stream"]
    assert result["images"] and all("percent" in chunk for chunk in progress)
    assert set(found["progress"]) >= {"percent", "node_id", "step", "steps"}
    assert found["waiting"] == ["IN_QUEUE", "IN_QUEUE"]
    assert (found["health"]["jobs"]["inQueue"], found["health"]["jobs"]["inProgress"]) == (2, 1)
    assert found["health"]["workers"]["running"] == 1
    assert found["purged"] == {"removed": 2, "status": "completed"}
    assert found["purged status"] == ["CANCELLED", "CANCELLED"]
    assert found["cancel"]["status"] == "CANCELLED"
    assert found["stream of a cancelled job"] == []
    assert found["cancelled"] == "CANCELLED"
    assert found["unknown"].startswith("HTTPError: 404")
    assert found["no job"].startswith("HTTPError: 400")
    assert [error.partition(" |")[0] for error in found["wrong key"]] == ["RuntimeError: 401 Unauthorized"] * 3


def test_the_asyncio_client_too(api: ApiProcess, tmp_path: Path) -> None:
    found = clients(api, "async", tmp_path)
    assert (found["status"], has_picture(found["output"])) == ("COMPLETED", True)
    assert found["stream"][-1]["images"]
    assert found["health"]["jobs"]["inProgress"] == 1
    assert found["purged"] == {"removed": 1, "status": "completed"}
    assert found["purged status"] == "CANCELLED"
    assert found["cancel"]["status"] == "CANCELLED"
    assert found["stream of a cancelled job"] == []


def test_the_webhook_says_what_status_says(api: ApiProcess) -> None:
    headers = {"Authorization": KEY}
    with receiving() as receiver:
        body = {**sample_jobs.job(sample_jobs.flat(2)), "webhook": receiver.url("/done?secret=1")}
        job_id = requests.post(f"{api.url}/v2/any/run", json=body, headers=headers, timeout=10).json()["id"]
        (received,) = receiver.wait()
    told = requests.get(f"{api.url}/v2/any/status/{job_id}", headers=headers, timeout=10).json()
    assert (received.path, json.loads(received.body)) == ("/done?secret=1", told)
    assert told["status"] == "COMPLETED"


def test_the_webhook_of_a_native_job_names_its_outputs(api: ApiProcess) -> None:
    headers = {"Authorization": KEY}
    with receiving() as receiver:
        body = {"workflow": sample_jobs.flat(3), "webhook": receiver.url(), "labels": {"order": "7"}}
        requests.post(f"{api.url}/run", json=body, headers=headers, timeout=10).raise_for_status()
        (received,) = receiver.wait()
    told = json.loads(received.body)
    (output,) = told["data"]["outputs"]
    assert (told["type"], told["data"]["labels"]) == ("job.completed", {"order": "7"})
    picture = requests.get(api.url + output["url"], headers=headers, timeout=10).content
    assert len(picture) == output["size_bytes"] and picture.startswith(b"\x89PNG")
