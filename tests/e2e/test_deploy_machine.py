"""The worker as a machine of ComfyUI Deploy, classic and runpod-serverless: runs come, and are reported."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from support import sample_jobs
from support.api_worker import ApiWorker
from support.deploy_process import DeployProcess
from support.standin_process import StandinProcess
from support.waiting import wait_for

from api.standin.deploy.account import known_id

pytestmark = pytest.mark.e2e

OWN_KEY = "the-key-of-the-worker"
TEXT2IMG, INPAINT = (known_id(f"version 1 of {name}") for name in ("text2img", "Inpaint SDXL (v2)"))


@pytest.fixture(scope="module")
def deploy() -> Iterator[DeployProcess]:
    with DeployProcess() as process:
        yield process


@pytest.fixture(scope="module")
def worker(deploy: DeployProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiWorker]:
    host = urlsplit(deploy.url).netloc
    environment = {"API_KEY": OWN_KEY, "WEBHOOK_ALLOWED_HOSTS": host, "INPUT_URL_ALLOWED_HOSTS": host}
    folder = tmp_path_factory.mktemp("worker")
    with StandinProcess() as comfyui, ApiWorker(folder, comfyui.url, environment) as running:
        running.session.headers["X-API-Key"] = OWN_KEY
        yield running


@pytest.fixture(scope="module", params=["classic", "runpod-serverless"])
def machine(request: pytest.FixtureRequest, deploy: DeployProcess, worker: ApiWorker) -> str:
    """The worker, added as a machine of that type."""
    token = f"user:{OWN_KEY}" if request.param == "classic" else OWN_KEY
    body = {"name": request.param, "type": request.param, "endpoint": worker.url, "auth_token": token}
    return str(deploy.api("POST", "/machine/custom", json=body).json()["id"])


def run_on(deploy: DeployProcess, machine: str, version: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """The run at its end, as ComfyUI Deploy tells it."""
    body = {"workflow_version_id": version, "machine_id": machine, "inputs": inputs}
    answer = deploy.api("POST", "/run", json=body)
    assert answer.status_code == 200, answer.text
    run_id = answer.json()["run_id"]
    path = f"/run/{run_id}"
    found: dict[str, Any] = wait_for(
        lambda: (run := deploy.api("GET", path).json())["ended_at"] and run, "the run's end"
    )
    return found


def test_a_run_is_done_and_reported(deploy: DeployProcess, machine: str) -> None:
    run = run_on(deploy, machine, TEXT2IMG, {"prompt": "a dog", "width": 48, "height": 32})
    assert run["status"] == "success" and run["started_at"] and run["progress"] == 1
    (output,) = run["outputs"]
    assert output["node_meta"] == {"node_id": "9"}
    picture = requests.get(output["data"]["images"][0]["url"], timeout=10).content
    # Width and height, as the inputs have them.
    assert picture.startswith(b"\x89PNG") and picture[16:24] == (48).to_bytes(4) + (32).to_bytes(4)


def test_a_picture_comes_along(deploy: DeployProcess, machine: str) -> None:
    made = run_on(deploy, machine, TEXT2IMG, {"prompt": "x"})
    source = made["outputs"][0]["data"]["images"][0]["url"]
    run = run_on(deploy, machine, INPAINT, {"prompt": "x", "image": source})
    assert run["status"] == "success"
    inverted = requests.get(run["outputs"][0]["data"]["images"][0]["url"], timeout=10).content
    assert inverted != requests.get(source, timeout=10).content


def test_failures_are_reported(deploy: DeployProcess, machine: str) -> None:
    run = run_on(deploy, machine, INPAINT, {"prompt": "x", "image": f"{deploy.url}/files/nothing.png"})
    assert run["status"] == "failed"
    error = run["outputs"][0]["data"]["error"]
    assert error["error_type"] == "INPUT_NOT_FOUND" and "nothing.png" in error["message"]


def test_only_who_has_the_key_may(worker: ApiWorker, deploy: DeployProcess) -> None:
    body = {"prompt_id": "x", "workflow_api_raw": {}}
    path = f"{worker.url}/comfyui-deploy/run"
    assert requests.post(path, json=body, auth=("user", "wrong"), timeout=10).status_code == 401
    assert requests.post(path, json={}, auth=("user", OWN_KEY), timeout=10).status_code == 400


def test_a_run_may_be_stopped_and_asked_after(worker: ApiWorker, deploy: DeployProcess) -> None:
    run_id = "11111111-2222-4333-8444-555555555555"
    body = {"prompt_id": run_id, "workflow_api_raw": sample_jobs.slow(30), "inputs": {}}
    first, again = (worker.post("/comfyui-deploy/run", json=body).json() for _ in range(2))
    # It is sent again when its answer was lost.
    assert first["prompt_id"] == run_id and first["job_id"] == again["job_id"]
    path = f"/comfyui-deploy/check-status?prompt_id={run_id}"
    assert worker.get(path).json()["status"] in {"not-started", "running"}
    assert worker.post("/comfyui-deploy/interrupt", json={"prompt_id": run_id}).ok
    wait_for(lambda: worker.get(path).json()["status"] == "cancelled", "it to stop")
    assert worker.get("/comfyui-deploy/check-status?prompt_id=nothing").status_code == 404


def test_a_run_that_is_cancelled_in_line_is_reported(deploy: DeployProcess, worker: ApiWorker, machine: str) -> None:
    worker.post("/queue/pause").raise_for_status()
    body = {"workflow_version_id": TEXT2IMG, "machine_id": machine, "inputs": {"prompt": "x"}}
    run_id = deploy.api("POST", "/run", json=body).json()["run_id"]
    (job,) = worker.get("/jobs", params={"status": "pending"}).json()["jobs"]
    assert worker.post(f"/jobs/{job['job_id']}/cancel").ok
    run = wait_for(lambda: (run := deploy.api("GET", f"/run/{run_id}").json())["ended_at"] and run, "the run's end")
    assert run is not None and run["status"] == "cancelled"
    worker.post("/queue/resume").raise_for_status()


def test_reports_go_to_no_private_address(worker: ApiWorker) -> None:
    inside = "http://127.0.0.1:9/api"
    body = {
        "prompt_id": "inside",
        "workflow_api_raw": sample_jobs.flat(1),
        "inputs": {},
        "cd_token": "a-token-for-the-run",
    }
    body |= {"status_endpoint": f"{inside}/update-run", "file_upload_endpoint": f"{inside}/file-upload"}
    job_id = worker.post("/comfyui-deploy/run", json=body).json()["job_id"]
    ended = worker.ended(job_id)
    assert ended["status"] == "failed" and "WEBHOOK_ALLOWED_HOSTS" in ended["error"]
    assert "a-token-for-the-run" not in worker.process.log + worker.get(f"/jobs/{job_id}/input").text
