"""/v1/comfyui: workflows and their outputs, and /v1/status; over the same jobs as all other surfaces."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from ..errors import JobNotFound, JobNotReady
from ..jobs.gallery import Gallery
from ..jobs.job import Job, Status
from ..jobs.placement import LOCAL
from ..jobs.service import JobService
from ..outputs.folder import OutputFolder
from ..outputs.thumbnail import thumbnail
from . import management_words as words
from . import submissions
from .answers import answer
from .body import JsonBody
from .dialects import job_id_of
from .management_words import OutputList, WorkflowAccepted, WorkflowCancelled, WorkflowRequest, WorkflowStatus, ms
from .sent_files import ANSWERS, IfNoneMatch, IfRange, Range, SentFile, send
from .thumbnails import Side, Thumbnails

PREFIX = "/v1"
_CANCEL_WAIT_S = 10.0
_COUNTS: Any = {"queued": 2, "running": 1, "completed": 15, "cancelled": 0, "failed": 1}
_ID = "550e8400-e29b-41d4-a716-446655440000"


@dataclass(frozen=True, slots=True)
class StatusFacts:
    """What /v1/status tells. `uptime_s` in seconds; `instances` and `remotes` are `{"name", "status", "reason"?, …}`.

    `gpus` are the places a workflow may name.
    """

    version: str
    uptime_s: float
    counts: Mapping[Status, int]
    is_paused: bool
    instances: Sequence[Mapping[str, Any]] = ()
    stream_clients: int = 0
    problems: Sequence[str] = ()
    gpus: Sequence[str] = (LOCAL,)
    remotes: Sequence[Mapping[str, Any]] = ()


class RemoteTarget(BaseModel):
    """A remote target. `breaker` open: it gets no jobs until it has shown that it works."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"example": {"name": "runpod", "status": "healthy", "kind": "runpod", "breaker": "closed"}},
    )
    name: str
    status: str


class Instance(BaseModel):
    """A ComfyUI."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"example": {"name": "127.0.0.1:8188", "status": "healthy"}}
    )
    name: str
    status: str


class ManagementStatus(BaseModel):
    """How the queue and the worker are. `uptime` in seconds, `timestamp` in epoch milliseconds."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "status": "healthy",
                "version": "0.1.0",
                "timestamp": 1704067200000,
                "uptime": 3600.5,
                "queueLength": 2,
                "paused": False,
                "workflows": _COUNTS,
                "gpus": ["local", "runpod"],
                "instances": [{"name": "127.0.0.1:8188", "status": "healthy"}],
                "remoteTargets": [{"name": "runpod", "status": "healthy", "kind": "runpod", "breaker": "closed"}],
                "streamClients": 3,
                "problems": [],
            }
        }
    )
    status: Literal["healthy", "degraded"]
    version: str
    timestamp: int
    uptime: float
    queueLength: int  # noqa: N815 - promised names, here and below
    paused: bool
    workflows: dict[words.Word, int]
    gpus: list[str]
    instances: list[Instance]
    remoteTargets: list[RemoteTarget]  # noqa: N815
    streamClients: int  # noqa: N815
    problems: list[str]


@dataclass(frozen=True)
class Management:
    """What the surface needs."""

    service: JobService
    gallery: Gallery
    status: Callable[[], StatusFacts]
    clock: Callable[[], float]
    folder: OutputFolder = field(default_factory=OutputFolder)


def router(management: Management) -> APIRouter:
    """/v1/comfyui/workflow, /v1/comfyui/outputs, /v1/comfyui/output and /v1/status."""
    routes = APIRouter(tags=["management"])
    _add_workflows(routes, management)
    _add_outputs(routes, management)
    _add_output(routes, management)
    _add_status(routes, management)
    return routes


def _add_workflows(routes: APIRouter, management: Management) -> None:
    service = management.service
    path = f"{PREFIX}/comfyui/workflow"

    @routes.post(
        path,
        summary="Submit a workflow",
        description="Beside these fields it takes all that POST /run takes: images, overrides, webhook and so on.",
        status_code=202,
        responses={202: {"model": WorkflowAccepted, "description": "The workflow is kept and in line"}},
        openapi_extra=submissions.documented(WorkflowRequest),
    )
    async def submit(request: Request, body: JsonBody) -> Response:
        accepted = await submissions.submit(service, request, submissions.native(body))
        job = accepted.job
        position = await run_in_threadpool(service.position, job.id)
        headers = {"Location": f"{path}/{job.id}", **(submissions.REPLAYED if accepted.replayed else {})}
        told = {"workflowId": job.id, "status": words.WORDS[job.status], "queuePosition": position or 0}
        return answer(told, 202, headers)

    @routes.get(
        f"{path}/{{workflow_id}}",
        summary="A workflow's status",
        responses={200: {"model": WorkflowStatus, "description": "The workflow"}},
    )
    def status(workflow_id: str) -> Response:
        job = service.get(job_id_of(workflow_id))
        return answer(words.status_object(job, management.gallery.of(job)))

    @routes.delete(
        f"{path}/{{workflow_id}}",
        summary="Cancel a workflow, waiting or running",
        responses={200: {"model": WorkflowCancelled, "description": "It is cancelled"}},
    )
    async def cancel(workflow_id: str) -> Response:
        job_id = job_id_of(workflow_id)
        _refuse_ended(await run_in_threadpool(service.get, job_id))
        job = await run_in_threadpool(service.cancel, job_id)
        if not job.is_terminal:
            job = await service.wait(job_id, _CANCEL_WAIT_S)
        _refuse_ended(job)
        return answer({"workflowId": job.id, "status": words.WORDS[job.status]})


