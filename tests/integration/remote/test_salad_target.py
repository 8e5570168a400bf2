"""Jobs on a comfyui-api of SaladTechnologies, held against the same jobs on this worker's own ComfyUI."""

import base64
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from PIL import Image
from support import sample_jobs
from support.salad_server import SaladServer
from support.sample_jobs import node
from support.standin_process import StandinProcess
from support.waiting import wait_for

from api import wiring
from api.ids import InstanceName, PromptId
from api.jobs.cancel import CancelToken
from api.jobs.events import JobEvent, PromptAssigned, PromptStarted, StageFinished
from api.jobs.ports import Attempt, Host
from api.remote.build import RemoteTarget, build
from api.settings import Settings

KEY = "salad-key-never-shown"
PICTURE = sample_jobs.png((200, 30, 60))
SEVERAL = {
    "1": node("EmptyImage", width=16, height=16, batch_size=2, color=7),
    "2": node("SaveImage", images=["1", 0], filename_prefix="deep/er/pic"),
    "10": node("SaveImage", images=["1", 0], filename_prefix="flat"),
}


@dataclass
class Rig:
    services: wiring.Services
    salad: SaladServer

    def target(self, **options: Any) -> RemoteTarget:
        return build("salad", **{"name": "salad", "url": self.salad.url, "api_key": KEY, "patience_s": 2.0, **options})

    def run(
        self, workflow: Any, *, emit: Any = None, cancel: Any = None, host: Host | None = None, **options: Any
    ) -> dict[str, Any]:
        remote = self.target()
        try:
            handler = self.services.handler.on(remote.target)
            events: list[JobEvent] = []
            return handler(sample_jobs.job(workflow, **options), emit or events.append, cancel, host=host or Host())
        finally:
            remote.close()

    def wait_idle(self) -> None:
        url = f"{self.salad.comfyui.url}/prompt"
        wait_for(lambda: requests.get(url, timeout=10).json()["exec_info"]["queue_remaining"] == 0, "an empty queue")

    def local(self, workflow: Any, **options: Any) -> dict[str, Any]:
        return self.services.handler(sample_jobs.job(workflow, **options))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    scratch = tmp_path_factory.mktemp("salad")
    with StandinProcess() as comfyui, SaladServer(comfyui, KEY) as salad:
        services = wiring.build(Settings(comfy_host=comfyui.url, work_dir=scratch / "work", comfy_run_dir=scratch))
        yield Rig(services, salad)
        services.close()


@pytest.fixture
def rig(whole: Rig) -> Rig:
    whole.salad.prompts.clear()
    whole.salad.interrupts.clear()
    whole.salad.faults.clear()
    return whole


@pytest.mark.parametrize(
    ("workflow", "options"),
    [
        pytest.param(sample_jobs.inverted(), {"images": {"input.png": PICTURE}}, id="with an input"),
        pytest.param(SEVERAL, {}, id="several files, subfolders"),
        pytest.param({"1": node("NoSuchNode", filename_prefix="x")}, {}, id="refused by ComfyUI"),
    ],
)
def test_the_result_is_that_of_the_local_pool(rig: Rig, workflow: Any, options: Any) -> None:
    here = rig.local(workflow, force=True, **options)
    there = rig.run(workflow, force=True, **options)
    assert _comparable(there) == _comparable(here)


def _comparable(result: dict[str, Any]) -> dict[str, Any]:
    """Without the bytes of files: other texts lie in them. Their pixels are the same."""
    entries = [
        {**entry, "data": sample_jobs.pixels(entry).tobytes(), "size_bytes": 0, "sha256": ""}
        for entry in result.get("images", [])
    ]
    return {**result, "images": entries}


