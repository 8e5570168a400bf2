"""The words of /api/deploy: what the account has, runs, the cache; as schemas."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..jobs.request_fields import DeploymentFields, Fields, ImageFields
from .native_job import JobEntry
from .submissions import QueueFields

_WORKFLOW_ID = "4c4dfc74-e84d-50db-ba17-36c78f3bf88d"
_DEPLOYMENT_ID = "d40fc818-ecf6-519d-820a-673426066c25"
_VERSION_ID = "4f2669aa-e271-5a9a-bb2f-678c0050e2e1"
_MACHINE_ID = "190c2436-ae4e-5dcc-ba59-67ba8cc5f9a1"
_RUN_ID = "36dd538d-c13b-437b-94e1-c2efa3d87543"
_JOB_ID = "550e8400-e29b-41d4-a716-446655440000"
_INPUT: dict[str, Any] = {
    "name": "prompt",
    "type": "string",
    "required": True,
    "default": None,
    "minimum": None,
    "maximum": None,
    "options": [],
    "is_file": False,
    "display_name": "Prompt",
    "description": "",
}
_DEPLOYMENT: dict[str, Any] = {
    "id": _DEPLOYMENT_ID,
    "workflow_id": _WORKFLOW_ID,
    "workflow_version_id": _VERSION_ID,
    "workflow": "text2img",
    "machine_id": _MACHINE_ID,
    "environment": "production",
    "gpu": None,
    "inputs": [_INPUT],
}
_WORKFLOW: dict[str, Any] = {
    "id": _WORKFLOW_ID,
    "name": "Text 2 Img",
    "standard_name": "text2img",
    "description": None,
    "machine_id": _MACHINE_ID,
    "deployments": [_DEPLOYMENT],
}
_MACHINE: dict[str, Any] = {
    "id": _MACHINE_ID,
    "name": "gpu-a",
    "type": "comfy-deploy-serverless",
    "status": "ready",
    "gpu": "T4",
    "healthy": True,
    "reason": None,
}
_RUN: dict[str, Any] = {
    "job_id": _JOB_ID,
    "status": "running",
    "error": None,
    "code": None,
    "created_at": 1704067200.0,
    "started_at": 1704067205.0,
    "completed_at": None,
    "progress": {"percent": 42.5, "node_id": "", "step": None, "steps": None},
    "priority": "normal",
    "attempts": 1,
    "workflow": None,
    "labels": {},
    "run_id": _RUN_ID,
    "machine": "gpu-a",
}
_OUTPUT: dict[str, Any] = {
    "filename": "out_00001_.png",
    "url": f"http://localhost:8000/output/{_JOB_ID}/0/out_00001_.png",
    "mime_type": "image/png",
    "size_bytes": 1234,
    "node_id": "9",
}
_LIST: dict[str, Any] = {
    "entries": 5,
    "fetched_at": 1704067200.0,
    "age_s": 12.5,
    "ttl_s": 60.0,
    "is_fresh": True,
    "is_offline": False,
    "error": None,
}
_CACHE: dict[str, Any] = {"workflows": _LIST, "deployments": _LIST, "machines": _LIST}

ListName = Literal["workflows", "deployments", "machines"]


def _example(data: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": data})


class DeployInput(BaseModel):
    """One input of a deployment. `is_file`: a URL, or the name of one of the run's images."""

    model_config = _example(_INPUT)
    name: str
    type: str
    required: bool
    default: Any
    minimum: float | None
    maximum: float | None
    options: list[Any]
    is_file: bool
    display_name: str
    description: str


class DeployDeployment(BaseModel):
    """A version of a workflow, bound to a machine."""

    model_config = _example(_DEPLOYMENT)
    id: str
    workflow_id: str
    workflow_version_id: str
    workflow: str
    machine_id: str
    environment: str
    gpu: str | None
    inputs: list[DeployInput]


class DeployWorkflow(BaseModel):
    """A workflow and its deployments; `standard_name` is the one it has everywhere here."""

    model_config = _example(_WORKFLOW)
    id: str
    name: str
    standard_name: str
    description: str | None
    machine_id: str | None
    deployments: list[DeployDeployment]


