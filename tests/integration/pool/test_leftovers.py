"""Prompts that nobody waits for any more: ComfyUI is not left to run them to their end."""

import functools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.prompts import new_id
from support.sample_jobs import slow
from support.standin_process import StandinProcess
from support.waiting import wait_for
from support.wire_tap import WireTap

from api import wiring
from api.comfyui.client import ComfyClient
from api.comfyui.lookup import Place, locate
from api.comfyui.submit import PromptBody
from api.ids import InstanceName, JobId, PromptId
from api.jobs.ends import Run
from api.jobs.job import Job, Status
from api.leftovers import Leftovers
from api.settings import Settings

# In which a prompt that is not stopped would by far not come to its end.
_SOON_S = 5.0


class Rig:
    """A worker that watches one ComfyUI; prompts are those of earlier workers."""

    def __init__(self, standin: StandinProcess, tap: WireTap, services: wiring.Services) -> None:
        self.standin = standin
        self.tap = tap
        self.services = services
        self.client = ComfyClient(standin.url)
        self.leftovers = Leftovers(services.comfy.target, lambda job_id: f"job-{job_id}")

    def submit(self, color: int = 1) -> PromptId:
        prompt_id = new_id()
        assert self.client.submit(PromptBody(slow(30.0, color=color)).encode(prompt_id, "earlier")).answer.status == 200
        return prompt_id

    def wait_place(self, prompt_id: PromptId, place: Place) -> None:
        wait_for(lambda: locate(self.client, prompt_id).place is place, f"{prompt_id} to be {place}", _SOON_S)

    def end(self, prompt_id: PromptId, status: Status, run: Run | None = None, *, is_earlier: bool = False) -> None:
        """The end of the job that the prompt is of."""
        name = InstanceName(self.tap.url.removeprefix("http://"))
        job = Job(id=JobId("a"), created_at=0.0, status=status, prompt_id=prompt_id, instance=name)
        self.leftovers.note(job, run) if not is_earlier else self.leftovers.of_earlier([job])


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with StandinProcess() as standin, WireTap(standin.url) as tap:
        brisk = {"comfy_probe_interval_s": 0.2, "comfy_probe_timeout_s": 0.5, "comfy_breaker_open_s": 0.5}
        settings = Settings(
            comfy_host=tap.url,
            comfy_root=standin.directory,
            work_dir=tmp_path / "work",
            comfy_run_dir=tmp_path,
            **brisk,
        )
        services = wiring.build(settings)
        services.comfy.crew.start(lambda _member: None)
        rig = Rig(standin, tap, services)
        try:
            wait_for(functools.partial(services.comfy.crew.wait_usable, 1), "the ComfyUI")
            yield rig
        finally:
            services.close()
            rig.client.close()


def test_that_of_a_cancelled_job_is_interrupted_and_the_others_go_on(rig: Rig) -> None:
    running, next_one, waiting = (rig.submit(color) for color in (1, 2, 3))
    rig.wait_place(running, Place.RUNNING)
    rig.end(running, Status.CANCELLED)
    rig.end(waiting, Status.CANCELLED)
    rig.wait_place(next_one, Place.RUNNING)
    rig.wait_place(running, Place.ABSENT)
    rig.wait_place(waiting, Place.ABSENT)


def test_that_of_a_run_that_was_stopped_in_vain_is_interrupted_when_it_listens(rig: Rig) -> None:
    rig.standin.set_fault("ignore_interrupt")
    prompt_id = rig.submit()
    rig.wait_place(prompt_id, Place.RUNNING)
    rig.end(prompt_id, Status.CANCELLED, Run())
    wait_for(lambda: rig.tap.requests("POST /interrupt"), "an interrupt")
    rig.standin.clear_faults()
    rig.wait_place(prompt_id, Place.ABSENT)


def test_a_comfyui_that_does_not_answer_is_told_when_it_does(rig: Rig) -> None:
    prompt_id = rig.submit()
    rig.wait_place(prompt_id, Place.RUNNING)
    os.kill(rig.standin.pid, signal.SIGSTOP)
    rig.end(prompt_id, Status.FAILED)
    wait_for(lambda: rig.services.comfy.roster.facts()[0]["status"] != "healthy", "a look that fails")
    os.kill(rig.standin.pid, signal.SIGCONT)
    rig.wait_place(prompt_id, Place.ABSENT)


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED])
def test_that_of_a_job_that_ran_to_its_end_is_nobodys_concern(rig: Rig, status: Status) -> None:
    prompt_id, cancelled = rig.submit(1), rig.submit(2)
    rig.wait_place(prompt_id, Place.RUNNING)
    rig.end(prompt_id, status, Run())
    rig.end(cancelled, Status.CANCELLED)
    rig.wait_place(cancelled, Place.ABSENT)
    assert locate(rig.client, prompt_id).place is Place.RUNNING


@pytest.mark.parametrize("is_earlier", [False, True], ids=["of this process", "of an earlier one"])
def test_the_files_of_a_job_that_nobody_ran_to_its_end_go_as_well(rig: Rig, is_earlier: bool) -> None:
    file = rig.standin.input_dir / "job-a" / "input.png"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    rig.end(new_id(), Status.CANCELLED, is_earlier=is_earlier)
    wait_for(lambda: not file.parent.exists(), "the folder to go", _SOON_S)
