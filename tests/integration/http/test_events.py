"""The live view as server-sent events: order, resuming, readers that are slow or gone, jobs that end elsewhere."""

import asyncio
import base64
import queue
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import requests
from support.job_rig import job_rig
from support.live_rig import LiveRig, Stream, guarded, live_rig
from support.openapi_examples import without_example
from support.waiting import wait_for

from api.ids import JobId
from api.jobs.events import (
    NodeStarted,
    OutputProduced,
    PreviewMade,
    ProgressMade,
    PromptQueued,
    SocketChanged,
    StepReached,
)
from api.jobs.job import Job, JobError, Status
from api.jobs.ports import Host
from api.jobs.service import JobService
from api.jobs.watching import Watch

PICTURE = PreviewMade("3", "image/jpeg", b"\xff\xd8 half a picture")


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveRig]:
    with live_rig(tmp_path) as rig:
        yield rig


def kinds(stream: Stream) -> list[str]:
    return [frame["event"] for frame in stream]


def test_a_job_is_told_from_its_place_in_line_to_its_end(live: LiveRig) -> None:
    live.hold()
    job = live.jobs.submit()
    with live.stream(f"/events/{job.id}") as stream:
        snapshot = stream.until("snapshot")
        assert (snapshot["status"], snapshot["position"], snapshot["percent"]) == ("pending", 0, 0)
        live.let_go()
        assert stream.until("started")["stage"] == "preparing"
        live.play << PromptQueued(2)
        assert stream.until("started")["ahead"] == 2
        live.play << NodeStarted("3", "KSampler", "My sampler")
        assert stream.until("progress", node="My sampler")["step"] is None
        live.play << StepReached("3", 9, 20) << ProgressMade(42.5, 3, 7)
        told = stream.until("progress", percent=42.5)
        assert {**told, "job_id": "", "at": 0} == {
            "job_id": "",
            "at": 0,
            "percent": 42.5,
            "node_id": "3",
            "node": "My sampler",
            "step": 9,
            "steps": 20,
            "nodes_done": 3,
            "nodes_total": 7,
        }
        live.play << SocketChanged(connected=False) << OutputProduced("9", "a.png") << {}
        assert stream.until("warning")["code"] == "SOCKET_LOST"
        assert stream.until("output")["filename"] == "a.png"
        assert stream.until("finished") == {"job_id": job.id, "at": told["at"], "status": "completed", "error": None}
        assert list(stream) == []


def test_the_stream_says_how_it_wants_to_be_treated(live: LiveRig) -> None:
    job = live.ran()
    with live.stream(f"/events/{job.id}") as stream:
        assert kinds(stream) == ["snapshot", "finished"]
        headers = stream.answer.headers
    assert headers["Content-Type"].startswith("text/event-stream")
    assert (headers["Cache-Control"], headers["X-Accel-Buffering"]) == ("no-cache", "no")
    assert stream.retry_ms == 2000


def test_an_idle_stream_is_kept_alive_by_comments(tmp_path: Path) -> None:
    with live_rig(tmp_path, ping_s=0.1) as live:
        live.hold()
        job = live.jobs.submit()
        with live.stream(f"/events/{job.id}") as stream:
            frames = iter(stream)
            assert next(frames)["event"] == "snapshot"
            wait_for(live.jobs.hub.readers, "the reader")
            threading.Timer(0.5, live.jobs.service.cancel, [job.id]).start()
            assert next(frames)["event"] == "finished"
        assert "ping" in stream.comments


def test_a_failed_job_says_why_at_its_end(live: LiveRig) -> None:
    job = live.ran({"error": "Node 3: boom", "code": "EXECUTION_FAILED", "details": []})
    with live.stream(f"/events/{job.id}") as stream:
        reason = {"code": "EXECUTION_FAILED", "message": "Node 3: boom"}
        assert stream.until("snapshot")["error"] == reason
        end = stream.until("finished")
    assert (end["status"], end["error"]) == ("failed", reason)


