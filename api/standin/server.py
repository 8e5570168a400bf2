"""The aiohttp application: every route twice (/x and /api/x), the guards in front, the faults in front of those."""

import asyncio
import ipaddress
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from .engine import Engine
from .executor import Directories
from .faults import FAULTS, Faults, UnknownFault
from .node_types import NodeClass
from .routes_about import AboutRoutes
from .routes_files import FileRoutes
from .routes_prompt import PromptRoutes
from .sockets import Sockets

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MEGABYTE = 1024 * 1024
_CONTROL = "/standin/faults"
_WEB = Path(__file__).parent / "web"


@dataclass(frozen=True)
class Options:
    max_upload_mb: float = 100
    cors_origin: str | None = None


def create_app(
    nodes: Mapping[str, NodeClass],
    object_info: Callable[[], dict[str, Any]],
    directories: Directories,
    faults: Faults,
    options: Options | None = None,
) -> web.Application:
    options = options or Options()
    limit = options.max_upload_mb * MEGABYTE
    features = {"supports_preview_metadata": True, "max_upload_size": limit}
    sockets = Sockets(faults, features)
    engine = Engine(nodes, directories, sockets, faults)
    guard = _cross_origin(options.cors_origin) if options.cors_origin else _same_origin
    app = web.Application(client_max_size=round(limit), middlewares=[_faulty(faults), guard])
    about = AboutRoutes(object_info, directories, features)
    twice = [
        web.get("/ws", sockets.handle),
        *PromptRoutes(engine, faults).routes(),
        *FileRoutes(directories, faults).routes(),
        *about.routes(),
    ]
    app.add_routes([web.RouteDef(route.method, f"/api{route.path}", route.handler, route.kwargs) for route in twice])
    app.add_routes([*twice, *about.internal_routes(), *_control_routes(faults), web.get("/", _index)])
    # Unknown paths fall to the static handler: GET 404 octet-stream, anything else 405.
    app.router.add_static("/", _WEB)

    async def start(_: web.Application) -> None:
        sockets.start()
        engine.start()
        freeze(faults)

    app.on_startup.append(start)
    return app


async def _index(request: web.Request) -> web.FileResponse:
    headers = {"Cache-Control": "no-cache", "Pragma": "no-cache", "Expires": "0"}
    return web.FileResponse(_WEB / "index.html", headers=headers)


def _control_routes(faults: Faults) -> list[web.RouteDef]:
    async def show(request: web.Request) -> web.Response:
        return web.json_response({"active": faults.active(), "known": FAULTS})

    async def change(request: web.Request) -> web.Response:
        try:
            for name, value in (await request.json()).items():
                faults.set(name, value)
        except UnknownFault as unknown:
            return web.json_response({"error": f"unknown fault {unknown}", "known": FAULTS}, status=400)
        freeze(faults)
        return web.json_response({"active": faults.active()})

    async def clear(request: web.Request) -> web.Response:
        faults.clear()
        return web.json_response({"active": {}})

    return [web.get(_CONTROL, show), web.post(_CONTROL, change), web.delete(_CONTROL, clear)]


def freeze(faults: Faults) -> None:
    """Stop the whole process, threads and all, and have a shell wake it; leaves time for the answer first."""
    seconds = faults.number("freeze")
    if seconds <= 0:
        return
    faults.set("freeze", None)
    wake = f"sleep {seconds + 0.05}; kill -CONT {os.getpid()}"
    subprocess.Popen(["/bin/sh", "-c", wake])  # noqa: S603 (a number and our own pid)
    asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGSTOP)


def _faulty(faults: Faults) -> Any:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == _CONTROL:
            return await handler(request)
        if faults.take_for("http_500", request.path):
            raise RuntimeError("http_500")
        if faults.take_for("http_hang", request.path):
            await _until_gone(request)
        await asyncio.sleep(faults.number("http_delay") / 1000)
        return await handler(request)

    return middleware


async def _until_gone(request: web.Request) -> None:
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.02)
    raise ConnectionResetError("http_hang: the client gave up")


@web.middleware
async def _same_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Any OPTIONS is 200; on a loopback Host an Origin with another host or port is 403, empty."""
    if request.method == "OPTIONS":
        return web.Response()
    host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
    if origin is not None and _is_loopback(host) and urlsplit(origin).netloc.lower() != host.lower():
        return web.Response(status=403)
    return await handler(request)


def _is_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _cross_origin(origin: str) -> Any:
    """--enable-cors-header: no origin guard, and headers on every answer that is no raised error."""
    headers = {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "POST, GET, DELETE, PUT, OPTIONS",
        "Access-Control-Allow-Headers": "Content-Type, Authorization",
        "Access-Control-Allow-Credentials": "true",
    }

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = web.Response() if request.method == "OPTIONS" else await handler(request)
        response.headers.update(headers)
        return response

    return middleware
