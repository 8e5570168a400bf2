"""Request bodies: refused when too large or too slow, before they are read whole; read as JSON objects."""

import asyncio
import contextlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import InputTooLarge, InvalidInput
from .errors import respond
from .json_object import in_turn, parse_object

# Reading these takes a few milliseconds at worst, which the loop can spare.
_IN_THREAD_BYTES = 32 * 1024
_IDLE_S = 60.0
# How long what is still coming is read and thrown away, so that the caller reads the answer and not a reset.
_LINGER_S = 5.0
_MB = 1_000_000


async def json_body(request: Request) -> dict[str, Any]:
    """The body as a JSON object. Raises InvalidInput naming the place of what is wrong."""
    raw = await request.body()
    if not raw.strip():
        raise InvalidInput("The body is empty: send a JSON object.")
    return await _parsed(request, raw)


async def optional_json_body(request: Request) -> dict[str, Any]:
    """The same; no body is an empty object."""
    raw = await request.body()
    return await _parsed(request, raw) if raw.strip() else {}


JsonBody = Annotated[dict[str, Any], Depends(json_body)]
OptionalJsonBody = Annotated[dict[str, Any], Depends(optional_json_body)]


async def _parsed(request: Request, raw: bytes) -> dict[str, Any]:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "Compressed bodies are not taken: send it without Content-Encoding.")
    if len(raw) > _IN_THREAD_BYTES:
        return await in_turn(parse_object, raw)
    return parse_object(raw)


class BodyLimit:
    """Middleware: `max_bytes` for every body, other limits for the paths (and all below them) in `by_path`."""

    def __init__(
        self, app: ASGIApp, max_bytes: int, by_path: Mapping[str, int] | None = None, idle_timeout_s: float = _IDLE_S
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._by_path = dict(by_path or {})
        self._idle_timeout_s = idle_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Within, receive() raises InputTooLarge, and HTTPException 408 for a body that stopped coming."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, send, self._limit(scope["path"]), self._idle_timeout_s)
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > body.max_bytes:
            answer = await respond(HTTPConnection(scope), body.too_large())
            await answer(scope, receive, body.send)
            return
        await self._app(scope, body.receive, body.send)

    def _limit(self, path: str) -> int:
        found = (limit for prefix, limit in self._by_path.items() if path == prefix or path.startswith(f"{prefix}/"))
        return next(found, self._max_bytes)


class _Body:
    """One body under way."""

    def __init__(self, receive: Receive, send: Send, max_bytes: int, idle_timeout_s: float) -> None:
        self.max_bytes = max_bytes
        self._receive = receive
        self._send = send
        self._idle_timeout_s = idle_timeout_s
        self._read_bytes = 0
        self._is_whole = False
        self._is_refused = False

    async def receive(self) -> Message:
        if self._is_whole:
            # From here on it waits for the caller to leave, which may take as long as the answer.
            return await self._receive()
        message = await self._next_piece()
        self._read_bytes += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._read_bytes > self.max_bytes:
            raise self.too_large()
        return message

    def too_large(self) -> InputTooLarge:
        self._is_refused = True
        return InputTooLarge(f"The body is larger than {self.max_bytes / _MB:g} MB.")

    async def send(self, message: Message) -> None:
        if message.get("status", 0) >= HTTPStatus.BAD_REQUEST and self._read_bytes and not self._is_whole:
            # Refused in the middle by its reader: the rest, which may have no end, is of no use to anybody.
            self._is_refused = True
        if not self._is_refused:
            await self._send(message)
        elif message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"connection", b"close")]
            await self._send({**message, "headers": headers})
        else:
            await self._send({**message, "more_body": True})
            if not message.get("more_body", False):
                await self._drain()
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next_piece(self) -> Message:
        try:
            async with asyncio.timeout(self._idle_timeout_s):
                return await self._receive()
        except TimeoutError:
            self._is_refused = True
            raise HTTPException(408, f"The body stopped coming for {self._idle_timeout_s:g} s.") from None

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                while not self._is_whole:
                    message = await self._receive()
                    self._is_whole = not message.get("more_body", False)
