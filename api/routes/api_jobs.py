"""/api/jobs: jobs of every surface, looked at, fetched, listed and cleaned up under other words."""

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request, Response

from ..jobs.ends import UNNAMED
from ..jobs.estimate import Estimates
from ..jobs.job import Job, Status
from ..jobs.service import JobService
from ..jobs.store import JobFilter
from . import api_job, job_result
from .admin import Cleanup, Hours
from .answers import answer
from .api_job import ApiJob, ApiJobInfo, ApiJobPage, ApiJobResult, ApiWord
from .dialects import job_id_of
from .links import OutputLinks
from .native_job import JobDeleted
from .paging import CURSOR_EXAMPLE, MOMENT_EXAMPLE, Moment, cursor_of, seconds_of, text_of
from .sent_files import ANSWERS, Condition, IfNoneMatch, IfRange, Range

OPERATOR_PATHS = ("/api/jobs/cleanup", "/api/jobs/stats", "/api/jobs/processor")
_HOUR_S = 3600.0
_MOST = 1000
_STATUSES: Mapping[ApiWord, frozenset[Status]] = {
    word: frozenset(status for status, name in api_job.WORDS.items() if name == word) for word in api_job.WORDS.values()
}
_FILE = {
    "description": "The picture itself, or JSON",
    "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
}


def router(
    service: JobService,
    estimates: Estimates,
    links: OutputLinks,
    *,
    keep_hours: float,
    result_node: Callable[[str], str | None] = lambda _workflow: None,
    clock: Callable[[], float] = time.time,
) -> APIRouter:
    """/api/jobs/… but for the statistics. `result_node` names the node that makes a named workflow's result."""
    routes = APIRouter(prefix="/api/jobs", tags=["api jobs"])
    # Names before what may be an id.
    _add_listing(routes, service, estimates, clock)
    _add_cleanup(routes, service, keep_hours)

    @routes.get(
        "/{job_id}/status",
        summary="How far a job is, and how long it will take",
        responses={200: {"model": ApiJob, "description": "The job"}},
    )
    def status(job_id: str) -> Response:
        job = service.get(job_id_of(job_id))
        return answer(api_job.status_object(job, estimates.remaining_s(job), clock(), _position(service, job)))

    @routes.get(
        "/{job_id}/info",
        summary="All that is known of a job",
        responses={200: {"model": ApiJobInfo, "description": "The job"}},
    )
    def info(request: Request, job_id: str) -> Response:
        job = service.get(job_id_of(job_id))
        told = api_job.info_object(
            job,
            clock(),
            left_s=estimates.remaining_s(job),
            position=_position(service, job),
            why=service.why(job.id),
            outputs=service.outputs(job) if job.is_terminal else (),
            link=links.of(request),
        )
        return answer(told)

    @routes.get(
        "/{job_id}/result",
        summary="The picture itself, or JSON about it",
        description="As `Accept` prefers. Without a preference the file, if there is one only; else JSON.",
        responses={
            206: ANSWERS[206],
            304: ANSWERS[304],
            200: {**_FILE, "model": ApiJobResult},
            303: {"description": "The file lies in object storage"},
        },
    )
    def result(
        request: Request,
        job_id: str,
        outputs: Annotated[Literal["base64", "url"], Query(description="Of the JSON")] = "base64",
        index: Annotated[int | None, Query(ge=0, description="Of several files", examples=[0])] = None,
        accept: Annotated[str, Header(include_in_schema=False)] = "*/*",
        wanted: Range = None,
        if_range: IfRange = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        job = service.get(job_id_of(job_id))
        return job_result.result(
            service,
            job,
            accept,
            left_s=None if job.is_terminal else estimates.remaining_s(job),
            index=index,
            link=links.of(request) if outputs == "url" else None,
            result_node=result_node(job.workflow_name) if job.workflow_name else None,
            condition=Condition(wanted, if_range, if_none_match),
        )

    @routes.delete(
        "/{job_id}",
        summary="Forget an ended job and its files",
        description="One that waits or runs has to be cancelled first, with POST /jobs/{job_id}/cancel.",
        responses={200: {"model": JobDeleted, "description": "It is gone"}},
    )
    def delete(job_id: str) -> Response:
        service.delete(job_id_of(job_id))
        return answer({"job_id": job_id, "message": "The job was deleted."})

    return routes


def _add_listing(routes: APIRouter, service: JobService, estimates: Estimates, clock: Callable[[], float]) -> None:
    @routes.get(
        "/list",
        summary="Jobs, newest first",
        responses={200: {"model": ApiJobPage, "description": "One page of them"}},
    )
    def list_jobs(
        status: Annotated[list[ApiWord] | None, Query(description="Only these")] = None,
        kind: Annotated[
            str | None,
            Query(alias="type", description=f"Of this named workflow, or `{UNNAMED}`", examples=["remove-background"]),
        ] = None,
        since: Annotated[Moment | None, Query(description="Created at or after", examples=[MOMENT_EXAMPLE])] = None,
        until: Annotated[Moment | None, Query(description="Created before", examples=[MOMENT_EXAMPLE])] = None,
        limit: Annotated[int, Query(ge=1, le=_MOST, examples=[50])] = 50,
        cursor: Annotated[str | None, Query(description="`next` of the page before", examples=[CURSOR_EXAMPLE])] = None,
    ) -> Response:
        wanted = JobFilter(
            statuses=frozenset().union(*(_STATUSES[word] for word in status or ())),
            workflow_name=None if kind == UNNAMED else kind,
            unnamed=kind == UNNAMED,
            since=seconds_of(since),
            until=seconds_of(until),
        )
        page = service.list(wanted, limit, cursor_of(cursor))
        now = clock()
        jobs = [api_job.status_object(job, estimates.remaining_s(job), now) for job in page.jobs]
        return answer({"jobs": jobs, "count": len(jobs), "next": text_of(page.next)})


def _add_cleanup(routes: APIRouter, service: JobService, keep_hours: float) -> None:
    @routes.post(
        "/cleanup",
        summary="Remove ended jobs of some age, with their files, now",
        responses={200: {"model": Cleanup, "description": "Done"}},
    )
    def cleanup(max_age_hours: Hours | None = None) -> Response:
        hours = keep_hours if max_age_hours is None else max_age_hours
        removed = service.cleanup(hours * _HOUR_S)
        message = f"{removed} job{' was' if removed == 1 else 's were'} removed."
        return answer({"message": message, "removed": removed, "max_age_hours": hours})


def _position(service: JobService, job: Job) -> int | None:
    return service.position(job.id) if job.status is Status.QUEUED else None
