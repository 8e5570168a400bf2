"""`python handler.py` under the unmodified runpod SDK, a fake RunPod platform and a stand-in, all real processes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from support import sample_jobs
from support.runpod_platform import RunpodPlatform
from support.s3_server import ACCESS_KEY_ID, SECRET_ACCESS_KEY, S3Server
from support.standin_process import StandinProcess
from support.waiting import wait_for
from support.wire_tap import WireTap
from support.worker_process import WorkerProcess

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Stage:
    """Everything a worker plays on. `tap` sits between worker and stand-in."""

    platform: RunpodPlatform
    standin: StandinProcess
    tap: WireTap

    def worker(self, **environment: str) -> WorkerProcess:
        base = {"COMFY_HOST": self.tap.url, "PROGRESS_INTERVAL_S": "0.1", "COMFY_CANCEL_GRACE_S": "5"}
        return WorkerProcess({**base, **self.platform.env(), **environment})

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        return self.platform.result(self.platform.submit(job))

    def prompts(self) -> int:
        """How many prompts ComfyUI has to do."""
        answer = requests.get(f"{self.standin.url}/prompt", timeout=10).json()
        return int(answer["exec_info"]["queue_remaining"])

    def busy(self) -> bool:
        return self.prompts() > 0

    def wait_running(self, job_id: str) -> None:
        """Until ComfyUI executes something and the platform knows the job as taken."""
        self.platform.wait_taken(job_id)
        wait_for(self.busy, "a prompt in ComfyUI")


@pytest.fixture
def stage() -> Iterator[Stage]:
    with StandinProcess() as standin, WireTap(standin.url) as tap, RunpodPlatform(hold_s=1.0) as platform:
        yield Stage(platform, standin, tap)


@pytest.fixture(scope="module")
def running() -> Iterator[Stage]:
    """A stage with one worker that the tests of this module share."""
    with StandinProcess() as standin, WireTap(standin.url) as tap, RunpodPlatform(hold_s=1.0) as platform:
        stage = Stage(platform, standin, tap)
        with stage.worker():
            platform.wait_polled()
            yield stage
            assert platform.violations == []


# --- jobs under one worker ---


def test_a_job_is_taken_run_and_its_result_posted(running: Stage) -> None:
    result = running.run(sample_jobs.job(sample_jobs.inverted(), images={"input.png": sample_jobs.png((200, 30, 60))}))

    (image,) = result["output"]["images"]
    assert (image["type"], image["node_id"], image["mime_type"]) == ("base64", "3", "image/png")
    assert sample_jobs.shows(image, (55, 225, 195))
    assert set(result) == {"output"}


def test_progress_goes_up_and_ends_before_the_result(running: Stage) -> None:
    running.standin.set_fault("slow_execute", 150)
    job_id = running.platform.submit(sample_jobs.job(sample_jobs.chain(8)))
    running.platform.result(job_id)
    running.standin.clear_faults()
    running.run(sample_jobs.job(sample_jobs.flat()))  # time for a stray update to arrive

    updates = running.platform.updates(job_id)
    percents = [update.output["percent"] for update in updates if "percent" in update.output]
    assert len(percents) >= 3
    assert percents == sorted(percents)
    assert not [update for update in updates if update.late]


def test_a_workflow_that_cannot_run_is_a_failed_job(running: Stage) -> None:
    broken = {"1": sample_jobs.node("SaveImage", images=["99", 0], filename_prefix="x")}
    result = running.run(sample_jobs.job(broken))

    assert isinstance(result["error"], str)
    assert result["output"]["code"] == "INVALID_WORKFLOW"
    assert result["output"]["details"][0]["node_id"] == "1"
    assert not running.busy()


def test_what_comfyui_refuses_is_a_failed_job(running: Stage) -> None:
    result = running.run(sample_jobs.job({**sample_jobs.flat(), "9": sample_jobs.node("NoSuchNode")}))

    assert result["output"]["code"] == "PROMPT_REJECTED"
    assert "NoSuchNode" in json.dumps(result)


def test_a_node_that_raises_is_a_failed_job(running: Stage) -> None:
    workflow = sample_jobs.flat(0xABCDEF)
    workflow["3"] = sample_jobs.node("StandinFail", image=["1", 0], message="no such luck")
    workflow["2"]["inputs"]["images"] = ["3", 0]
    result = running.run(sample_jobs.job(workflow))

    assert "no such luck" in result["error"]
    assert result["output"]["code"] == "EXECUTION_FAILED"
    assert result["output"]["details"][0]["node_id"] == "3"
    assert "Traceback" not in json.dumps(result)


def test_odd_text_comes_out_as_json_the_platform_takes(running: Stage) -> None:
    odd = 'line\u2028separator, "quotes", \x07, \x00, NaN, ünï, 😀'
    workflow = {
        "1": sample_jobs.node("PrimitiveString", value=odd),
        "2": sample_jobs.node("PreviewAny", source=["1", 0]),
    }
    result = running.run(sample_jobs.job(workflow))

    assert result["output"]["text"][0]["data"] == odd


@pytest.mark.parametrize("ui", ['{"text": ["NaN \\ud800 half"], "loss": [NaN, Infinity]}', '{"images": [NaN, 1, "x"]}'])
def test_what_a_node_reports_comes_out_as_json_the_platform_takes(running: Stage, ui: str) -> None:
    result = running.run(sample_jobs.job({"1": sample_jobs.node("StandinUI", ui=ui)}))

    assert "error" not in result
    assert "output" in result


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "half a pair: \ud800"], ids=["nan", "inf", "surrogate"])
def test_a_value_that_is_not_json_still_gets_an_answer(running: Stage, value: Any) -> None:
    workflow = {**sample_jobs.flat(), "3": sample_jobs.node("PreviewAny", source=value)}
    result = running.run(sample_jobs.job(workflow))

    assert result.get("error") or result["output"]["text"][0]["data"]


@pytest.mark.parametrize("payload", [None, [], "not json", 7, {"workflow": {"1": None}}])
def test_no_input_of_any_shape_is_left_without_an_answer(running: Stage, payload: Any) -> None:
    result = running.run({"input": payload})

    assert isinstance(result["error"], str)
    assert result["output"]["code"] in {"INVALID_INPUT", "INVALID_WORKFLOW"}


def test_a_stop_from_the_platform_frees_the_gpu_and_the_worker(running: Stage) -> None:
    stopped = running.platform.submit(sample_jobs.job(sample_jobs.slow(60, color=1)))
    running.wait_running(stopped)
    running.platform.wait_updates(stopped, 1)

    running.platform.stop(stopped)
    wait_for(lambda: not running.busy(), "the prompt is interrupted", timeout_s=2.0)

    after = running.run(sample_jobs.job(sample_jobs.flat(0x0A0B0C)))
    assert len(after["output"]["images"]) == 1
    assert running.platform.finished_at(stopped) is None


def test_a_stop_of_a_waiting_job_leaves_the_running_one_alone(running: Stage) -> None:
    first = running.platform.submit(sample_jobs.job(sample_jobs.slow(3, color=2)))
    running.wait_running(first)
    second = running.platform.submit(sample_jobs.job(sample_jobs.slow(60, color=3)))
    # Not before: the SDK forgets a stop that arrives in the moment between taking a job and starting it.
    wait_for(lambda: running.prompts() == 2, "the second prompt waits behind the first")
    running.platform.stop(second)

    assert len(running.platform.result(first)["output"]["images"]) == 1
    wait_for(lambda: not running.busy(), "nothing is left in ComfyUI", timeout_s=3.0)
    assert running.platform.finished_at(second) is None


def test_two_jobs_overlap(running: Stage) -> None:
    """The second one's input is uploaded and its prompt queued while the first executes; the GPU does not wait."""
    before = len(running.tap.events("execution_start"))
    first = running.platform.submit(sample_jobs.job(sample_jobs.slow(2.5, color=4)))
    running.tap.wait_event("execution_start", before + 1)
    picture = {"input.png": sample_jobs.png((9, 9, 9))}
    second = running.platform.submit(sample_jobs.job(sample_jobs.inverted(), images=picture))
    running.platform.result(first)
    running.platform.result(second)

    starts = running.tap.events("execution_start")[before:]
    ends = running.tap.events("execution_success")[-2:]
    uploaded = running.tap.requests("POST /upload/image")[-1].at
    queued = running.tap.requests("POST /prompt")[-1].at
    assert starts[0].at < uploaded < queued < ends[0].at
    assert starts[1].stamp_ms - ends[0].stamp_ms < 100


