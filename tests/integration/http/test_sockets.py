"""The live view over WebSockets: one job, many jobs, keys that come late, and messages that make no sense."""

import json
from collections.abc import Iterator
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

import pytest
from support.live_rig import LiveRig, guarded, is_like, live_rig
from support.waiting import wait_for
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from api.jobs.events import OutputProduced, PreviewMade, ProgressMade
from api.routes.streaming import SocketEvent


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveRig]:
    with live_rig(tmp_path) as rig:
        yield rig


def open_socket(live: LiveRig, path: str, **options: Any) -> ClientConnection:
    return connect(live.server.ws_url + path, proxy=None, open_timeout=15, **options)


def frame(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.recv(timeout=15))
    assert SocketEvent.model_validate(message).model_dump() == message
    return message


def until(socket: ClientConnection, event: str, **data: Any) -> dict[str, Any]:
    while not is_like(message := frame(socket), event, data):
        pass
    return message


def say(socket: ClientConnection, action: str, **fields: Any) -> None:
    socket.send(json.dumps({"action": action, **fields}))


def test_a_socket_of_one_job_tells_it_to_its_end_and_closes(live: LiveRig) -> None:
    job = live.jobs.submit()
    with open_socket(live, f"/ws/{job.id}?previews=true") as socket:
        assert frame(socket)["event"] == "snapshot"
        live.play << ProgressMade(40, 1, 2) << PreviewMade("3", "image/png", b"x") << OutputProduced("9", "a.png") << {}
        assert until(socket, "progress", percent=40)["id"].startswith(live.jobs.hub.epoch)
        assert until(socket, "preview")["data"]["data"] == "eA=="
        assert until(socket, "output")["data"]["filename"] == "a.png"
        assert until(socket, "finished")["data"]["status"] == "completed"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=15)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1000
    wait_for(lambda: live.jobs.hub.readers() == 0, "the leaving")


def test_a_socket_of_one_job_goes_on_where_it_was(live: LiveRig) -> None:
    job = live.jobs.submit()
    with open_socket(live, f"/ws/{job.id}") as socket:
        until(socket, "snapshot")
        live.play << OutputProduced("9", "1.png")
        place = until(socket, "output")["id"]
    live.play << OutputProduced("9", "2.png") << {}
    live.jobs.ended(job)
    with open_socket(live, f"/ws/{job.id}?last_event_id={place}") as socket:
        assert frame(socket)["data"]["filename"] == "2.png"
        assert frame(socket)["event"] == "finished"


def test_a_socket_of_an_unknown_job_is_refused(live: LiveRig) -> None:
    with pytest.raises(InvalidStatus) as refused:
        open_socket(live, "/ws/550e8400-e29b-41d4-a716-446655440000")
    assert refused.value.response.status_code == 404


def test_a_socket_to_nowhere_is_refused_like_any_request_and_no_error(
    live: LiveRig, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"), pytest.raises(InvalidStatus) as refused:
        open_socket(live, "/nowhere")
    response = refused.value.response
    assert (response.status_code, json.loads(bytes(response.body or b""))["code"]) == (404, "NOT_FOUND")
    live.get("/ws")  # the log of what came before is written
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_who_opens_no_socket_is_told_to(live: LiveRig) -> None:
    answer = live.get("/ws")
    assert (answer.status_code, answer.headers["Upgrade"], answer.json()["code"]) == (
        426,
        "websocket",
        "UPGRADE_REQUIRED",
    )


def test_one_socket_follows_many_jobs_and_lets_go_of_some(live: LiveRig) -> None:
    live.hold()
    first, second = live.jobs.submit(), live.jobs.submit()
    with open_socket(live, "/ws") as socket:
        say(socket, "subscribe", job_id=first.id)
        assert until(socket, "snapshot", job_id=first.id)["data"]["position"] == 0
        say(socket, "subscribe", job_id=second.id)
        assert until(socket, "snapshot", job_id=second.id)["data"]["position"] == 1
        say(socket, "unsubscribe", job_id=second.id)
        assert until(socket, "unsubscribed")["data"] == {"job_id": second.id}
        wait_for(lambda: live.jobs.hub.readers() == 1, "one reader")
        live.jobs.service.cancel(first.id)
        assert until(socket, "finished", job_id=first.id)["data"]["status"] == "cancelled"
        wait_for(lambda: live.jobs.hub.readers() == 0, "no reader")
        say(socket, "ping")
        assert frame(socket) == {"event": "pong", "id": None, "data": {}}


def test_subscribing_again_begins_again_and_leaves_one_reader(live: LiveRig) -> None:
    live.hold()
    job = live.jobs.submit()
    with open_socket(live, "/ws") as socket:
        for _ in range(3):
            say(socket, "subscribe", job_id=job.id)
            assert until(socket, "snapshot")["data"]["job_id"] == job.id
        assert live.jobs.hub.readers() == 1


def test_all_jobs_come_to_who_names_none(live: LiveRig) -> None:
    with open_socket(live, "/ws") as socket:
        say(socket, "subscribe")
        assert frame(socket)["event"] == "overview"
        job = live.ran()
        assert until(socket, "finished", job_id=job.id)
        say(socket, "unsubscribe")
        assert until(socket, "unsubscribed")["data"] == {"job_id": None}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("no json", "INVALID_INPUT"),
        ("[1]", "INVALID_INPUT"),
        ("[" * 100_000, "INVALID_INPUT"),
        (b"\xff\xfe\x00", "INVALID_INPUT"),
        ('{"action": "dance"}', "INVALID_INPUT"),
        ("{}", "INVALID_INPUT"),
        ('{"action": ["ping"]}', "INVALID_INPUT"),
        ('{"action": "ping", "a": NaN}', "INVALID_INPUT"),
        ('{"action": "ping", "a": [-Infinity]}', "INVALID_INPUT"),
        ('{"action": "ping", "a": 1e999}', "INVALID_INPUT"),
        ('{"action": "subscribe", "job_id": "nobody"}', "JOB_NOT_FOUND"),
        ('{"action": "subscribe", "job_id": {"a": 1}}', "JOB_NOT_FOUND"),
    ],
)
def test_what_makes_no_sense_is_answered_and_survived(live: LiveRig, message: str | bytes, code: str) -> None:
    with open_socket(live, "/ws") as socket:
        socket.send(message)
        answer = frame(socket)
        assert (answer["event"], answer["data"]["code"]) == ("error", code)
        say(socket, "ping")
        assert frame(socket)["event"] == "pong"


