"""Every example that callers of the management surface have copied runs as it stands; only the port differs."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support import sample_jobs
from support.api_process import ApiProcess
from support.exposed import value
from support.standin_process import ROOT, StandinProcess
from support.waiting import wait_for

pytestmark = pytest.mark.e2e
TEXT = (ROOT / "tests" / "data" / "http_api" / "management.md").read_text()
(PYTHON,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
BROWSER, NODE = re.findall(r"```javascript\n(.*?)```", TEXT, re.DOTALL)
SHELL = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
KEY = "your-api-key"
YOURS = "        # Your ComfyUI workflow JSON\n"


class Management(ApiProcess):
    """A worker that also listens on a port of its own for this surface."""

    def __init__(self, standin: StandinProcess, **environment: str) -> None:
        ports = {"MANAGEMENT_API_PORT": "0", "MANAGEMENT_API_HOST": "127.0.0.1"}
        super().__init__({"COMFY_HOST": standin.url, "MANAGEMENT_RATE_LIMIT": "off", **ports, **environment})

    @property
    def management_url(self) -> str:
        def second() -> str:
            urls = [json.loads(line)["url"] for line in self.log.splitlines() if '"event": "Listening"' in line]
            return urls[1] if len(urls) > 1 else ""

        return wait_for(second, "the second port")

    def here(self, example: str) -> str:
        return example.replace("localhost:9090", self.management_url.removeprefix("http://"))

    def submit(self, workflow: dict[str, Any]) -> str:
        answer = requests.post(
            f"{self.url}/v1/comfyui/workflow", json={"workflow": workflow}, headers={"X-API-Key": KEY}, timeout=10
        )
        return str(answer.json()["workflowId"])


@pytest.fixture(scope="module")
def standin() -> Iterator[StandinProcess]:
    with StandinProcess() as standin:
        yield standin


@pytest.fixture(scope="module")
def api(standin: StandinProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Management]:
    models = tmp_path_factory.mktemp("checkpoints")
    (models / "model-name.safetensors").write_bytes(b"0123456789")
    settings = {"MANAGEMENT_API_KEY": KEY, "COMFYUI_MODELS_CHECKPOINTS": str(models)}
    with Management(standin, **settings) as api:
        yield api


@pytest.fixture(scope="module")
def open_api(standin: StandinProcess) -> Iterator[Management]:
    """Without a key: the examples of the stream send none."""
    with Management(standin) as api:
        yield api


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `ws` package the examples ask for."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no node")
    folder = tmp_path_factory.mktemp("node")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), "ws@8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    if done.returncode != 0:
        pytest.skip(f"ws cannot be installed: {done.stderr[-300:]}")
    return folder


def ran(command: list[str], **options: Any) -> str:
    """What the command prints."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def shell(example: str, api: Management) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(ran(["bash", "-c", api.here(example)]))
    return body


def started_with(start: str) -> str:
    (example,) = [text for text in SHELL if text.startswith(start)]
    return example


def test_submit_and_look_with_curl(api: Management) -> None:
    body = shell(started_with("curl -X POST"), api)
    assert list(body) == ["workflowId", "status", "queuePosition"]
    assert (body["status"], body["queuePosition"]) == ("queued", 0)
    look = started_with("curl http://localhost:9090/v1/comfyui/workflow/").replace(
        "your-workflow-id", str(body["workflowId"])
    )
    # The example's workflow has no output, so it cannot succeed.
    found = wait_for(lambda: (told := shell(look, api))["completionTime"] and told, "the end")
    assert list(found) == [
        *("workflowId", "status", "progress", "currentNode"),
        *("startTime", "completionTime", "outputs", "error"),
    ]
    assert (found["status"], found["outputs"]) == ("failed", []) and isinstance(found["error"], str)
    assert abs(found["completionTime"] - time.time() * 1000) < 60_000


def test_list_models_with_curl(api: Management) -> None:
    (model,) = shell(started_with("curl http://localhost:9090/v1/comfyui/models"), api)["models"]
    assert {**model, "hash": None} == {
        "name": "model-name.safetensors",
        "type": "checkpoints",
        "size": 10,
        "hash": None,
    }


def test_cancel_with_curl(api: Management) -> None:
    workflow_id = api.submit(sample_jobs.slow(30))
    body = shell(started_with("curl -X DELETE").replace("your-workflow-id", workflow_id), api)
    assert body == {"workflowId": workflow_id, "status": "cancelled"}