def test_two_jobs_with_one_file_name_do_not_see_each_others_picture(running: Stage) -> None:
    colors = [(10, 20, 30), (40, 50, 60)]
    ids = [
        running.platform.submit(
            sample_jobs.job(sample_jobs.slow(0.5, name="input.png"), images={"input.png": sample_jobs.png(color)})
        )
        for color in colors
    ]
    for job_id, color in zip(ids, colors, strict=True):
        (image,) = running.platform.result(job_id)["output"]["images"]
        assert sample_jobs.shows(image, color)


# --- workers with their own environment ---


def test_a_result_over_the_limit_goes_to_the_volume_with_a_preview_inline(stage: Stage, tmp_path: Path) -> None:
    workflow = {
        "1": sample_jobs.node("LoadImage", image="noise.png"),
        "2": sample_jobs.node("RepeatImageBatch", image=["1", 0], amount=3),
        "3": sample_jobs.node("SaveImage", images=["2", 0], filename_prefix="noise"),
    }
    big = sample_jobs.job(workflow, images={"noise.png": sample_jobs.noise_png(1024)})
    with stage.worker(OVERFLOW_DIR=str(tmp_path)):
        over = stage.run(big)["output"]["images"]
        within = stage.run({**big, "id": "sync-42"})["output"]["images"]

    assert stage.platform.violations == []
    assert [image["type"] for image in within] == ["base64"] * 3
    assert len(over) == 3
    moved = [image for image in over if "original" in image]
    assert moved
    for image in moved:
        original = Path(image["original"]["data"])
        assert image["original"]["type"] == "file"
        assert original.is_relative_to(tmp_path)
        assert original.stat().st_size > 3_000_000
        assert image["type"] == "base64"
        assert max(sample_jobs.pixels(image).size) <= 1024


