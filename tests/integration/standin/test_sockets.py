"""Reconnects, stolen ids, the deaf socket and the stalled client, as recorded in 12 and 12b."""

import socket as sockets
from collections.abc import Iterator

import pytest
from support.standin_client import Listener, kind_of, picture, post, slow, wait_history
from support.standin_process import StandinProcess


@pytest.fixture
def comfyui() -> Iterator[StandinProcess]:
    with StandinProcess() as process:
        yield process


def test_a_reconnect_hears_which_node_runs_and_no_more(comfyui: StandinProcess):
    first = Listener(comfyui.ws_url, "a")
    post(comfyui.url, slow(), client_id="a")
    first.hear_until("progress")
    first.abort()
    second = Listener(comfyui.ws_url, "a")
    assert second.hear()["data"]["sid"] == "a"
    assert second.hear() == {"type": "executing", "data": {"node": "2"}}
    heard = second.hear_until("execution_success")
    assert {"execution_start", "execution_cached"} & {kind_of(message) for message in heard} == set()
    second.close()


def test_a_reconnect_after_the_run_hears_nothing_of_it(comfyui: StandinProcess):
    post(comfyui.url, picture(), client_id="a", prompt_id="p")
    wait_history(comfyui.url, "p")
    late = Listener(comfyui.ws_url, "a")
    assert late.hear()["data"]["sid"] == "a"
    assert late.hear(0.1) is None
    late.close()


def test_a_second_socket_steals_the_id_and_the_first_ones_end_makes_it_deaf(comfyui: StandinProcess):
    first = Listener(comfyui.ws_url, "a")
    second = Listener(comfyui.ws_url, "a")
    second.hear()
    post(comfyui.url, slow(), client_id="a", prompt_id="p")
    second.hear_until("progress")
    assert first.hear()["data"]["sid"] == "a"
    assert first.hear(0.1) is None
    first.close()
    while second.hear(0.3) is not None:
        """What was on its way."""
    assert wait_history(comfyui.url, "p")["status"]["completed"] is True
    assert second.hear(0.2) is None
    second.close()


def test_a_client_that_does_not_read_blocks_all_others(comfyui: StandinProcess):
    stalled = sockets.socket()
    stalled.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    stalled.connect(("127.0.0.1", comfyui.port))
    stalled.sendall(
        b"GET /ws?clientId=stall HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    good = Listener(comfyui.ws_url, "good")
    good.hear()
    # Enough progress, repeated for every node, to fill the buffers of the one that does not read.
    post(comfyui.url, slow(steps=6000, dt=0), client_id="stall", prompt_id="big")
    post(comfyui.url, picture(1), client_id="good", prompt_id="small")
    assert wait_history(comfyui.url, "small")["status"]["completed"] is True
    heard = []
    while (message := good.hear(0.3)) is not None:
        heard.append(kind_of(message))
    assert set(heard) <= {"status"}
    stalled.close()
    assert good.hear_until("execution_success")[-1]["data"]["prompt_id"] == "small"
    good.close()


def test_a_message_over_4_mb_closes_the_socket(comfyui: StandinProcess):
    listener = Listener(comfyui.ws_url, "a")
    listener.hear()
    try:
        listener.socket.send("x" * 5_000_000)
    except OSError:
        """Closed while we were still sending."""
    assert listener.hear() == "closed"


def test_flags_that_are_no_object_fail_the_node_that_asks(comfyui: StandinProcess):
    listener = Listener(comfyui.ws_url, "a")
    listener.socket.send("5")
    listener.socket.send('{"type": "feature_flags", "data": 5}')
    prompt = slow(steps=2, dt=0)
    prompt["2"]["inputs"]["preview"] = "JPEG"
    post(comfyui.url, prompt, client_id="a")
    told = listener.hear_until("execution_error")[-1]["data"]
    assert told["exception_message"] == "'int' object has no attribute 'get'\n"
    listener.close()
