"""/api/comfy: prompts queued as jobs and asked about, and whether the surface is there at all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from ..errors import ComfyDisabled
from . import submissions
from .answers import answer
from .body import JsonBody
from .comfy_outputs import Addresses
from .comfy_prompts import Prompts
from .comfy_queueing import STATUS_CODE, queued
from .comfy_words import PREFIX, ComfyHealth, ComfyHistory, ComfyQueueRequest, ComfyQueueResponse, ComfyStatus
from .links import OutputLinks

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_DISABLED = "The routes below /api/comfy are switched off: set COMFY_ENABLED=true and start the worker again."


@dataclass(frozen=True, slots=True)
class Service:
    """What the surface talks to. `timeout_s` bounds an answer; `instances` are `{"name", "status", "reason"?, …}`."""

    base_url: str
    timeout_s: float
    instances: Sequence[Mapping[str, Any]]


def health_router(service: Callable[[], Service] | None = None) -> APIRouter:
    """/api/comfy/health; `service()` gives the Service, None when the surface is switched off."""
    routes = APIRouter(tags=["comfy"])

    @routes.get(
        f"{PREFIX}/health",
        summary="Whether the surface is there, and what it talks to",
        responses={200: {"model": ComfyHealth, "description": "It is, or it is switched off"}},
    )
    def health() -> Response:
        if service is None:
            return answer({"ok": True, "enabled": False})
        found = service()
        return answer(
            {
                "ok": True,
                "enabled": True,
                "base_url": found.base_url,
                "timeout": found.timeout_s,
                "client_wired": bool(found.instances),
                "instances": [
                    {key: each[key] for key in ("name", "status", "reason") if key in each} for each in found.instances
                ],
            }
        )

    return routes


def disabled_router() -> APIRouter:
    """Everything else below /api/comfy where the surface is switched off."""
    routes = APIRouter()

    def disabled(path: str = "") -> Response:
        raise ComfyDisabled(_DISABLED)

    for path in (PREFIX, f"{PREFIX}/{{path:path}}"):
        routes.add_api_route(path, disabled, methods=_METHODS, include_in_schema=False)
    return routes


def router(prompts: Prompts, links: OutputLinks) -> APIRouter:
    """/api/comfy/queue, /api/comfy/status and /api/comfy/history."""
    routes = APIRouter(tags=["comfy"])
    service = prompts.service

    @routes.post(
        f"{PREFIX}/queue",
        summary="Queue a workflow",
        description="Beside these fields it takes all that POST /run takes: images, overrides, webhook and so on.",
        status_code=STATUS_CODE,
        responses={STATUS_CODE: {"model": ComfyQueueResponse, "description": "The workflow is kept and in line"}},
        openapi_extra=submissions.documented(ComfyQueueRequest),
    )
    async def queue(request: Request, body: JsonBody) -> Response:
        told, headers = await queued(service, request, body)
        return answer(told, STATUS_CODE, headers)

    @routes.get(
        f"{PREFIX}/status/{{prompt_id}}",
        summary="How a prompt stands",
        responses={200: {"model": ComfyStatus, "description": "The prompt"}},
    )
    def status(request: Request, prompt_id: str) -> Response:
        """A job's, or that of a prompt others have queued in a ComfyUI of this worker."""
        return answer(prompts.status(prompt_id, Addresses.of(links, request)))

    @routes.get(
        f"{PREFIX}/history/{{prompt_id}}",
        summary="What a prompt has made",
        responses={200: {"model": ComfyHistory, "description": "The prompt, nothing of its workflow"}},
    )
    def history(request: Request, prompt_id: str) -> Response:
        """Pictures, other files and texts; none before its end."""
        return answer(prompts.history(prompt_id, Addresses.of(links, request)))

    return routes
