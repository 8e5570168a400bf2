"""Bodies: refused before they are read whole, read strictly, and the connection ends in good order."""

import json
import socket
import threading
from collections.abc import Iterator

import pytest
import requests
from support.door_app import MAX_BODY, door_app
from support.http_server import HttpServer

from api.errors import InvalidInput
from api.routes.body import BodyLimit
from api.routes.json_object import parse_object


@pytest.fixture(scope="module")
def door() -> Iterator[HttpServer]:
    with HttpServer(door_app(body_limits={"/uploads": 3 * MAX_BODY})) as server:
        yield server


def talk(door: HttpServer, *pieces: bytes) -> bytes:
    """What the server says to those pieces, until it closes."""
    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as raw:
        for piece in pieces:
            raw.sendall(piece)
        return raw.makefile("rb").read()


@pytest.mark.parametrize("path", ["/echo", "/unread"])
def test_a_body_that_announces_too_much_is_refused_unread(door: HttpServer, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as raw:
        raw.sendall(head)
        answer = raw.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"INPUT_TOO_LARGE" in answer
    assert b"connection: close" in answer


def test_a_body_that_waits_to_be_asked_for_is_not_asked_for(door: HttpServer) -> None:
    head = f"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as raw:
        raw.sendall(head)
        assert raw.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_the_caller_who_sends_it_all_reads_the_answer_and_not_a_reset(door: HttpServer) -> None:
    for _ in range(5):
        answer = requests.post(f"{door.url}/echo", data=b"x" * 20 * MAX_BODY, timeout=10)
        assert answer.status_code == 413


def test_chunks_are_refused_as_soon_as_they_are_too_many(door: HttpServer) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 500 * MAX_BODY:
            sent += 100_000
            yield b" " * 100_000

    try:
        answer = requests.post(f"{door.url}/echo", data=endless(), timeout=20)
        assert (answer.status_code, answer.headers["Connection"]) == (413, "close")
    except requests.ConnectionError:
        # Somebody who never stops to listen is cut off at last.
        assert sent > MAX_BODY
    assert requests.post(f"{door.url}/echo", json={}, timeout=5).status_code == 200


def test_chunks_a_little_over_the_limit_get_the_answer(door: HttpServer) -> None:
    answer = requests.post(f"{door.url}/echo", data=(b" " * 100_000 for _ in range(15)), timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (413, "INPUT_TOO_LARGE")


def test_a_body_of_exactly_the_limit_is_taken(door: HttpServer) -> None:
    body = b'{"a": "' + b"x" * (MAX_BODY - 9) + b'"}'
    assert len(body) == MAX_BODY
    assert requests.post(f"{door.url}/echo", data=body, timeout=10).json()["keys"] == ["a"]
    assert requests.post(f"{door.url}/echo", data=body + b" ", timeout=10).status_code == 413


def test_uploads_have_a_limit_of_their_own(door: HttpServer) -> None:
    assert requests.post(f"{door.url}/uploads/a", data=b"x" * 2 * MAX_BODY, timeout=10).json() == {
        "bytes": 2 * MAX_BODY
    }
    assert requests.post(f"{door.url}/uploads/a", data=b"x" * 4 * MAX_BODY, timeout=10).status_code == 413
    assert requests.post(f"{door.url}/uploadsa", data=b"x" * 2 * MAX_BODY, timeout=10).status_code == 413


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"{'a': 1}", "line 1, column 2"),
        (b'{"a": 1,\n "b" 2}', "line 2, column 6"),
        (b"[1, 2]", "array"),
        (b'"text"', "single value"),
        (b'{"a": "\xff"}', "byte 7"),
        (b'{"w": {"3": {"seed": NaN}}}', "w.3.seed is NaN"),
        (b'{"w": [1, -Infinity]}', "w.1 is -Infinity"),
        (b'{"w": 1e999}', "w is a number that is too large"),
        (b'{"w": {"3": {}, "3": {}}}', "w.3 is given twice"),
        (b'{"w": "\\ud800"}', "w holds half of a surrogate pair"),
        (b'{"w": {"\\ud800": 1}}', "w holds half of a surrogate pair"),
        (b'{"w": ' + b"[" * 101 + b"]" * 101 + b"}", "nested deeper"),
        (b'{"w": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested deeper"),
        (b'{"w": ' + b"9" * 5000 + b"}", "more than 80 digits"),
    ],
)
def test_what_is_not_strict_json_is_refused_with_its_place(door: HttpServer, body: bytes, said: str) -> None:
    answer = requests.post(f"{door.url}/echo", data=body, timeout=5)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_INPUT")
    assert said in answer.json()["message"]


