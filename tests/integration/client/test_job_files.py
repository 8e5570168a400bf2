"""Job files in each form as the client sends them, to the worker and to RunPod."""

from collections.abc import Iterator
from typing import Any

import pytest
from support.fake_worker import FakeWorker

from api.client import Client, JobUnusable
from api.client_runpod import RunpodClient

WORKFLOW = {"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}
IMAGES = [{"name": "a.png", "image": "eA==", "formats": ["png"]}]
OWN = {"workflow": WORKFLOW, "images": IMAGES, "priority": "low", "labels": {"a": "b"}}
BESIDE = {"webhook": "https://x/y", "policy": {"executionTimeout": 60_000}}


@pytest.fixture
def endpoint(worker: FakeWorker) -> Iterator[RunpodClient]:
    worker.answer("POST", "/v2/ep1/run", 200, {"id": "r1", "status": "IN_QUEUE"})
    with RunpodClient("ep1", "rp-key", base_url=f"{worker.url}/v2", timeout_s=5, retries=0) as client:
        yield client


@pytest.mark.parametrize(
    ("job", "sent"),
    [
        (WORKFLOW, {"workflow": WORKFLOW}),
        (OWN, OWN),
        ({"input": OWN}, OWN),
        ({"input": OWN, **BESIDE}, {"input": OWN, **BESIDE}),
        (
            {"input": {"workflow_name": "resize", "inputs": {"width": 8}}},
            {"workflow_name": "resize", "inputs": {"width": 8}},
        ),
    ],
)
def test_a_job_is_sent_whole(worker: FakeWorker, client: Client, job: Any, sent: dict[str, Any]):
    worker.answer("POST", "/run", 202, {"job_id": "j1", "status": "pending"})
    assert client.submit_job(job).job_id == "j1"
    assert worker.asked("POST", "/run")[0].json == sent


def test_what_is_told_of_it_comes_in_runpods_words_too(worker: FakeWorker, client: Client):
    worker.answer("POST", "/run", 200, {"id": "j1", "status": "IN_QUEUE"})
    job = client.submit_job({"input": OWN, **BESIDE}, idempotency_key="once", webhook="https://x/z", gpu="fast")
    assert (job.job_id, job.status) == ("j1", "pending")
    (asked,) = worker.asked("POST", "/run")
    assert asked.json == {"input": {**OWN, "gpu": "fast"}, **BESIDE, "webhook": "https://x/z"}
    assert asked.headers["idempotency-key"] == "once"


def test_of_files_only_the_names_are_validated(worker: FakeWorker, client: Client):
    worker.answer("POST", "/validate", 200, {"ok": True})
    assert client.validate_job(
        {"workflow": WORKFLOW, "images": [{"name": "b.png", "image": "x" * 99}]}, {"a.png": b"a"}
    )
    assert worker.asked("POST", "/validate")[0].json == {
        "workflow": WORKFLOW,
        "images": [{"name": "b.png", "image": "AA=="}, {"name": "a.png", "image": "AA=="}],
    }


def test_nothing_is_sent_of_what_is_no_job(worker: FakeWorker, client: Client):
    with pytest.raises(JobUnusable):
        client.submit_job({"input": 7})
    assert worker.asked("POST", "/run") == []


def test_runpod_is_sent_the_same(worker: FakeWorker, endpoint: RunpodClient):
    endpoint.submit_job({"input": {"workflow": WORKFLOW}, **BESIDE}, priority="low")
    endpoint.submit_job({"workflow": WORKFLOW, "webhook": "https://x/y", "priority": "low"})
    first, second = (asked.json for asked in worker.asked("POST", "/v2/ep1/run"))
    policy = {"executionTimeout": 60_000, "lowPriority": True}
    assert first == {"input": {"workflow": WORKFLOW}, "webhook": "https://x/y", "policy": policy}
    assert second == {"input": {"workflow": WORKFLOW}, "webhook": "https://x/y", "policy": {"lowPriority": True}}


def test_why_a_job_waits(worker: FakeWorker, client: Client, endpoint: RunpodClient):
    worker.answer("GET", "/why/j1", 200, {"job_id": "j1", "status": "pending", "why": "The queue is paused."})
    worker.answer("GET", "/why/j2", 200, {"job_id": "j2", "status": "running", "why": "It does not wait."})
    worker.answer("GET", "/why/j3", 503, {"message": "Later."})
    asked = [client.why(job_id) for job_id in ("j1", "j2", "j3", "unknown")]
    assert (asked, endpoint.why("j1")) == (["The queue is paused.", None, None, None], None)
    assert worker.asked("GET", "/why/j1")[0].headers["authorization"] == "Bearer secret-key"
    assert len(worker.asked("GET", "/why/j3")) == 1
