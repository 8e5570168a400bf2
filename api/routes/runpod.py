"""RunPod's API for one's own box: what the official clients call, below /v2/{endpoint_id}. Any endpoint id will do."""

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from ..errors import InvalidInput, JobNotFound
from ..ids import JobId
from ..jobs.job import Job, Status
from ..jobs.service import JobService
from . import runpod_job, submissions
from .answers import answer, job_answer
from .body import JsonBody
from .dialects import RUNPOD_WORDS, job_id_of
from .links import Link, OutputLinks
from .native_job import progress_of
from .runpod_job import RunPodAccepted, RunPodHealth, RunPodPurged, RunPodStatus, RunPodStream

_RETRIED = frozenset({Status.FAILED, Status.TIMED_OUT})
WAIT_MS = 90_000
_STREAM_S = 1.0
_STREAMS = 2000
_STATUS: dict[int | str, dict[str, Any]] = {200: {"model": RunPodStatus, "description": "The job"}}
_ACCEPTED: dict[int | str, dict[str, Any]] = {200: {"model": RunPodAccepted, "description": "The job"}}

TtlMs = Annotated[
    float | None, Query(ge=0, allow_inf_nan=False, description="As policy.ttl, in ms", examples=[86_400_000])
]
WaitMs = Annotated[int, Query(ge=1000, le=300_000, description="Longest time to answer in, in ms", examples=[90_000])]
Outputs = Literal["base64", "url"]


def router(service: JobService, links: OutputLinks, workers: Callable[[], Mapping[str, int]]) -> APIRouter:
    """/v2/{endpoint_id}/…; `workers` counts ComfyUIs by RunPod's states (RUNPOD_WORKERS) and never blocks."""
    routes = APIRouter(prefix="/v2/{endpoint_id}", tags=["runpod"])
    _add_submits(routes, service)
    _add_looks(routes, service, links)
    _add_changes(routes, service)

    @routes.get(
        "/health",
        summary="How many jobs and workers there are in each state",
        responses={200: {"model": RunPodHealth, "description": "The numbers"}},
    )
    def health(endpoint_id: str) -> Response:
        return answer(runpod_job.health_object(service.counts(), workers()))

    return routes


async def run_and_wait(
    service: JobService, request: Request, body: dict[str, Any], wait_ms: int, ttl_ms: float | None
) -> Response:
    """The answer to a job in RunPod's words when it has ended, or as it stands after `wait_ms`."""
    accepted = await submissions.submit(service, request, submissions.runpod(body, sync=True, ttl_ms=ttl_ms))
    # It may be many megabytes, and many callers may wait.
    body.clear()
    headers = submissions.REPLAYED if accepted.replayed else None
    with _in_runpods_words():
        known = None if accepted.replayed else accepted.job
        job = await service.wait(accepted.job.id, wait_ms / 1000, known, request.is_disconnected)
        return await run_in_threadpool(_described, service, job, None, headers)


def _add_submits(routes: APIRouter, service: JobService) -> None:
    @routes.post(
        "/run",
        summary="Submit a job",
        responses=_ACCEPTED,
        openapi_extra=submissions.documented(submissions.RunPodRequest),
    )
    async def run(endpoint_id: str, request: Request, body: JsonBody, ttl: TtlMs = None) -> Response:
        accepted = await submissions.submit(service, request, submissions.runpod(body, ttl_ms=ttl))
        headers = submissions.REPLAYED if accepted.replayed else None
        return answer(runpod_job.accepted_object(accepted.job), headers=headers)

    @routes.post(
        "/runsync",
        summary="Submit a job and wait for its result",
        description="Answers with what there is when `wait` is over; the job goes on, also when the caller leaves.",
        responses=_STATUS,
        openapi_extra=submissions.documented(submissions.RunPodRequest),
    )
    async def run_sync(
        endpoint_id: str, request: Request, body: JsonBody, wait: WaitMs = WAIT_MS, ttl: TtlMs = None
    ) -> Response:
        return await run_and_wait(service, request, body, wait, ttl)