def test_the_same_from_a_thread(door: HttpServer) -> None:
    body = b'{"a": "' + b"x" * 500_000 + b'", "w": {"3": NaN}}'
    assert "w.3 is NaN" in requests.post(f"{door.url}/echo", data=body, timeout=5).json()["message"]


def test_a_byte_order_mark_and_any_content_type_are_taken(door: HttpServer) -> None:
    answer = requests.post(
        f"{door.url}/echo",
        data=b'\xef\xbb\xbf{"a": "\\ud83d\\ude00"}',
        headers={"Content-Type": "text/plain"},
        timeout=5,
    )
    assert answer.json()["keys"] == ["a"]


def test_an_empty_body_where_it_may_be(door: HttpServer) -> None:
    assert requests.post(f"{door.url}/perhaps", timeout=5).json()["keys"] == []
    assert requests.post(f"{door.url}/perhaps", data=b"nonsense", timeout=5).status_code == 400


def test_compressed_bodies_are_refused_in_words(door: HttpServer) -> None:
    answer = requests.post(f"{door.url}/echo", data=b"\x1f\x8b", headers={"Content-Encoding": "gzip"}, timeout=5)
    assert answer.status_code == 415
    assert "Content-Encoding" in answer.json()["message"]


def test_a_body_that_stops_coming_is_given_up() -> None:
    with HttpServer(BodyLimit(door_app(), MAX_BODY, idle_timeout_s=0.2)) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
            raw.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
            answer = raw.recv(65536)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"REQUEST_TIMEOUT" in answer
        assert requests.post(f"{server.url}/echo", json={}, timeout=5).status_code == 200


def test_a_caller_who_leaves_in_the_middle_harms_nobody(door: HttpServer) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", door.port), timeout=10) as raw:
            raw.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    assert requests.post(f"{door.url}/echo", json={}, timeout=5).status_code == 200


def test_many_callers_at_once_each_get_their_own(door: HttpServer) -> None:
    found: list[list[str]] = []

    def submit(number: int) -> None:
        body = {f"k{number}": "x" * 300_000}
        found.append(requests.post(f"{door.url}/echo", json=body, timeout=20).json()["keys"])

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(found) == sorted([f"k{number}"] for number in range(16))


def test_pipelined_requests_are_answered_in_turn(door: HttpServer) -> None:
    one = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n" + b'{"a": 1} '
    last = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9\r\n\r\n" + b'{"b": 1} '
    answer = talk(door, one + last)
    bodies = [part for part in answer.split(b"\r\n") if part.startswith(b"{")]
    assert [json.loads(body.split(b"HTTP/1.1")[0])["keys"] for body in bodies] == [["a"], ["b"]]


@pytest.mark.parametrize("piece", [b"{},", b"[],", b"1,", b'"",', b'{"a":1},'])
def test_a_body_of_too_many_values_is_refused_before_they_are_made(piece: bytes) -> None:
    content = b'{"workflow":[' + piece * 250_001 + b"1]}"
    with pytest.raises(InvalidInput) as refused:
        parse_object(content)
    assert refused.value.details[0]["code"] == "too_large"


def test_text_may_be_long() -> None:
    assert parse_object(b'{"image":"' + b"A" * 5_000_000 + b'"}')["image"].startswith("AAA")
