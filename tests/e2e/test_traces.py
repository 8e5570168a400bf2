"""Jobs as traces: one per job, through all its stages, in both modes, continuing the caller's."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import sample_jobs
from support.api_worker import ApiWorker
from support.otlp_collector import Collector, Span, collecting
from support.runpod_platform import RunpodPlatform
from support.standin_process import StandinProcess
from support.waiting import wait_for
from support.worker_process import WorkerProcess

pytestmark = pytest.mark.e2e

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"
FAILING = sample_jobs.flat() | {
    "3": sample_jobs.node("StandinFail", image=["1", 0], message="asked for"),
    "2": sample_jobs.node("SaveImage", images=["3", 0], filename_prefix="never"),
}
STAGES = {"fetch", "upload", "execute", "download", "deliver"}


@pytest.fixture(scope="module")
def comfyui() -> Iterator[StandinProcess]:
    with StandinProcess() as process:
        yield process


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def environment(collector: Collector) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}


def of_one_job(collector: Collector, trace_id: str) -> dict[str, Span]:
    """The spans of a job that ran once, by name."""

    def told() -> list[Span]:
        return [span for span in collector.spans if span.trace_id == trace_id]

    wait_for(lambda: {"job", "queue", "run", *STAGES} <= {span.name for span in told()}, "the spans of the job")
    assert all([span.name for span in told()].count(name) == 1 for name in ("job", "queue", "run"))
    return {span.name: span for span in told()}


def test_a_job_of_the_http_api_is_part_of_its_callers_trace(
    comfyui: StandinProcess, collector: Collector, tmp_path: Path
) -> None:
    with ApiWorker(tmp_path, comfyui.url, environment(collector)) as worker:
        job = sample_jobs.job(sample_jobs.flat())
        answer = worker.post("/run", json=job["input"], headers={"traceparent": TRACEPARENT})
        job_id = answer.json()["job_id"]
        assert worker.ended(job_id)["status"] == "completed"
        spans = of_one_job(collector, TRACE)
        root, run = spans["job"], spans["run"]
        assert (root.parent_id, root.service, root.attributes["job.id"]) == (CALLER, "comfyui-worker", job_id)
        assert (root.attributes["job.status"], root.attributes["job.attempts"]) == ("succeeded", 1)
        assert {spans["queue"].parent_id, run.parent_id} == {root.span_id}
        assert {spans[stage].parent_id for stage in STAGES} == {run.span_id}
        assert run.attributes["comfyui.instance"] in comfyui.url
        assert root.began_ns <= spans["queue"].began_ns <= spans["queue"].ended_ns <= root.ended_ns
        assert run.began_ns - 1_000_000 <= spans["execute"].began_ns <= spans["execute"].ended_ns
        assert not any(span.is_error for span in spans.values())

        # Without a caller's trace it has one of its own; a failure is told with its code.
        failed = worker.submit(sample_jobs.job(FAILING))
        assert worker.ended(failed)["status"] == "failed"
        (end,) = wait_for(
            lambda: [span for span in collector.named("job") if span.attributes["job.id"] == failed], "its end"
        )
        assert (end.is_error, end.attributes["error.type"], end.parent_id) == (True, "EXECUTION_FAILED", "")
        assert end.trace_id != TRACE


def test_a_job_of_runpods_loop_too(comfyui: StandinProcess, collector: Collector) -> None:
    with (
        RunpodPlatform(hold_s=1.0) as platform,
        WorkerProcess({"COMFY_HOST": comfyui.url, **environment(collector), **platform.env()}),
    ):
        platform.wait_polled()
        job = sample_jobs.job(sample_jobs.flat())
        job["input"]["traceparent"] = TRACEPARENT
        job_id = platform.submit(job)
        assert "output" in platform.result(job_id, 60)
        spans = of_one_job(collector, TRACE)
    assert (spans["job"].parent_id, spans["run"].parent_id) == (CALLER, spans["job"].span_id)
    assert spans["job"].attributes["job.id"] == job_id


def test_a_collector_that_says_nothing_does_not_hold_up_the_end(comfyui: StandinProcess, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with ApiWorker(tmp_path, comfyui.url, {"OTEL_EXPORTER_OTLP_ENDPOINT": there}) as worker:
            assert worker.ended(worker.submit(sample_jobs.job(sample_jobs.flat())))["status"] == "completed"
            began = time.monotonic()
            worker.process.terminate()
            assert worker.process.wait() == 0
            assert time.monotonic() - began < 9


def test_a_collector_that_is_away_costs_nothing(comfyui: StandinProcess, tmp_path: Path) -> None:
    with ApiWorker(tmp_path, comfyui.url, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}) as worker:
        assert worker.ended(worker.submit(sample_jobs.job(sample_jobs.flat())))["status"] == "completed"
