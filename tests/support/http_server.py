"""Runs an app over real sockets, as in production: `with HttpServer(app) as server: requests.get(server.url + "/")`."""

import asyncio
import threading
from types import TracebackType
from typing import Any, Self

import structlog
from starlette.types import ASGIApp

from api import server as production


class _Server(production.Server):
    async def main_loop(self) -> None:
        """Uvicorn's, which looks only ten times a second whether it shall end: much, over hundreds of tests."""
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            await asyncio.sleep(0.01)


class HttpServer:
    """Our own server in a thread, on a free port of loopback."""

    def __init__(self, app: ASGIApp, *, forwarded_allow_ips: tuple[str, ...] = (), **limits: Any) -> None:
        if not structlog.is_configured():
            # Its default draws tracebacks for seconds, with all the locals.
            structlog.configure(
                processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
                logger_factory=structlog.stdlib.LoggerFactory(),
            )
        self.url = ""
        self._ready = threading.Event()
        self._server = _Server(
            app,
            stopping=threading.Event(),
            started=self._started,
            forwarded_allow_ips=forwarded_allow_ips,
            close_grace_s=1,
            **limits,
        )
        self._listener = production.bind("127.0.0.1", 0)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60) and self.url, "the server did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive(), "the server did not stop"

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    def _started(self, url: str) -> None:
        self.url = url
        self._ready.set()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        finally:
            self._ready.set()
