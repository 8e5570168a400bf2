"""ComfyUI Deploy as a target: where a run goes, what it is given, how it is followed and ended, what comes of it."""

import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.deploy_process import KEY, QUICK, DeployProcess, client_of
from support.http_server import HttpServer
from support.waiting import wait_for

from api import deploy_errors
from api import errors as tree
from api.comfydeploy import build as building
from api.comfydeploy.address import base_url
from api.comfydeploy.build import Deploy
from api.comfydeploy.catalog import Catalog
from api.comfydeploy.client import DeployClient
from api.comfydeploy.transport import Transport
from api.ids import InstanceName, JobId, PromptId
from api.jobs.cancel import CancelToken
from api.jobs.events import JobEvent, NodeStarted, ProgressMade, PromptAssigned, PromptStarted
from api.jobs.ports import Attempt, InputFile, RunOutcome, RunRequest
from api.jobs.request import DeploymentSpec
from api.standin.deploy.account import known_id
from api.workflows.naming import standardize_workflow_name

TEXT2IMG = known_id("deployment of text2img on gpu-a as production")
GPU_A, GPU_B, BROKEN = (known_id(f"machine {name}") for name in ("gpu-a", "gpu-b", "gpu-broken"))
NAME = InstanceName("deploy")
PICTURED = {"prompt": "x", "image": "http://x/y.png"}


@pytest.fixture(scope="module")
def deploy() -> Iterator[DeployProcess]:
    with DeployProcess() as process:
        yield process


@pytest.fixture(autouse=True)
def healthy(deploy: DeployProcess) -> Iterator[None]:
    yield
    deploy.healthy()
    # Those that were left would take the faults of the next test.
    deploy.cancel_runs()


class Rig:
    """The target without a job layer; its webhooks come to a server of ours unless `webhooks` is off."""

    def __init__(self, deploy: DeployProcess, webhook_url: str | None = None, **options: Any) -> None:
        client = DeployClient(Transport(base_url(deploy.url), KEY, QUICK))
        catalog = Catalog(client, 60.0, standard=standardize_workflow_name)
        more = {"poll_s": 0.02, "patience_s": 0.3, **options}
        self.deploy: Deploy = building.build(client, catalog, webhook_url=webhook_url, **more)
        self.events: list[JobEvent] = []
        self.hear: Callable[[JobEvent], None] = lambda _event: None
        self.cancel = CancelToken()

    def run(self, folder: Path, spec: DeploymentSpec, **fields: Any) -> RunOutcome:
        request = RunRequest(JobId(str(uuid.uuid4())), {}, "folder", deployment=spec, **fields)
        workdir = folder / uuid.uuid4().hex
        workdir.mkdir()
        return self.deploy.target.run(request, workdir, self._emit, self.cancel)

    def _emit(self, event: JobEvent) -> None:
        self.events.append(event)
        self.hear(event)

    def assigned(self) -> list[PromptId]:
        return [event.prompt_id for event in self.events if isinstance(event, PromptAssigned)]


@pytest.fixture
def rig(deploy: DeployProcess) -> Rig:
    return Rig(deploy)


def prompted(**fields: Any) -> DeploymentSpec:
    return DeploymentSpec(**{"deployment_id": TEXT2IMG, "inputs": {"prompt": "a dog"}, **fields})


