"""Following a job through broken streams, restarts, and on servers without streams."""

import threading

import pytest
from support.fake_worker import Answer, FakeWorker, sse

from api.client import Client, Refused, StillRunning

JOB = "550e8400-e29b-41d4-a716-446655440000"
EVENTS = f"/events/{JOB}"
STATUS = f"/status/{JOB}"
RUNNING = {"job_id": JOB, "status": "running"}
DONE = {"job_id": JOB, "status": "completed", "result": {"images": []}}


def told(client: Client) -> list[tuple[str, object]]:
    return [(event.kind, event.data.get("percent")) for event in client.watch(JOB)]


def test_events_come_as_they_are_sent(worker: FakeWorker, client: Client):
    worker.give("GET", EVENTS, sse(("queued", {"position": 1}), ("progress", {"percent": 50}), ("finished", {})))
    assert told(client) == [("queued", None), ("progress", 50), ("finished", None)]


def test_an_event_is_there_before_the_stream_ends(worker: FakeWorker, client: Client):
    over = threading.Event()
    worker.give("GET", EVENTS, sse(("progress", {"percent": 7, "node": "Größe " * 20}), hold=over))
    events = client.watch(JOB)
    assert next(events).data["node"] == "Größe " * 20
    over.set()
    worker.answer("GET", STATUS, 200, DONE)
    assert [event.kind for event in events][-1] == "finished"


def test_a_broken_stream_is_taken_up_where_it_broke_off(worker: FakeWorker, client: Client):
    worker.give(
        "GET",
        EVENTS,
        sse(("started", {}), ("progress", {"percent": 20}), cut=True),
        Answer(502),
        Answer(drop=True),
        sse(("progress", {"percent": 60}), ("finished", {"status": "completed"}), first_id=3),
    )
    worker.answer("GET", STATUS, 200, RUNNING)
    assert told(client) == [("started", None), ("progress", 20), ("progress", 60), ("finished", None)]
    assert [asked.headers.get("last-event-id") for asked in worker.asked("GET", EVENTS)] == [None, "2", "2", "2"]


def test_a_job_that_ends_between_two_streams_is_finished(worker: FakeWorker, client: Client):
    worker.give("GET", EVENTS, sse(("started", {}), cut=True))
    worker.answer("GET", STATUS, 200, DONE)
    assert told(client) == [("started", None), ("finished", None)]


@pytest.mark.parametrize("answer", [Answer(404), Answer(405), Answer(200, b"{}", {"Content-Type": "application/json"})])
def test_without_streams_the_state_is_asked_for(worker: FakeWorker, client: Client, answer: Answer):
    worker.give("GET", EVENTS, answer)
    for state in [
        {"status": "pending"},
        {"status": "pending"},
        {"status": "running", "progress": {"percent": 30}},
        {"status": "running", "progress": {"percent": 30}},
        {"status": "failed", "error": "no"},
    ]:
        worker.answer("GET", STATUS, 200, {"job_id": JOB, **state})
    assert told(client) == [("queued", None), ("progress", 30), ("finished", None)]


def test_streams_that_bring_nothing_give_way_to_polling(worker: FakeWorker, client: Client):
    worker.give("GET", EVENTS, Answer(drop=True))
    worker.answer("GET", STATUS, 200, RUNNING)
    for _ in range(5):
        worker.answer("GET", STATUS, 200, RUNNING)
    worker.answer("GET", STATUS, 200, DONE)
    assert told(client)[-1] == ("finished", None)
    assert len(worker.asked("GET", EVENTS)) == 4


def test_a_wrong_key_ends_it(worker: FakeWorker, client: Client):
    worker.answer("GET", EVENTS, 401, {"message": "Wrong key."})
    with pytest.raises(Refused, match="Wrong key"):
        told(client)


def test_a_wait_ends_with_the_job_as_it_is_then(worker: FakeWorker, client: Client):
    worker.give("GET", EVENTS, sse(("progress", {"percent": 50}), ("finished", {"status": "failed"})))
    worker.answer("GET", STATUS, 200, {"job_id": JOB, "status": "failed", "error": "Node 3 failed."})
    seen: list[str] = []
    job = client.wait(JOB, on_event=lambda event: seen.append(event.kind))
    assert (job.status, job.error, seen) == ("failed", "Node 3 failed.", ["progress", "finished"])


def test_a_wait_can_be_limited_though_nothing_happens(worker: FakeWorker, client: Client):
    over = threading.Event()
    worker.give("GET", EVENTS, sse(("started", {}), hold=over))
    worker.answer("GET", STATUS, 200, RUNNING)
    try:
        with pytest.raises(StillRunning, match="it goes on"):
            client.wait(JOB, timeout_s=0.3)
    finally:
        over.set()
