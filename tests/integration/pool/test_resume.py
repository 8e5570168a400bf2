"""A prompt that an earlier worker has submitted: followed, collected, or run again when ComfyUI has lost it."""

import os
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support import sample_jobs
from support.prompts import new_id
from support.sample_jobs import Workflow, node
from support.standin_process import StandinProcess
from support.waiting import wait_for
from support.wire_tap import WireTap

from api import wiring
from api.comfyui.client import ComfyClient
from api.comfyui.lookup import Place, locate
from api.comfyui.submit import PromptBody
from api.ids import InstanceName, PromptId
from api.jobs.events import JobEvent, PromptAssigned, PromptQueued, PromptStarted
from api.jobs.ports import Attempt, Duty, Host
from api.settings import Settings

FOLDER = f"job-{uuid.uuid4().hex}"
PICTURE = sample_jobs.png((200, 30, 60))


@pytest.fixture(scope="module")
def shared_standin() -> Iterator[StandinProcess]:
    with StandinProcess() as process:
        yield process


@pytest.fixture(params=["standin", pytest.param("real", marks=pytest.mark.comfyui)])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "standin":
        standin: StandinProcess = request.getfixturevalue("shared_standin")
        standin.set_fault("slow_execute", 100)
        return standin.url
    if "COMFYUI_TEST_URL" not in os.environ:
        pytest.skip("COMFYUI_TEST_URL is not set")
    return os.environ["COMFYUI_TEST_URL"]


class Worker:
    """A worker that was restarted; ComfyUI is watched on the wire."""

    def __init__(self, tap: WireTap, url: str, services: wiring.Services, pool: ThreadPoolExecutor) -> None:
        self.client = ComfyClient(url)
        self._real = url == os.environ.get("COMFYUI_TEST_URL")
        self.events: list[JobEvent] = []
        self._tap = tap
        self._services = services
        self._pool = pool

    def submit_earlier(self, steps: int) -> PromptId:
        """What an earlier worker has left in ComfyUI."""
        prompt_id = new_id()
        self.client.upload(_file(self._services), "input.png", subfolder=FOLDER, overwrite=True)
        workflow = chain(f"{FOLDER}/input.png", steps, prefix=f"{FOLDER}/mine/x", real=self._real)
        assert self.client.submit(PromptBody(workflow).encode(prompt_id, "earlier")).answer.status == 200
        return prompt_id

    def wait_place(self, prompt_id: PromptId, place: Place) -> None:
        wait_for(lambda: locate(self.client, prompt_id).place is place, f"{prompt_id} {place}", 60)

    def take_over(self, prompt_id: PromptId, steps: int = 2) -> Future[dict[str, Any]]:
        """Run the job with the prompt to follow."""
        workflow = chain("input.png", steps, prefix="mine/x", real=self._real)
        job = sample_jobs.job(workflow, images={"input.png": PICTURE})
        host = Host(resume=Attempt(prompt_id, InstanceName("some comfyui")))
        return self._pool.submit(self._services.handler, job, self.events.append, host=host)

    def run(self, later: list[Duty]) -> dict[str, Any]:
        """Run a job of which ComfyUI is made to forget nothing yet: that comes to stand in `later`."""
        workflow = chain("input.png", 2, prefix="mine/x", real=self._real)
        job = sample_jobs.job(workflow, images={"input.png": PICTURE})
        return self._services.handler(job, self.events.append, host=Host(afterwards=later.append))

    def assigned(self) -> list[PromptId]:
        return [event.prompt_id for event in self.events if isinstance(event, PromptAssigned)]

    def sent(self) -> tuple[int, int]:
        """How many prompts and uploads this worker has sent."""
        return len(self._tap.requests("POST /prompt")), len(self._tap.requests("POST /upload"))


def _file(services: wiring.Services) -> Path:
    path = services.settings.work_dir / "earlier.png"
    path.write_bytes(PICTURE)
    return path


def chain(name: str, steps: int, prefix: str, *, real: bool) -> Workflow:
    """Each step takes 0.1 s and more: a real ComfyUI has work to do, the stand-in is told to be slow."""
    step = node("ImageBlur", blur_radius=31, sigma=5.0) if real else node("ImageInvert")
    chained = {
        str(number): {**step, "inputs": {**step["inputs"], "image": [str(number - 1), 0]}}
        for number in range(3, steps + 3)
    }
    size = 256 if real else 16
    return {
        "1": node("LoadImage", image=name),
        "2": node(
            "ImageScale", image=["1", 0], upscale_method="nearest-exact", width=size, height=size, crop="disabled"
        ),
        **chained,
        "99": node("SaveImage", images=[str(steps + 2), 0], filename_prefix=prefix),
    }


