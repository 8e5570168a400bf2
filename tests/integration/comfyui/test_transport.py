"""HTTP to a server that misbehaves on the wire."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.raw_server import RawServer, Reply, ok, status
from support.waiting import wait_for

from api.comfyui.client import ComfyClient, QueuedPrompt, QueueSnapshot
from api.comfyui.cutoff import Cutoff
from api.errors import ComfyProtocolError, ComfyUnreachable, InputTooLarge, OutputUnavailable
from api.jobs.cancel import CancelToken

EMPTY = ok(b'{"queue_running": [], "queue_pending": []}')
ALIVE = ok(b'{"exec_info": {"queue_remaining": 3}}')
TROUBLE = status(500, b"500 Internal Server Error\n\nServer got itself in trouble")


@contextmanager
def server(*replies: Reply | bytes, **options: float) -> Iterator[tuple[RawServer, ComfyClient]]:
    scripted = [reply if isinstance(reply, Reply) else Reply(reply) for reply in replies]
    with RawServer(scripted) as raw:
        client = ComfyClient(raw.url, **options)
        try:
            yield raw, client
        finally:
            client.close()


def test_one_connection_serves_many_requests():
    with server(ALIVE, ALIVE, ALIVE) as (raw, client):
        assert [client.queue_remaining() for _ in range(3)] == [3, 3, 3]
        assert raw.connections == 1


def test_no_origin_no_compression_no_proxy(monkeypatch: pytest.MonkeyPatch):
    """ComfyUI answers 403 to a foreign Origin on loopback."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with server(ALIVE) as (raw, client):
        client.queue_remaining()
        head = raw.requests[0].head.lower()
        assert "origin" not in head
        assert "accept-encoding: identity" in head


def test_headers_and_a_path_prefix():
    with RawServer([Reply(ALIVE)]) as raw:
        client = ComfyClient(f"{raw.url}/comfy/", headers={"Authorization": "Bearer x"})
        client.queue_remaining()
        client.close()
        assert raw.requests[0].line == "GET /comfy/prompt HTTP/1.1"
        assert "Authorization: Bearer x" in raw.requests[0].head


def test_a_connection_closed_while_idle_is_not_used_again():
    """A prompt posted on it would have an unknown outcome for no reason."""
    with server(Reply(ALIVE, "close"), ok(b"{}")) as (raw, client):
        assert client.queue_remaining() == 3
        wait_for(lambda: raw.closed, "the server to close")
        assert client.submit(b"{}").answer is not None
        assert raw.connections == 2


@pytest.mark.parametrize(
    "first", [Reply(b"", "close"), Reply(b"", "reset"), Reply(TROUBLE), Reply(ok(b"{}"[:1], length=9), "close")]
)
def test_a_get_is_tried_again(first: Reply):
    with server(first, EMPTY) as (raw, client):
        assert client.queue() == QueueSnapshot((), ())
        assert len(raw.requests) == 2


def test_the_look_whether_it_is_up_is_one_look():
    """It has a pause of its own: COMFY_API_AVAILABLE_INTERVAL_MS."""
    with server(Reply(b"", "close"), ALIVE) as (raw, client):
        with pytest.raises(ComfyUnreachable):
            client.queue_remaining()
        assert len(raw.requests) == 1


def test_a_get_is_given_up_after_three_tries():
    with server(TROUBLE, TROUBLE, TROUBLE, EMPTY) as (raw, client):
        with pytest.raises(ComfyProtocolError, match="500: 500 Internal Server Error"):
            client.queue()
        assert len(raw.requests) == 3


def test_a_time_out_is_not_repeated():
    with server(Reply(b"", "hang"), read_timeout_s=0.2) as (raw, client):
        with pytest.raises(ComfyUnreachable, match="timed out"):
            client.queue()
        assert len(raw.requests) == 1


def test_nobody_there():
    with RawServer([]) as raw:
        url = raw.url
    client = ComfyClient(url)
    with pytest.raises(ComfyUnreachable, match="refused"):
        client.queue_remaining()
    with pytest.raises(ComfyUnreachable, match="No connection"):
        client.submit(b"{}")


@pytest.mark.parametrize("reply", [Reply(b"", "reset"), Reply(b"", "close"), Reply(ok(b"", length=50), "close")])
def test_a_prompt_is_posted_once_and_its_fate_is_unknown(reply: Reply):
    with server(reply, status(404), status(404)) as (raw, client):
        assert client.submit(b'{"prompt": {}}').answer is None
        assert [request.line.split()[0] for request in raw.requests].count("POST") == 1


