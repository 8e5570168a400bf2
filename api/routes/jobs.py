"""Jobs in the worker's own words: submit, look, list, cancel, retry, delete. /run and /status also speak RunPod's."""

from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from ..jobs.job import Status
from ..jobs.service import JobService
from ..jobs.store import JobFilter
from . import native_job, runpod, runpod_job, submissions
from .answers import answer, job_answer
from .body import JsonBody
from .dialects import dialect_of, job_id_of
from .errors import RUNPOD, RUNSYNC, speak_runpod
from .links import OutputLinks
from .native_job import JobAccepted, JobDeleted, JobEntry, JobInput, JobPage, JobStatus
from .paging import CURSOR_EXAMPLE, MOMENT_EXAMPLE, Moment, cursor_of, seconds_of, text_of
from .runpod_job import RunPodAccepted, RunPodStatus

StatusFilter = Literal[
    "pending",
    "running",
    "completed",
    "failed",
    "cancelled",
    "timed_out",
]
_FILTERS: Mapping[StatusFilter, frozenset[Status]] = {
    "pending": frozenset({Status.QUEUED}),
    "running": frozenset({Status.RUNNING, Status.CANCELING}),
    "completed": frozenset({Status.SUCCEEDED}),
    "failed": frozenset({Status.FAILED, Status.TIMED_OUT, Status.CANCELLED}),
    "cancelled": frozenset({Status.CANCELLED}),
    "timed_out": frozenset({Status.TIMED_OUT}),
}


def router(service: JobService, links: OutputLinks) -> APIRouter:
    """/run, /status/{job_id}, /jobs and what is below it."""
    routes = APIRouter(tags=["jobs"])

    @routes.post(
        "/run",
        summary="Submit a job",
        description="Answers once the job is kept. A body with `input` is one in RunPod's words.",
        status_code=202,
        responses={
            202: {"model": JobAccepted, "description": "The job is kept and in line"},
            200: {"model": RunPodAccepted, "description": "The same, for a body with `input`"},
        },
        openapi_extra=submissions.documented(submissions.RunRequest, submissions.RunPodRequest),
    )
    async def run(request: Request, body: JsonBody) -> Response:
        is_runpod = dialect_of(body) == RUNPOD
        if is_runpod:
            speak_runpod(request)
        submission = submissions.runpod(body) if is_runpod else submissions.native(body)
        accepted = await submissions.submit(service, request, submission)
        headers = submissions.REPLAYED if accepted.replayed else {}
        if is_runpod:
            return answer(runpod_job.accepted_object(accepted.job), headers=headers)
        headers = {**headers, "Location": f"/status/{accepted.job.id}"}
        return answer({"job_id": accepted.job.id, "status": "pending"}, 202, headers)

    @routes.post(
        RUNSYNC,
        summary="Submit a job in RunPod's words and wait for its result",
        description="As RunPod's local server has it; all of RunPod's API is at /v2/{endpoint_id}.",
        responses={200: {"model": RunPodStatus, "description": "The job"}},
        openapi_extra=submissions.documented(submissions.RunPodRequest),
    )
    async def run_sync(
        request: Request, body: JsonBody, wait: runpod.WaitMs = runpod.WAIT_MS, ttl: runpod.TtlMs = None
    ) -> Response:
        return await runpod.run_and_wait(service, request, body, wait, ttl)

    @routes.post(
        "/status/{job_id}",
        summary="The same, as RunPod's local server has it",
        responses={200: {"model": JobStatus | RunPodStatus, "description": "The job"}},
    )
    @routes.get(
        "/status/{job_id}",
        summary="A job and its result",
        description="`outputs=url` gives links to the files in place of base64. Jobs submitted in RunPod's words are "
        "described in them.",
        responses={200: {"model": JobStatus | RunPodStatus, "description": "The job"}},
    )
    def status(request: Request, job_id: str, outputs: Literal["base64", "url"] = "base64") -> Response:
        job = service.get(job_id_of(job_id))
        describe = runpod_job.status_object if job.dialect == RUNPOD else native_job.status_object
        return job_answer(service, job, describe, links.of(request) if outputs == "url" else None)

    @routes.get(
        "/jobs",
        summary="Jobs, newest first",
        responses={200: {"model": JobPage, "description": "One page of them"}},
    )
    def list_jobs(
        status: Annotated[
            list[StatusFilter] | None, Query(description="Only these; `failed` has the cancelled ones among them")
        ] = None,
        workflow: Annotated[
            str | None, Query(description="Only jobs of this named workflow", examples=["text2img"])
        ] = None,
        since: Annotated[Moment | None, Query(description="Created at or after", examples=[MOMENT_EXAMPLE])] = None,
        until: Annotated[Moment | None, Query(description="Created before", examples=[MOMENT_EXAMPLE])] = None,
        limit: Annotated[int, Query(ge=1, le=1000, examples=[100])] = 100,
        cursor: Annotated[str | None, Query(description="`next` of the page before", examples=[CURSOR_EXAMPLE])] = None,
    ) -> Response:
        wanted = JobFilter(
            statuses=frozenset().union(*(_FILTERS[word] for word in status or ())),
            workflow_name=workflow,
            since=seconds_of(since),
            until=seconds_of(until),
        )
        page = service.list(wanted, limit, cursor_of(cursor))
        jobs = [native_job.entry_object(job) for job in page.jobs]
        return answer({"jobs": jobs, "next": text_of(page.next)})

    _add_one_job(routes, service)
    return routes


def _add_one_job(routes: APIRouter, service: JobService) -> None:
    @routes.get(
        "/jobs/{job_id}",
        summary="A job without its result",
        responses={200: {"model": JobEntry, "description": "The job"}},
    )
    def one_job(job_id: str) -> Response:
        return answer(native_job.entry_object(service.get(job_id_of(job_id))))

    @routes.get(
        "/jobs/{job_id}/input",
        summary="What a job was submitted with, without secrets and files",
        responses={200: {"model": JobInput, "description": "The input, to look at or to submit again"}},
    )
    def job_input(job_id: str) -> Response:
        return answer({"job_id": job_id, "input": service.request(job_id_of(job_id))})

    @routes.post(
        "/jobs/{job_id}/cancel",
        summary="Stop a job, waiting or running; one that has ended stays as it is",
        responses={200: {"model": JobEntry, "description": "The job; a running one may take a moment to stop"}},
    )
    def cancel(job_id: str) -> Response:
        return answer(native_job.entry_object(service.cancel(job_id_of(job_id))))

    @routes.post(
        "/jobs/{job_id}/retry",
        summary="Run a failed, timed out or cancelled job again, under the same id",
        responses={200: {"model": JobEntry, "description": "The job, in line again"}},
    )
    def retry(job_id: str) -> Response:
        return answer(native_job.entry_object(service.retry(job_id_of(job_id))))

    @routes.delete(
        "/jobs/{job_id}",
        summary="Forget an ended job and its files",
        responses={200: {"model": JobDeleted, "description": "It is gone"}},
    )
    def delete(job_id: str) -> Response:
        service.delete(job_id_of(job_id))
        return answer({"job_id": job_id, "message": "The job was deleted."})
