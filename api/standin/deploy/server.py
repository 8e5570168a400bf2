"""The aiohttp application: everything below one prefix, keys and limits in front, faults in front of those."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from aiohttp import web

from ..faults import Faults, UnknownFault
from . import answers
from .account import Account
from .faults import FAULTS
from .hooks import Hooks
from .routes_catalog import CatalogRoutes
from .routes_old import OldRoutes
from .routes_runs import RunRoutes
from .runs import Runs

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_CONTROL = "/standin/"
# Machines report with their run's own token, and files are on a public bucket.
_OWN_DOORS = ("/update-run", "/file-upload")
_MINUTE_S = 60.0
_PAGE = "<html><head><title>503 Service Temporarily Unavailable</title></head><body>nginx</body></html>"
_MOST_BYTES = 300 * 1024 * 1024


@dataclass(frozen=True)
class Options:
    """`prefix` is "/api" there; `rate` the requests a key has in a minute, 0 = no limit."""

    keys: tuple[str, ...] = ()
    prefix: str = "/api"
    rate: int = 0
    run_s: float = 0.2


def create_app(account: Account, faults: Faults, options: Options) -> web.Application:
    hooks = Hooks(faults)
    runs = Runs(hooks, faults, options.run_s)
    door = _door(options, faults)
    app = web.Application(client_max_size=_MOST_BYTES, middlewares=[_wording, door])
    tables = (CatalogRoutes(account), OldRoutes(account), RunRoutes(account, runs, faults))
    for route in [route for table in tables for route in table.routes()]:
        app.router.add_route(route.method, f"{options.prefix}{route.path}", route.handler)
    app.add_routes([web.get("/files/{place:.+}", _Files(runs, faults).get)])
    app.add_routes([web.put("/files/{place:.+}", _Files(runs, faults).put)])
    app.add_routes(_control_routes(faults, hooks, runs))

    async def close(_: web.Application) -> None:
        await runs.close()
        await hooks.close()

    app.on_cleanup.append(close)
    return app


@web.middleware
async def _wording(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refusals as FastAPI words them."""
    try:
        return await handler(request)
    except answers.Refused as refused:
        return answers.detail(refused.status, refused.text)
    except web.HTTPNotFound:
        return answers.detail(404, "Not Found")
    except web.HTTPMethodNotAllowed:
        return answers.detail(405, "Method Not Allowed")


def _door(options: Options, faults: Faults) -> Any:
    taken: deque[float] = deque()

    def over_limit() -> bool:
        now = time.monotonic()
        while taken and taken[0] < now - _MINUTE_S:
            taken.popleft()
        taken.append(now)
        return 0 < options.rate < len(taken)

    @web.middleware
    async def door(request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path
        if path.startswith((_CONTROL, "/files/")):
            return await handler(request)
        endpoint = path.removeprefix(options.prefix)
        await asyncio.sleep(faults.number("http_delay") / 1000)
        faulty = await _faulty(request, faults, endpoint)
        if faulty is not None:
            return faulty
        if cap := int(faults.number("page_cap")):
            request[answers.PAGE_CAP] = cap
        if over_limit():
            return answers.detail(429, "Too many requests", {"Retry-After": "1"})
        if endpoint not in _OWN_DOORS and not _is_known(request, options.keys):
            return answers.detail(401, "Invalid or missing token")
        return await handler(request)

    return door


def _is_known(request: web.Request, keys: tuple[str, ...]) -> bool:
    if not keys:
        return True
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    given = {bearer, request.headers.get("x-api-key"), request.query.get("cd_token")}
    return bool(given & set(keys))


async def _faulty(request: web.Request, faults: Faults, endpoint: str) -> web.StreamResponse | None:
    if faults.take_for("http_500", endpoint):
        return answers.detail(500, "Internal server error")
    if faults.take_for("http_503", endpoint):
        return web.Response(text=_PAGE, status=503, content_type="text/html")
    if faults.take_for("http_429", endpoint):
        return answers.detail(429, "Too many requests", _retry_after(faults))
    if faults.take_for("garbage", endpoint):
        return web.Response(text=_PAGE, content_type="text/html")
    if faults.take_for("huge", endpoint):
        return await _endless(request)
    if faults.take_for("http_hang", endpoint):
        while request.transport is not None and not request.transport.is_closing():
            await asyncio.sleep(0.02)
        raise ConnectionResetError("http_hang: the client gave up")
    return None


def _retry_after(faults: Faults) -> dict[str, str]:
    wanted = faults.value("retry_after")
    if wanted == "date":
        return {"Retry-After": formatdate(time.time() + 1, usegmt=True)}
    # `none` is off to the faults, so it comes as a word of its own.
    return {} if wanted == "nothing" else {"Retry-After": str(1 if wanted is None else wanted)}


async def _endless(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    await answer.prepare(request)
    await answer.write(b"[")
    while True:
        await answer.write(b'{"id": "00000000-0000-0000-0000-000000000000"},' * 20_000)


class _Files:
    """The bucket: what was uploaded and what runs have put out."""

    def __init__(self, runs: Runs, faults: Faults) -> None:
        self._runs = runs
        self._faults = faults

    async def get(self, request: web.Request) -> web.StreamResponse:
        content = self._runs.files.get(request.match_info["place"])
        if content is None or self._faults.take("output_404"):
            return web.Response(
                status=404, text="<Error><Code>NoSuchKey</Code></Error>", content_type="application/xml"
            )
        sent = self._faults.take_limit("truncate_output")
        if sent is None:
            return web.Response(body=content, content_type="image/png")
        answer = web.StreamResponse(headers={"Content-Length": str(len(content)), "Content-Type": "image/png"})
        await answer.prepare(request)
        await answer.write(content[:sent])
        assert request.transport is not None
        request.transport.abort()
        return answer

    async def put(self, request: web.Request) -> web.Response:
        """The signature holds for a PUT with the headers that were signed."""
        signed = "X-Amz-Signature" in request.query and request.headers.get("x-amz-acl") == "public-read"
        if not signed:
            text = "<Error><Code>SignatureDoesNotMatch</Code></Error>"
            return web.Response(status=403, text=text, content_type="application/xml")
        self._runs.files[request.match_info["place"]] = await request.read()
        return web.Response()


def _control_routes(faults: Faults, hooks: Hooks, runs: Runs) -> list[web.RouteDef]:
    async def show(request: web.Request) -> web.Response:
        return web.json_response({"active": faults.active(), "known": FAULTS})

    async def change(request: web.Request) -> web.Response:
        try:
            for name, value in (await request.json()).items():
                faults.set(name, value)
        except UnknownFault as unknown:
            return web.json_response({"error": f"unknown fault {unknown}", "known": FAULTS}, status=400)
        return web.json_response({"active": faults.active()})

    async def clear(request: web.Request) -> web.Response:
        faults.clear()
        return web.json_response({"active": {}})

    async def sent(request: web.Request) -> web.Response:
        return web.json_response({"webhooks": hooks.sent, "runs": [run.row() for run in runs.all()]})

    path = "/standin/faults"
    return [web.get(path, show), web.post(path, change), web.delete(path, clear), web.get("/standin/log", sent)]
