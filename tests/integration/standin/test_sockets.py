"""Reconnects, stolen ids, the deaf socket and the stalled client, as recorded in 12 and 12b."""

import socket as sockets

from support.standin_client import Listen, kind_of, picture, post, slow, wait_history
from support.standin_process import StandinProcess


def test_a_reconnect_hears_which_node_runs_and_no_more(comfyui: StandinProcess, listen: Listen):
    first = listen("a")
    post(comfyui.url, slow(), client_id="a")
    first.hear_until("progress")
    first.abort()
    second = listen("a")
    assert second.hear() == {"type": "executing", "data": {"node": "2"}}
    heard = second.hear_until("execution_success")
    assert {"execution_start", "execution_cached"} & {kind_of(message) for message in heard} == set()


def test_a_reconnect_after_the_run_hears_nothing_of_it(comfyui: StandinProcess, listen: Listen):
    post(comfyui.url, picture(), client_id="a", prompt_id="p")
    wait_history(comfyui.url, "p")
    late = listen("a")
    assert late.hear(0.1) is None


def test_a_second_socket_steals_the_id_and_the_first_ones_end_makes_it_deaf(comfyui: StandinProcess, listen: Listen):
    first = listen("a")
    second = listen("a")
    post(comfyui.url, slow(), client_id="a", prompt_id="p")
    second.hear_until("progress")
    assert first.hear(0.1) is None
    first.close()
    while second.hear(0.3) is not None:
        """What was on its way."""
    assert wait_history(comfyui.url, "p")["status"]["completed"] is True
    assert second.hear(0.2) is None


def test_a_client_that_does_not_read_blocks_all_others(comfyui: StandinProcess, listen: Listen):
    stalled = sockets.socket()
    stalled.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    stalled.connect(("127.0.0.1", comfyui.port))
    stalled.sendall(
        b"GET /ws?clientId=stall HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    good = listen("good")
    # Enough progress to fill the buffers of the one that does not read, which the kernel makes as large as it likes.
    for more in range(3):
        post(comfyui.url, slow(steps=6000 + more, dt=0), client_id="stall", prompt_id=f"big{more}")
    post(comfyui.url, picture(1), client_id="good", prompt_id="small")
    assert wait_history(comfyui.url, "small")["status"]["completed"] is True
    heard = []
    while (message := good.hear(0.3)) is not None:
        heard.append(kind_of(message))
    assert set(heard) <= {"status"}
    stalled.close()
    assert good.hear_until("execution_success")[-1]["data"]["prompt_id"] == "small"


def test_a_message_over_4_mb_closes_the_socket(comfyui: StandinProcess, listen: Listen):
    listener = listen("a")
    try:
        listener.socket.send("x" * 5_000_000)
    except OSError:
        """Closed while we were still sending."""
    assert listener.hear() == "closed"


def test_flags_that_are_no_object_fail_the_node_that_asks(comfyui: StandinProcess, listen: Listen):
    listener = listen("a")
    listener.socket.send("5")
    listener.socket.send('{"type": "feature_flags", "data": 5}')
    prompt = slow(steps=2, dt=0)
    prompt["2"]["inputs"]["preview"] = "JPEG"
    post(comfyui.url, prompt, client_id="a")
    told = listener.hear_until("execution_error")[-1]["data"]
    assert told["exception_message"] == "'int' object has no attribute 'get'\n"
