"""What the OpenAPI document says beyond what FastAPI finds out by itself: bodies, errors, keys."""

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from . import openapi_examples
from .auth import OPEN_PATHS
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
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
}
# Every operation may end this way.
_ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "model": ErrorBody,
        "description": "What went wrong",
        "content": {"application/problem+json": {"schema": {"$ref": COMPONENTS.format(model=Problem.__name__)}}},
    }
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


def documented(
    app: FastAPI, routers: Sequence[APIRouter | LateRoutes], *, is_open: bool
) -> Callable[[], dict[str, Any]]:
    """An `app.openapi` over the app's routers, with the errors of all routes, the bodies' models and the keys."""

    @functools.cache
    def openapi() -> dict[str, Any]:
        # Only an app that includes the routers adds to each route what all of them may answer.
        listed = FastAPI(title=app.title, description=app.description, version=app.version, responses=_ERROR_RESPONSES)
        for each in routers:
            for router in each.routers() if isinstance(each, LateRoutes) else (each,):
                listed.include_router(router)
        document = listed.openapi()
        _add_components(document)
        _add_security(document, is_open)
        return document

    return openapi


def _example(document: dict[str, Any], model: type[BaseModel]) -> Any:
    schema = document.get("$defs", {}).get(model.__name__, {})
    return schema.get("example", next(iter(schema.get("examples", [])), None))


def _operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    paths = document.get("paths", {})
    return [(path, operation) for path, operations in paths.items() for operation in operations.values()]


def _add_components(document: dict[str, Any]) -> None:
    schemas = document["components"].setdefault("schemas", {})
    for _, operation in _operations(document):
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


def _add_security(document: dict[str, Any], is_open: bool) -> None:
    document["components"]["securitySchemes"] = _SECURITY
    document["security"] = [{name: []} for name in _SECURITY] + ([{}] if is_open else [])
    for path, operation in _operations(document):
        if path in OPEN_PATHS:
            operation["security"] = []
