"""Our client of ComfyUI Deploy, at the stand-in: what it reads, what it repeats, what it makes of failures."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from support import scripted_site
from support.authority import make_authority
from support.deploy_process import KEY, QUICK, DeployProcess, client_of
from support.ports import free_port
from support.waiting import wait_for

from api import deploy_errors
from api import errors as tree
from api.comfydeploy.address import base_url
from api.comfydeploy.client import DeployClient
from api.comfydeploy.rows import Deployment, Machine, RunState
from api.comfydeploy.transport import Policy, Transport
from api.jobs.cancel import CancelToken
from api.standin.deploy.account import known_id

TEXT2IMG = known_id("deployment of text2img on gpu-a as production")
ONCE = Policy(attempts=1, timeout_s=0.3, total_s=5)


@pytest.fixture(scope="module")
def deploy() -> Iterator[DeployProcess]:
    with DeployProcess() as process:
        yield process


@pytest.fixture(autouse=True)
def healthy(deploy: DeployProcess) -> Iterator[None]:
    yield
    deploy.healthy()


@pytest.fixture(scope="module")
def client(deploy: DeployProcess) -> DeployClient:
    return client_of(deploy)


def ended(client: DeployClient, run_id: str) -> RunState:
    return wait_for(lambda: (run := client.run(run_id)).has_ended and run, "the run's end")


@pytest.mark.parametrize(
    ("given", "prefix", "expected"),
    [
        ("https://api.comfydeploy.com", "/api", "https://api.comfydeploy.com/api"),
        ("https://api.comfydeploy.com/", "/api", "https://api.comfydeploy.com/api"),
        ("https://api.comfydeploy.com/api", "/api", "https://api.comfydeploy.com/api"),
        (" https://api.comfydeploy.com/api// ", "api/", "https://api.comfydeploy.com/api"),
        ("http://10.0.0.5:3011/deploy", "/api", "http://10.0.0.5:3011/deploy/api"),
        ("http://10.0.0.5:3011/myapi", "/api", "http://10.0.0.5:3011/myapi/api"),
        ("http://10.0.0.5:3011/x", "", "http://10.0.0.5:3011/x"),
    ],
)
def test_the_prefix_is_settled_by_rule(given: str, prefix: str, expected: str) -> None:
    assert base_url(given, prefix) == expected


@pytest.mark.parametrize("wrong", ["api.comfydeploy.com", "ftp://x", "https://u:p@x", "https://x?a=b", "https://"])
def test_addresses_that_are_none(wrong: str) -> None:
    with pytest.raises(tree.InvalidSettings):
        base_url(wrong)


def test_what_the_account_has(client: DeployClient) -> None:
    assert [row["name"] for row in client.workflows()] == [
        "text2img",
        "Inpaint SDXL (v2)",
        "4x Upscale",
        "portrait_batch",
        "Untitled Workflow",
    ]
    machines = [Machine.of(row) for row in client.machines()]
    assert {machine.name: machine.trouble for machine in machines} == {
        "gpu-a": None,
        "gpu-b": None,
        "gpu-broken": "its status is error",
        "own-box": None,
    }
    found = {each.id: each for each in map(Deployment.of, client.deployments())}
    # A fluid one is hidden unless asked for.
    assert {each.workflow_name for each in found.values()} >= {"4x Upscale", "text2img"} and len(found) == 5
    text = found[TEXT2IMG]
    assert [each.name for each in text.inputs if each.is_required] == ["prompt"]
    assert text.inputs[1].minimum == 0 and text.inputs[-1].options == ("euler", "dpmpp_2m")
    version = client.workflow(text.workflow_id)["versions"][0]
    assert version["id"] == text.version_id and "workflow_api" in version


def test_a_run_and_its_picture(client: DeployClient) -> None:
    run = ended(client, client.queue_deployment(TEXT2IMG, {"prompt": "a dog", "width": 32}))
    assert run.status == "success" and run.progress == 1
    (image,) = run.outputs[0]["data"]["images"]
    assert requests.get(image["url"], timeout=10).content.startswith(b"\x89PNG")
    assert next(iter(client.runs_of(str(run.workflow_id), 1)))["id"] == run.id


def test_a_version_runs_on_the_machine_that_is_named(client: DeployClient) -> None:
    machine = known_id("machine gpu-b")
    run_id = client.queue_version(known_id("version 1 of text2img"), machine, {"prompt": "x"})
    assert client.run(run_id).machine_id == machine


def test_a_cancel(client: DeployClient, deploy: DeployProcess) -> None:
    deploy.fault(hold_runs=True)
    run_id = client.queue_deployment(TEXT2IMG, {})
    client.cancel(run_id)
    assert client.run(run_id).status == "cancelled"
    with pytest.raises(deploy_errors.DeployRefused):
        client.cancel("00000000-0000-0000-0000-000000000000")


def test_uploads(client: DeployClient, tmp_path: Path) -> None:
    picture = tmp_path / "a"
    picture.write_bytes(b"\x89PNG and so on")
    url = client.upload(picture, "a.png")
    assert requests.get(url, timeout=10).content == b"\x89PNG and so on"
    with pytest.raises(deploy_errors.DeployRefused, match="Unsupported file type"):
        client.upload(picture, "a.txt", "text/plain")


def test_a_cancel_ends_an_upload_on_its_way(tmp_path: Path) -> None:
    picture, cancel, over = tmp_path / "a.png", CancelToken(), threading.Event()
    picture.write_bytes(bytes(30_000_000))
    read: list[bytes] = []

    def slowly() -> None:
        connection, _ = server.accept()
        with connection:
            while not over.wait(0.01) and (piece := connection.recv(65536)):
                read.append(piece)
                cancel.cancel()

    with socket.create_server(("127.0.0.1", 0)) as server:
        reader = threading.Thread(target=slowly)
        reader.start()
        try:
            with pytest.raises(tree.JobCancelled):
                client = DeployClient(Transport(f"http://127.0.0.1:{server.getsockname()[1]}", "key"))
                client.upload(picture, "a.png", cancel=cancel)
        finally:
            over.set()
            reader.join()
    assert sum(map(len, read)) < 15_000_000
    assert b"\r\nContent-Length: 30000" in read[0]


def test_lists_come_in_pages_of_any_size(client: DeployClient, deploy: DeployProcess) -> None:
    machines, deployments = client.machines(), client.deployments()
    run_ids = [client.queue_deployment(TEXT2IMG, {}) for _ in range(3)]
    deploy.fault(page_cap=2)
    assert client.machines() == machines and client.deployments() == deployments
    newest = list(client.runs_of(known_id("workflow text2img"), 3))
    assert [row["id"] for row in newest] == run_ids[::-1]


@pytest.mark.parametrize("fault", ["http_500", "http_503", "http_429"])
def test_what_passes_is_waited_for(client: DeployClient, deploy: DeployProcess, fault: str) -> None:
    deploy.fault(**{fault: "/machines:2"}, retry_after=0)
    assert len(client.machines()) == 4
    assert fault not in requests.get(f"{deploy.url}/standin/faults", timeout=10).json()["active"]


def test_what_does_not_pass_has_an_error_of_its_own(client: DeployClient, deploy: DeployProcess) -> None:
    deploy.fault(http_503="/workflows/all")
    with pytest.raises(deploy_errors.DeployUnreachable, match="503"):
        client.workflows()
    deploy.fault(http_503=None, http_429="/workflows/all", retry_after=3600)
    started = time.monotonic()
    with pytest.raises(deploy_errors.DeployBusy) as busy:
        client.workflows()
    # An hour is longer than a request may take: nobody waits for it.
    assert busy.value.retry_after_s == 3600 and time.monotonic() - started < 5


def test_a_limit_may_end_at_a_date(deploy: DeployProcess) -> None:
    deploy.fault(http_429="/machines:1", retry_after="date")
    client = client_of(deploy, clock=lambda: time.time() + 5)
    assert len(client.machines()) == 4


def test_a_run_is_not_queued_twice(client: DeployClient, deploy: DeployProcess) -> None:
    before = len(deploy.log()["runs"])
    deploy.fault(drop_answer=1)
    with pytest.raises(deploy_errors.DeployRunUnknown, match="may have been queued"):
        client.queue_deployment(TEXT2IMG, {})
    deploy.fault(http_503="/run/deployment/queue:1")
    with pytest.raises(deploy_errors.DeployRunUnknown):
        client.queue_deployment(TEXT2IMG, {})
    # Of a limit it is certain that nothing was taken.
    deploy.fault(http_429="/run/deployment/queue:1", retry_after=0)
    client.queue_deployment(TEXT2IMG, {})
    assert len(deploy.log()["runs"]) == before + 2


def test_refusals_say_what_they_are(client: DeployClient, deploy: DeployProcess) -> None:
    with pytest.raises(deploy_errors.DeployNotFound):
        client.run("00000000-0000-0000-0000-000000000000")
    with pytest.raises(tree.InvalidInput) as invalid:
        client.queue_deployment("zzz", {})
    assert invalid.value.details[0]["field"] == "deployment.deployment_id"
    deploy.fault(refuse_runs=1)
    with pytest.raises(deploy_errors.DeployRefused, match="Insufficient credits"):
        client.queue_deployment(TEXT2IMG, {})
    stranger = client_of(deploy, "not-the-key-of-anybody")
    with pytest.raises(deploy_errors.DeployRefused, match="COMFY_DEPLOY_API_KEY") as refused:
        stranger.machines()
    assert "not-the-key" not in refused.value.message


def test_answers_are_bounded_and_have_to_make_sense(client: DeployClient, deploy: DeployProcess) -> None:
    deploy.fault(garbage="/machines")
    with pytest.raises(deploy_errors.DeployProtocolError, match="COMFY_DEPLOY_API_URL"):
        client.machines()
    deploy.fault(garbage=None, huge="/workflows/all")
    with pytest.raises(deploy_errors.DeployProtocolError, match="more than"):
        client.workflows()


def test_silence_ends(deploy: DeployProcess) -> None:
    deploy.fault(http_hang="/machines")
    with pytest.raises(deploy_errors.DeployUnreachable, match="too long"):
        client_of(deploy, policy=ONCE).machines()
    nowhere = DeployClient(Transport(f"http://127.0.0.1:{free_port()}/api", KEY, QUICK))
    with pytest.raises(deploy_errors.DeployUnreachable, match="no connection"):
        nowhere.queue_deployment(TEXT2IMG, {})


def test_only_a_certificate_we_refuse_is_sure_to_have_stopped_a_run(deploy: DeployProcess, tmp_path: Path) -> None:
    no_tls = DeployClient(Transport(deploy.url.replace("http:", "https:"), KEY, QUICK))
    with pytest.raises(deploy_errors.DeployRunUnknown, match="TLS failed"):
        no_tls.queue_deployment(TEXT2IMG, {})
    with pytest.raises(deploy_errors.DeployUnreachable, match="TLS failed"):
        no_tls.machines()
    with scripted_site.serving(tls=make_authority("localhost", tmp_path).server) as site:
        stranger = DeployClient(Transport(site.url("", "localhost", "https"), KEY, QUICK))
        with pytest.raises(deploy_errors.DeployUnreachable, match="certificate"):
            stranger.queue_deployment(TEXT2IMG, {})


def test_a_cancel_ends_the_waiting(deploy: DeployProcess) -> None:
    deploy.fault(http_429="/run/", retry_after=8)
    cancel, asked = CancelToken(), threading.Event()
    client = client_of(deploy, on_try=lambda _path, _status, _seconds: asked.set())
    threading.Thread(target=lambda: (asked.wait(10), cancel.cancel())).start()
    with pytest.raises(tree.JobCancelled):
        client.queue_deployment(TEXT2IMG, {}, cancel=cancel)


def test_every_try_is_told_without_ids(deploy: DeployProcess) -> None:
    told: list[tuple[str, int]] = []
    client = client_of(deploy, on_try=lambda path, status, _seconds: told.append((path, status)))
    deploy.fault(http_500="/run/:1")
    with pytest.raises(deploy_errors.DeployNotFound):
        client.run("00000000-0000-0000-0000-000000000000")
    assert told == [("/run/{id}", 500), ("/run/{id}", 404)]