def test_a_reader_that_comes_back_gets_what_it_missed_and_nothing_twice(live: LiveRig) -> None:
    job = live.jobs.submit()
    with live.stream(f"/events/{job.id}") as stream:
        live.play << OutputProduced("1", "1.png") << OutputProduced("1", "2.png")
        stream.until("output", filename="2.png")
        place = stream.ids[-1]
    live.play << OutputProduced("1", "3.png") << OutputProduced("1", "4.png") << {}
    live.jobs.ended(job)
    for headers, query in (({"Last-Event-ID": place}, ""), ({}, f"?last_event_id={place}")):
        with live.stream(f"/events/{job.id}{query}", headers) as stream:
            told = [(frame["event"], frame["data"].get("filename")) for frame in stream]
        assert told == [("output", "3.png"), ("output", "4.png"), ("finished", None)]
        assert all(event_id.startswith(live.jobs.hub.epoch) for event_id in stream.ids if event_id)


def test_who_has_seen_the_end_is_told_not_to_come_back(live: LiveRig) -> None:
    job = live.ran()
    with live.stream(f"/events/{job.id}") as stream:
        end = list(stream)[-1]
    answer = live.get(f"/events/{job.id}", headers={"Last-Event-ID": end["id"]})
    assert (answer.status_code, answer.content) == (204, b"")
    newest = live.jobs.hub.newest(job.id)
    assert newest is not None
    answer = live.get(f"/events/{job.id}?last_event_id={live.jobs.hub.epoch}-{newest.seq}")
    assert answer.status_code == 204


@pytest.mark.parametrize("place", ["0badcafe-7", "nonsense", "-", "0badcafe-", "1-2-3"])
def test_places_of_another_process_begin_with_a_snapshot(live: LiveRig, place: str) -> None:
    job = live.ran()
    with live.stream(f"/events/{job.id}", {"Last-Event-ID": place}) as stream:
        assert kinds(stream) == ["snapshot", "finished"]


def test_a_place_that_is_forgotten_begins_with_a_snapshot(live: LiveRig) -> None:
    job = live.jobs.submit()
    with live.stream(f"/events/{job.id}") as stream:
        live.play << OutputProduced("1", "first.png")
        stream.until("output")
        place = stream.ids[-1]
    for number in range(150):
        live.play << OutputProduced("1", f"{number}.png")
    live.play << {}
    live.jobs.ended(job)
    with live.stream(f"/events/{job.id}", {"Last-Event-ID": str(place)}) as stream:
        assert kinds(stream) == ["snapshot", "finished"]


def test_a_late_reader_learns_where_the_job_is(live: LiveRig) -> None:
    job = live.jobs.submit()
    live.play << NodeStarted("3", "KSampler", "") << ProgressMade(30, 2, 6) << OutputProduced("9", "a.png")
    wait_for(lambda: (newest := live.jobs.hub.newest(job.id)) and newest.kind == "output", "the output")
    with live.stream(f"/events/{job.id}") as stream:
        snapshot = stream.until("snapshot")
        live.play << {}
    assert (snapshot["status"], snapshot["percent"], snapshot["node"]) == ("running", 30, "KSampler")
    assert snapshot["outputs"] == [{"node_id": "9", "filename": "a.png", "subfolder": "", "type": "output"}]


def test_previews_come_only_to_those_who_ask(live: LiveRig) -> None:
    job = live.jobs.submit()
    with live.stream(f"/events/{job.id}?previews=true") as asked, live.stream(f"/events/{job.id}") as plain:
        asked.until("snapshot")
        wait_for(lambda: live.jobs.hub.readers() == 2, "both readers")
        live.play << PICTURE << {}
        preview = asked.until("preview")
        assert (preview["node_id"], preview["mime_type"]) == ("3", "image/jpeg")
        assert base64.b64decode(preview["data"]) == PICTURE.image
        assert "preview" not in kinds(plain)


