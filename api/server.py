"""HTTP mode: the app made of routers and what stands in front of them, and the server that runs it."""

import functools
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from types import FrameType
from typing import NamedTuple, cast

import uvicorn
from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from .connection import HEAD_S, Connection, Socket, connection_limit
from .errors import InvalidSettings
from .logs import get_logger
from .routes import docs
from .routes import probes as probing
from .routes.access import REQUEST_ID, RequestLog
from .routes.auth import Authentication, Guard
from .routes.body import BodyLimit
from .routes.cors import Cors
from .routes.errors import BORDER_HANDLERS, HANDLERS
from .routes.exposition import Timed, Timing
from .routes.late import LateRoutes
from .routes.limits import Rate, RateLimit
from .routes.methods import HeadAsGet
from .routes.open_streams import OpenStreams
from .routes.openapi import documented

TITLE = "ComfyUI Worker"
DESCRIPTION = (
    "Runs ComfyUI workflows as jobs that survive restarts. Below `/v2/` it speaks RunPod's language. "
    "Every answer carries `X-Request-ID`; every error has the same shape."
)
_EXPOSED = (
    *(REQUEST_ID, "Retry-After", "RateLimit", "RateLimit-Policy", "Location", "ETag"),
    *("Accept-Ranges", "Content-Range", "Content-Disposition"),
    *("Tus-Resumable", "Upload-Offset", "Upload-Length", "Upload-Expires", "Upload-Ref"),
)
_CORS_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# Longer than the idle time of the usual proxies (60 s), so that they and not we close idle connections.
_KEEP_ALIVE_S = 75
_BACKLOG = 2048
_WEBSOCKET_MESSAGE_BYTES = 1_000_000

log = get_logger()


def create_app(
    routers: Sequence[APIRouter | LateRoutes],
    *,
    probes: probing.Probes,
    guard: Guard,
    max_body_bytes: int,
    body_limits: Mapping[str, int] | None = None,
    cors_origins: Sequence[str] = (),
    rates: Sequence[Rate] = (),
    timing: Timing | None = None,
    lifespan: Lifespan[FastAPI] | None = None,
) -> FastAPI:
    """The app: `routers`, the probes, and in front of them everything a request has to pass.

    `body_limits` gives paths (and all below) a limit of their own in bytes; of `rates` the first that covers a path
    counts; `timing` hears of every request.
    """
    app = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version=probes.version,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        exception_handlers=HANDLERS,
        lifespan=lifespan,
        middleware=[
            *([Middleware(Timed, timing=timing)] if timing else []),
            Middleware(RequestLog, quiet_paths=probing.PROBE_PATHS),
            *_cors(cors_origins),
            *_rate_limit(rates, guard),
            # Renders what the ones below raise, and what nobody foresaw.
            Middleware(ExceptionMiddleware, handlers=BORDER_HANDLERS),
            Middleware(Authentication, guard=guard),
            Middleware(OpenStreams),
            Middleware(BodyLimit, max_bytes=max_body_bytes, by_path=body_limits),
            Middleware(HeadAsGet),
        ],
    )
    routers = (probing.router(probes), docs.router(TITLE), *routers)
    for router in routers:
        # Not `include_router`: it nests, and every request is then matched twice against all routes of each router.
        app.router.routes.extend([router] if isinstance(router, LateRoutes) else router.routes)
    app.router.default = _nowhere
    app.openapi = documented(app, routers, guard)  # type: ignore[method-assign]
    return app


