"""An HTTP server that answers with exactly the bytes it is told, and then keeps, closes, resets or hangs."""

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Reply:
    """Bytes for one request; `then` is keep, close, reset or hang. `early` answers before the body is read."""

    data: bytes
    then: str = "keep"
    early: bool = False


def ok(body: bytes, *, length: int | None = None, kind: str = "application/json") -> bytes:
    """A 200 with that body; `length` announces another length."""
    announced = len(body) if length is None else length
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind.encode(), announced) + body


def status(code: int, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (code, len(body)) + body


@dataclass
class Request:
    """What a client sent."""

    line: str
    head: str
    body: bytes = b""


@dataclass
class RawServer:
    """`with RawServer([Reply(...), ...]) as server:`; replies are used in order, whatever the connection."""

    replies: list[Reply]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    closed: int = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for each in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for each in [self._listener, *self._sockets]:
            each.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _spawn(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(client)
            self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            while self._one(client):
                pass
        except OSError:
            pass

    def _one(self, client: socket.socket) -> bool:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(1)
            if not piece:
                return False
            head += piece
        text = head.decode("latin-1")
        request = Request(text.split("\r\n", 1)[0], text)
        self.requests.append(request)
        reply = self.replies.pop(0) if self.replies else Reply(status(404))
        if not reply.early:
            request.body = self._body(client, text)
        client.sendall(reply.data)
        return self._finish(client, reply.then)

    def _finish(self, client: socket.socket, then: str) -> bool:
        if then == "hang":
            self._over.wait(30)
        if then == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        if then == "close":
            client.shutdown(socket.SHUT_RDWR)
            self.closed += 1
        return then == "keep"

    @staticmethod
    def _body(client: socket.socket, head: str) -> bytes:
        lengths = [line.split(":")[1] for line in head.split("\r\n") if line.lower().startswith("content-length:")]
        body = b""
        while lengths and len(body) < int(lengths[0]):
            body += client.recv(65536)
        return body
