"""Named workflows as callers see them: the objects of /api/workflows, and their part of the OpenAPI document."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema

from ..workflows.binding import FileLimits
from ..workflows.input_kinds import ChoiceInput, FileInput, Input, SeedInput
from ..workflows.manifest import file_inputs
from ..workflows.named import NamedWorkflow
from ..workflows.registry import Entry, Registry
from . import failures
from .errors import ErrorDetail
from .named_answers import NamedAccepted, NamedResult
from .openapi import COMPONENTS, IDEMPOTENCY_KEY, operation_id

_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mM4IWcDAALUASNMnwvaAAAAAElFTkSuQmCC"
_SOURCE = "Base64, a data URI, an http(s) URL, or the ref of an upload"
_TAG = "workflows"
_INPUT: dict[str, Any] = {"type": "integer", "description": "Pixels", "required": False, "default": 0, "minimum": 0}
_ENTRY: dict[str, Any] = {
    "name": "resize",
    "title": "Resize",
    "description": "Scales a picture to a width, a height or both. Needs no model.",
    "builtin": True,
    "inputs": {"image": {"type": "image", "required": True}, "width": _INPUT},
    "requires": {"models": [], "nodes": ["ImageScale", "LoadImage", "SaveImage"]},
    "available": True,
    "missing": [],
    "error": None,
    "path": "/api/resize",
    "async_path": "/api/async/resize",
}


class Availability(BaseModel):
    """Whether a ComfyUI has what the workflow needs; None when none could be asked, which `missing` then tells."""

    model_config = ConfigDict(json_schema_extra={"example": {"available": True, "missing": []}})
    available: bool | None
    missing: list[ErrorDetail] = []


class WorkflowEntry(BaseModel):
    """A named workflow. `error` is what is wrong with its files; with `inputs`, an earlier version still answers."""

    model_config = ConfigDict(json_schema_extra={"example": _ENTRY})
    name: str
    title: str
    description: str
    builtin: bool
    inputs: dict[str, dict[str, Any]]
    requires: dict[str, list[str]]
    available: bool | None
    missing: list[ErrorDetail]
    error: str | None
    path: str
    async_path: str


class WorkflowList(BaseModel):
    """All named workflows, by name."""

    model_config = ConfigDict(json_schema_extra={"example": {"workflows": [_ENTRY]}})
    workflows: list[WorkflowEntry]


def entry_object(entry: Entry, availability: Availability, limits: FileLimits) -> dict[str, Any]:
    """The workflow in a listing."""
    workflow = entry.workflow
    manifest = workflow.manifest if workflow else None
    return {
        "name": entry.name,
        "title": workflow.title if workflow else entry.name,
        "description": manifest.description if manifest else "",
        "builtin": entry.is_builtin,
        "inputs": {name: _input_object(kind, limits) for name, kind in manifest.inputs.items()} if manifest else {},
        "requires": {
            "models": workflow.models if workflow else [],
            "nodes": workflow.nodes if workflow else [],
        },
        **availability.model_dump(exclude_none=False),
        "error": entry.error,
        "path": f"/api/{entry.name}",
        "async_path": f"/api/async/{entry.name}",
    }


def _input_object(kind: Input, limits: FileLimits) -> dict[str, Any]:
    told = kind.model_dump(exclude={"target", "required"}, exclude_none=True, exclude_defaults=False)
    told = {key: value for key, value in told.items() if value != ""} | {"required": kind.is_required}
    if isinstance(kind, ChoiceInput):
        told["choices"] = list(kind.choices)
    if isinstance(kind, FileInput):
        told |= {"formats": list(limits.formats_of(kind)), "max_bytes": limits.max_bytes_of(kind)}
    return told


def documented(openapi: Callable[[], dict[str, Any]], registry: Registry, limits: FileLimits) -> Callable[[], Any]:
    """An `app.openapi` in which each workflow stands with the inputs it has now."""

    def with_workflows() -> dict[str, Any]:
        document = openapi()
        workflows = registry.workflows()
        paths = {path: item for workflow in workflows for path, item in _paths(workflow, limits).items()}
        _, answers = models_json_schema(
            [(model, "serialization") for model in (NamedAccepted, NamedResult)], ref_template=COMPONENTS
        )
        schemas = {**document["components"]["schemas"], **answers["$defs"]}
        schemas |= {_schema_name(workflow): _schema(workflow, limits) for workflow in workflows}
        return {
            **document,
            "paths": {**document["paths"], **paths},
            "components": {**document["components"], "schemas": dict(sorted(schemas.items()))},
        }

    return with_workflows


def _schema_name(workflow: NamedWorkflow) -> str:
    return workflow.inputs_model.__name__


def _schema(workflow: NamedWorkflow, limits: FileLimits, *, form: bool = False) -> dict[str, Any]:
    schema = workflow.inputs_model.model_json_schema(by_alias=True)
    for name, kind in file_inputs(workflow.manifest).items():
        formats = ", ".join(each.upper() for each in limits.formats_of(kind))
        text = f"{kind.description or kind.title or name} ({formats}, {limits.max_bytes_of(kind) / 1e6:g} MB at most)"
        source = {"type": "string", "format": "binary"} if form else {"type": "string", "minLength": 1}
        schema["properties"][name] = {**source, "description": text if form else f"{text}. {_SOURCE}"}
    seeds = [name for name, kind in workflow.manifest.inputs.items() if isinstance(kind, SeedInput)]
    for name in seeds:
        schema["properties"][name].setdefault("description", "Drawn at random when none is given")
    around = {"async": {"type": "boolean", "default": False, "description": "Answer at once with the job's id"}}
    schema["properties"] = {**schema.get("properties", {}), **around}
    return {**schema, "example": _example(workflow, form=form)}


def _example(workflow: NamedWorkflow, *, form: bool) -> dict[str, Any]:
    example: dict[str, Any] = {}
    for name, kind in workflow.manifest.inputs.items():
        if isinstance(kind, FileInput):
            example[name] = "" if form else f"data:image/png;base64,{_PIXEL}"
        elif (value := kind.example()) is not None:
            example[name] = value
    return example


def _paths(workflow: NamedWorkflow, limits: FileLimits) -> Mapping[str, Any]:
    name = workflow.name
    paths = {f"/api/{name}": False, f"/api/async/{name}": True}
    return {path: {"post": _operation(path, workflow, limits, is_async=word)} for path, word in paths.items()}


def _operation(path: str, workflow: NamedWorkflow, limits: FileLimits, *, is_async: bool) -> dict[str, Any]:
    manifest = workflow.manifest
    done = {
        "description": "The result",
        "content": {**_json(NamedResult), "image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
    later = {"description": "The job is kept, and not done yet", "content": _json(NamedAccepted)}
    required = any(kind.is_required for kind in manifest.inputs.values())
    operation: dict[str, Any] = {
        "tags": [_TAG],
        "summary": workflow.title + (", answered with the job's id" if is_async else ""),
        "description": manifest.description,
        "operationId": operation_id("post", path),
        "parameters": [IDEMPOTENCY_KEY] if is_async else [*_PARAMETERS, IDEMPOTENCY_KEY],
        "requestBody": {
            "required": required,
            "content": {
                "application/json": {"schema": {"$ref": COMPONENTS.format(model=_schema_name(workflow))}},
                "multipart/form-data": {"schema": _schema(workflow, limits, form=True)},
            },
        },
        "responses": {**({} if is_async else {"200": done}), "202": later},
    }
    return {**operation, "responses": failures.declared(path, "post", operation)}


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": COMPONENTS.format(model=model.__name__)}}}


def _parameter(name: str, description: str, schema: dict[str, Any], example: Any) -> dict[str, Any]:
    told = {"name": name, "in": "query", "required": False, "description": description}
    return {**told, "schema": schema, "example": example}


_PARAMETERS = [
    _parameter("async", "Answer at once with the job's id", {"type": "boolean", "default": False}, False),
    _parameter(
        "format",
        "How the result comes: in the JSON, as a link in it, or by itself; none given = what Accept prefers",
        {"type": "string", "enum": ["base64", "url", "binary"]},
        "binary",
    ),
    _parameter(
        "wait",
        "Longest time to answer in, in s; WORKFLOW_WAIT_S at most",
        {"type": "number", "exclusiveMinimum": 0},
        60,
    ),
]