class DeployWorkflows(BaseModel):
    """All workflows."""

    model_config = _example({"workflows": [_WORKFLOW]})
    workflows: list[DeployWorkflow]


class DeployDeployments(BaseModel):
    """Deployments."""

    model_config = _example({"deployments": [_DEPLOYMENT]})
    deployments: list[DeployDeployment]


class DeployMachine(BaseModel):
    """A machine, and why it takes no runs if it does not."""

    model_config = _example(_MACHINE)
    id: str
    name: str
    type: str
    status: str
    gpu: str | None
    healthy: bool
    reason: str | None


class DeployMachines(BaseModel):
    """All machines."""

    model_config = _example({"machines": [_MACHINE]})
    machines: list[DeployMachine]


class DeployRunRequest(DeploymentFields, QueueFields):
    """A run: one of the ids or a name, its inputs, and what the queue needs. `images` are files inputs may name."""

    model_config = _example({"name": "text2img", "inputs": {"prompt": "a cat"}})
    images: list[ImageFields] = Field(default=[], description="Files, which `inputs` name")
    timeout_s: Annotated[float, Field(gt=0)] | None = Field(None, description="Longest run in s; none = JOB_TIMEOUT")


class DeployRunAccepted(BaseModel):
    """The run is kept and in line, as a job."""

    model_config = _example({"job_id": _JOB_ID, "status": "pending", "status_url": f"/api/deploy/runs/{_JOB_ID}"})
    job_id: str
    status: str
    status_url: str


class DeployRun(JobEntry):
    """A run as a job. `run_id` is its id at ComfyUI Deploy once it has one, `machine` the one that was asked for."""

    model_config = _example(_RUN)
    run_id: str | None
    machine: str | None


class DeployRuns(BaseModel):
    """Runs, newest first. `next` is the `cursor` of the following page, null on the last one."""

    model_config = _example({"runs": [_RUN], "next": None})
    runs: list[DeployRun]
    next: str | None


class DeployOutput(BaseModel):
    """One file a run has made."""

    model_config = _example(_OUTPUT)
    filename: str
    url: str
    mime_type: str
    size_bytes: int
    node_id: str


class DeployOutputs(BaseModel):
    """What a run has made."""

    model_config = _example({"job_id": _JOB_ID, "outputs": [_OUTPUT], "texts": []})
    job_id: str
    outputs: list[DeployOutput]
    texts: list[str]


class CachedList(BaseModel):
    """How old a list is. `is_offline`: the API is away, and this is the last that was known."""

    model_config = _example(_LIST)
    entries: int | None
    fetched_at: float | None
    age_s: float | None
    ttl_s: float
    is_fresh: bool
    is_offline: bool
    error: str | None


class DeployCache(BaseModel):
    """The lists that are kept."""

    model_config = _example(_CACHE)
    workflows: CachedList
    deployments: CachedList
    machines: CachedList


class InvalidateRequest(Fields):
    """Which lists are to be asked for anew; none = all."""

    model_config = _example({"lists": ["machines"]})
    lists: list[ListName] = Field(default=[], description="Those lists; none = all")


class RunEvent(BaseModel):
    """What a webhook of ComfyUI Deploy says. None of it is believed: the run is asked for."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "event_type": "run.updated",
                "status": "running",
                "live_status": "Executing KSampler",
                "progress": 0.5,
                "run_id": _RUN_ID,
                "outputs": [],
            }
        },
    )
    event_type: str | None = Field(None, description="run.updated, run.output")
    status: str | None = Field(None, description="How the run stands, in its words")
    run_id: str | None = Field(None, description="The run's id over there")


class DeployState(BaseModel):
    """How ComfyUI Deploy is used. `webhooks`: it tells of runs by itself, otherwise they are asked for."""

    model_config = _example(
        {"url": "https://api.comfydeploy.com/api", "status": "healthy", "reason": None, "slots": 8, "running": 1}
        | {"webhooks": True, "cache": _CACHE}
    )
    url: str
    status: str
    reason: str | None
    slots: int
    running: int
    webhooks: bool
    cache: DeployCache
