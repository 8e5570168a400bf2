"""What the OpenAPI document says beyond what FastAPI finds out by itself: bodies, errors, keys."""

import copy
import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from . import failures, openapi_examples, parameters
from .auth import Guard
from .errors import ErrorBody, Problem
from .late import LateRoutes

COMPONENTS = "#/components/schemas/{model}"
# Stands for a body until somebody asks for the document: all their schemas take a tenth of the time of a start.
_BODY = "x-body"
_bodies: dict[str, tuple[type[BaseModel], ...]] = {}
_SECURITY = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}
IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A repeated request is answered like the first and makes no second job; kept for 24 h",
    # No example: /docs would send it, and answer every second try with the job of the first.
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
# In their order at /docs.
_TAGS = {
    "jobs": "Submit workflows, look at jobs, cancel and repeat them",
    "runpod": "The same as RunPod's serverless API has it: its clients work with `/v2` as their base URL",
    "workflows": "Workflows by name, each a call with inputs of its own",
    "api jobs": "Jobs of named workflows: status, details, result",
    "live": "What becomes of jobs, as server-sent events",
    "outputs": "The files jobs have made",
    "uploads": "Large inputs, sent once and named in jobs by their `ref`",
    "queue": "The line of waiting jobs",
    "webhooks": "What was sent to jobs' webhooks",
    "comfy": "ComfyUI for browsers: queue a prompt, follow it, fetch its files",
    "gallery": "Pictures that were made here or sent in, with how they were made",
    "deploy": "ComfyUI Deploy: its workflows and runs, and this worker as its machine",
    "management": "Workflows, outputs and the state of the worker",
    "models": "Models on the worker's disk, and their download",
    "metrics": "Numbers as JSON",
    "health": "Whether it lives, is ready and is well; numbers for Prometheus",
    "admin": "For the operator: clean up, reset, ComfyUIs",
}


def request_body(*models: type[BaseModel], required: bool = True) -> dict[str, Any]:
    """`openapi_extra` for a route that reads its JSON body itself: one of the models, each with its example."""
    key = " ".join(f"{model.__module__}.{model.__qualname__}" for model in models)
    _bodies[key] = models
    return {"requestBody": {"required": required, "content": {"application/json": {_BODY: key}}}}


@functools.cache
def _content(models: Sequence[type[BaseModel]]) -> dict[str, Any]:
    references, document = models_json_schema([(model, "validation") for model in models], ref_template=COMPONENTS)
    schemas = [references[model, "validation"] for model in models]
    examples = {
        model.__name__: {"value": example} for model in models if (example := _example(document, model)) is not None
    }
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    # Without what is null, as FastAPI writes those it finds out about by itself.
    definitions = jsonable_encoder(document.get("$defs", {}), exclude_none=True)
    return {"schema": {**schema, "$defs": definitions}, "examples": examples}


def operation_id(method: str, path: str) -> str:
    """A name for functions of generated clients: get_jobs_job_id_input."""
    return "_".join([method, *(re.findall(r"\w+", path.replace("-", "_")) or ["root"])])


def documented(app: FastAPI, routers: Sequence[APIRouter | LateRoutes], guard: Guard) -> Callable[[], dict[str, Any]]:
    """An `app.openapi` over the app's routers, with the errors of all routes, the bodies' models and the keys."""

    @functools.cache
    def openapi() -> dict[str, Any]:
        # Only an app that includes the routers adds to each route what all of them may answer. A default keeps FastAPI
        # from adding its own 422; it gives way to what each may answer really.
        listed = FastAPI(
            title=app.title,
            description=app.description,
            version=app.version,
            license_info={"name": "MIT", "identifier": "MIT"},
            responses={"default": {"model": ErrorBody}},
        )
        for each in routers:
            for router in each.routers() if isinstance(each, LateRoutes) else (each,):
                listed.include_router(router)
        document = listed.openapi()
        _add_components(document)
        _add_answers(document, guard)
        _add_security(document, guard)
        _add_tags(document)
        return document

    return openapi


def _example(document: dict[str, Any], model: type[BaseModel]) -> Any:
    schema = document.get("$defs", {}).get(model.__name__, {})
    return schema.get("example", next(iter(schema.get("examples", [])), None))


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    paths = document.get("paths", {})
    return [(path, method, each) for path, operations in paths.items() for method, each in operations.items()]


def _add_components(document: dict[str, Any]) -> None:
    schemas = document["components"].setdefault("schemas", {})
    for _, _, operation in _operations(document):
        if "requestBody" not in operation:
            continue
        # A copy: FastAPI has put in the route's own object, and may be asked for the document again.
        operation["requestBody"] = copy.deepcopy(operation["requestBody"])
        for content in operation["requestBody"].get("content", {}).values():
            if (key := content.pop(_BODY, None)) is not None:
                content.update(copy.deepcopy(_content(_bodies[key])))
            for name, schema in content.get("schema", {}).pop("$defs", {}).items():
                schemas.setdefault(name, schema)
    problem = Problem.model_json_schema(ref_template=COMPONENTS)
    for name, schema in {**problem.pop("$defs", {}), Problem.__name__: problem}.items():
        schemas.setdefault(name, schema)
    openapi_examples.complete(schemas)
    document["components"]["schemas"] = dict(sorted(schemas.items()))


def _add_answers(document: dict[str, Any], guard: Guard) -> None:
    for path, method, operation in _operations(document):
        operation["operationId"] = operation_id(method, path)
        del operation["responses"]["default"]
        operation["responses"] = failures.declared(path, method, operation, is_free=guard.opens(path))
        parameters.complete(path, operation.get("parameters", []))
        # FastAPI takes all that is no JSON for text, beside the model it was given.
        for content in operation["responses"].get("200", {}).get("content", {}).values():
            if "$ref" in content.get("schema", {}):
                content["schema"].pop("type", None)
    document["components"]["responses"] = failures.responses()


def _add_security(document: dict[str, Any], guard: Guard) -> None:
    document["components"]["securitySchemes"] = _SECURITY
    document["security"] = [{name: []} for name in _SECURITY] + ([{}] if guard.is_open else [])
    for path, _, operation in _operations(document):
        if guard.opens(path):
            operation["security"] = []


def _add_tags(document: dict[str, Any]) -> None:
    used = {tag for _, _, operation in _operations(document) for tag in operation.get("tags", [])}
    document["tags"] = [{"name": name, "description": text} for name, text in _TAGS.items() if name in used]
