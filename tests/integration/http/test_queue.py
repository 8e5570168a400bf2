"""The line of waiting jobs over HTTP, why a job waits, checks without a run, and the log of webhooks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.http_server import HttpServer
from support.live_rig import LiveRig, guarded, live_rig

from api.jobs.job import Job, Priority, Status
from api.jobs.outbox import DeliveryState
from api.routes import deliveries
from api.routes.auth import Guard
from api.routes.probes import Probes
from api.sealing import Sealer
from api.server import create_app

NOBODY = "550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveRig]:
    with live_rig(tmp_path) as rig:
        yield rig


def line(live: LiveRig) -> list[str]:
    return [job["job_id"] for job in live.get("/queue").json()["upcoming"]]


def three(live: LiveRig) -> list[str]:
    live.hold()
    return [live.jobs.submit().id for _ in range(3)]


def test_the_line_is_shown_in_its_order(live: LiveRig) -> None:
    live.ran()
    live.hold()
    plain = live.jobs.submit()
    live.jobs.clock.tick(5)
    urgent = live.jobs.submit(priority=Priority.HIGH)
    live.jobs.clock.tick(7)
    state = live.get("/queue").json()
    assert state["upcoming"] == [
        {"job_id": urgent.id, "priority": "high", "target": "local", "position": 0, "waited_s": 7.0},
        {"job_id": plain.id, "priority": "normal", "target": "local", "position": 1, "waited_s": 12.0},
    ]
    assert state["counts"] == {
        "pending": 2,
        "running": 0,
        "completed": 1,
        "failed": 0,
        "timed_out": 0,
        "cancelled": 0,
    }
    assert [job["job_id"] for job in live.get("/queue?limit=1").json()["upcoming"]] == [urgent.id]
    assert [live.get(f"/queue?limit={limit}").status_code for limit in (0, 1001, "x")] == [422] * 3


def test_a_paused_queue_starts_nothing_until_it_is_resumed(live: LiveRig) -> None:
    assert live.post("/queue/pause").json() == {"paused": True}
    job = live.jobs.submit()
    assert live.get("/queue").json()["paused"] is True
    assert "paused" in live.get(f"/why/{job.id}").json()["why"]
    assert live.jobs.status(job) is Status.QUEUED
    assert live.post("/queue/resume").json() == {"paused": False}
    live.play << {}
    live.jobs.ended(job)


@pytest.mark.parametrize(
    ("moved", "body", "order", "position"),
    [
        (2, {"to": "first"}, [2, 0, 1], 0),
        (0, {"to": "last"}, [1, 2, 0], 2),
        (2, {"before": 1}, [0, 2, 1], 1),
        (0, {"before": 2}, [1, 0, 2], 1),
    ],
)
def test_a_waiting_job_is_moved(
    live: LiveRig, moved: int, body: dict[str, Any], order: list[int], position: int
) -> None:
    jobs = three(live)
    body = {"before": jobs[body["before"]]} if "before" in body else body
    answer = live.post(f"/queue/move/{jobs[moved]}", json=body)
    assert answer.json() == {"job_id": jobs[moved], "position": position}
    assert line(live) == [jobs[index] for index in order]


@pytest.mark.parametrize(
    "body",
    [{}, {"to": "middle"}, {"to": 1}, {"to": None}, {"before": 5}, {"before": ""}, {"to": "first", "before": "x"}],
)
def test_a_move_to_nowhere_is_refused(live: LiveRig, body: dict[str, Any]) -> None:
    jobs = three(live)
    answer = live.post(f"/queue/move/{jobs[0]}", json=body)
    assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, "to")
    assert line(live) == jobs


def test_only_waiting_jobs_are_moved(live: LiveRig) -> None:
    ended = live.ran()
    jobs = three(live)
    assert live.post(f"/queue/move/{ended.id}", json={"to": "first"}).status_code == 409
    assert live.post(f"/queue/move/{jobs[0]}", json={"before": ended.id}).status_code == 409
    assert live.post(f"/queue/move/{NOBODY}", json={"to": "first"}).status_code == 404
    assert line(live) == jobs


def test_clearing_cancels_what_waits_and_nothing_else(live: LiveRig) -> None:
    ended = live.ran()
    jobs = three(live)
    assert live.post("/queue/clear").json() == {"cancelled": 3}
    assert line(live) == []
    assert {live.get(f"/why/{job_id}").json()["status"] for job_id in jobs} == {"cancelled"}
    assert live.jobs.status(ended) is Status.SUCCEEDED


def test_why_says_what_a_job_waits_for(live: LiveRig) -> None:
    jobs = three(live)
    assert live.get(f"/why/{jobs[2]}").json() == {
        "job_id": jobs[2],
        "status": "pending",
        "why": "2 jobs are ahead of it.",
    }
    assert live.get(f"/why/{NOBODY}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"workflow": {"1": {"class_type": "X", "inputs": {}}}, "priority": "high", "images": []},
        {"input": {"workflow": {"1": {"class_type": "X", "inputs": {}}}}, "webhook": "https://a.example.com"},
        {"1": {"class_type": "X", "inputs": {}}},
    ],
)
def test_a_check_sees_the_job_as_the_handler_would(live: LiveRig, body: dict[str, Any]) -> None:
    answer = live.post("/validate", json=body)
    assert (answer.status_code, answer.json()["ok"]) == (200, True)
    given = live.asked[0]["input"]
    assert given["workflow"] == {"1": {"class_type": "X", "inputs": {}}}
    assert "priority" not in given
    assert live.get("/queue").json()["counts"]["pending"] == 0


@pytest.mark.parametrize("content", [b"", b"[]", b"{"])
def test_a_check_of_no_object_is_refused(live: LiveRig, content: bytes) -> None:
    assert live.post("/validate", data=content).status_code == 400


def with_webhook(live: LiveRig) -> Job:
    job = live.jobs.submit(webhook="https://hooks.example.com/secret?token=abc")
    live.play << {}
    return live.jobs.ended(job)


def test_the_log_of_webhooks_shows_tries_and_no_secrets(live: LiveRig) -> None:
    job = with_webhook(live)
    answer = live.get(f"/jobs/{job.id}/webhooks")
    (entry,) = answer.json()["deliveries"]
    assert (entry["event"], entry["state"], entry["tries"]) == ("job.completed", "due", [])
    assert "secret" not in answer.text and "abc" not in answer.text
    assert live.get(f"/jobs/{NOBODY}/webhooks").status_code == 404


def test_the_log_of_webhooks_says_what_another_key_has_sealed(live: LiveRig) -> None:
    job = with_webhook(live)
    router = deliveries.router(live.jobs.service, live.outbox.deliveries, live.outbox.resend, Sealer(b"1" * 32).open)
    app = create_app([router], probes=Probes("1"), guard=Guard(), max_body_bytes=1000)
    with HttpServer(app) as server:
        answer = requests.get(f"{server.url}/jobs/{job.id}/webhooks", timeout=5)
    (entry,) = answer.json()["deliveries"]
    assert (answer.status_code, entry["host"], entry["state"]) == (200, None, "due")


def test_a_webhook_is_sent_again_on_demand(live: LiveRig) -> None:
    job = with_webhook(live)
    (delivery,) = live.outbox.claim_deliveries(60)
    live.outbox.record_delivery(delivery, "410", DeliveryState.ABANDONED)
    assert live.get(f"/jobs/{job.id}/webhooks").json()["deliveries"][0]["state"] == "abandoned"
    answer = live.post(f"/webhooks/{delivery.id}/resend")
    assert (answer.status_code, answer.json()) == (202, {"delivery_id": delivery.id, "state": "due"})
    assert live.get(f"/jobs/{job.id}/webhooks").json()["deliveries"][0]["state"] == "due"
    assert live.post("/webhooks/msg_nobody/resend").status_code == 404


def test_changes_are_the_operators(tmp_path: Path) -> None:
    with live_rig(tmp_path, guarded("key", admin="operator"), "key") as live:
        job = live.ran()
        changes = [
            "/queue/pause",
            "/queue/resume",
            "/queue/clear",
            f"/queue/move/{job.id}",
            "/webhooks/msg_1/resend",
        ]
        assert [live.post(path, json={"to": "first"}).status_code for path in changes] == [403] * 5
        assert [live.get(path).status_code for path in ("/queue", f"/why/{job.id}")] == [200, 200]
        headers = {"Authorization": "Bearer operator"}
        answers = [
            requests.post(live.url + path, json={"to": "first"}, headers=headers, timeout=15) for path in changes
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 409, 404]


@pytest.mark.parametrize("to", [[1], {}, 7, None])
def test_a_place_that_is_none_is_refused(live: LiveRig, to: Any) -> None:
    assert live.post(f"/queue/move/{NOBODY}", json={"to": to}).status_code == 400
