"""An app with small routes of its own behind the real door: `door_app(guard=Guard(["k"]))`."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, FastAPI, Query, Request, Response, WebSocket
from pydantic import BaseModel, ConfigDict
from starlette.responses import StreamingResponse

from api.errors import JobNotFound, QueueFull, StorageFull, WorkerStopping
from api.routes.auth import Guard
from api.routes.body import JsonBody, OptionalJsonBody
from api.routes.errors import speak_runpod
from api.routes.openapi import request_body
from api.routes.probes import Probes
from api.server import create_app

MAX_BODY = 1_000_000


class Part(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": {"name": "a.png"}})
    name: str


class Order(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": {"workflow": {}, "parts": [{"name": "a.png"}]}})
    workflow: dict[str, Any]
    parts: list[Part] = []


class Taken(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": {"keys": ["workflow"], "caller": "anonymous"}})
    keys: list[str]
    caller: str


def routes() -> APIRouter:
    """What a surface is made of, and, left out of the document, what goes wrong."""
    router = APIRouter()
    router.include_router(_surface())
    router.include_router(_failing())
    router.include_router(_streaming())
    return router


def _surface() -> APIRouter:
    router = APIRouter()

    @router.post("/echo", openapi_extra=request_body(Order))
    async def echo(request: Request, body: JsonBody) -> Taken:
        return Taken(keys=list(body), caller=request.state.caller)

    @router.post("/v2/{endpoint_id}/echo", openapi_extra=request_body(Order))
    async def echo_there(endpoint_id: str, request: Request, body: JsonBody) -> Taken:
        return Taken(keys=[endpoint_id, *body], caller=request.state.caller)

    @router.post("/perhaps", openapi_extra=request_body(Order, required=False))
    async def perhaps(request: Request, body: OptionalJsonBody) -> Taken:
        return Taken(keys=list(body), caller=request.state.caller)

    @router.get("/v2/{endpoint_id}/status/{job_id}")
    def status(endpoint_id: str, job_id: str) -> Taken:
        return job(f"{endpoint_id}/{job_id}" if job_id != "gone" else job_id)

    @router.get("/jobs/{job_id}")
    @router.delete("/jobs/{job_id}")
    def job(job_id: str) -> Taken:
        if job_id == "gone":
            raise JobNotFound("There is no job gone.")
        return Taken(keys=[job_id], caller="-")

    @router.get("/page")
    def page(limit: int = Query(10, ge=1, examples=[10])) -> Taken:
        return Taken(keys=[str(limit)], caller="-")

    return router


def _failing() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/fail/{how}")
    def fail(request: Request, how: str) -> None:
        if how == "full":
            raise QueueFull("1000 jobs wait already.", retry_after_s=7)
        if how == "stopping":
            raise WorkerStopping("The worker is shutting down.")
        if how == "disk":
            raise StorageFull("The disk is nearly full.")
        if how == "runpod":
            speak_runpod(request)
            raise JobNotFound("There is no job gone.")
        raise RuntimeError("/home/secret/place")

    @router.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.state.caller)
        raise RuntimeError("after the greeting")

    return router


def _streaming() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.post("/unread")
    async def unread() -> Response:
        return Response("never looked")

    @router.post("/uploads/{name}")
    async def upload(request: Request, name: str) -> dict[str, int]:
        return {"bytes": sum([len(piece) async for piece in request.stream()])}

    @router.get("/admin/thing")
    @router.get("/stats")
    def operate(request: Request) -> dict[str, str]:
        return {"caller": request.state.caller}

    @router.get("/stream")
    async def stream() -> StreamingResponse:
        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 100_000
                await asyncio.sleep(0)  # or nothing else is ever done once the reader has left

        return StreamingResponse(endless())

    return router


def door_app(**given: Any) -> FastAPI:
    """create_app with those routes; what is given replaces the defaults."""
    arguments: dict[str, Any] = {"probes": Probes("1.2.3"), "guard": Guard(), "max_body_bytes": MAX_BODY}
    return create_app([routes()], **{**arguments, **given})
