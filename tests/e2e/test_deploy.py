"""A worker with a ComfyUI Deploy behind it: what it has, runs as jobs, webhooks, routing, restarts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support import sample_jobs
from support.api_worker import ApiWorker
from support.deploy_process import KEY, DeployProcess
from support.exposed import value
from support.ports import free_port
from support.waiting import wait_for

from api.routes import deploy_words as words
from api.standin.deploy.account import known_id

pytestmark = pytest.mark.e2e

OWN_KEY = "the-key-of-the-worker"
TEXT2IMG = known_id("deployment of text2img on gpu-a as production")
GPU_A, GPU_B = known_id("machine gpu-a"), known_id("machine gpu-b")


@pytest.fixture(scope="module")
def deploy() -> Iterator[DeployProcess]:
    with DeployProcess() as process:
        yield process


@pytest.fixture(autouse=True)
def healthy(deploy: DeployProcess) -> Iterator[None]:
    yield
    deploy.healthy()


@pytest.fixture(scope="module")
def routing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("routing") / "routing.json"
    path.write_text(json.dumps({"allow_override": "all"}))
    return path


@pytest.fixture(scope="module")
def worker(deploy: DeployProcess, routing: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiWorker]:
    environment = {
        "API_KEY": OWN_KEY,
        "COMFY_DEPLOY_API_KEY": KEY,
        "COMFY_DEPLOY_API_URL": deploy.url,
        "COMFY_DEPLOY_POLL_S": "0.2",
        "COMFY_BREAKER_OPEN_S": "0.2",
        "COMFY_BREAKER_FAILURES": "20",
        "ROUTING_FILE": str(routing),
    }
    # No ComfyUI answers there: runs of ComfyUI Deploy need none.
    running = ApiWorker(tmp_path_factory.mktemp("worker"), f"http://127.0.0.1:{free_port()}", environment)
    running.session.headers["X-API-Key"] = OWN_KEY
    running.know("WEBHOOK_URL", running.url)
    with running:
        yield running


def runs_there(deploy: DeployProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = deploy.log()["runs"]
    return found


def submit(worker: ApiWorker, body: dict[str, Any], **headers: str) -> str:
    answer = worker.post("/api/deploy/runs", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(words.DeployRunAccepted.model_validate(answer.json()).job_id)


def ended(worker: ApiWorker, job_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        run = worker.get(f"/api/deploy/runs/{job_id}").json()
        words.DeployRun.model_validate(run)
        return run if run["completed_at"] else None

    found = wait_for(look, "the run's end")
    assert found is not None
    return found


def test_what_the_account_has(worker: ApiWorker) -> None:
    workflows = words.DeployWorkflows.model_validate(worker.get("/api/deploy/workflows").json()).workflows
    assert [each.standard_name for each in workflows] == [
        "text2img",
        "inpaint-sdxl",
        "4x-upscale",
        "portrait-batch",
        "untitled-workflow",
    ]
    one = worker.get("/api/deploy/workflows/Text2Img").json()
    assert words.DeployWorkflow.model_validate(one) == workflows[0] and len(workflows[0].deployments) == 2
    found = words.DeployDeployments.model_validate(worker.get("/api/deploy/deployments").json()).deployments
    assert len(found) == 5 and [each.name for each in found[0].inputs if each.required] == ["prompt"]
    only = worker.get("/api/deploy/deployments", params={"workflow": "text2img"}).json()["deployments"]
    assert {each["workflow"] for each in only} == {"text2img"}
    machines = words.DeployMachines.model_validate(worker.get("/api/deploy/machines").json()).machines
    assert {each.name for each in machines if not each.healthy} == {"gpu-broken"}
    assert worker.get("/api/deploy/workflows/nothing").status_code == 404
    state = words.DeployState.model_validate(worker.get("/api/deploy").json())
    assert state.webhooks and state.slots == 8 and KEY not in worker.get("/api/deploy").text


def test_a_run_as_a_job(worker: ApiWorker, deploy: DeployProcess) -> None:
    body = {"name": "text2img", "inputs": {"prompt": "a dog", "width": 32}, "labels": {"for": "test"}}
    job_id = submit(worker, body)
    run = ended(worker, job_id)
    assert run["status"] == "completed" and run["labels"] == {"for": "test"}
    there = next(each for each in runs_there(deploy) if each["id"] == run["run_id"])
    assert there["workflow_inputs"] == body["inputs"]
    outputs = words.DeployOutputs.model_validate(worker.get(f"/api/deploy/runs/{job_id}/outputs").json()).outputs
    picture = requests.get(outputs[0].url, timeout=10)
    assert picture.content.startswith(b"\x89PNG") and len(picture.content) == outputs[0].size_bytes
    # The same job in the words of the others.
    assert worker.status(job_id)["result"]["images"][0]["filename"] == "out_00001_.png"
    local = worker.submit({"input": {"workflow": sample_jobs.flat(1)}})
    listed = words.DeployRuns.model_validate(worker.get("/api/deploy/runs").json()).runs
    assert job_id in {each.job_id for each in listed} and local not in {each.job_id for each in listed}
    assert worker.get(f"/api/deploy/runs/{local}").status_code == 404
    assert worker.post(f"/jobs/{local}/cancel").ok


def test_a_deployment_among_the_jobs_of_run(worker: ApiWorker, deploy: DeployProcess) -> None:
    given = {"deployment": {"deployment_id": TEXT2IMG, "inputs": {"prompt": "x"}}, "output_format": "jpeg"}
    result = worker.ended(worker.submit({"input": given}))
    assert result["result"]["images"][0]["mime_type"] == "image/jpeg"
    both = worker.post("/run", json={**given, "workflow": {"1": {"class_type": "X", "inputs": {}}}})
    assert both.status_code == 400 and "leave one of them out" in both.text


def test_what_cannot_run_is_refused_at_once(worker: ApiWorker, deploy: DeployProcess) -> None:
    before = len(runs_there(deploy))
    refusals = {
        "prompt is missing": {"name": "text2img", "inputs": {}},
        "must be a whole number": {"name": "text2img", "inputs": {"prompt": "x", "seed": "seven"}},
        "needs one of": {"inputs": {"prompt": "x"}},
        "gpu-broken": {"name": "text2img", "inputs": {"prompt": "x"}, "machine_id": "gpu-broken"},
        "has no workflow": {"name": "nothing", "inputs": {}},
    }
    for said, body in refusals.items():
        answer = worker.post("/api/deploy/runs", json=body)
        assert answer.status_code in {400, 404, 409} and said in answer.json()["message"], answer.text
    assert len(runs_there(deploy)) == before


def test_the_same_key_is_the_same_run(worker: ApiWorker, deploy: DeployProcess) -> None:
    before = len(runs_there(deploy))
    body = {"name": "text2img", "inputs": {"prompt": "once"}}
    first, second = (submit(worker, body, **{"Idempotency-Key": "run-once"}) for _ in range(2))
    ended(worker, first)
    assert first == second and len(runs_there(deploy)) == before + 1


def test_a_cancel_stops_it_there(worker: ApiWorker, deploy: DeployProcess) -> None:
    deploy.fault(hold_runs=True)
    job_id = submit(worker, {"name": "text2img", "inputs": {"prompt": "x"}})
    running = wait_for(
        lambda: (run := worker.get(f"/api/deploy/runs/{job_id}").json())["run_id"] and run, "the run's id"
    )
    assert worker.get(f"/api/deploy/runs/{job_id}/outputs").status_code == 409
    assert worker.post(f"/api/deploy/runs/{job_id}/cancel").ok
    assert ended(worker, job_id)["code"] == "CANCELLED"
    wait_for(
        lambda: next(each for each in runs_there(deploy) if each["id"] == running["run_id"])["status"] == "cancelled",
        "the run to stop there",
    )


def routed(worker: ApiWorker, machine: str) -> dict[str, Any] | None:
    """What the rules say, once they send text2img to that machine."""
    told = worker.post("/api/deploy/routing/explain", json={"workflow_name": "Text2Img"}).json()
    return told if told["destination"]["machine"] == machine else None


def test_rules_change_where_runs_go(worker: ApiWorker, deploy: DeployProcess, routing: Path) -> None:
    before = routing.read_text()
    body = {"name": "text2img", "inputs": {"prompt": "x"}}
    routing.write_text(json.dumps({"routingRules": {"text2img": f"machine:{GPU_B}"}, "allow_override": "all"}))
    explained = wait_for(lambda: routed(worker, GPU_B), "the new rules")
    assert explained is not None and explained["destination"]["target"] == "deploy"
    run = ended(worker, submit(worker, body))
    assert next(each for each in runs_there(deploy) if each["id"] == run["run_id"])["machine_id"] == GPU_B
    # A call of a workflow by its name goes where the rules say, too.
    named = worker.ended(worker.submit({"input": {"workflow_name": "Text2Img", "inputs": {"prompt": "by name"}}}))
    assert named["status"] == "completed", named
    (there,) = [each for each in runs_there(deploy) if each["workflow_inputs"] == {"prompt": "by name"}]
    assert there["machine_id"] == GPU_B
    # What the request says goes before.
    run = ended(worker, submit(worker, {**body, "machine_id": GPU_A}))
    assert next(each for each in runs_there(deploy) if each["id"] == run["run_id"])["machine_id"] == GPU_A
    routing.write_text(before)
    wait_for(lambda: routed(worker, ""), "the rules to be gone")


def test_webhooks_need_no_key_but_their_mark(worker: ApiWorker, deploy: DeployProcess) -> None:
    path = f"{worker.url}/api/deploy/webhook"
    body = {"event_type": "run.updated", "status": "success", "run_id": "x", "outputs": []}
    assert requests.post(f"{path}/cd-guessed", json=body, timeout=10).status_code == 404
    assert requests.get(f"{worker.url}/api/deploy/machines", timeout=10).status_code == 401
    ended(worker, submit(worker, {"name": "text2img", "inputs": {"prompt": "told of"}}))
    sent = [hook for hook in deploy.log()["webhooks"] if hook["status"] == 204]
    assert sent and all("/api/deploy/webhook/cd-" in hook["url"] for hook in sent)


def test_a_receiver_reads_nothing_that_nobody_waits_for(worker: ApiWorker) -> None:
    body = b"[" * 1_500_000
    answer = requests.post(f"{worker.url}/api/deploy/webhook/cd-guessed", data=body, timeout=10)
    # Were it read, it would be no JSON.
    assert answer.status_code == 404
    metrics = worker.get("/metrics").text
    assert value(metrics, "comfyui_remote_target_up", target="deploy") == 1
    assert (value(metrics, "comfyui_deploy_requests_total", outcome="ok") or 0) > 10


def test_weights_send_the_checked_job_where_it_goes(worker: ApiWorker, deploy: DeployProcess, routing: Path) -> None:
    before = routing.read_text()
    shares = [{"machine": GPU_A, "weight": 1}, {"machine": GPU_B, "weight": 1}]
    routing.write_text(json.dumps({"rules": [{"workflow": "text2img", "to": shares}]}))
    wait_for(lambda: len(worker.get("/api/deploy/routing").json()["rules"]) == 1, "the rules")
    # By its id the workflow is none that a rule names, and may not go elsewhere all the same.
    by_id = {"workflow_id": known_id("workflow text2img"), "inputs": {"prompt": "x"}}
    refused = worker.post("/api/deploy/runs", json={**by_id, "machine_id": known_id("machine own-box")})
    assert refused.status_code == 403, refused.text
    job_ids = [submit(worker, by_id) for _ in range(6)]
    for job_id in job_ids:
        told = worker.post("/api/deploy/routing/explain", json={"workflow_name": "text2img", "job_id": job_id}).json()
        run = ended(worker, job_id)
        there = next(each for each in runs_there(deploy) if each["id"] == run["run_id"])
        assert there["machine_id"] == told["destination"]["machine"]
    routing.write_text(before)
    wait_for(lambda: not worker.get("/api/deploy/routing").json()["rules"], "the rules to be gone")


def test_what_was_deployed_just_now_runs(worker: ApiWorker, deploy: DeployProcess) -> None:
    worker.get("/api/deploy/deployments")
    body = {"workflow_version_id": known_id("version 1 of 4x Upscale"), "machine_id": GPU_A, "environment": "preview"}
    made = deploy.api("POST", "/deployment", json=body).json()["id"]
    run = {"deployment_id": made, "inputs": {"image": "http://x/y.png"}}
    # It is asked for once more as soon as what is known is not of just now.
    answer = wait_for(lambda: (given := worker.post("/api/deploy/runs", json=run)).ok and given, "it to be known")
    assert answer is not None and ended(worker, answer.json()["job_id"])["status"] == "completed"


def test_the_cache_by_hand_and_without_the_api(worker: ApiWorker, deploy: DeployProcess) -> None:
    worker.get("/api/deploy/machines")
    facts = words.DeployCache.model_validate(worker.get("/api/deploy/cache").json())
    assert facts.machines.is_fresh and facts.machines.entries == 4
    told = worker.post("/api/deploy/cache/invalidate", json={"lists": ["machines"]}).json()
    assert not told["machines"]["is_fresh"]
    assert worker.post("/api/deploy/cache/invalidate", json={"lists": ["nothing"]}).status_code == 400
    deploy.api("PATCH", f"/machine/custom/{GPU_B}", json={"status": "paused"}).raise_for_status()
    machines = worker.get("/api/deploy/machines").json()["machines"]
    assert next(each for each in machines if each["id"] == GPU_B)["status"] == "paused"


def test_a_worker_that_dies_knows_what_was_and_follows_its_run(worker: ApiWorker, deploy: DeployProcess) -> None:
    deploy.fault(hold_runs=True)
    job_id = submit(worker, {"name": "text2img", "inputs": {"prompt": "survivor"}})
    wait_for(lambda: worker.get(f"/api/deploy/runs/{job_id}").json()["run_id"], "the run's id")
    known = worker.get("/api/deploy/workflows").json()
    worker.kill()
    deploy.fault(http_503="*")
    worker.start()
    # The last known good, over the restart; jobs are taken, and wait.
    assert worker.get("/api/deploy/workflows").json() == known
    assert worker.get("/api/deploy/cache").json()["workflows"]["is_offline"]
    later = submit(worker, {"name": "text2img", "inputs": {"prompt": "later"}})
    deploy.healthy()
    run = ended(worker, job_id)
    assert run["status"] == ended(worker, later)["status"] == "completed"
    made = [each for each in runs_there(deploy) if each["workflow_inputs"] == {"prompt": "survivor"}]
    assert [each["id"] for each in made] == [run["run_id"]]