def _refuse_ended(job: Job) -> None:
    if job.is_terminal and job.status is not Status.CANCELLED:
        raise JobNotReady(f"The workflow {job.id} has {words.WORDS[job.status]} already; it cannot be cancelled.")


def _add_outputs(routes: APIRouter, management: Management) -> None:
    @routes.get(
        f"{PREFIX}/comfyui/outputs",
        summary="Outputs, newest first",
        responses={200: {"model": OutputList, "description": "Those of a workflow, or of all"}},
    )
    def outputs(
        workflow_id: Annotated[
            str | None, Query(alias="workflowId", description="Only those of this workflow", examples=[_ID])
        ] = None,
        limit: Annotated[int, Query(ge=1, le=1000, examples=[50])] = 50,
    ) -> Response:
        if workflow_id is not None:
            try:
                made = list(management.gallery.of(management.service.get(job_id_of(workflow_id))))
            except JobNotFound:
                made = []
            return answer({"outputs": [words.output_object(each) for each in made[:limit]]})
        found = [words.output_object(each) for each in management.gallery.newest(limit)]
        found += [_folder_object(each.name, each.size_bytes, each.mtime_ns) for each in management.folder.newest(limit)]
        found.sort(key=lambda each: each["createdAt"], reverse=True)
        return answer({"outputs": found[:limit]})


def _folder_object(name: str, size_bytes: int, mtime_ns: int) -> dict[str, Any]:
    told = {"filename": name, "workflowId": None, "type": words.extension(name), "size": size_bytes}
    return {**told, "createdAt": mtime_ns // 1_000_000, "url": words.url_of(name)}


def _add_output(routes: APIRouter, management: Management) -> None:
    path = f"{PREFIX}/comfyui/output/{{filename:path}}"

    thumbnails = Thumbnails()

    @routes.get(path, summary="An output's file", response_class=StreamingResponse, responses=ANSWERS)
    def output(
        request: Request,
        filename: str,
        side: Side = None,
        wanted: Range = None,
        if_range: IfRange = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """Takes `Range` (one range), `If-Range` and `If-None-Match`."""
        file = _found(management, filename)
        whole = request.method != "HEAD"
        if side is None:
            return send(file, wanted, if_range, if_none_match, whole=whole)
        return thumbnails.answer(
            file.filename,
            file.tag,
            side,
            if_none_match,
            lambda: thumbnail(file.path, side),
            whole=whole,
            lasting=file.lasting,
        )

    routes.add_api_route(path, output, methods=["HEAD"], include_in_schema=False)


def _found(management: Management, filename: str) -> SentFile:
    """The job's output of that name, else the file of the folder. Raises JobNotFound."""
    try:
        return SentFile.of(management.gallery.find(filename))
    except JobNotFound:
        file = management.folder.find(filename)
        if file is None:
            raise
        return SentFile(file.path, file.name, file.mime_type, file.size_bytes, file.tag, lasting=False)


def _add_status(routes: APIRouter, management: Management) -> None:
    @routes.get(
        f"{PREFIX}/status",
        summary="The queue and the worker",
        responses={200: {"model": ManagementStatus, "description": "How they are"}},
    )
    def status() -> Response:
        facts = management.status()
        counts: dict[str, int] = dict.fromkeys(words.WORDS.values(), 0)
        for each, count in facts.counts.items():
            counts[words.WORDS[each]] += count
        return answer(
            {
                "status": "degraded" if facts.problems else "healthy",
                "version": facts.version,
                "timestamp": ms(management.clock()),
                "uptime": round(facts.uptime_s, 3),
                "queueLength": counts["queued"],
                "paused": facts.is_paused,
                "workflows": counts,
                "gpus": list(facts.gpus),
                "instances": [dict(each) for each in facts.instances],
                "remoteTargets": [dict(each) for each in facts.remotes],
                "streamClients": facts.stream_clients,
                "problems": list(facts.problems),
            }
        )
