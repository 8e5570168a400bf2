"""One worker with a ComfyUI of its own and another worker as a remote target: where jobs run, as callers name it.

Both have the same ComfyUI behind them: what tells them apart is the instance a job is told to have run on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from support import sample_jobs
from support.api_worker import ApiWorker
from support.standin_process import StandinProcess
from support.waiting import wait_for

pytestmark = pytest.mark.e2e

KEY = "remote-key-0123456789"
FAR = "far"


@dataclass
class Rig:
    """`worker` is the one that is asked, `remote` what it knows as far."""

    worker: ApiWorker
    remote: ApiWorker
    comfy: StandinProcess

    @property
    def here(self) -> str:
        return f"127.0.0.1:{self.comfy.port}"

    def place(self, job_id: str) -> str:
        """The instance an ended job ran on."""
        # One of the paths whose words are the same for all surfaces.
        path = f"/api/jobs/{job_id}/status"
        ended = wait_for(
            lambda: (found := self.worker.get(path).json())["completed_at"] and found, f"the end of {job_id}"
        )
        assert ended["status"] == "completed", ended
        return str(ended["comfyui_instance"])


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with (
        StandinProcess() as comfy,
        ApiWorker(tmp_path_factory.mktemp("remote"), comfy.url, {"API_KEY": KEY}) as remote,
    ):
        targets = f'{{"far": {{"kind": "runpod", "url": "{remote.url}/v2/any", "api_key": "{KEY}"}}}}'
        environment = {
            "REMOTE_TARGETS": targets,
            "OVERFLOW_TARGET": "Far",
            "OVERFLOW_AFTER_S": "0.5",
            "INPUT_URL_ALLOW_PRIVATE": "true",
            "MANAGEMENT_RATE_LIMIT": "off",
            # Quick to see that something is away, and to try it again.
            "COMFY_UNREACHABLE_GRACE_S": "0.5",
            "COMFY_BREAKER_FAILURES": "1",
            "COMFY_BREAKER_OPEN_S": "0.5",
        }
        with ApiWorker(tmp_path_factory.mktemp("worker"), f"{comfy.url};label=Fast", environment) as worker:
            remote.session.headers["X-API-Key"] = KEY
            made = Rig(worker, remote, comfy)
            wait_for(
                lambda: worker.get("/admin/instances").json()["instances"][0]["status"] == "healthy", "its ComfyUI"
            )
            wait_for(lambda: told(made)["status"] == "healthy", "the remote target")
            yield made


def told(rig: Rig) -> dict[str, Any]:
    """What /health says of the remote target."""
    (target,) = rig.worker.get("/health").json()["remote_targets"]
    assert isinstance(target, dict)
    return target


def submit(rig: Rig, surface: str, gpu: str | None, color: int = 1) -> requests.Response:
    """A job handed in by one of the surfaces."""
    given: dict[str, Any] = {"workflow": sample_jobs.flat(color), **({"gpu": gpu} if gpu is not None else {})}
    match surface:
        case "native":
            return rig.worker.post("/run", json=given)
        case "management":
            return rig.worker.post("/v1/comfyui/workflow", json=given)
        case "runpod":
            return rig.worker.post("/v2/mine/run", json={"input": given})
        case _:
            return rig.worker.post("/run", json={"input": given, "policy": {"ttl": 60_000}})


def id_of(answer: requests.Response) -> str:
    assert answer.ok, answer.text
    body = answer.json()
    return str(body.get("job_id") or body.get("workflowId") or body["id"])


SURFACES = ("native", "management", "runpod", "enveloped")


def test_each_surface_takes_the_name_of_a_target_or_a_label(rig: Rig) -> None:
    jobs = {}
    for number, surface in enumerate(SURFACES):
        for gpu in ("FAR", "fast", "Local", None):
            jobs[surface, gpu] = id_of(submit(rig, surface, gpu, color=100 * number + len(jobs) + 1))
    places = {key: rig.place(job_id) for key, job_id in jobs.items()}
    assert {place for (_surface, gpu), place in places.items() if gpu == "FAR"} == {FAR}
    # Those without a place may flow over, on a machine that is slow just now.
    assert {place for (_surface, gpu), place in places.items() if gpu in {"fast", "Local"}} == {rig.here}
    assert {place for (_surface, gpu), place in places.items() if gpu is None} <= {rig.here, FAR}


def test_each_surface_says_what_there_is_when_it_is_none(rig: Rig) -> None:
    for surface in SURFACES:
        answer = submit(rig, surface, "moon")
        assert answer.status_code == 400, surface
        assert "there is: local, far, fast" in answer.text
    report = rig.worker.post("/validate", json={"workflow": sample_jobs.flat(), "gpu": "moon"}).json()
    assert (report["ok"], report["errors"][0]["field"]) == (False, "gpu")
    # What the remote one has is not known here, and not judged by what the one here has.
    strange = {"1": sample_jobs.node("NodeOfTheRemoteOne")}
    for gpu, told in ((FAR, (True, "not_checked", [])), ("fast", (False, None, [rig.here]))):
        report = rig.worker.post("/validate", json={"workflow": strange, "gpu": gpu}).json()
        code = report["warnings"][0]["code"] if report["warnings"] else None
        assert (report["ok"], code, [each["name"] for each in report["instances"]]) == told


def test_a_named_workflow_is_called_with_a_place(rig: Rig) -> None:
    name = next(each["name"] for each in rig.worker.get("/api/workflows").json()["workflows"] if each["available"])
    body = {"gpu": "moon", "inputs": {}}
    answer = rig.worker.post(f"/api/async/{name}", json=body)
    assert answer.status_code == 400


def test_results_from_there_are_results_like_all_others(rig: Rig) -> None:
    def result(gpu: str) -> dict[str, Any]:
        job = sample_jobs.job(
            sample_jobs.inverted(), images={"input.png": sample_jobs.png((200, 30, 60))}, gpu=gpu, labels={"a": "b"}
        )
        ended = rig.worker.ended(rig.worker.submit(job))
        assert ended["status"] == "completed", ended
        found: dict[str, Any] = ended["result"]
        return found

    near, far = result("local"), result(FAR)
    assert sample_jobs.shows(near["images"][0], (55, 225, 195)) and sample_jobs.shows(far["images"][0], (55, 225, 195))
    assert set(near["images"][0]) <= set(far["images"][0])


def test_a_cancel_reaches_the_remote_one(rig: Rig) -> None:
    def running() -> int:
        found: int = rig.remote.get("/stats").json()["running_jobs"]
        return found

    job_id = rig.worker.submit(sample_jobs.job(sample_jobs.slow(60, color=77), gpu=FAR))
    wait_for(running, "a run there")
    assert rig.worker.post(f"/v2/mine/cancel/{job_id}").ok
    assert rig.worker.ended(job_id)["error"] == "cancelled"
    wait_for(lambda: not running(), "its end there")


def test_how_it_is_stands_in_health_status_and_metrics(rig: Rig) -> None:
    health = rig.worker.get("/health").json()
    assert (health["status"], health["comfyui_instances"]["total"]) == ("healthy", 1)
    assert (told(rig)["name"], told(rig)["kind"], told(rig)["breaker"]) == (FAR, "runpod", "closed")
    status = rig.worker.get("/v1/status").json()
    assert (status["gpus"], status["remoteTargets"]) == (["local", FAR, "fast"], [told(rig)])
    families = {each.name: each for each in text_string_to_metric_families(rig.worker.get("/metrics").text)}
    (up,) = families["comfyui_remote_target_up"].samples
    assert (up.labels, up.value) == ({"target": FAR}, 1)
    by_place = {
        sample.labels["gpu_type"]: sample.value
        for sample in families["comfyui_workflow_duration_seconds"].samples
        if sample.name.endswith("_count")
    }
    assert by_place[FAR] > 0
    assert KEY not in rig.worker.process.log + health.__str__()


def test_with_its_own_comfyui_away_jobs_nobody_pinned_flow_over(rig: Rig) -> None:
    path = f"/admin/instances/{rig.here}"
    assert rig.worker.post(f"{path}/drain").ok
    pinned, labelled = id_of(submit(rig, "native", "local", 901)), id_of(submit(rig, "native", "fast", 902))
    free = id_of(submit(rig, "native", None, 903))
    assert rig.place(free) == FAR
    assert "drained" in rig.worker.get(f"/why/{labelled}").json()["why"]
    assert rig.worker.status(pinned)["status"] == rig.worker.status(labelled)["status"] == "pending"
    assert rig.worker.post(f"{path}/resume").ok
    assert rig.place(pinned) == rig.place(labelled) == rig.here


def test_jobs_for_one_that_is_away_wait_and_say_why(rig: Rig) -> None:
    rig.remote.kill()
    job_id = id_of(submit(rig, "management", FAR, 950))
    wait_for(lambda: told(rig)["status"] != "healthy", "its trouble to be seen")
    waits = id_of(submit(rig, "management", FAR, 952))
    assert "far, which takes no jobs now" in rig.worker.get(f"/why/{waits}").json()["why"]
    assert rig.worker.get("/health").json()["status"] == "degraded"
    assert rig.place(id_of(submit(rig, "native", "local", 951))) == rig.here
    rig.remote.start()
    assert rig.place(job_id) == rig.place(waits) == FAR