def test_something_else_listens_there():
    with server(Reply(b"SSH-2.0-OpenSSH_9.6\r\n", "close")) as (_raw, client), pytest.raises(ComfyProtocolError):
        client.queue_remaining()


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"exec_info": 5}', b'{"exec_info": {"queue_remaining": "x"}}', b"<html>"]
)
def test_answers_that_make_no_sense(body: bytes):
    with server(ok(body)) as (_raw, client), pytest.raises(ComfyProtocolError):
        client.queue_remaining()


@pytest.mark.parametrize("body", [b"[]", b'{"queue_running": [5], "queue_pending": []}', b'{"queue_running": []}'])
def test_pitfall_18_an_odd_queue_is_not_quoted(body: bytes):
    body = body.replace(b"5", b'"comfyui-secret"')
    with server(ok(body)) as (_raw, client), pytest.raises(ComfyProtocolError) as caught:
        client.queue()
    assert "secret" not in str(caught.value)


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    "entry",
    [
        b'{"status": {"messages": [["execution_start", {"timestamp": 1}], ["x", {"timestamp": 1e400}]]}}',
        b'{"status": {"messages": [["execution_start", {"timestamp": 1}], ["x", {"timestamp": 1%s}]]}}' % (b"0" * 4000),
        b'{"status": {"messages": 5}, "outputs": 7}',
        b'{"status": {"messages": [["execution_cached", {"nodes": 7}]]}, "outputs": {"1": 5, "2": {"images": 5}}}',
        b'{"status": {"messages": [5, [], ["x"], [["x"], 1]]}, "prompt": [1, 2, 3, 4, 5]}',
        b'{"outputs": {"%s": {"text": [["a", 5]], "images": [{"filename": 5}, {"filename": "x", "type": []}]}}}'
        % (b"9" * 5000),
        b'{"outputs": %s}' % DEEP,
        b'{"outputs": {"1": {"text": ["\\ud800"], "images": [{"filename": "a\\udfff.png"}]}}}',
    ],
    ids=range(8),
)
def test_an_odd_history_entry_is_survived_or_no_answer_of_comfyui(entry: bytes):
    with server(ok(b'{"id": %s}' % entry)) as (_raw, client):
        try:
            found = client.history("id")
        except ComfyProtocolError as error:
            error.message.encode()
            return
        assert found
        json.dumps([[*map(str, found.files())], [*map(str, found.texts())], str(found.error())]).encode()
        for file in found.files():
            file.filename.encode()


@pytest.mark.parametrize(
    "body", [DEEP, b'{"queue_running": [[1e999, 5]], "queue_pending": []}', b'{"queue_running": 5}']
)
def test_odd_answers_to_other_questions(body: bytes):
    with server(*[ok(body)] * 3) as (_raw, client):
        for ask in (client.queue, client.queue_remaining, client.system_stats):
            try:
                ask()
            except ComfyProtocolError:
                continue


def cut(client: ComfyClient, ask: Callable[[ComfyClient], object], raw: RawServer) -> float:
    """Seconds until a request that hangs has ended after the cancel."""
    token = CancelToken()
    bound = client.cut_by(Cutoff(token))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(ask, bound)
        wait_for(lambda: raw.requests, "the request")
        begun = time.monotonic()
        token.cancel()
        with pytest.raises(ComfyUnreachable):
            running.result(20)
    return time.monotonic() - begun


def download(client: ComfyClient) -> None:
    with client.view("a.png") as output:
        list(output.chunks())


def test_a_cancel_cuts_a_hanging_download():
    with server(Reply(ok(b"half", length=8), "hang")) as (raw, client):
        assert cut(client, download, raw) < 2


def test_a_cancel_cuts_a_download_that_never_begins():
    with server(Reply(b"", "hang")) as (raw, client):
        assert cut(client, download, raw) < 2


def test_a_cancel_cuts_a_hanging_upload(tmp_path: Path):
    (tmp_path / "f").write_bytes(b"123")
    with server(Reply(b"", "hang")) as (raw, client):
        assert cut(client, lambda bound: bound.upload(tmp_path / "f", "a.png"), raw) < 2


def test_a_cancel_cuts_a_hanging_look(tmp_path: Path):
    with server(Reply(b"", "hang")) as (raw, client):
        assert cut(client, lambda bound: bound.queue(), raw) < 2
        assert len(raw.requests) == 1, "and it is not tried again"


