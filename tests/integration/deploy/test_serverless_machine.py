"""The worker in RunPod's serverless mode as a machine of ComfyUI Deploy: the handler takes its input and reports."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from support.deploy_process import DeployProcess
from support.http_server import HttpServer
from support.standin_process import StandinProcess
from support.waiting import wait_for

from api import wiring
from api.settings import Settings
from api.standin.deploy.account import known_id

INPAINT, TEXT2IMG = known_id("version 1 of Inpaint SDXL (v2)"), known_id("version 1 of text2img")


class Platform:
    """Takes jobs as RunPod does; the test runs them."""

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        assert dict(scope["headers"])[b"authorization"] == b"Bearer runpod-key" and scope["path"] == "/v2/endpoint/run"
        self.jobs.append({"id": "job", **json.loads(body)})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"id": "job", "status": "IN_QUEUE"}'})


@pytest.fixture(scope="module")
def deploy() -> Iterator[DeployProcess]:
    with DeployProcess() as process:
        yield process


@pytest.fixture(scope="module")
def services(deploy: DeployProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[wiring.Services]:
    scratch = tmp_path_factory.mktemp("worker")
    host = (urlsplit(deploy.url).netloc,)
    with StandinProcess() as comfyui:
        made = wiring.build(
            Settings(
                comfy_host=comfyui.url,
                work_dir=scratch / "work",
                comfy_run_dir=scratch,
                webhook_allowed_hosts=host,
                input_url_allowed_hosts=host,
            )
        )
        yield made
        made.close()


@pytest.fixture(scope="module")
def platform(deploy: DeployProcess) -> Iterator[Platform]:
    app = Platform()
    with HttpServer(app) as server:
        endpoint = f"{server.url}/v2/endpoint"
        body = {"name": "pod", "type": "runpod-serverless", "endpoint": endpoint, "auth_token": "runpod-key"}
        deploy.api("POST", "/machine/custom", json=body).raise_for_status()
        yield app


def begun(deploy: DeployProcess, platform: Platform, version: str, inputs: dict[str, Any]) -> tuple[str, Any]:
    """A run at ComfyUI Deploy, and the job that RunPod has of it."""
    machine = next(row["id"] for row in deploy.api("GET", "/machines").json() if row["name"] == "pod")
    body = {"workflow_version_id": version, "machine_id": machine, "inputs": inputs}
    answer = deploy.api("POST", "/run", json=body)
    assert answer.status_code == 200, answer.text
    return f"/run/{answer.json()['run_id']}", platform.jobs[-1]


def test_a_run(deploy: DeployProcess, services: wiring.Services, platform: Platform, tmp_path: Path) -> None:
    path, job = begun(deploy, platform, TEXT2IMG, {"prompt": "a dog", "width": 40, "height": 24})
    result = services.handler(job)
    assert result["images"][0]["filename"] == "out_00001_.png"
    # Told when the handler returns: nothing of the worker may run after that.
    run = deploy.api("GET", path).json()
    assert run["status"] == "success"
    url = run["outputs"][0]["data"]["images"][0]["url"]
    assert requests.get(url, timeout=10).content[16:24] == (40).to_bytes(4) + (24).to_bytes(4)
    assert job["input"]["cd_token"] not in json.dumps(result)


def test_a_run_that_fails(deploy: DeployProcess, services: wiring.Services, platform: Platform) -> None:
    path, job = begun(deploy, platform, INPAINT, {"prompt": "x", "image": f"{deploy.url}/files/nothing.png"})
    result = services.handler(job)
    assert result["code"] == "INPUT_NOT_FOUND"
    run = wait_for(lambda: deploy.api("GET", path).json(), "the run")
    assert run["status"] == "failed" and run["outputs"][0]["data"]["error"]["error_type"] == "INPUT_NOT_FOUND"


def test_a_run_that_cannot_be_read(deploy: DeployProcess, services: wiring.Services, platform: Platform) -> None:
    path, job = begun(deploy, platform, INPAINT, {"prompt": "x"})
    assert services.handler(job)["code"] == "INVALID_INPUT"
    # Nobody else would tell, and the run would be waited for until its time is over.
    run = deploy.api("GET", path).json()
    assert run["status"] == "failed" and "image" in run["outputs"][0]["data"]["error"]["message"]