def _add_looks(routes: APIRouter, service: JobService, links: OutputLinks) -> None:
    chunks = _Chunks()

    @routes.get("/status/{job_id}", summary="A job and its result", responses=_STATUS)
    @routes.post("/status/{job_id}", summary="The same, as RunPod's local server has it", responses=_STATUS)
    def status(endpoint_id: str, job_id: str, request: Request, outputs: Outputs = "base64") -> Response:
        with _in_runpods_words():
            link = links.of(request) if outputs == "url" else None
            return _described(service, service.get(job_id_of(job_id)), link)

    @routes.get("/status-sync/{job_id}", summary="Wait for a job and its result", responses=_STATUS)
    async def status_sync(endpoint_id: str, job_id: str, request: Request, wait: WaitMs = WAIT_MS) -> Response:
        with _in_runpods_words():
            job = await service.wait(job_id_of(job_id), wait / 1000, is_gone=request.is_disconnected)
            return await run_in_threadpool(_described, service, job)

    @routes.get(
        "/stream/{job_id}",
        summary="What is new of a job, each once: how far it is, and its result at the end",
        responses={200: {"model": RunPodStream, "description": "What is new, after a second at most"}},
    )
    async def stream(endpoint_id: str, job_id: str, request: Request) -> Response:
        with _in_runpods_words():
            job = await service.wait(job_id_of(job_id), _STREAM_S, is_gone=request.is_disconnected)
            told = await run_in_threadpool(_streamed, service, job, chunks.is_new(job))
        # Who has left meanwhile comes back for it.
        if not await request.is_disconnected():
            chunks.hand_out(job)
        return told


def _add_changes(routes: APIRouter, service: JobService) -> None:
    @routes.post("/cancel/{job_id}", summary="Stop a job, waiting or running", responses=_ACCEPTED)
    def cancel(endpoint_id: str, job_id: str) -> Response:
        with _in_runpods_words():
            job = service.cancel(job_id_of(job_id))
        # What was asked for is on its way; RunPod says so at once.
        word = "CANCELLED" if job.status is Status.CANCELING else RUNPOD_WORDS[job.status]
        return answer({"id": job.id, "status": word})

    @routes.post("/retry/{job_id}", summary="Run a failed or timed out job again", responses=_ACCEPTED)
    def retry(endpoint_id: str, job_id: str) -> Response:
        with _in_runpods_words():
            job = service.get(job_id_of(job_id))
            if job.status not in _RETRIED:
                word = RUNPOD_WORDS[job.status]
                raise InvalidInput(f"Only FAILED and TIMED_OUT jobs can be retried; this one is {word}.")
            return answer(runpod_job.accepted_object(service.retry(job.id)))

    @routes.post(
        "/purge-queue",
        summary="Cancel every job that waits",
        responses={200: {"model": RunPodPurged, "description": "Done"}},
    )
    def purge_queue(endpoint_id: str) -> Response:
        return answer({"removed": service.cancel_queued(), "status": "completed"})


class _Chunks:
    """What has been handed out of each job's stream, of the jobs asked for last. Used on the event loop only."""

    def __init__(self) -> None:
        self._handed_out: OrderedDict[JobId, object] = OrderedDict()

    def is_new(self, job: Job) -> bool:
        """Whether the job has come further than what was handed out."""
        return self._handed_out.get(job.id) != _state(job)

    def hand_out(self, job: Job) -> None:
        """From now on this is known."""
        self._handed_out[job.id] = _state(job)
        self._handed_out.move_to_end(job.id)
        if len(self._handed_out) > _STREAMS:
            self._handed_out.popitem(last=False)


def _state(job: Job) -> object:
    return job.attempt, job.status, job.progress, job.node, job.step


def _described(
    service: JobService, job: Job, link: Link | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    return job_answer(service, job, runpod_job.status_object, link, headers)


def _streamed(service: JobService, job: Job, is_new: bool) -> Response:
    if is_new and job.status is Status.SUCCEEDED:
        return job_answer(service, job, runpod_job.stream_object)
    return answer(runpod_job.stream_object(job, progress_of(job) if is_new else None))


@contextlib.contextmanager
def _in_runpods_words() -> Iterator[None]:
    """RunPod's own text for a job that is not there."""
    try:
        yield
    except JobNotFound:
        raise JobNotFound("job not found") from None
