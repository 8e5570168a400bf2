"""The request id in and out, and one log line per request. Never a query, a body or a key."""

import random
import re
import time
import uuid
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..logs import get_logger

REQUEST_ID = "X-Request-ID"
# nginx's number for a caller who left before the answer.
_CALLER_LEFT = 499
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_SHOWN_PATH = 200
_STARTS = {"http.response.start", "websocket.accept", "websocket.http.response.start"}
_BODIES = {"http.response.body", "websocket.http.response.body"}

log = get_logger()


class RequestLog:
    """Middleware: gives every request its id (`request.state.request_id`) and logs how it ended."""

    def __init__(self, app: ASGIApp, quiet_paths: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._quiet_paths = quiet_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        request = _Logged(scope, send)
        try:
            await self._app(scope, receive, request.send)
        finally:
            request.log(quiet=scope["path"] in self._quiet_paths)


class _Logged:
    """One request on its way."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._began = time.perf_counter()
        self._status = _CALLER_LEFT
        self._bytes = 0
        headers = Headers(scope=scope)
        self._state: dict[str, Any] = scope.setdefault("state", {})
        self._id = _sane(headers.get(REQUEST_ID), _SANE_ID) or _new_id()
        self._state["request_id"] = self._id
        # Connections are kept alive, and a request may start in the context of the one before it.
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=self._id)
        trace = _sane(headers.get("traceparent"), _TRACEPARENT)
        if trace:
            self._state["traceparent"] = trace
            structlog.contextvars.bind_contextvars(traceparent=trace)

    async def send(self, message: Message) -> None:
        if message["type"] in _STARTS:
            self._status = message.get("status", 101)
            self._state["accepted"] = message["type"] == "websocket.accept"
            MutableHeaders(raw=_header_list(message))[REQUEST_ID] = self._id
        elif message["type"] in _BODIES:
            self._bytes += len(message.get("body", b""))
        await self._send(message)

    def log(self, *, quiet: bool) -> None:
        route = getattr(self._scope.get("route"), "path", None)
        write = log.debug if quiet else log.info
        write(
            "Request",
            method=self._scope.get("method", "WEBSOCKET"),
            path=route or self._scope["path"][:_SHOWN_PATH],
            status=self._status,
            ms=round((time.perf_counter() - self._began) * 1000, 1),
            bytes=self._bytes,
            caller=self._state.get("caller"),
        )


def _header_list(message: Message) -> list[tuple[bytes, bytes]]:
    """The message's headers as a list that may be changed in place."""
    headers = list(message.get("headers", ()))
    message["headers"] = headers
    return headers


def _new_id() -> str:
    """A UUID that nobody need be unable to guess: asking the system for chance lets all other threads go first."""
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


def _sane(value: str | None, pattern: re.Pattern[str]) -> str | None:
    return value if value is not None and pattern.fullmatch(value) else None