def test_refresh_worker_asks_for_a_fresh_one_after_the_job(stage: Stage) -> None:
    with stage.worker(REFRESH_WORKER="true"):
        result = stage.run(sample_jobs.job(sample_jobs.flat()))

    assert result["stopPod"] is True
    assert len(result["output"]["images"]) == 1
    assert "refresh_worker" not in result["output"]


def test_refresh_worker_takes_one_job_at_a_time_whatever_the_concurrency(stage: Stage) -> None:
    """The second one is not lost with the worker when the platform stops it after the first."""
    first, second = (stage.platform.submit(sample_jobs.job(sample_jobs.slow(1, color=color))) for color in (1, 2))
    with stage.worker(REFRESH_WORKER="true", WORKER_CONCURRENCY="3"):
        assert stage.platform.result(first)["stopPod"] is True
        assert stage.platform.wait_taken(second) > (stage.platform.finished_at(first) or 0)


def test_sigterm_lets_the_running_job_finish(stage: Stage) -> None:
    with stage.worker() as worker:
        job_id = stage.platform.submit(sample_jobs.job(sample_jobs.slow(2)))
        stage.wait_running(job_id)
        worker.terminate()

        assert len(stage.platform.result(job_id)["output"]["images"]) == 1
        assert worker.wait(10) == 0
        assert list(worker.work_dir.iterdir()) == []


def test_sigterm_hands_a_long_job_back_after_the_grace(stage: Stage) -> None:
    with stage.worker(SHUTDOWN_GRACE_S="1") as worker:
        job_id = stage.platform.submit(sample_jobs.job(sample_jobs.slow(60)))
        stage.wait_running(job_id)
        worker.terminate()

        result = stage.platform.result(job_id, 10)
        assert worker.wait(10) == 0
    assert result["output"]["code"] == "WORKER_STOPPING"
    assert result["output"]["retryable"] is True
    assert not stage.busy()


def bucket_of(server: S3Server) -> dict[str, str]:
    server.create_bucket()
    return {
        "BUCKET_ENDPOINT_URL": f"{server.url}/outputs",
        "BUCKET_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "BUCKET_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
    }


def test_sigterm_hands_a_job_back_whose_storage_does_not_answer(stage: Stage) -> None:
    with S3Server() as server, stage.worker(SHUTDOWN_GRACE_S="1", **bucket_of(server)) as worker:
        server.hold()
        job_id = stage.platform.submit(sample_jobs.job(sample_jobs.flat()))
        assert server.held.wait(20)
        worker.terminate()

        result = stage.platform.result(job_id, 5)
        assert worker.wait(5) == 0
    assert result["output"]["code"] == "WORKER_STOPPING"


def test_a_stop_while_the_storage_does_not_answer_frees_the_slot(stage: Stage) -> None:
    with S3Server() as server, stage.worker(WORKER_CONCURRENCY="1", **bucket_of(server)):
        server.hold()
        stopped = stage.platform.submit(sample_jobs.job(sample_jobs.flat()))
        assert server.held.wait(20)
        stage.platform.stop(stopped)
        following = stage.platform.submit(sample_jobs.job(sample_jobs.flat(0x0A0B0C)))
        stage.platform.wait_taken(following, 8)
        server.release()

        assert stage.platform.result(following)["output"]["images"][0]["type"] == "s3_url"
    assert stage.platform.finished_at(stopped) is None


def test_no_job_is_taken_before_comfyui_is_up(stage: Stage) -> None:
    stage.standin.kill()
    with stage.worker() as worker:
        job_id = stage.platform.submit(sample_jobs.job(sample_jobs.flat()))
        stage.tap.wait_refused(3)
        assert worker.is_running
        assert not stage.platform.polled
        stage.standin.restart()

        assert len(stage.platform.result(job_id)["output"]["images"]) == 1