def runs(deploy: DeployProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = deploy.log()["runs"]
    return found


def test_a_deployment_runs_to_its_picture(rig: Rig, deploy: DeployProcess, tmp_path: Path) -> None:
    outcome = rig.run(tmp_path, prompted(gpu="A10G"), facts=True)
    (file,) = outcome.files
    assert file.path.read_bytes().startswith(b"\x89PNG") and file.filename == "out_00001_.png"
    assert (file.node_id, file.key, file.mime_type) == ("9", "images", "image/png")
    assert outcome.failure is None and outcome.facts["machine"] == "gpu-a"
    (run,) = [run for run in runs(deploy) if run["id"] == outcome.facts["prompt_id"]]
    assert run["workflow_inputs"] == {"prompt": "a dog"} and run["gpu"] == "A10G"
    marker, run_id = rig.assigned()
    # What is kept before the run exists, and what it is called then.
    assert marker.startswith("cd-") and run_id == run["id"]
    percents = [event.percent for event in rig.events if isinstance(event, ProgressMade)]
    assert percents == sorted(percents) and percents[-1] == 100
    assert any(isinstance(event, PromptStarted) for event in rig.events)


def machine_of(deploy: DeployProcess, rig: Rig) -> str:
    return next(str(run["machine_id"]) for run in runs(deploy) if run["id"] == rig.assigned()[-1])


@pytest.mark.parametrize(
    ("fields", "label", "machine"),
    [
        ({"name": "text2img", "deployment_id": ""}, None, GPU_A),
        ({"name": "Text2Img v3", "deployment_id": ""}, None, GPU_A),
        # The deployment bound to the machine …
        ({"machine_id": GPU_B}, None, GPU_B),
        ({"machine_id": "gpu-b"}, None, GPU_B),
        ({}, "gpu-b", GPU_B),
        # … else the version on it.
        ({"name": "inpaint-sdxl", "deployment_id": "", "inputs": PICTURED}, "gpu-b", GPU_B),
        ({"workflow_version_id": known_id("version 1 of text2img"), "deployment_id": ""}, None, GPU_A),
        # Nothing is deployed: the workflow's own machine, the inputs from its graph.
        ({"workflow_id": known_id("workflow Untitled Workflow"), "deployment_id": "", "inputs": {}}, None, GPU_A),
    ],
)
def test_where_a_run_goes(
    rig: Rig, deploy: DeployProcess, tmp_path: Path, fields: dict[str, Any], label: str | None, machine: str
) -> None:
    rig.run(tmp_path, prompted(**fields), label=label)
    assert machine_of(deploy, rig) == machine


def test_routing_rules_say_where(deploy: DeployProcess, tmp_path: Path) -> None:
    asked: list[str] = []

    def route(workflow: str, _job_id: JobId) -> str:
        asked.append(workflow)
        return "gpu-b"

    rig = Rig(deploy, route=route)
    rig.run(tmp_path, prompted())
    assert machine_of(deploy, rig) == GPU_B and asked == ["text2img"]
    rig.run(tmp_path, prompted(machine_id="gpu-a"))
    assert machine_of(deploy, rig) == GPU_A and len(asked) == 1


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"machine_id": "gpu-broken"}, deploy_errors.DeployMachineUnfit, "gpu-broken"),
        ({"name": "portrait_batch", "deployment_id": ""}, deploy_errors.DeployMachineUnfit, "its status is error"),
        ({"machine_id": "nowhere"}, deploy_errors.DeployNotFound, "nowhere"),
        ({"deployment_id": "nothing"}, deploy_errors.DeployNotFound, "nothing"),
        ({"inputs": {}}, tree.InvalidInput, "prompt is missing"),
        ({"inputs": {"prompt": "x", "promt": "y"}}, tree.InvalidInput, "promt is no input"),
    ],
)
def test_nothing_runs_elsewhere_instead(
    rig: Rig, deploy: DeployProcess, tmp_path: Path, fields: dict[str, Any], error: type[Exception], said: str
) -> None:
    before = len(runs(deploy))
    with pytest.raises(error, match=said):
        rig.run(tmp_path, prompted(**fields))
    assert len(runs(deploy)) == before


def test_files_are_uploaded_once(rig: Rig, deploy: DeployProcess, tmp_path: Path) -> None:
    picture = tmp_path / "in.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n and more")
    file = InputFile("photos/in.png", picture, "image/png", 20, "0")
    spec = prompted(
        deployment_id="", name="Inpaint SDXL (v2)", inputs={"prompt": "photos/in.png", "image": "photos/in.png"}
    )
    rig.run(tmp_path, spec, files=(file,))
    inputs = next(run["workflow_inputs"] for run in runs(deploy) if run["id"] == rig.assigned()[-1])
    assert inputs["image"].startswith(f"{deploy.url}/files/inputs/")
    # A text stays a text, whatever it is like.
    assert inputs["prompt"] == "photos/in.png"


def held(rig: Rig, deploy: DeployProcess, tmp_path: Path, **fields: Any) -> tuple[threading.Thread, list[Any]]:
    """A run that is held half done, in a thread; what it came to."""
    deploy.fault(hold_runs=True)
    rig.events.clear()
    came: list[Any] = []

    def run() -> None:
        try:
            came.append(rig.run(tmp_path, prompted(), **fields))
        except tree.WorkerError as error:
            came.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: any(isinstance(event, PromptStarted) for event in rig.events), "the run to run")
    return thread, came


def status_of(deploy: DeployProcess, run_id: str) -> str:
    return str(deploy.api("GET", f"/run/{run_id}").json()["status"])


def test_a_cancel_stops_the_run_there(rig: Rig, deploy: DeployProcess, tmp_path: Path) -> None:
    thread, came = held(rig, deploy, tmp_path)
    nodes = ("EmptyImage", "KSampler")
    wait_for(
        lambda: any(isinstance(event, NodeStarted) and event.class_type in nodes for event in rig.events), "a node"
    )
    rig.cancel.cancel()
    thread.join(10)
    assert isinstance(came[0], tree.JobCancelled)
    assert status_of(deploy, rig.assigned()[-1]) == "cancelled"


