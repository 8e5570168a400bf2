"""What the client sends, and what it makes of the answers."""

import base64
import datetime
import email.utils
from pathlib import Path

import pytest
from support.fake_worker import Answer, FakeWorker

from api.client import Client, Refused, Unreachable

JOB = "550e8400-e29b-41d4-a716-446655440000"
WORKFLOW = {"6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a"}}}
PENDING = {"job_id": JOB, "status": "pending"}


def test_a_submit_carries_workflow_files_overrides_key_and_credentials(worker: FakeWorker, client: Client, tmp_path):
    (tmp_path / "a.png").write_bytes(b"picture")
    worker.answer("POST", "/run", 202, PENDING)
    images = {"a.png": tmp_path / "a.png", "b.png": b"bytes", "c.png": "https://example.org/c.png"}
    hook = "https://example.org/hook"
    job = client.submit(WORKFLOW, images, {"6.text": "b"}, priority="high", gpu="salad", webhook=hook)
    (asked,) = worker.asked("POST", "/run")
    assert (job.job_id, job.status, job.ended) == (JOB, "pending", False)
    assert asked.json == {
        "workflow": WORKFLOW,
        "images": [
            {"name": "a.png", "image": base64.b64encode(b"picture").decode()},
            {"name": "b.png", "image": base64.b64encode(b"bytes").decode()},
            {"name": "c.png", "image": "https://example.org/c.png"},
        ],
        "overrides": {"6.text": "b"},
        "priority": "high",
        "gpu": "salad",
        "webhook": hook,
    }
    assert asked.headers["authorization"] == "Bearer secret-key"


def test_a_repeated_submit_is_the_same_one_and_a_second_one_is_not(worker: FakeWorker, client: Client):
    worker.give("POST", "/run", Answer(drop=True), Answer(503, b"", {"Retry-After": "7"}))
    worker.answer("POST", "/run", 202, PENDING)
    client.submit(WORKFLOW)
    client.submit(WORKFLOW)
    keys = [asked.headers["idempotency-key"] for asked in worker.asked("POST", "/run")]
    assert len(keys) == 4
    assert keys[0] == keys[1] == keys[2] != keys[3]


def test_a_submit_that_is_still_being_taken_is_asked_for_again(worker: FakeWorker, client: Client):
    worker.answer("POST", "/run", 409, {"message": "busy", "code": "IDEMPOTENCY_KEY_IN_FLIGHT"})
    worker.answer("POST", "/run", 202, PENDING)
    assert client.submit(WORKFLOW).job_id == JOB


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_passing_refusals_are_waited_out_as_long_as_the_server_asks(
    worker: FakeWorker, client: Client, pauses: list[float], status: int
):
    worker.answer("GET", "/stats", status, {}, {"Retry-After": "11"})
    worker.answer("GET", "/stats", 200, {"total_jobs": 3})
    assert client.stats() == {"total_jobs": 3}
    assert pauses == [11]


def test_retry_after_may_be_a_date(worker: FakeWorker, client: Client, pauses: list[float]):
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=20)
    worker.answer("GET", "/stats", 429, {}, {"Retry-After": email.utils.format_datetime(moment, usegmt=True)})
    worker.answer("GET", "/stats", 200, {})
    client.stats()
    assert 15 < pauses[0] <= 20


def test_a_wait_of_hours_is_left_to_the_caller(worker: FakeWorker, client: Client, pauses: list[float]):
    worker.answer("GET", "/stats", 429, {"message": "Too many.", "code": "RATE_LIMITED"}, {"Retry-After": "3600"})
    with pytest.raises(Refused, match="Too many") as caught:
        client.stats()
    assert (caught.value.status, caught.value.code, pauses) == (429, "RATE_LIMITED", [])


def test_without_a_word_from_the_server_pauses_grow(worker: FakeWorker, client: Client, pauses: list[float]):
    worker.give("GET", "/stats", Answer(drop=True))
    with pytest.raises(Unreachable, match="No answer from http://127"):
        client.stats()
    assert len(worker.asked("GET", "/stats")) == 4
    assert [0.25 * 2**n <= pause <= 0.5 * 2**n for n, pause in enumerate(pauses)] == [True] * 3


@pytest.mark.parametrize("status", [400, 401, 404, 409, 413, 422, 500, 507])
def test_other_refusals_are_final_and_told_in_the_server_s_words(worker: FakeWorker, client: Client, status: int):
    details = [{"field": "workflow", "message": "It is empty."}]
    worker.answer("POST", "/run", status, {"error": "X", "message": "Not this.", "code": "C", "details": details})
    with pytest.raises(Refused, match="Not this") as caught:
        client.submit(WORKFLOW)
    assert (caught.value.status, caught.value.code, caught.value.details) == (status, "C", tuple(details))
    assert len(worker.asked("POST", "/run")) == 1


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"error": "job not found"}', "job not found"),
        (b'{"title": "T", "detail": "Only this."}', "Only this"),
        (b"<html>", "Not Found"),
        (b'["x"]', "Not Found"),
    ],
)
def test_errors_of_other_forms_are_told_too(worker: FakeWorker, client: Client, body: bytes, told: str):
    worker.give("GET", f"/status/{JOB}", Answer(404, body))
    with pytest.raises(Refused, match=told):
        client.status(JOB)


def test_the_key_stays_with_its_server(worker: FakeWorker, client: Client, tmp_path: Path):
    with FakeWorker() as bucket:
        bucket.serve_file("/signed/a.png", b"picture")
        image = {"filename": "a.png", "type": "s3_url", "data": f"{bucket.url}/signed/a.png"}
        worker.answer(
            "GET", f"/status/{JOB}", 200, {"job_id": JOB, "status": "completed", "result": {"images": [image]}}
        )
        (path,) = client.download(JOB, tmp_path)
        (asked,) = bucket.asked("GET", "/signed/a.png")
    assert path.read_bytes() == b"picture"
    assert "authorization" not in asked.headers


def test_a_list_goes_over_all_pages_up_to_the_limit(worker: FakeWorker, client: Client):
    jobs = [{"job_id": f"j{n}", "status": "failed"} for n in range(5)]
    worker.answer("GET", "/jobs", 200, {"jobs": jobs[:2], "next": "c1"})
    worker.answer("GET", "/jobs", 200, {"jobs": jobs[2:4], "next": "c2"})
    worker.answer("GET", "/jobs", 200, {"jobs": jobs[4:], "next": None})
    assert [job.job_id for job in client.list(limit=4, status="failed")] == ["j0", "j1", "j2", "j3"]
    assert [asked.query.get("cursor") for asked in worker.asked("GET", "/jobs")] == [None, "c1"]
    assert worker.asked("GET", "/jobs")[1].query["status"] == "failed"


def test_validating_sends_names_and_no_pictures(worker: FakeWorker, client: Client):
    worker.answer("POST", "/validate", 200, {"ok": True})
    assert client.validate(WORKFLOW, {"a.png": b"x" * 1000}, {"6.text": "b"}) == {"ok": True}
    (asked,) = worker.asked("POST", "/validate")
    assert asked.json["images"] == [{"name": "a.png", "image": "AA=="}]


def test_a_server_that_answers_no_json_is_told_of(worker: FakeWorker, client: Client):
    worker.give("GET", "/health", Answer(200, b"<html>"))
    with pytest.raises(Refused, match="did not answer with JSON"):
        client.health()