@pytest.fixture
def worker(url: str, tmp_path: Path) -> Iterator[Worker]:
    with WireTap(url) as tap, ThreadPoolExecutor(1) as pool:
        settings = Settings(comfy_host=tap.url, work_dir=tmp_path / "work", comfy_run_dir=tmp_path)
        services = wiring.build(settings, runs_per_job=1)
        worker = Worker(tap, url, services, pool)
        yield worker
        services.close()
        worker.client.close()


def assert_taken_over(worker: Worker, prompt_id: PromptId, result: dict[str, Any]) -> None:
    assert "error" not in result, result
    (image,) = result["images"]
    assert image["subfolder"] == "mine" and image["filename"].startswith("x_0")
    assert worker.sent() == (0, 0)
    assert worker.assigned() == [prompt_id]


def test_a_running_prompt_is_followed(worker: Worker) -> None:
    prompt_id = worker.submit_earlier(15)
    worker.wait_place(prompt_id, Place.RUNNING)
    assert_taken_over(worker, prompt_id, worker.take_over(prompt_id, 15).result(60))
    assert worker.events.count(PromptStarted()) == 1


def test_a_queued_prompt_is_followed(worker: Worker) -> None:
    before, prompt_id = worker.submit_earlier(20), worker.submit_earlier(1)
    worker.wait_place(before, Place.RUNNING)
    result = worker.take_over(prompt_id, 1)
    wait_for(lambda: PromptQueued(1) in worker.events, "its place in the queue")
    assert PromptStarted() not in worker.events
    assert_taken_over(worker, prompt_id, result.result(60))
    worker.client.delete_history(before)


def test_a_finished_prompt_is_collected(worker: Worker) -> None:
    prompt_id = worker.submit_earlier(1)
    worker.wait_place(prompt_id, Place.FINISHED)
    assert_taken_over(worker, prompt_id, worker.take_over(prompt_id, 1).result(60))


def test_what_is_to_be_forgotten_later_can_be_collected_again_till_then(worker: Worker) -> None:
    later: list[Duty] = []
    first = worker.run(later)
    (prompt_id,) = worker.assigned()
    sent = worker.sent()
    again = worker.take_over(prompt_id).result(60)
    pixels = [[sample_jobs.pixels(image).tobytes() for image in result["images"]] for result in (first, again)]
    assert pixels[0] == pixels[1] and len(pixels[0]) == 1
    assert worker.sent() == sent and worker.assigned() == [prompt_id] * 2
    for duty in later:
        duty()
    worker.wait_place(prompt_id, Place.ABSENT)


def test_a_prompt_comfyui_does_not_know_is_run_again_once(worker: Worker) -> None:
    unknown = new_id()
    result = worker.take_over(unknown).result(60)
    assert "error" not in result, result
    assert worker.sent() == (1, 1)
    (assigned,) = worker.assigned()
    assert assigned != unknown


def test_an_interrupted_prompt_is_run_again(worker: Worker) -> None:
    """What a worker leaves that was killed between its interrupt and the next request."""
    prompt_id = worker.submit_earlier(40)
    worker.wait_place(prompt_id, Place.RUNNING)
    worker.client.interrupt(prompt_id)
    worker.wait_place(prompt_id, Place.FINISHED)
    result = worker.take_over(prompt_id).result(60)
    assert "error" not in result, result
    assert worker.sent() == (1, 1)
    assert prompt_id not in worker.assigned() and len(worker.assigned()) == 1


def test_a_job_whose_comfyui_was_restarted_is_run_again(tmp_path: Path, connected: Callable[..., Worker]) -> None:
    with StandinProcess() as standin:
        worker = connected(standin.url)
        standin.set_fault("slow_execute", 100)
        prompt_id = worker.submit_earlier(40)
        worker.wait_place(prompt_id, Place.RUNNING)
        standin.restart()
        result = worker.take_over(prompt_id).result(60)
        assert "error" not in result, result
        assert worker.sent() == (1, 1)
        assert prompt_id not in worker.assigned() and len(worker.assigned()) == 1


@pytest.fixture
def connected(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """`connected(url)` is a worker at that address."""
    with ThreadPoolExecutor(1) as pool:
        made: list[tuple[WireTap, wiring.Services, Worker]] = []

        def make(url: str) -> Worker:
            tap = WireTap(url)
            tap.__enter__()
            settings = Settings(comfy_host=tap.url, work_dir=tmp_path / "work", comfy_run_dir=tmp_path)
            services = wiring.build(settings, runs_per_job=1)
            made.append((tap, services, Worker(tap, url, services, pool)))
            return made[-1][2]

        yield make
        for tap, services, worker in made:
            services.close()
            worker.client.close()
            tap.__exit__(None, None, None)