def test_a_socket_follows_a_bounded_number_of_jobs(live: LiveRig) -> None:
    live.hold()
    with open_socket(live, "/ws") as socket:
        for _ in range(101):
            say(socket, "subscribe", job_id=live.jobs.submit().id)
        assert until(socket, "error")["data"]["code"] == "RATE_LIMITED"
        assert live.jobs.hub.readers() == 100
    wait_for(lambda: live.jobs.hub.readers() == 0, "their leaving")


def test_a_socket_that_is_cut_leaves_nothing_behind(live: LiveRig) -> None:
    live.hold()
    job = live.jobs.submit()
    with open_socket(live, f"/ws/{job.id}") as socket:
        assert frame(socket)["event"] == "snapshot"
        socket.socket.shutdown(SHUT_RDWR)
    wait_for(lambda: live.jobs.hub.readers() == 0, "its leaving")


def test_keys_may_come_in_a_header_a_link_or_the_first_message(tmp_path: Path) -> None:
    guard = guarded("secret")
    with live_rig(tmp_path, guard, "secret") as live:
        job = live.ran()
        with open_socket(live, f"/ws/{job.id}", additional_headers={"X-API-Key": "secret"}) as socket:
            assert frame(socket)["event"] == "snapshot"
        link = live.post(f"/events/{job.id}/link").json()["websocket"]
        with open_socket(live, link) as socket:
            assert frame(socket)["event"] == "snapshot"
        with open_socket(live, f"/ws/{job.id}") as socket:
            say(socket, "auth", key="secret")
            assert [frame(socket)["event"], frame(socket)["event"]] == ["authenticated", "snapshot"]


@pytest.mark.parametrize(
    "message", ['{"action": "auth", "key": "wrong"}', '{"action": "auth"}', '{"action": "ping"}', "x"]
)
def test_without_a_right_key_nothing_is_told(tmp_path: Path, message: str) -> None:
    with live_rig(tmp_path, guarded("secret"), "secret") as live:
        job = live.ran()
        for path in (f"/ws/{job.id}", "/ws", "/ws/nobody"):
            with open_socket(live, path) as socket:
                socket.send(message)
                with pytest.raises(ConnectionClosed) as closed:
                    socket.recv(timeout=15)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008


def test_only_sockets_may_bring_their_key_later(tmp_path: Path) -> None:
    with live_rig(tmp_path, guarded("secret")) as live:
        assert [live.get(path).status_code for path in ("/ws", "/ws/a", "/events", "/queue")] == [401] * 4


def test_who_brings_no_key_is_sent_away(tmp_path: Path) -> None:
    guard = guarded("secret")
    with live_rig(tmp_path, guard, "secret", key_wait_s=0.3) as live, open_socket(live, "/ws") as socket:
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=15)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008


def test_a_page_of_another_site_cannot_listen(live: LiveRig) -> None:
    job = live.ran()
    with pytest.raises(InvalidStatus) as refused:
        open_socket(live, f"/ws/{job.id}", origin="https://evil.example.com")
    assert refused.value.response.status_code == 403


def test_a_link_to_one_job_opens_no_other(tmp_path: Path) -> None:
    with live_rig(tmp_path, guarded("key")) as live:
        live.hold()
        shown, other = live.jobs.submit(), live.jobs.submit()
        link = live.post(f"/events/{shown.id}/link", headers={"X-API-Key": "key"}).json()["websocket"]
        with open_socket(live, link) as socket:
            until(socket, "snapshot", job_id=shown.id)
            for wanted in ({}, {"job_id": other.id}):
                say(socket, "subscribe", **wanted)
                assert frame(socket)["data"]["code"] == "FORBIDDEN"
            say(socket, "subscribe", job_id=shown.id)
            until(socket, "snapshot", job_id=shown.id)