def test_the_run_learns_whether_a_reader_wants_previews(live: LiveRig) -> None:
    job = live.jobs.submit()
    wanted: queue.Queue[bool] = queue.Queue()

    def ask(_job_id: str, host: Host) -> None:
        wanted.put(host.wants_previews())

    with live.stream(f"/events/{job.id}") as plain:
        plain.until("snapshot")
        live.play << ask
        assert wanted.get(timeout=15) is False
        with live.stream(f"/events/{job.id}?previews=true") as curious:
            curious.until("snapshot")
            live.play << ask
            assert wanted.get(timeout=15) is True
        wait_for(lambda: live.jobs.hub.readers() == 1, "the leaving of who wanted them")
        live.play << ask << {}
        assert wanted.get(timeout=15) is False


def test_many_readers_of_a_job_share_the_looks_into_the_store(tmp_path: Path) -> None:
    with job_rig(tmp_path) as rig:
        job = rig.submit()
        looks: list[float] = []

        class Counted:
            def get(self, job_id: JobId) -> Job:
                looks.append(time.monotonic())
                return rig.service.get(job_id)

            position = rig.service.position

        watch = Watch(cast(JobService, Counted()), rig.hub)

        async def read() -> str:
            last = ""
            async for frame in watch.frames(job.id):
                last = frame.event if frame else last
            return last

        async def read_all() -> list[str]:
            readers = [asyncio.create_task(read()) for _ in range(50)]
            await asyncio.sleep(1.5)
            # What another process does is seen by all of them in the store alone.
            rig.store.request_cancel(job.id)
            return await asyncio.gather(*readers)

        assert set(asyncio.run(read_all())) == {"finished"}
        # Each once when it comes; then all of them together once a second.
        assert 50 < len(looks) <= 50 + 2 + (looks[-1] - looks[0])


def test_a_place_in_line_that_changes_is_told(live: LiveRig) -> None:
    live.hold()
    first, second = live.jobs.submit(), live.jobs.submit()
    with live.stream(f"/events/{second.id}") as stream:
        assert stream.until("snapshot")["position"] == 1
        live.jobs.service.cancel(first.id)
        assert stream.until("queued") == {"job_id": second.id, "at": pytest.approx(time.time(), abs=60)} | {
            "position": 0,
            "again": False,
        }
        live.jobs.service.cancel(second.id)
        assert stream.until("finished")["status"] == "cancelled"


def test_a_job_that_another_process_runs_is_followed_to_its_end(live: LiveRig) -> None:
    live.hold()
    job = live.jobs.submit()
    with live.stream(f"/events/{job.id}") as stream:
        stream.until("snapshot")
        taken = live.other.claim("elsewhere")
        assert taken is not None
        assert stream.until("started")["attempt"] == 1
        live.other.finish(taken.lease, Status.FAILED, JobError("OUT_OF_VRAM", "The GPU ran out of memory."))
        end = stream.until("finished")
        assert (end["status"], end["error"]["code"]) == ("failed", "OUT_OF_VRAM")
        assert list(stream) == []
    assert live.get(f"/events/{job.id}", headers={"Last-Event-ID": str(stream.ids[-1])}).status_code == 204


def test_a_job_whose_record_goes_ends_the_stream(live: LiveRig) -> None:
    live.hold()
    job = live.jobs.submit()
    with live.stream(f"/events/{job.id}") as stream:
        stream.until("snapshot")
        live.other.request_cancel(job.id)
        live.other.delete(job.id)
        assert kinds(stream) in ([], ["finished"])


