"""The worker as a classic machine of ComfyUI Deploy: the paths its plugin has there."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ..deploy_machine.accept import is_run
from ..errors import JobNotFound
from ..ids import JobId
from ..jobs.job import Status
from ..jobs.quoting import quote
from ..jobs.request_findings import invalid
from ..jobs.service import JobService
from ..jobs.submission import Submission
from . import submissions
from .answers import answer
from .body import JsonBody
from .dialects import NATIVE
from .openapi import request_body
from .paths import DEPLOY_MACHINE_PREFIX

PREFIX = DEPLOY_MACHINE_PREFIX
_MOST_RUNS = 10_000
_RUN_ID = "36dd538d-c13b-437b-94e1-c2efa3d87543"
# Their words.
_WORDS: Mapping[Status, str] = {
    Status.QUEUED: "not-started",
    Status.RUNNING: "running",
    Status.CANCELING: "running",
    Status.SUCCEEDED: "success",
    Status.FAILED: "failed",
    Status.TIMED_OUT: "timeout",
    Status.CANCELLED: "cancelled",
}


class MachineRun(BaseModel):
    """A run as ComfyUI Deploy sends it. External nodes are put in place here; the plugin is not needed."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "prompt_id": _RUN_ID,
                "workflow_api_raw": {
                    "1": {"class_type": "ComfyUIDeployExternalText", "inputs": {"input_id": "prompt"}},
                    "2": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
                    "3": {"class_type": "ComfyDeployOutputImage", "inputs": {"images": ["2", 0]}},
                },
                "inputs": {"prompt": "a cat"},
            }
        },
    )
    prompt_id: str = Field("", description="The run's id over there")
    workflow_api_raw: dict[str, Any] = Field(default={}, description="The workflow in API format")
    inputs: dict[str, Any] | None = Field(None, description="Values of its external nodes, by their input_id")


class MachineRunTaken(BaseModel):
    """The run is in line."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"prompt_id": _RUN_ID, "number": 0, "node_errors": {}, "job_id": _RUN_ID}}
    )
    prompt_id: str
    number: int
    node_errors: dict[str, Any]
    job_id: str


class MachineInterrupt(BaseModel):
    """Which run is to stop."""

    model_config = ConfigDict(json_schema_extra={"example": {"prompt_id": _RUN_ID}})
    prompt_id: str = Field(description="The run's id over there")


class MachineMessage(BaseModel):
    """What became of it."""

    model_config = ConfigDict(json_schema_extra={"example": {"message": "Prompt interrupted"}})
    message: str


class MachineStatus(BaseModel):
    """How a run stands, in ComfyUI Deploy's words."""

    model_config = ConfigDict(json_schema_extra={"example": {"status": "running"}})
    status: str


class _Runs:
    """The jobs of this process's newest runs, by their names over there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, JobId] = OrderedDict()

    def note(self, run_id: str, job_id: JobId) -> None:
        with self._lock:
            self._jobs[run_id] = job_id
            while len(self._jobs) > _MOST_RUNS:
                self._jobs.popitem(last=False)

    def find(self, run_id: object) -> JobId:
        with self._lock:
            found = self._jobs.get(run_id) if isinstance(run_id, str) else None
        if found is None:
            raise JobNotFound(f"There is no run {quote(str(run_id))} here.")
        return found


def router(service: JobService) -> APIRouter:
    """/comfyui-deploy/run, /interrupt and /check-status."""
    routes = APIRouter(tags=["deploy"])
    runs = _Runs()

    @routes.post(
        f"{PREFIX}/run",
        summary="Take a run of ComfyUI Deploy, as a classic machine of it",
        description="Its states and outputs are reported to the endpoints that come with it.",
        responses={200: {"model": MachineRunTaken, "description": "It is in line"}},
        openapi_extra=request_body(MachineRun),
    )
    async def run(request: Request, body: JsonBody) -> Response:
        if not is_run(body):
            raise invalid(
                "workflow_api_raw", "missing", "This is no run of ComfyUI Deploy: workflow_api_raw is missing."
            )
        run_id = str(body.get("prompt_id") or "")
        accepted = await submissions.submit(service, request, Submission(job={"input": dict(body)}, dialect=NATIVE))
        runs.note(run_id, accepted.job.id)
        taken = {"prompt_id": run_id or accepted.job.id, "number": 0, "node_errors": {}, "job_id": accepted.job.id}
        return answer(taken)

    @routes.post(
        f"{PREFIX}/interrupt",
        summary="Stop a run of ComfyUI Deploy",
        responses={200: {"model": MachineMessage, "description": "It stops"}},
        openapi_extra=request_body(MachineInterrupt),
    )
    def interrupt(body: JsonBody) -> Response:
        service.cancel(runs.find(body.get("prompt_id")))
        return answer({"message": "Prompt interrupted"})

    @routes.get(
        f"{PREFIX}/check-status",
        summary="How a run of ComfyUI Deploy stands",
        responses={200: {"model": MachineStatus, "description": "Its status"}},
    )
    def check_status(
        prompt_id: Annotated[str, Query(description="The run's id", examples=[_RUN_ID])],
    ) -> Response:
        return answer({"status": _WORDS[service.get(runs.find(prompt_id)).status]})

    return routes
