"""/metrics for Prometheus, and the middleware that times every request."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Header, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Whatever has no route would make a label of whatever somebody types.
_UNROUTED = "unrouted"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_CALLER_LEFT = 499

Exposition = Callable[[str], tuple[bytes, str]]


def router(exposition: Exposition) -> APIRouter:
    """/metrics; `exposition(accept)` gives the bytes and their media type, from a thread."""
    routes = APIRouter(tags=["health"])

    @routes.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={
            200: {
                "description": "In the text format, or OpenMetrics when asked for",
                "content": {"text/plain": {"example": "comfyui_queue_length 2.0\n"}},
            }
        },
    )
    def metrics(accept: Annotated[str, Header(include_in_schema=False)] = "") -> Response:
        body, media_type = exposition(accept)
        return Response(body, headers={"Content-Type": media_type})

    return routes


@dataclass(frozen=True, slots=True)
class Timing:
    """Who hears of requests (method, template of the route, status, seconds) and of sockets (+1 open, -1 closed)."""

    request: Callable[[str, str, int, float], None]
    sockets: Callable[[int], None]


class Timed:
    """Middleware: tells how long each request took, and when WebSockets open and close."""

    def __init__(self, app: ASGIApp, timing: Timing) -> None:
        self._app = app
        self._timing = timing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            await self._time(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._count(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _time(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        status = _CALLER_LEFT

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
            route = getattr(scope.get("route"), "path", _UNROUTED)
            self._timing.request(method, route, status, time.perf_counter() - began)

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = False

        async def noting(message: Message) -> None:
            nonlocal is_open
            if message["type"] == "websocket.accept":
                is_open = True
                self._timing.sockets(+1)
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            if is_open:
                self._timing.sockets(-1)