@pytest.mark.parametrize("job_id", ["550e8400-e29b-41d4-a716-446655440000", "%00", "a b", "x" * 200])
def test_an_unknown_job_is_not_found(live: LiveRig, job_id: str) -> None:
    answer = live.get(f"/events/{job_id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "JOB_NOT_FOUND")
    assert live.jobs.hub.readers() == 0


def test_a_reader_who_goes_leaves_nothing_behind(live: LiveRig) -> None:
    job = live.jobs.submit()
    readers = [requests.get(f"{live.url}{path}", stream=True, timeout=15) for path in [f"/events/{job.id}", "/events"]]
    wait_for(lambda: live.jobs.hub.readers() == 2, "two readers")
    for reader in readers:
        reader.close()
    wait_for(lambda: live.jobs.hub.readers() == 0, "their leaving")
    live.play << {}


def test_a_reader_who_takes_nothing_slows_no_job_and_costs_no_memory(live: LiveRig) -> None:
    job = live.jobs.submit()
    with socket.create_connection(("127.0.0.1", live.server.port)) as reader:
        reader.sendall(f"GET /events/{job.id}?previews=true HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wait_for(lambda: live.jobs.hub.readers() == 1, "the reader")
        picture = PreviewMade("3", "image/jpeg", bytes(100_000))
        for number in range(2000):
            live.play << picture << ProgressMade(number / 20, 1, 2)
        began = time.monotonic()
        live.play << {}
        live.jobs.ended(job)
        assert time.monotonic() - began < 10
        received, tail = 0, b""
        while b"event: finished" not in tail:
            piece = reader.recv(1_000_000) or pytest.fail("the end was never told")
            received, tail = received + len(piece), (tail + piece)[-1_000_100:]
    assert received < 100_000_000, "most of the 266 MB of pictures are left out"


def test_all_jobs_are_told_to_a_dashboard_without_pictures(live: LiveRig) -> None:
    first = live.ran()
    with live.stream("/events") as stream:
        overview = stream.until("overview")
        assert (overview["paused"], overview["counts"]["completed"]) == (False, 1)
        second = live.jobs.submit()
        live.play << PICTURE << OutputProduced("9", "a.png") << {}
        told = []
        for frame in stream:
            told.append((frame["event"], frame["data"]["job_id"]))
            if frame["event"] == "finished":
                break
    assert ("output", second.id) in told
    assert "preview" not in {event for event, _ in told}
    assert first.id not in {job_id for _, job_id in told}


def test_a_link_opens_the_events_of_one_job_without_a_key(tmp_path: Path) -> None:
    with live_rig(tmp_path, guarded("secret"), "secret") as live:
        job, other = live.ran(), live.ran()
        links = live.post(f"/events/{job.id}/link").json()
        assert links["expires_at"] > time.time()
        assert requests.get(live.url + links["events"], timeout=15).status_code == 200
        foreign = links["events"].replace(job.id, other.id)
        assert requests.get(live.url + foreign, timeout=15).status_code == 401
        assert requests.get(f"{live.url}/events/{job.id}", timeout=15).status_code == 401


def test_the_document_knows_every_kind_of_event(live: LiveRig) -> None:
    document = live.get("/openapi.json").json()
    content = document["paths"]["/events/{job_id}"]["get"]["responses"]["200"]["content"]
    assert list(content) == ["text/event-stream"]
    schema = document["components"]["schemas"][content["text/event-stream"]["schema"]["$ref"].rsplit("/", 1)[1]]
    known = {"snapshot", "queued", "started", "progress", "preview", "output", "warning", "finished"}
    assert set(schema["discriminator"]["mapping"]) == known
    answers = {"overview", "authenticated", "unsubscribed", "pong", "error"}
    assert set(document["components"]["schemas"]["SocketEvent"]["discriminator"]["mapping"]) == known | answers
    assert without_example(document) == []


def test_a_reader_who_leaves_with_another_request_behind_its_stream_is_gone(live: LiveRig) -> None:
    live.hold()
    job = live.jobs.submit()
    ask = f"GET /events/{job.id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", live.server.port), timeout=10) as connection:
        connection.sendall(ask * 2)
        wait_for(lambda: live.jobs.hub.readers() == 1, "the reader")
    # Long before the next ping finds out.
    wait_for(lambda: live.jobs.hub.readers() == 0, "the reader to be gone", 5)