def test_unknown_and_ended_workflows_with_curl(api: Management) -> None:
    example = started_with("curl -X DELETE")
    unknown = shell(example, api)
    assert (unknown["error"], unknown["statusCode"]) == ("Not Found", 404)
    workflow_id = api.submit(sample_jobs.flat(3))
    path = f"{api.url}/v1/comfyui/workflow/{workflow_id}"
    wait_for(lambda: requests.get(path, headers={"X-API-Key": KEY}, timeout=10).json()["completionTime"], "the end")
    ended = shell(example.replace("your-workflow-id", workflow_id), api)
    assert (ended["error"], ended["statusCode"]) == ("Conflict", 409)


def test_the_python_client(api: Management) -> None:
    assert YOURS in PYTHON
    workflow = "".join(f"        {key!r}: {node!r},\n" for key, node in sample_jobs.flat(11).items())
    printed = ran([sys.executable, "-c", api.here(PYTHON.replace(YOURS, workflow))])
    assert re.search(r"^Workflow submitted: [0-9a-f-]{36}$", printed, re.MULTILINE)
    assert "Status: completed - Progress: 100%" in printed
    assert printed.rstrip().endswith("Workflow finished!")


def test_the_stream_in_node(open_api: Management, node_modules: Path) -> None:
    workflow_id = open_api.submit(sample_jobs.slow(2, color=0xA1))
    script = open_api.here(NODE).replace("your-workflow-id", workflow_id)
    printed = ran(["node", "-e", script], cwd=node_modules)
    assert printed.startswith("Connected to ComfyUI stream\n")
    assert re.search(r"^Progress: \d+%$", printed, re.MULTILINE)
    assert printed.endswith("Workflow completed!\nDisconnected from ComfyUI stream\n")


def test_a_failure_in_node(open_api: Management, node_modules: Path) -> None:
    workflow_id = open_api.submit({"1": sample_jobs.node("NoSuchNode")})
    script = open_api.here(NODE).replace("your-workflow-id", workflow_id)
    done = subprocess.run(
        ["node", "-e", script], cwd=node_modules, capture_output=True, text=True, timeout=60, check=True
    )
    assert "Workflow failed: " in done.stderr and "undefined" not in done.stderr
    assert done.stdout.endswith("Disconnected from ComfyUI stream\n")


def test_the_stream_as_browsers_know_it(open_api: Management, node_modules: Path) -> None:
    workflow_id = open_api.submit(sample_jobs.slow(2, color=0xA2))
    example = open_api.here(BROWSER).replace('"uuid"', json.dumps(workflow_id))
    # Node has this class by itself from its release 22 on.
    begin = "globalThis.WebSocket ??= require('ws');"
    end = "ws.addEventListener('message', (event) => { if (event.data.includes('workflow:completed')) ws.close(); });"
    printed = ran(["node", "-e", f"{begin}{example}{end}"], cwd=node_modules)
    assert "type: 'workflow:started'" in printed and "type: 'workflow:progress'" in printed
    assert f"workflowId: '{workflow_id}'" in printed and "type: 'workflow:completed'" in printed


def test_the_stream_with_a_key(api: Management, node_modules: Path) -> None:
    workflow_id = api.submit(sample_jobs.slow(2, color=0xA3))
    script = api.here(NODE).replace("your-workflow-id", workflow_id)
    with_key = script.replace('/v1/comfyui/stream"', f'/v1/comfyui/stream", {{headers: {{"X-API-Key": "{KEY}"}}}}')
    assert with_key != script
    assert "Workflow completed!" in ran(["node", "-e", with_key], cwd=node_modules)
    assert "Workflow completed!" not in ran(["node", "-e", script], cwd=node_modules)


def test_the_addresses_for_operators(api: Management) -> None:
    for base in (api.url, api.management_url):
        assert requests.get(f"{base}/v1/status", timeout=10).status_code == 401
        for path in ("/metrics", "/health", "/docs", "/openapi.json"):
            assert requests.get(base + path, timeout=10).status_code == 200
    status = requests.get(f"{api.url}/v1/status", headers={"X-API-Key": KEY}, timeout=10).json()
    assert (status["status"], status["queueLength"], status["gpus"]) == ("healthy", 0, ["local"])
    document = requests.get(f"{api.url}/openapi.json", timeout=10).json()
    assert document["components"]["securitySchemes"]["ApiKey"]["name"] == "X-API-Key"
    assert "/v1/comfyui/workflow/{workflow_id}" in document["paths"]
    metrics = requests.get(f"{api.url}/metrics", timeout=10).text
    assert value(metrics, "comfyui_workflow_total", status="completed") == status["workflows"]["completed"] > 0
    (instance,) = status["instances"]
    assert value(metrics, "comfyui_instance_up", comfyui=instance["name"]) == 1


def test_no_example_is_left_out() -> None:
    assert len(SHELL) == 4
