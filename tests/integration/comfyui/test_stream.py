"""The kept-open socket: reconnecting, deafness, closing."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog.testing
from PIL import Image
from support.prompts import Run, new_id, node, picture, run
from support.raw_server import RawServer, Reply, status
from support.standin_process import StandinProcess
from support.waiting import wait_for

from api.comfyui.events import LookNow, NodeExecuting, Preview
from api.comfyui.stream import ComfyStream


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("comfy-stream")]


def test_it_connects_on_demand_and_closes_without_a_trace(standin: StandinProcess, connect: Callable):
    _client, stream = connect(standin.url)
    assert not stream.connected and not readers()
    assert stream.ensure_connected(10)
    assert stream.connected and len(readers()) == 1
    assert stream.heard_since(0)
    stream.close()
    assert not readers()


def test_it_does_not_wait_for_a_comfyui_that_is_down(connect: Callable):
    with RawServer([]) as nobody:
        url = nobody.url
    _client, stream = connect(url)
    assert not stream.ensure_connected(30)


def test_it_copes_with_a_server_that_has_no_socket(connect: Callable):
    with RawServer([Reply(status(404)), Reply(status(403)), Reply(b"rubbish\r\n\r\n", "close")]) as server:
        _client, stream = connect(server.url)
        for _ in range(3):
            assert not stream.ensure_connected(10)
        stream.close()


def test_closing_does_not_wait_for_a_handshake_that_hangs(connect: Callable):
    with RawServer([Reply(b"", "hang")]) as server:
        _client, stream = connect(server.url)
        assert not stream.ensure_connected(0)
        wait_for(lambda: server.requests, "the handshake")
        stream.close()
        assert not readers()


def test_no_origin_is_sent():
    """ComfyUI answers 403 to an Origin other than its Host on loopback."""
    with RawServer([Reply(status(404))]) as server:
        stream = ComfyStream(f"{server.url}/comfy", "id/1", headers={"X-Key": "k"})
        stream.ensure_connected(10)
        stream.close()
        head = server.requests[0].head
        assert server.requests[0].line == "GET /comfy/ws?clientId=id%2F1 HTTP/1.1"
        assert "origin:" not in head.lower()
        assert "X-Key: k" in head


def test_it_comes_back_by_itself_after_a_restart(mortal: StandinProcess, connect: Callable):
    client, stream = connect(mortal.url)
    assert stream.ensure_connected(10)
    with stream.subscribe(new_id()) as mailbox:
        mortal.restart()
        wait_for(lambda: stream.losses == 1 and stream.connected, "the socket to be back")
        heard = mailbox.take(10)
        while LookNow(connected=True) not in heard:
            heard += mailbox.take(10)
        assert heard == [LookNow(connected=False), LookNow(connected=True)]
    assert ran_with_events(client, stream)


def test_it_gives_up_after_some_tries_until_it_is_wanted(mortal: StandinProcess, connect: Callable):
    client, stream = connect(mortal.url, reconnect_attempts=2, reconnect_delay_s=0.05)
    assert stream.ensure_connected(10)
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        mortal.kill()
        wait_for(lambda: [log for log in logs if log.get("attempt") == 2], "the second failed try")
    assert {log.get("instance") for log in logs} == {mortal.url}
    mortal.start()
    assert stream.ensure_connected(10)
    wait_for(lambda: ran_with_events(client, stream), "a run that is heard")


@pytest.mark.parametrize("times", [1, 2, 3, 4, 5])
def test_dropped_during_a_run(mortal: StandinProcess, connect: Callable, times: int):
    client, stream = connect(mortal.url)
    mortal.set_fault("slow_execute", 150)
    mortal.set_fault("drop_socket_after", 5)
    mortal.set_fault("drop_socket_times", times)
    assert len(run(client, stream, picture()).entry.files()) == 1
    assert stream.losses >= 1


def test_pitfall_3_a_deaf_socket_is_replaced(mortal: StandinProcess, connect: Callable):
    """After the reconnect nothing comes: the run ends all the same, and the next one is heard."""
    client, stream = connect(mortal.url)
    assert ran_with_events(client, stream)
    mortal.set_fault("deaf_socket", 1)
    mortal.set_fault("drop_socket_after", 1)
    assert len(run(client, stream, picture()).entry.files()) == 1
    wait_for(lambda: ran_with_events(client, stream), "a run that is heard")


def test_pitfall_3_deaf_while_a_long_prompt_runs(mortal: StandinProcess, connect: Callable):
    client, stream = connect(mortal.url)
    mortal.set_fault("deaf_socket", 1)
    mortal.set_fault("drop_socket_after", 4)
    run(client, stream, picture())
    wait_for(lambda: stream.connected, "the deaf socket")
    mortal.set_fault("slow_execute", 3000)
    job = Run(client, stream, picture())
    job.wait_for(lambda event: event == NodeExecuting("2", "2"))
    assert len(job.end().entry.files()) == 1
    assert stream.losses == 2


def test_pitfall_4_nothing_is_published_because_of_another_client(standin: StandinProcess, connect: Callable):
    client, stream = connect(standin.url)
    stream.ensure_connected(10)
    standin.set_fault("stalled_socket")
    assert len(run(client, stream, picture()).entry.files()) == 1


def test_pitfall_20_frames_have_no_limit(any_url: str, connect: Callable, tmp_path: Path):
    client, stream = connect(any_url)
    if "SaveImageWebsocket" not in client.object_info():
        pytest.skip("no SaveImageWebsocket here")
    Image.frombytes("RGB", (1024, 1024), os.urandom(3 << 20)).save(tmp_path / "noise.png")
    noise = client.upload(tmp_path / "noise.png", "noise.png", subfolder=f"test-comfyui/{new_id()}")
    workflow = {
        "1": node("LoadImage", image=noise.reference),
        "2": node("SaveImageWebsocket", images=["1", 0]),
    }

    def frames() -> list[Preview]:
        events: list = []
        run(client, stream, workflow, events=events)
        return [event for event in events if isinstance(event, Preview)]

    (frame,) = wait_for(frames, "a run whose frame comes before the first look")
    assert frame.node_id == "2" and frame.mime_type == "image/png"
    assert len(frame.image) > 2 << 20, "more than the 1 MiB other libraries stop at"
    assert stream.losses == 0


def test_the_trace_names_frames_and_not_their_contents(standin: StandinProcess, connect: Callable):
    client, stream = connect(standin.url, trace=True)
    with structlog.testing.capture_logs() as logs:
        run(client, stream, picture(prefix="secret-prefix"))
    frames = [log for log in logs if log["event"] == "Frame from ComfyUI"]
    assert {"status", "execution_start", "executing"} <= {log["type"] for log in frames}
    assert "secret-prefix" not in str(logs)


def ran_with_events(client, stream) -> bool:
    events: list = []
    run(client, stream, picture(), events=events)
    return any(isinstance(event, NodeExecuting) for event in events)
