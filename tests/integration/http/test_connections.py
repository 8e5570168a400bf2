"""Connections that send no request, or one without end: they are closed, and keep nobody else out."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import requests
from support.door_app import door_app
from support.http_server import HttpServer


@pytest.fixture
def door(request: pytest.FixtureRequest) -> Iterator[HttpServer]:
    with HttpServer(door_app(), **getattr(request, "param", {})) as server:
        yield server


def limits(**options: float) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("door", [options], indirect=True)


def dial(door: HttpServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", door.port), timeout=10)


def closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@limits(head_s=0.5)
@pytest.mark.parametrize("sent", [b"", b"GET /jobs/1 HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_never_ends_is_not_waited_for(door: HttpServer, sent: bytes) -> None:
    with dial(door) as connection:
        connection.sendall(sent)
        assert closed(connection)


@limits(head_s=0.5)
def test_nor_is_a_second_one_on_the_same_connection(door: HttpServer) -> None:
    with dial(door) as connection:
        connection.sendall(b"GET /jobs/1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /jobs/1 HTTP/1.1\r\n")
        assert closed(connection)


@limits(head_s=0.5)
def test_a_slow_body_is_no_slow_head(door: HttpServer) -> None:
    with dial(door) as slow, dial(door) as watched:
        slow.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
        assert closed(watched)  # later than the first one would be
        slow.sendall(b"{}")
        assert slow.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "endless",
    [
        (b"GET /jobs/1 HTTP/1.1\r\n", b"X-Filler: " + b"x" * 1000 + b"\r\n"),
        (b"GET /jobs/1 HTTP/1.1\r\nX-Filler: ", b"x" * 1000),
        (b"GET /", b"x" * 1000),
        (b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X-Filler: 1\r\n" * 100),
    ],
)
def test_a_head_without_end_is_refused(door: HttpServer, endless: tuple[bytes, bytes]) -> None:
    first, more = endless
    answer = b""
    with dial(door) as connection:
        try:
            connection.sendall(first)
            for _ in range(5000):
                connection.sendall(more)
        except (BrokenPipeError, ConnectionResetError):
            pass
        else:
            pytest.fail("all of it was read")
        try:
            answer = connection.recv(65536)
        except ConnectionResetError:
            return
    assert answer.startswith(b"HTTP/1.1 431 ") or b"HTTP/1.1 200" in answer


def test_what_is_no_http_is_answered_like_any_mistake(door: HttpServer) -> None:
    with dial(door) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ") and b'"code": "BAD_REQUEST"' in answer


@limits(max_connections=5)
def test_idle_connections_make_room(door: HttpServer) -> None:
    with ExitStack() as open_ones, dial(door) as busy:
        busy.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
        idle = [open_ones.enter_context(dial(door)) for _ in range(20)]
        assert requests.get(f"{door.url}/jobs/1", timeout=5).status_code == 200
        assert closed(idle[0])
        busy.sendall(b"{}")
        assert busy.recv(65536).startswith(b"HTTP/1.1 200")