def test_a_time_limit_stops_it_too(rig: Rig, deploy: DeployProcess, tmp_path: Path) -> None:
    thread, came = held(rig, deploy, tmp_path, timeout_s=0.05)
    thread.join(10)
    assert isinstance(came[0], tree.JobTimedOut)
    assert status_of(deploy, rig.assigned()[-1]) == "cancelled"


def test_a_worker_that_stops_leaves_the_run_to_the_next_one(rig: Rig, deploy: DeployProcess, tmp_path: Path) -> None:
    thread, came = held(rig, deploy, tmp_path)
    rig.cancel.cancel(tree.WorkerStopping("stopping"))
    thread.join(10)
    marker, run_id = rig.assigned()
    assert isinstance(came[0], tree.WorkerStopping) and status_of(deploy, run_id) == "running"
    deploy.healthy()
    before = len(runs(deploy))
    later = Rig(deploy)
    assert later.run(tmp_path, prompted(), resume=Attempt(run_id, NAME)).files
    assert later.assigned() == [run_id] and len(runs(deploy)) == before
    # Without a webhook nobody knows whether a run has this mark: better an error than a second run.
    with pytest.raises(deploy_errors.DeployRunUnknown, match="WEBHOOK_URL"):
        Rig(deploy).run(tmp_path, prompted(), resume=Attempt(marker, NAME))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"fail_runs": 1}, tree.ExecutionFailed),
        ({"timeout_runs": 1}, tree.JobTimedOut),
        ({"output_404": True}, tree.OutputUnavailable),
        ({"refuse_runs": 1}, deploy_errors.DeployRefused),
        ({"http_429": "/run/deployment/queue", "retry_after": 3600}, tree.ComfyBusy),
        ({"drop_answer": 1}, deploy_errors.DeployRunUnknown),
    ],
)
def test_how_runs_fail(
    rig: Rig, deploy: DeployProcess, tmp_path: Path, fault: dict[str, Any], error: type[Exception]
) -> None:
    deploy.fault(**fault)
    with pytest.raises(error):
        rig.run(tmp_path, prompted())


def test_a_run_cancelled_over_there_is_an_interruption(rig: Rig, deploy: DeployProcess, tmp_path: Path) -> None:
    thread, came = held(rig, deploy, tmp_path)
    deploy.api("POST", f"/run/{rig.assigned()[-1]}/cancel").raise_for_status()
    thread.join(10)
    assert isinstance(came[0], tree.ExecutionInterrupted)


def test_an_outage_is_sat_out_or_left_to_a_later_run(deploy: DeployProcess, tmp_path: Path) -> None:
    rig = Rig(deploy, patience_s=60)
    thread, came = held(rig, deploy, tmp_path)
    # Of this run alone: nothing else is to meet it.
    deploy.fault(http_503=f"/run/{rig.assigned()[-1]}:8")
    deploy.fault(hold_runs=None)
    thread.join(30)
    assert came[0].files
    rig = Rig(deploy, patience_s=0.1)
    thread, came = held(rig, deploy, tmp_path)
    deploy.fault(http_503=f"/run/{rig.assigned()[-1]}")
    thread.join(30)
    # This code puts the job back into the line, with the run to be followed.
    assert isinstance(came[0], tree.ComfyUnreachable) and rig.assigned()[-1] in came[0].message


def test_a_run_without_outputs_is_remarked_on(rig: Rig, deploy: DeployProcess, tmp_path: Path) -> None:
    deploy.fault(empty_runs=1)
    outcome = rig.run(tmp_path, prompted())
    assert outcome.files == () and outcome.warnings[0]["code"] == "no_outputs"


def test_what_is_no_longer_there_is_asked_for_again(rig: Rig, deploy: DeployProcess, tmp_path: Path) -> None:
    body = {"workflow_version_id": known_id("version 1 of 4x Upscale"), "machine_id": GPU_A, "environment": "preview"}
    rig.deploy.catalog.deployments()
    made = deploy.api("POST", "/deployment", json=body).json()
    assert rig.run(tmp_path, prompted(deployment_id=made["id"], inputs={"image": "http://x/y.png"})).files


class Receiver:
    """An ASGI app that hands webhooks on, as the surface does."""

    def __init__(self) -> None:
        self.told: Callable[[str, dict[str, Any]], bool] = lambda _marker, _body: True
        self.came: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        import json

        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        content = json.loads(body)
        self.came.append(content)
        self.told(scope["path"].rpartition("/")[2], content)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


@pytest.fixture(scope="module")
def receiver() -> Iterator[tuple[Receiver, str]]:
    app = Receiver()
    with HttpServer(app) as server:
        yield app, server.url


