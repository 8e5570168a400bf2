"""A worker as its client sees it: answers what it is told, breaks off where it is told, remembers what was asked.

`with FakeWorker() as worker: worker.answer("POST", "/run", 200, {...}); ...; worker.asked("POST", "/run")`.
"""

import contextlib
import json
import socket
import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """`drop`: close without an answer; `cut_at`: close after that many bytes of the body; `chunked` for streams."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    cut_at: int | None = None
    chunked: bool = False
    hold: threading.Event | None = None


def sse(*events: tuple[str, Mapping[str, Any]], first_id: int = 1, cut: bool = False, hold: Any = None) -> Answer:
    """A stream of events with running ids; `cut` breaks it off at its end, `hold` keeps it open until set."""
    blocks = [
        f"id: {number}\r\nevent: {kind}\r\ndata: {json.dumps(data)}\r\n\r\n"
        for number, (kind, data) in enumerate(events, first_id)
    ]
    body = ("retry: 2000\r\n: ping\r\n\r\n" + "".join(blocks)).encode()
    return Answer(
        200, body, {"Content-Type": "text/event-stream"}, chunked=True, cut_at=len(body) if cut else None, hold=hold
    )


class FakeWorker:
    """Answers in the order given, per method and path; the last one again and again."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str], deque[Answer]] = defaultdict(deque)
        self._asked: list[Asked] = []
        self._files: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="fake-worker")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(
        self, method: str, path: str, status: int = 200, content: Any = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Queue a JSON answer."""
        body = json.dumps(content).encode()
        self.give(method, path, Answer(status, body, {"Content-Type": "application/json", **(headers or {})}))

    def give(self, method: str, path: str, *answers: Answer) -> None:
        """Queue any answers."""
        with self._lock:
            self._answers[method, path].extend(answers)

    def serve_file(self, path: str, content: bytes) -> None:
        """A file with ETag and Range, given once the queued answers of that path are used up."""
        self._files[path] = content

    def asked(self, method: str, path: str) -> list[Asked]:
        """The requests of that kind so far."""
        with self._lock:
            return [item for item in self._asked if (item.method, item.path) == (method, path)]

    def respond(self, asked: Asked) -> Answer:
        with self._lock:
            self._asked.append(asked)
            waiting = self._answers[asked.method, asked.path]
            if waiting and asked.path in self._files:
                return self._ranged(asked, waiting.popleft())
            if waiting:
                return waiting.popleft() if len(waiting) > 1 else waiting[0]
        if asked.path in self._files:
            return self._ranged(asked, None)
        return Answer(404, b'{"error": "Not Found", "message": "No such job.", "code": "JOB_NOT_FOUND"}')

    def _ranged(self, asked: Asked, instead: Answer | None) -> Answer:
        """The file, or the part that is asked for; `instead` breaks it off or refuses."""
        if instead and instead.cut_at is None:
            return instead
        content, tag = self._files[asked.path], '"v1"'
        start, status, headers = 0, 200, {"ETag": tag, "Accept-Ranges": "bytes"}
        if asked.headers.get("range") and asked.headers.get("if-range") == tag:
            start, status = int(asked.headers["range"].removeprefix("bytes=").rstrip("-")), 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return Answer(status, content[start:], headers, cut_at=instead.cut_at if instead else None)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True

    def __init__(self, worker: FakeWorker) -> None:
        self.worker = worker
        self._connections: list[socket.socket] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.append(request)
        super().process_request(request, client_address)

    def hang_up(self) -> None:
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def _any(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        self._send(self.server.worker.respond(Asked(self.command, parts.path, query, headers, body)))

    do_GET = do_POST = do_DELETE = do_HEAD = do_PUT = do_PATCH = _any

    def _send(self, answer: Answer) -> None:
        if answer.drop:
            self._break_off()
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        for piece in self._pieces(answer):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if answer.chunked else piece)
            self.wfile.flush()
        if answer.hold:
            answer.hold.wait(30)
        if answer.cut_at is not None:
            self._break_off()
        elif answer.chunked:
            self.wfile.write(b"0\r\n\r\n")

    @staticmethod
    def _pieces(answer: Answer) -> Iterable[bytes]:
        body = answer.body[: answer.cut_at]
        # In odd pieces, so that lines and characters are split between them.
        size = 37 if answer.chunked else 1 << 16
        return (body[start : start + size] for start in range(0, len(body), size))

    def _break_off(self) -> None:
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_WR)
        self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        """Quiet."""
