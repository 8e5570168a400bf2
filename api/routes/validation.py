"""Whether a job would run, told without running it."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from . import submissions
from .answers import answer
from .body import JsonBody
from .dialects import dialect_of
from .errors import RUNPOD
from .openapi import request_body

# Given a job `{"input": {…}}`, the report as JSON.
Validate = Callable[[object], dict[str, Any]]
_NAMES_WORK = {"input", "workflow", "prompt", "workflow_name", "deployment"}
_INSTANCE: dict[str, Any] = {"name": "comfyui", "could_run": True, "missing": [], "error": None}


class Finding(BaseModel):
    """Something about the workflow; only the keys that apply are there."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "node_id": "4",
                "class_type": "CheckpointLoaderSimple",
                "field": "ckpt_name",
                "message": "flux1-dew.safetensors is not among the checkpoints.",
                "nearest": ["flux1-dev.safetensors"],
            }
        },
    )


class InstanceFinding(BaseModel):
    """One ComfyUI: what it lacks, or why it could not be asked."""

    model_config = ConfigDict(json_schema_extra={"example": _INSTANCE})
    name: str
    could_run: bool
    missing: list[Finding]
    error: str | None


class ValidationReport(BaseModel):
    """`ok`: some ComfyUI would run it. `outputs` are kinds of media; `expected_s` is null when nothing like it ran."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "ok": True,
                "format": "api",
                "errors": [],
                "warnings": [],
                "instances": [_INSTANCE],
                "outputs": ["image"],
                "expected_s": 4.2,
            }
        }
    )
    ok: bool
    format: Literal["api", "ui", "unknown"]
    errors: list[Finding]
    warnings: list[Finding]
    instances: list[InstanceFinding]
    outputs: list[str]
    expected_s: float | None


def router(validate: Validate) -> APIRouter:
    """/validate; `validate` may ask every ComfyUI, and raises ComfyUnreachable when none answers."""
    routes = APIRouter(tags=["jobs"])

    @routes.post(
        "/validate",
        summary="Check a job without running it",
        description="Takes the body of /run, or a workflow by itself, looks at it and at what each ComfyUI has (nodes, "
        "models), and names what is missing with what is nearest to it. No GPU is touched and no input is fetched.",
        responses={200: {"model": ValidationReport, "description": "The findings, also when it would not run"}},
        openapi_extra=request_body(submissions.RunRequest, submissions.RunPodRequest),
    )
    def check(body: JsonBody) -> Response:
        return answer(validate(_job_of(body)))

    return routes


def _job_of(body: dict[str, Any]) -> Mapping[str, Any]:
    if not _NAMES_WORK & body.keys():
        # A workflow by itself, whatever its format: what is wrong with it is the very question.
        return {"input": {"workflow": body}}
    submission = submissions.runpod(body) if dialect_of(body) == RUNPOD else submissions.native(body)
    return submission.job
