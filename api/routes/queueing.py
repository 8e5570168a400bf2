"""The line of waiting jobs: look, pause, resume, move, clear; and why one waits."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from ..errors import Detail, InvalidInput
from ..jobs.job import Priority
from ..jobs.service import JobService
from ..jobs.store import Place
from ..jobs.view import WORDS, counted
from .body import JsonBody
from .dialects import job_id_of
from .openapi import request_body
from .streaming import Word

# For the door: these take the operator's key where there is one.
OPERATOR_PATHS = ("/queue/pause", "/queue/resume", "/queue/move", "/queue/clear")
_SHOWN = 100
_MOST_SHOWN = 1000
_JOB_ID = "550e8400-e29b-41d4-a716-446655440000"
_OTHER_ID = "0b6f6f0e-6f0e-4c1e-9d53-2f1f4d8b8a11"
_WAITING = {"job_id": _JOB_ID, "priority": "normal", "target": "local", "position": 0, "waited_s": 12.5}
_COUNTS = {"pending": 1, "running": 1, "completed": 15, "failed": 1, "timed_out": 0, "cancelled": 0}


def _example(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": example})


class WaitingJob(BaseModel):
    """A job in line; `position` counts the jobs of its target before it."""

    model_config = _example(_WAITING)
    job_id: str
    priority: Priority
    target: str
    position: int
    waited_s: float


class QueueState(BaseModel):
    """How many jobs there are in each state, and who is next."""

    model_config = _example({"paused": False, "counts": _COUNTS, "upcoming": [_WAITING]})
    paused: bool
    counts: dict[Word, int]
    upcoming: list[WaitingJob]


class PauseState(BaseModel):
    """Whether no jobs are started; those that run go on."""

    model_config = _example({"paused": True})
    paused: bool


class Moved(BaseModel):
    """Where the job is in line now: how many jobs are before it, null when it has started meanwhile."""

    model_config = _example({"job_id": _JOB_ID, "position": 0})
    job_id: str
    position: int | None


class Cleared(BaseModel):
    """How many waiting jobs were cancelled."""

    model_config = _example({"cancelled": 7})
    cancelled: int


class Why(BaseModel):
    """What a job waits for, or what became of it, in one sentence."""

    model_config = _example({"job_id": _JOB_ID, "status": "pending", "why": "2 jobs are ahead of it."})
    job_id: str
    status: Word
    why: str


class MoveToEnd(BaseModel):
    """To the front of the line, or to its back."""

    model_config = _example({"to": "first"})
    to: Literal["first", "last"] = Field(description="Where in line")


class MoveBefore(BaseModel):
    """In front of another waiting job."""

    model_config = _example({"before": _OTHER_ID})
    before: str = Field(description="The id of the other job")


def router(service: JobService, clock: Callable[[], float] = time.time) -> APIRouter:
    """/queue and what is below it, and /why/{job_id}."""
    routes = APIRouter(tags=["queue"])

    @routes.get("/queue", summary="The line of waiting jobs")
    def look(
        limit: Annotated[int, Query(ge=1, le=_MOST_SHOWN, description="Of `upcoming`", examples=[100])] = _SHOWN,
    ) -> QueueState:
        ahead: Counter[str] = Counter()
        upcoming = []
        for job in service.upcoming(limit):
            waited_s = round(max(0.0, clock() - job.created_at), 3)
            told = {"job_id": job.id, "priority": job.priority, "target": job.target}
            upcoming.append({**told, "position": ahead[job.target], "waited_s": waited_s})
            ahead[job.target] += 1
        return QueueState.model_validate(
            {"paused": service.paused(), "counts": counted(service.counts()), "upcoming": upcoming}
        )

    @routes.get("/why/{job_id}", summary="What a job waits for")
    def why(job_id: str) -> Why:
        job = service.get(job_id_of(job_id))
        return Why.model_validate({"job_id": job.id, "status": WORDS[job.status], "why": service.why(job.id)})

    _add_changes(routes, service)
    return routes


def _add_changes(routes: APIRouter, service: JobService) -> None:
    @routes.post("/queue/pause", summary="Start no more jobs, on any worker; those that run go on")
    def pause() -> PauseState:
        service.pause()
        return PauseState(paused=True)

    @routes.post("/queue/resume", summary="Start jobs again")
    def resume() -> PauseState:
        service.resume()
        return PauseState(paused=False)

    @routes.post("/queue/clear", summary="Cancel all waiting jobs")
    def clear() -> Cleared:
        return Cleared(cancelled=service.cancel_queued())

    @routes.post(
        "/queue/move/{job_id}",
        summary="Change a waiting job's place in line",
        description="Whatever its priority.",
        openapi_extra=request_body(MoveToEnd, MoveBefore),
    )
    def move(job_id: str, body: JsonBody) -> Moved:
        place, before = _destination(body)
        job = service.move(job_id_of(job_id), place, job_id_of(before) if before else None)
        return Moved(job_id=job.id, position=service.position(job.id))


def _destination(body: Mapping[str, Any]) -> tuple[Place, str | None]:
    to, before = body.get("to"), body.get("before")
    if isinstance(before, str) and before and to is None:
        return Place.FIRST, before
    if before is None and isinstance(to, str) and to in {place.value for place in Place}:
        return Place(to), None
    message = 'The body must be {"to": "first"}, {"to": "last"} or {"before": "JOB_ID"}.'
    raise InvalidInput(message, [Detail(field="to", code="invalid_value", message=message)])
