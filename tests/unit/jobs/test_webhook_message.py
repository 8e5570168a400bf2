"""What a webhook says: the event, its signature, and the log that callers see."""

import base64
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from api.ids import JobId
from api.jobs.job import TERMINAL, Job, JobError, Status
from api.jobs.outbox import Delivery, DeliveryState, Try
from api.jobs.webhook_message import delivery_entry, job_event, signed_headers

ID = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"
KEY = bytes(range(32))
URL = "https://user-site.test/hooks/s3cr3t?token=hush"


def job(status: Status = Status.SUCCEEDED, **values: object) -> Job:
    times = {"started_at": 1_767_323_043.5, "finished_at": 1_767_323_045.0}
    return Job(JobId("7f3d2c1b"), 1_767_323_040.0, status, **{**times, **values})  # type: ignore[arg-type]


def delivery(status: Status = Status.SUCCEEDED, **values: object) -> Delivery:
    times = {"created_at": 1_767_323_045.0, "due_at": 1_767_323_105.25}
    return Delivery(ID, JobId("7f3d2c1b"), status, URL, **{**times, **values})  # type: ignore[arg-type]


def event(delivery: Delivery, job: Job, *images: dict) -> dict:
    body, content_type = job_event(delivery, job, {"images": list(images)})
    assert content_type == "application/json"
    assert len(body) < 20_000
    return json.loads(body)


def test_the_signature_of_the_known_vector() -> None:
    body = b'{"type":"job.completed","timestamp":"2026-01-02T03:04:05Z","data":{"id":"7f3d2c1b-9a8e-4d6f-b012-3c4d5e6f7a8b"}}'  # noqa: E501
    headers = signed_headers([KEY], ID, 1_767_323_045.9, body)
    assert headers == {
        "webhook-id": ID,
        "webhook-timestamp": "1767323045",
        "webhook-signature": "v1,yTrm+QrmWhb5RHDNSf3sKc8yyyto/lNYLZ0arSRRlhk=",
    }


def test_each_key_signs() -> None:
    now, body = datetime.now(UTC).timestamp(), '{"é":1}'.encode()
    headers = signed_headers([KEY, b"raw"], ID, now, body)
    assert Webhook("whsec_" + base64.b64encode(KEY).decode()).verify(body, headers) == {"é": 1}
    assert Webhook(b"raw").verify(body, headers) == {"é": 1}
    with pytest.raises(WebhookVerificationError):
        Webhook(b"another").verify(body, headers)


def test_without_a_key_nothing_is_signed() -> None:
    assert set(signed_headers([], ID, 1.0, b"")) == {"webhook-id", "webhook-timestamp"}


def test_the_event_of_a_finished_job() -> None:
    picture = {"filename": "a.png", "data": "/output/7f3d2c1b/0/a.png", "type": "url", "size_bytes": 7, "node_id": "9"}
    inline = {"filename": "b.png", "data": "iVBORw0KGgo=", "type": "base64"}
    assert event(delivery(), job(labels={"order": "7"}), picture, inline) == {
        "type": "job.completed",
        "timestamp": "2026-01-02T03:04:05.000Z",
        "data": {
            "id": "7f3d2c1b",
            "status": "completed",
            "created_at": "2026-01-02T03:04:00.000Z",
            "started_at": "2026-01-02T03:04:03.500Z",
            "completed_at": "2026-01-02T03:04:05.000Z",
            "labels": {"order": "7"},
            "outputs": [{"url": "/output/7f3d2c1b/0/a.png", "filename": "a.png", "size_bytes": 7}],
        },
    }


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_each_end_has_its_type(status: Status) -> None:
    types = {
        "succeeded": "job.completed",
        "failed": "job.failed",
        "cancelled": "job.cancelled",
        "timed_out": "job.timed_out",
    }
    found = event(delivery(status), job(status))
    assert found["type"] == types[status] == f"job.{found['data']['status']}"


def test_a_failure_says_why() -> None:
    error = JobError("OUT_OF_VRAM", "Not enough memory.", ({"field": "x", "message": "long"},), retryable=True)
    found = event(delivery(Status.FAILED), job(Status.FAILED, error=error, started_at=None))
    assert found["data"]["error"] == {"code": "OUT_OF_VRAM", "message": "Not enough memory.", "retryable": True}
    assert found["data"]["started_at"] is None


def test_events_stay_thin() -> None:
    outputs = [
        {"data": f"https://example.com/output/{number}", "filename": "é" * 100, "type": "url"} for number in range(500)
    ]
    error = JobError("X", "\x00é" * 100_000)
    assert len(event(delivery(Status.FAILED), job(Status.FAILED, error=error), *outputs)["data"]["outputs"]) > 5
    data = event(delivery(), job(), *outputs)["data"]
    assert [each["url"] for each in data["outputs"]] == [each["data"] for each in outputs[: len(data["outputs"])]]
    assert len(data["outputs"]) + data["outputs_omitted"] == 500


def test_an_event_of_a_job_that_was_retried_since_is_still_about_its_end() -> None:
    found = event(delivery(Status.FAILED), job(Status.RUNNING, started_at=9e9), ["/output/now"])
    assert found["type"] == "job.failed"
    assert found["timestamp"] == "2026-01-02T03:04:05.000Z"
    assert set(found["data"]) == {"id", "status", "created_at"}


def test_the_log_of_a_delivery_keeps_the_receivers_secret() -> None:
    entry = delivery_entry(delivery(Status.FAILED, tries=(Try(1_767_323_045.5, "503"),)), URL)
    assert entry == {
        "id": ID,
        "job_id": "7f3d2c1b",
        "event": "job.failed",
        "state": "due",
        "host": "user-site.test",
        "created_at": "2026-01-02T03:04:05.000Z",
        "next_at": "2026-01-02T03:05:05.250Z",
        "tries": [{"at": "2026-01-02T03:04:05.500Z", "outcome": "503"}],
    }
    assert delivery_entry(delivery(state=DeliveryState.DELIVERED), URL)["next_at"] is None
