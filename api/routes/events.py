"""The live view as server-sent events: of one job, or of all. The frames are made elsewhere."""

import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, ConfigDict

from ..jobs.watching import Frames, Watch
from .dialects import job_id_of
from .sse import MAX_ID, PING_S, Events, EventStream
from .streaming import AnyJobEvent, JobEvent, as_sse

_LINK_LIFE_S = 3600.0
_ID = "5f0c9a7e-118"

_STREAM = (
    "Server-sent events. The first is a `snapshot`; `finished` is the last, and the stream ends. `id:` lets a reader "
    "come back where it was: send it as `Last-Event-ID` (browsers do) or `?last_event_id=`, and what was missed and is "
    "still known follows, else a new snapshot. A reader who has seen everything gets 204, which browsers take as the "
    "end. Browsers cannot send a key: give them the link that POST /events/{job_id}/link makes.\n\n"
    "The same frames come over a WebSocket, see `/ws`."
)
_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"model": JobEvent, "description": "Events; the schema is that of one of them"},
    204: {"description": "The reader knows already how the job ended"},
}
_ALL_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"model": AnyJobEvent, "description": "Events; the schema is that of one of them"}
}
Sign = Callable[[str, float], str | None]


class EventLinks(BaseModel):
    """Addresses that open a job's events without a key until `expires_at` (epoch seconds)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "events": "/events/550e8400-e29b-41d4-a716-446655440000?token=1704070800.q83vEjRWeJA",
                "websocket": "/ws/550e8400-e29b-41d4-a716-446655440000?token=1704070800.q83vEjRWeJA",
                "expires_at": 1704070800.0,
            }
        }
    )
    events: str
    websocket: str
    expires_at: float


def _unsigned(_path: str, _expires_at: float) -> None:
    return None


def router(watch: Watch, sign: Sign = _unsigned, ping_s: float = PING_S) -> APIRouter:
    """/events and /events/{job_id}; `sign(path, expires_at)` gives the token of a link, None where none is needed."""
    routes = APIRouter(tags=["live"])

    @routes.get(
        "/events", summary="Follow all jobs", status_code=200, response_class=EventStream, responses=_ALL_STREAMED
    )
    async def all_events() -> Response:
        """Updates of all jobs this process works on, without previews and without end, after an overview."""
        return EventStream(_written(watch.all_frames()), ping_s)

    @routes.get(
        "/events/{job_id}",
        summary="Follow a job",
        description=_STREAM,
        status_code=200,
        response_class=EventStream,
        responses=_STREAMED,
    )
    async def events(
        job_id: str,
        previews: Annotated[bool, Query(description="Also pictures of the unfinished work", examples=[True])] = False,
        last_event_id: Annotated[str | None, Query(max_length=MAX_ID, examples=[_ID])] = None,
        resume: Annotated[str | None, Header(alias="Last-Event-ID", max_length=MAX_ID, examples=[_ID])] = None,
    ) -> Response:
        # What a browser adds by itself is newer than what stands in the address it was given.
        last_id = resume or last_event_id
        job = await watch.job(job_id_of(job_id))
        if watch.has_seen_all(job, last_id):
            return Response(status_code=204)
        return EventStream(_written(watch.frames(job.id, last_id, previews=previews)), ping_s)

    @routes.post(
        "/events/{job_id}/link",
        summary="Links to a job's events for a browser",
        responses={200: {"model": EventLinks, "description": "The links"}},
    )
    async def link(job_id: str) -> EventLinks:
        job = await watch.job(job_id_of(job_id))
        expires_at = float(int(time.time() + _LINK_LIFE_S))

        def signed(path: str) -> str:
            token = sign(path, expires_at)
            return path + (f"?token={quote(token)}" if token else "")

        return EventLinks(events=signed(f"/events/{job.id}"), websocket=signed(f"/ws/{job.id}"), expires_at=expires_at)

    return routes


async def _written(frames: Frames) -> Events:
    async with aclosing(frames):
        async for frame in frames:
            yield as_sse(frame) if frame else None
