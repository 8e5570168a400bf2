"""One connection of the server: uvicorn's, with an end to heads that never come or never stop, and to their number.

And one WebSocket: uvicorn's, which can be refused without an error in the log.
"""

import asyncio
import contextlib
import json
import resource
import time
from http import HTTPStatus
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from .logs import get_logger

# Nobody has proven anything yet: a head is a few hundred bytes and comes at once.
HEAD_S = 20.0
_MAX_HEAD_BYTES = 64 * 1024
# What the database, the spool and the sockets to ComfyUI need, whoever connects.
_OWN_FILES = 256
_MOST_FILES = 65_536
_MOST_CONNECTIONS = 10_000
_FEWEST_CONNECTIONS = 16
_SAID_EVERY_S = 10.0

log = get_logger()


def connection_limit() -> int:
    """How many connections to take: what the system's limit on open files leaves, after raising it if it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    free = _MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else soft - _OWN_FILES
    return max(_FEWEST_CONNECTIONS, min(free, _MOST_CONNECTIONS))


class Connection(HttpToolsProtocol):
    """`max_connections` at a time; `head_s` until a request's head has come.

    When there are too many, the one that has been without a request for longest makes room.
    """

    # All of the process without a request under way, longest first.
    _idle: ClassVar[dict["Connection", None]] = {}
    _said_at: ClassVar[float] = -_SAID_EVERY_S

    def __init__(self, *args: Any, max_connections: int, head_s: float = HEAD_S, **options: Any) -> None:
        super().__init__(*args, **options)
        self._max_connections = max_connections
        self._head_s = head_s
        # What has come since anything of it made sense: of heads, trailers and the sizes of chunks.
        self._loose_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._begun: list[RequestResponseCycle] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, at the cost of another one when there are too many."""
        super().connection_made(transport)
        self._expect_head()
        self._idle[self] = None
        if len(self.connections) > self._max_connections:
            self._say_too_many()
            next(iter(self._idle)).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Uvicorn's."""
        self._stop_timer()
        self._idle.pop(self, None)
        super().connection_lost(exc)
        # Uvicorn tells only the newest request, which may be one that waits behind a stream.
        for cycle in self._begun:
            cycle.disconnected = cycle.disconnected or not cycle.response_complete
            cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Uvicorn's, up to a limit."""
        self._loose_bytes += len(data)
        super().data_received(data)
        if self._loose_bytes > _MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The head of the request is too large.")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._stop_timer()
        self._idle.pop(self, None)
        self._loose_bytes = 0
        super().on_headers_complete()
        self._begun = [each for each in (*self._begun, self.cycle) if each and not each.response_complete]

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._loose_bytes = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        """The answer is sent."""
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None and not self.transport.is_closing():
            self._idle[self] = None

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered like any other mistake."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._head_s, self._give_up)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        self.transport.close()

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self._stop_timer()
        body = {"error": status.phrase, "message": message, "statusCode": int(status), "code": status.name}
        content = json.dumps({**body, "details": []}).encode()
        head = f"HTTP/1.1 {int(status)} {status.phrase}\r\ncontent-type: application/json\r\n"
        self.transport.write(f"{head}content-length: {len(content)}\r\nconnection: close\r\n\r\n".encode() + content)
        self.transport.close()

    def _say_too_many(self) -> None:
        now = time.monotonic()
        if now - Connection._said_at >= _SAID_EVERY_S:
            Connection._said_at = now
            log.warning("Too many connections, idle ones are closed", limit=self._max_connections)


class Socket(WebSocketsSansIOProtocol):
    """A WebSocket. One that was answered with a refusal has shaken hands as far as it ever will."""

    async def send(self, message: Any) -> None:
        """ASGI."""
        await super().send(message)
        # Uvicorn takes it for an app that has forgotten to answer, and logs an error.
        self.handshake_complete = self.handshake_complete or self.close_sent