async def _nowhere(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """What no route covers, over a WebSocket as well."""
    raise HTTPException(HTTPStatus.NOT_FOUND)


class Listen(NamedTuple):
    """Where to listen, and the settings that say so."""

    host: str
    port: int
    port_setting: str = "API_PORT"
    host_setting: str = "API_HOST"


def serve(
    app: ASGIApp,
    *listens: Listen,
    stopping: threading.Event | None = None,
    on_stop: Callable[[], None] = lambda: None,
    started: Callable[[str], None] = lambda url: None,
    forwarded_allow_ips: Sequence[str] = ("127.0.0.1", "::1"),
    close_grace_s: int = 5,
) -> None:
    """Serve on all of `listens` until a signal (or somebody else setting `stopping`) ends it; blocks the main thread.

    Then `stopping` is set, `on_stop` runs to its end in a thread while requests are still answered, and at last the
    listener closes. A second signal ends the process at once. Raises InvalidSettings when the address is not free.
    """
    listeners = [bind(*listen) for listen in listens]
    server = Server(
        app,
        stopping=stopping or threading.Event(),
        on_stop=on_stop,
        started=started,
        forwarded_allow_ips=forwarded_allow_ips,
        close_grace_s=close_grace_s,
    )
    server.run(sockets=listeners)


def bind(host: str, port: int, port_setting: str = "API_PORT", host_setting: str = "API_HOST") -> socket.socket:
    """A socket bound to the address. Raises InvalidSettings naming the settings when that is not possible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        number = error.errno or 0  # negative for a name nobody knows
        reason = os.strerror(number) if number > 0 else error.strerror
        raise InvalidSettings(
            f"Cannot listen on {host}:{port} ({reason}): set {port_setting} or {host_setting} to a free address of "
            "this machine."
        ) from error


class Server(uvicorn.Server):
    """Uvicorn, stopping in our order."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        stopping: threading.Event,
        on_stop: Callable[[], None] = lambda: None,
        started: Callable[[str], None] = lambda url: None,
        forwarded_allow_ips: Sequence[str] = (),
        close_grace_s: int = 5,
        max_connections: int | None = None,
        head_s: float = HEAD_S,
    ) -> None:
        connection = functools.partial(Connection, max_connections=max_connections or connection_limit(), head_s=head_s)
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http=cast(type[Connection], connection),
                ws=Socket,
                lifespan="on",
                workers=1,
                log_config=None,
                access_log=False,
                server_header=False,
                forwarded_allow_ips=list(forwarded_allow_ips),
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=close_grace_s,
                ws_max_size=_WEBSOCKET_MESSAGE_BYTES,
                # Small messages to many readers: compressing each anew costs more than it saves.
                ws_per_message_deflate=False,
            )
        )
        self._stopping = stopping
        self._on_stop = on_stop
        self._when_started = started
        self._signals = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Uvicorn's, then tell that requests are answered."""
        await super().startup(sockets)
        if not self.started:
            return
        # Made now: a signal handler may only set flags.
        threading.Thread(target=self._stop_when_asked, name="stop", daemon=True).start()
        urls = [_url_of(each) for each in sockets or ()]
        for url in urls:
            log.info("Listening", url=url)
        if urls:
            self._when_started(urls[0])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Uvicorn's signal handler: ask for the end, and take it when asked again."""
        self._signals += 1
        if self._signals > 1:
            try:
                # A third one finds this line written, or the log stuck.
                if self._signals == 2:
                    log.warning("Asked to stop again: ended at once, running jobs are taken up at the next start")
            finally:
                os._exit(128 + sig)
        self._stopping.set()

    def _stop_when_asked(self) -> None:
        self._stopping.wait()
        log.info("Stopping")
        try:
            self._on_stop()
        finally:
            self.should_exit = True


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _cors(origins: Sequence[str]) -> list[Middleware]:
    if not origins:
        return []
    return [
        Middleware(
            Cors,
            allow_origins=list(origins),
            allow_methods=list(_CORS_METHODS),
            allow_headers=["*"],
            expose_headers=list(_EXPOSED),
        )
    ]


def _rate_limit(rates: Sequence[Rate], guard: Guard) -> list[Middleware]:
    if not rates:
        return []

    def caller_name(scope: Scope) -> str | None:
        caller = guard.caller(scope)
        return caller.name if caller else None

    return [Middleware(RateLimit, rates=rates, caller_name=caller_name, is_free=guard.opens)]
