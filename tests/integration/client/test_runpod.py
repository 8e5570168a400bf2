"""The same verbs against RunPod's API."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_worker import Answer, FakeWorker

from api.client import Refused, Unreachable
from api.client_runpod import RunpodClient

JOB = "6e15-u1"
WORKFLOW = {"6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a"}}}
IMAGE = {"filename": "a.png", "type": "base64", "data": base64.b64encode(b"pixels").decode()}


@pytest.fixture
def endpoint(worker: FakeWorker, pauses: list[float]) -> Iterator[RunpodClient]:
    url = f"{worker.url}/v2"
    with RunpodClient("ep1", "rp-key", base_url=url, timeout_s=5, retries=3, sleep=pauses.append) as client:
        yield client


def test_a_job_from_submit_to_file(worker: FakeWorker, endpoint: RunpodClient, tmp_path: Path):
    worker.answer("POST", "/v2/ep1/run", 200, {"id": JOB, "status": "IN_QUEUE"})
    for state in [
        {"status": "IN_QUEUE"},
        {"status": "IN_PROGRESS", "output": {"percent": 40, "node": "KSampler"}},
        {"status": "COMPLETED", "output": {"images": [IMAGE]}},
    ]:
        worker.answer("GET", f"/v2/ep1/status/{JOB}", 200, {"id": JOB, **state})
    job = endpoint.submit(WORKFLOW, {"b.png": b"bytes"}, {"6.text": "b"}, priority="low", webhook="https://x/y")
    events = []
    done = endpoint.wait(job.job_id, on_event=events.append)
    (path,) = endpoint.download(done, tmp_path)
    (asked,) = worker.asked("POST", "/v2/ep1/run")
    assert asked.json == {
        "input": {
            "workflow": WORKFLOW,
            "images": [{"name": "b.png", "image": base64.b64encode(b"bytes").decode()}],
            "overrides": {"6.text": "b"},
        },
        "webhook": "https://x/y",
        "policy": {"lowPriority": True},
    }
    assert asked.headers["authorization"] == "Bearer rp-key"
    assert [event.kind for event in events] == ["queued", "progress", "finished"]
    assert events[1].data["percent"] == 40
    assert path.read_bytes() == b"pixels"


@pytest.mark.parametrize(
    ("word", "status"), [("FAILED", "failed"), ("CANCELLED", "cancelled"), ("TIMED_OUT", "timed_out")]
)
def test_ends_without_a_result(worker: FakeWorker, endpoint: RunpodClient, word: str, status: str):
    worker.answer("GET", f"/v2/ep1/status/{JOB}", 200, {"id": JOB, "status": word, "error": "why"})
    job = endpoint.wait(JOB)
    assert (job.status, job.ended, job.succeeded, job.error) == (status, True, False, "why")


def test_a_submit_that_may_have_arrived_is_not_sent_again(worker: FakeWorker, endpoint: RunpodClient):
    worker.give("POST", "/v2/ep1/run", Answer(drop=True), Answer(502))
    with pytest.raises(Unreachable):
        endpoint.submit(WORKFLOW)
    with pytest.raises(Refused, match="502"):
        endpoint.submit(WORKFLOW)
    assert len(worker.asked("POST", "/v2/ep1/run")) == 2


def test_a_submit_that_was_not_taken_is_sent_again(worker: FakeWorker, endpoint: RunpodClient):
    worker.answer("POST", "/v2/ep1/run", 429, {})
    worker.answer("POST", "/v2/ep1/run", 200, {"id": JOB, "status": "IN_QUEUE"})
    assert endpoint.submit(WORKFLOW).job_id == JOB


def test_what_runpod_would_cut_off_is_not_even_sent(worker: FakeWorker, endpoint: RunpodClient):
    with pytest.raises(Refused, match="as URLs"):
        endpoint.submit(WORKFLOW, {"a.png": b"x" * 9_000_000})
    assert worker.asked("POST", "/v2/ep1/run") == []


def test_cancel_and_counts(worker: FakeWorker, endpoint: RunpodClient):
    worker.answer("POST", f"/v2/ep1/cancel/{JOB}", 200, {"id": JOB, "status": "CANCELLED"})
    worker.answer("GET", "/v2/ep1/health", 200, {"jobs": {"inQueue": 2}, "workers": {}})
    assert endpoint.cancel(JOB).status == "cancelled"
    assert endpoint.stats() == {"inQueue": 2}


def test_what_runpod_does_not_offer_is_refused_with_a_way_out(endpoint: RunpodClient):
    with pytest.raises(Refused, match="keep their ids"):
        endpoint.list()
    with pytest.raises(Refused, match="python -m api validate"):
        endpoint.validate(WORKFLOW)