def test_its_files_tell_the_callers_own_workflow(rig: Rig) -> None:
    (image,) = rig.run(sample_jobs.flat(0x102030))["images"]
    content = base64.b64decode(image["data"])
    assert '"filename_prefix": "flat"' in Image.open(io.BytesIO(content)).info["prompt"]
    assert (image["size_bytes"], image["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_small_jpeg_is_not_taken_for_a_path(rig: Rig) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (250, 250, 250)).save(buffer, "JPEG")
    result = rig.run(sample_jobs.inverted("input.jpg"), images={"input.jpg": buffer.getvalue()})
    assert "error" not in result, result


def test_what_it_tells(rig: Rig) -> None:
    events: list[JobEvent] = []
    rig.run(sample_jobs.flat(), emit=events.append)
    (assigned,) = [event for event in events if isinstance(event, PromptAssigned)]
    assert assigned == PromptAssigned(PromptId(rig.salad.prompts[0]["id"]), InstanceName("salad"))
    assert {event.stage for event in events if isinstance(event, StageFinished)} >= {"execute", "download"}


def test_a_node_that_fails_there_fails_the_job(rig: Rig) -> None:
    broken = {**sample_jobs.flat(), "3": node("StandinFail", image=["1", 0], message="It broke.")}
    broken["2"]["inputs"]["images"] = ["3", 0]
    result = rig.run(broken)
    assert (result["code"], result["retryable"]) == ("EXECUTION_FAILED", False)


def test_an_input_it_has_no_way_to_take_is_refused_before_anything_is_sent(rig: Rig) -> None:
    workflow = {**sample_jobs.inverted(), "9": node("LoadMaskFile", mask="mask.png")}
    result = rig.run(workflow, images={"input.png": PICTURE, "mask.png": PICTURE})
    assert result["code"] == "INVALID_WORKFLOW"
    assert result["details"][0]["node_id"] == "9"
    assert rig.salad.prompts == []


def test_a_cancel_interrupts_the_prompt(rig: Rig) -> None:
    token = CancelToken()

    def emit(event: JobEvent) -> None:
        if isinstance(event, PromptStarted):
            token.cancel()

    result = rig.run(sample_jobs.slow(60), emit=emit, cancel=token)
    assert result["code"] == "CANCELLED"
    rig.wait_idle()


def test_the_limit_of_the_job_interrupts_the_prompt(rig: Rig) -> None:
    assert rig.run(sample_jobs.slow(60), timeout_s=0.3)["code"] == "TIMED_OUT"
    rig.wait_idle()


def test_a_connection_that_breaks_leaves_nothing_running_and_the_job_for_later(rig: Rig) -> None:
    rig.salad.faults["/prompt"] = ["drop"]
    result = rig.run(sample_jobs.flat())
    assert (result["code"], result["retryable"]) == ("COMFY_UNREACHABLE", True)
    assert len(rig.salad.interrupts) == 1
    assert rig.salad.prompts == []


def test_a_gateway_that_is_full_is_tried_again(rig: Rig) -> None:
    rig.salad.faults["/prompt"] = [429]
    assert "error" not in rig.run(sample_jobs.flat())


def test_what_an_earlier_worker_had_submitted_is_stopped_and_run_again(rig: Rig) -> None:
    resume = Attempt(PromptId("earlier"), InstanceName("salad"))
    assert "error" not in rig.run(sample_jobs.flat(), host=Host(resume=resume))
    assert rig.salad.interrupts == ["earlier"]
    assert len(rig.salad.prompts) == 1


def test_a_wrong_key_names_its_setting(rig: Rig) -> None:
    remote = rig.target(api_key="wrong-key", settings=("REMOTE_SALAD_URL", "REMOTE_SALAD_API_KEY"))
    remote.start()
    try:
        wait_for(lambda: "REMOTE_SALAD_API_KEY" in remote.facts()["reason"], "the name of the setting")
        assert "wrong-key" not in repr((remote, remote.facts()))
        assert remote.capacity.take(0.0) is None
    finally:
        remote.close()


def test_one_that_warms_up_gets_no_jobs(rig: Rig) -> None:
    rig.salad.is_warm = False
    remote = rig.target(probe_interval_s=0.02)
    remote.start()
    try:
        wait_for(lambda: "503" in remote.facts().get("reason", ""), "a look at it")
        assert remote.capacity.take(0.0) is None
        rig.salad.is_warm = True
        assert wait_for(lambda: remote.capacity.take(0.1), "a seat")
    finally:
        rig.salad.is_warm = True
        remote.close()