def test_a_cancel_leaves_the_connections_of_others_alone():
    token = CancelToken()
    with server(ALIVE, ALIVE) as (raw, client):
        assert client.cut_by(Cutoff(token)).queue_remaining() == 3
        token.cancel()
        assert client.queue_remaining() == 3
        assert raw.connections == 1


def test_after_the_cancel_nothing_gets_through():
    token = CancelToken()
    token.cancel()
    with server(ALIVE) as (_raw, client), pytest.raises(ComfyUnreachable):
        client.cut_by(Cutoff(token)).queue_remaining()


def test_pitfall_18_only_ids_leave_the_queue():
    item = [7, "id", {"1": {}}, {"api_key_comfy_org": "comfyui-secret"}, ["1"]]
    body = json.dumps({"queue_running": [item], "queue_pending": []}).encode()
    with server(ok(body)) as (_raw, client):
        assert client.queue() == QueueSnapshot((QueuedPrompt("id", 7.0),), ())


def test_pitfall_14_posts_answer_with_an_empty_body():
    with server(ok(b""), ok(b""), ok(b"")) as (raw, client):
        client.delete_history("a", "b")
        client.delete_queued("a")
        client.interrupt("a")
        assert [json.loads(request.body) for request in raw.requests] == [
            {"delete": ["a", "b"]},
            {"delete": ["a"]},
            {"prompt_id": "a"},
        ]


def test_ids_are_escaped_in_paths():
    with server(ok(b"{}")) as (raw, client):
        assert client.history("a/../b c") is None
        assert raw.requests[0].line == "GET /history/a%2F..%2Fb%20c HTTP/1.1"


def test_an_output_cut_short_is_never_taken_for_whole():
    cut = Reply(ok(b"half", length=8, kind="image/png"), "close")
    with server(cut) as (_raw, client), client.view("a.png") as output:
        assert (output.content_type, output.size_bytes) == ("image/png", 8)
        with pytest.raises(ComfyUnreachable, match="4 bytes are missing"):
            list(output.chunks())


def test_an_output_that_stalls():
    stalled = Reply(ok(b"half", length=8), "hang")
    timely = pytest.raises(ComfyUnreachable, match="timed out")
    with server(stalled, read_timeout_s=0.2) as (_raw, client), client.view("a.png") as output, timely:
        list(output.chunks())


def test_an_output_left_half_read_does_not_spoil_the_connection():
    with server(ok(b"x" * 500_000), ALIVE) as (raw, client):
        with client.view("a.png") as output:
            next(output.chunks(10))
        assert client.queue_remaining() == 3
        assert raw.connections == 2


@pytest.mark.parametrize("code", [400, 403, 404])
def test_an_output_that_is_not_there(code: int):
    with server(status(code)) as (_raw, client), pytest.raises(OutputUnavailable), client.view("a..b.png"):
        pass


def test_a_body_over_the_limit_is_refused_while_it_is_sent(tmp_path: Path):
    (tmp_path / "big").write_bytes(bytes(20_000_000))
    refusal = Reply(status(413, b"Maximum request body size 100 exceeded."), "close", early=True)
    features = ok(b'{"max_upload_size": 100}')
    with server(refusal, features, features) as (_raw, client), pytest.raises(InputTooLarge):
        client.upload(tmp_path / "big", "big.png")


def test_an_upload_is_repeated_when_the_connection_is_lost(tmp_path: Path):
    (tmp_path / "f").write_bytes(b"123")
    stored = ok(b'{"name": "a (1).png", "subfolder": "job", "type": "input"}')
    with server(Reply(b"", "close"), stored) as (raw, client):
        assert client.upload(tmp_path / "f", "a.png", subfolder="job").reference == "job/a (1).png"
        bodies = [request.body for request in raw.requests if request.line.startswith("POST")]
        assert [b"\r\n\r\n123\r\n" in body for body in bodies] == [True, True]


def test_logs_and_features_of_a_comfyui_that_has_none():
    with server(*[status(404)] * 2) as (_raw, client):
        assert client.logs() == []
        assert client.features() == {}


def test_threads_share_a_client():
    with server(*[ALIVE] * 40) as (raw, client):
        threads = [threading.Thread(target=lambda: [client.queue_remaining() for _ in range(5)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(raw.requests) == 40
        assert raw.connections <= 8


def test_an_address_that_is_none():
    with pytest.raises(ValueError, match="not an http"):
        ComfyClient("127.0.0.1:8188")
