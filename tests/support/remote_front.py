"""A door in front of a remote endpoint: passes requests on, notes them, and misbehaves as it is told."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from support.waiting import wait_for

_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "keep-alive", "host"}


@dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    line: str
    headers: Mapping[str, str]
    body: bytes
    port: int = 0

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Misdeed:
    """What becomes of the next `times` requests (None: of all) whose line begins with `line`.

    `drop` "before" or "after" the endpoint has had the request; else an answer of the door's own.
    """

    line: str
    times: int | None = 1
    status: int = 200
    content: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: str = ""
    hold: threading.Event | None = None


class RemoteFront:
    """`with RemoteFront(upstream_url) as front:`; `files` are served at their paths."""

    def __init__(self, upstream: str = "") -> None:
        self.upstream = upstream.rstrip("/")
        self.files: dict[str, bytes] = {}
        self._seen: list[Seen] = []
        self._misdeeds: list[Misdeed] = []
        self._lock = threading.Lock()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), self._answer)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def will(self, line: str, **misdeed: Any) -> Misdeed:
        """Misbehave at requests whose `METHOD /path` begins so."""
        made = Misdeed(line, **misdeed)
        with self._lock:
            self._misdeeds.append(made)
        return made

    def behave(self) -> None:
        """Forget what was told and what was seen."""
        with self._lock:
            self._misdeeds.clear()
            self._seen.clear()

    def seen(self, line: str = "") -> list[Seen]:
        with self._lock:
            return [each for each in self._seen if each.line.startswith(line)]

    def wait_seen(self, line: str, count: int = 1) -> list[Seen]:
        return wait_for(lambda: len(found := self.seen(line)) >= count and found, f"{count} × {line}")

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        line = f"{handler.command} {handler.path}"
        with self._lock:
            self._seen.append(Seen(line, dict(handler.headers), body, handler.client_address[1]))
        misdeed = self._next(line)
        if misdeed and misdeed.hold:
            while not (misdeed.hold.wait(0.05) or self._over.is_set()):
                pass
        if misdeed and misdeed.drop == "before":
            return _cut(handler)
        path = urlsplit(handler.path).path
        if path in self.files:
            return _send(handler, 200, {"Content-Type": "application/octet-stream"}, self.files[path])
        if misdeed and not misdeed.drop and not (misdeed.hold and misdeed.content is None and misdeed.status == 200):
            content = b"" if misdeed.content is None else json.dumps(misdeed.content).encode()
            return _send(handler, misdeed.status, {"Content-Type": "application/json", **misdeed.headers}, content)
        answer = self._passed_on(handler, body)
        if misdeed and misdeed.drop == "after":
            return _cut(handler)
        return _send(handler, answer.status_code, dict(answer.headers), answer.content)

    def _next(self, line: str) -> Misdeed | None:
        with self._lock:
            for misdeed in self._misdeeds:
                if line.startswith(misdeed.line) and misdeed.times != 0:
                    misdeed.times = None if misdeed.times is None else misdeed.times - 1
                    return misdeed
        return None

    def _passed_on(self, handler: BaseHTTPRequestHandler, body: bytes) -> requests.Response:
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in _HOP}
        # Links in answers lead back to this door.
        headers["Host"] = handler.headers["Host"]
        return requests.request(
            handler.command, self.upstream + handler.path, data=body, headers=headers, timeout=60, allow_redirects=False
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                with contextlib.suppress(OSError):
                    answer(self)

            do_GET = do_POST = do_HEAD = handle_any

            def log_message(self, *_: object) -> None:
                return

        super().__init__(address, Handler)

    def handle_error(self, *_: object) -> None:
        return


def _send(handler: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], content: bytes) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        if name.lower() not in _HOP:
            handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def _cut(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    with contextlib.suppress(OSError):
        handler.connection.shutdown(socket.SHUT_RDWR)