def with_webhooks(deploy: DeployProcess, receiver: tuple[Receiver, str], **options: Any) -> Rig:
    rig = Rig(deploy, receiver[1], **{"poll_s": 60.0, **options})
    receiver[0].told = rig.deploy.news.told
    receiver[0].came.clear()
    return rig


def test_webhooks_wake_who_waits(deploy: DeployProcess, receiver: tuple[Receiver, str], tmp_path: Path) -> None:
    # Looks alone would take minutes.
    rig = with_webhooks(deploy, receiver)
    assert rig.run(tmp_path, prompted()).files
    assert receiver[0].came and all(body["run_id"] == rig.assigned()[-1] for body in receiver[0].came)


def test_webhooks_that_are_lost_late_or_forged_do_no_harm(
    deploy: DeployProcess, receiver: tuple[Receiver, str], tmp_path: Path
) -> None:
    deploy.fault(lose_webhooks=True)
    assert with_webhooks(deploy, receiver, poll_s=0.02).run(tmp_path, prompted()).files
    assert receiver[0].came == []
    deploy.fault(lose_webhooks=None, late_webhooks=True)
    assert with_webhooks(deploy, receiver, poll_s=0.02).run(tmp_path, prompted()).files
    deploy.healthy()
    rig = with_webhooks(deploy, receiver)
    thread, came = held(rig, deploy, tmp_path)
    marker, run_id = rig.assigned()
    forged = {"event_type": "run.updated", "status": "success", "run_id": run_id, "outputs": []}
    assert rig.deploy.news.told(marker, forged)
    assert not rig.deploy.news.told("cd-guessed", forged)
    deploy.fault(hold_runs=None)
    thread.join(20)
    # What counts is what they say when they are asked.
    assert came[0].files


def test_a_run_whose_answer_was_lost_is_found_again(
    deploy: DeployProcess, receiver: tuple[Receiver, str], tmp_path: Path
) -> None:
    rig = with_webhooks(deploy, receiver, poll_s=0.02)
    before = len(runs(deploy))
    deploy.fault(drop_answer=1, lose_webhooks=True)
    assert rig.run(tmp_path, prompted()).files
    # A worker that died before it knew the id left the mark only; others have queued runs since.
    marker, run_id = rig.assigned()
    for _ in range(3):
        deploy.api("POST", "/run/deployment/queue", json={"deployment_id": TEXT2IMG}).raise_for_status()
    deploy.fault(page_cap=1)
    later = with_webhooks(deploy, receiver, poll_s=0.02)
    assert later.run(tmp_path, prompted(), resume=Attempt(marker, NAME)).files
    assert later.assigned() == [run_id] and len(runs(deploy)) == before + 4
    # What a webhook names is looked at, and is not the run only because it says so.
    forged = {"event_type": "run.updated", "status": "success", "run_id": str(uuid.uuid4())}
    deploy.fault(page_cap=None, drop_answer=1, lose_webhooks=True)
    rig = with_webhooks(deploy, receiver, poll_s=0.02)
    told: list[bool] = []
    # Before the run is queued.
    rig.hear = lambda _event: None if told else told.append(rig.deploy.news.told(rig.assigned()[0], forged))
    assert rig.run(tmp_path, prompted()).files
    assert told == [True] and rig.assigned()[1] != forged["run_id"]


def test_a_run_that_may_be_older_than_those_that_are_looked_at_is_not_queued_again(
    deploy: DeployProcess, receiver: tuple[Receiver, str], tmp_path: Path
) -> None:
    client = client_of(deploy)
    for _ in range(200):
        client.queue_deployment(TEXT2IMG, {})
    before = len(runs(deploy))
    with pytest.raises(deploy_errors.DeployRunUnknown, match="newest 200"):
        with_webhooks(deploy, receiver).run(tmp_path, prompted(), resume=Attempt("cd-of-an-earlier-worker", NAME))
    assert len(runs(deploy)) == before


def test_the_room_follows_the_api(deploy: DeployProcess) -> None:
    rig = Rig(deploy, probe_interval_s=0.05)
    assert rig.deploy.capacity.take(0) is None
    rig.deploy.start()
    seat = rig.deploy.capacity.take(10)
    assert seat is not None and rig.deploy.facts()["status"] == "healthy"
    seat.leave()
    wait_for(lambda: len(rig.deploy.catalog.machines()) == 4, "the machines")
    rig.deploy.close()
    assert rig.deploy.machine_trouble("gpu-a") is None
    assert rig.deploy.machine_trouble("gpu-broken") == "its status is error"
    assert "nowhere" in str(rig.deploy.machine_trouble("nowhere"))
