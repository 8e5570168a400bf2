"""/api/comfy/stream/{prompt_id}: what happens to a prompt, as server-sent events."""

import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Header, Query, Request, Response
from sse_starlette import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from ..comfyui.lookup import Place
from ..jobs.job import Job
from ..jobs.watching import Watch
from .comfy_events import Backoff, Events, ForeignTelling, JobTelling, place_of, text_of
from .comfy_outputs import Addresses
from .comfy_prompts import Prompts
from .comfy_words import ComfyEvent, ComfyStreamLink
from .links import OutputLinks
from .paths import COMFY_STREAM
from .sse import MAX_ID, PING_S, EventStream
from .sse import Events as Written

PATH = COMFY_STREAM
_LINK_LIFE_S = 3600.0
_ID = "5f0c9a7e-118"
_STREAM = (
    "Server-sent events named `status`, `warning`, `error` and `images`, each with JSON. The present `status` comes "
    "first. A `status` of completed, failed or cancelled is the last event, after the `images` or the `error`, and the "
    "stream ends. `warning` tells of what is not as it should be, for example that the socket to ComfyUI is lost and "
    "ComfyUI is polled instead. `id:` lets a reader come back to its place: send it as `Last-Event-ID` (browsers do) "
    "or `?last_event_id=`. A reader who has seen everything gets 204. Browsers cannot send a key: give them the link "
    "that POST /api/comfy/stream/{prompt_id}/link makes."
)

Sign = Callable[[str, float], str | None]


def router(
    watch: Watch,
    prompts: Prompts,
    links: OutputLinks,
    sign: Sign,
    backoff: Backoff,
    ping_s: float = PING_S,
) -> APIRouter:
    """The stream and links to it; `sign(path, expires_at)` gives the token of a link, None where none is needed."""
    routes = APIRouter(tags=["comfy"])

    @routes.get(
        f"{PATH}/{{prompt_id}}",
        summary="Follow a prompt",
        description=_STREAM,
        status_code=200,
        response_class=EventStream,
        responses={
            200: {"model": ComfyEvent, "description": "Events; the schema is that of one of them"},
            204: {"description": "The reader knows already how the prompt ended"},
        },
    )
    async def stream(
        request: Request,
        prompt_id: str,
        last_event_id: Annotated[str | None, Query(max_length=MAX_ID, examples=[_ID])] = None,
        resume: Annotated[str | None, Header(alias="Last-Event-ID", max_length=MAX_ID, examples=[_ID])] = None,
    ) -> Response:
        last_id = resume or last_event_id
        addresses = Addresses.of(links, request)
        found = await run_in_threadpool(prompts.find, prompt_id)
        if isinstance(found, Job):
            if watch.has_seen_all(found, last_id):
                return Response(status_code=204)
            return EventStream(_written(JobTelling(watch, prompts, addresses).events(found.id, last_id)), ping_s)
        if found.found.place is Place.FINISHED and last_id == place_of(found):
            return Response(status_code=204)
        return EventStream(_written(ForeignTelling(prompts, addresses, backoff).events(found, last_id)), ping_s)

    @routes.post(
        f"{PATH}/{{prompt_id}}/link",
        summary="A link to a prompt's stream for a browser",
        responses={200: {"model": ComfyStreamLink, "description": "The link"}},
    )
    def link(prompt_id: str) -> ComfyStreamLink:
        prompts.find(prompt_id)
        expires_at = float(int(time.time() + _LINK_LIFE_S))
        path = f"{PATH}/{prompt_id}"
        token = sign(path, expires_at)
        return ComfyStreamLink(stream=path + (f"?token={quote(token)}" if token else ""), expires_at=expires_at)

    return routes


async def _written(events: Events) -> Written:
    async with aclosing(events):
        async for event in events:
            if event is None:
                yield None
            else:
                yield ServerSentEvent(data=text_of(event), event=event.name, id=event.id, sep="\n")
