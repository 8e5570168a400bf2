"""Which failures each operation may answer with, told from what it takes; answers are held to this in the tests."""

import re
from collections.abc import Mapping
from typing import Any

from .errors import ErrorBody, Problem

_COMPONENT = "#/components/responses/{name}"
_SCHEMA = "#/components/schemas/{model}"
_TEXTS: Mapping[int, tuple[str, str]] = {
    400: ("BadRequest", "The request says something that cannot be; `details` name the place"),
    401: ("Unauthorized", "A valid API key is needed"),
    403: ("Forbidden", "The key does not open this, or a page of another site asks for it"),
    404: ("NotFound", "There is nothing of that name or id, or this part of the worker is switched off"),
    408: ("RequestTimeout", "The body stopped coming"),
    409: ("Conflict", "Not as things stand; or the first request with this Idempotency-Key is still under way"),
    413: ("TooLarge", "The body, or a file in it, is too large"),
    415: ("UnsupportedType", "The body is compressed, or of a type that is not taken here"),
    416: ("RangeNotSatisfiable", "None of the file's bytes are in the range"),
    422: ("Unprocessable", "A parameter is wrong; or the Idempotency-Key came with another request before"),
    426: ("UpgradeRequired", "This is a WebSocket"),
    429: ("TooMany", "Too many requests, or too many jobs wait"),
    500: ("InternalError", "The worker made a mistake; or the job failed whose result was asked for"),
    502: ("BadGateway", "What the worker relies on failed: ComfyUI, another service, or a file that is gone"),
    503: ("Unavailable", "The store or ComfyUI cannot be used now, or the worker is stopping"),
    504: ("TimedOut", "The job took too long"),
    507: ("StorageFull", "The disk is nearly full"),
}
_WITH_RETRY_AFTER = (429, 503)
# What a job failed with, where an answer is its result or that error.
_OF_A_JOB = (400, 404, 409, 413, 502, 503, 504, 507)
# What cannot be told from parameters and bodies, by method and path.
_BESIDES: tuple[tuple[str, tuple[int, ...]], ...] = (
    (r"get /(readyz|status)$", (503,)),
    (r"delete /(api/|admin/)?jobs?/", (409,)),
    (r"get /ws$", (426,)),
    (r"post .*/retry(/{\w+})?$", (409, 507)),
    (r"post /v2/{\w+}/retry/", (400,)),
    (r"post /queue/move/", (409,)),
    (r"\w+ /(v2/{\w+}/)?(runsync$|(status|status-sync|stream)/{)", (502,)),
    (r"get (/jobs/{\w+}/input$|/output/)", (502,)),
    (r"post /validate$", (502,)),
    (r"get /api/jobs/{\w+}/result$", _OF_A_JOB),
    (r"post /api/(?!async/|jobs|comfy|deploy)", _OF_A_JOB),
    (r"\w+ /api/comfy/(?!health$)", (404,)),
    (r"\w+ /api/comfy/(?!health$|stream|gallery$|gallery/(days|facets))", (502,)),
    (r"get /api/comfy/(view|gallery/{\w+}/thumbnail)$", (400,)),
    (r"post /api/comfy/ingest$", (409, 507)),
    (r"\w+ /api/deploy(?!/routing|/webhook)", (404,)),
    (r"get /api/deploy/(workflows|deployments|machines)", (502,)),
    (r"post /api/deploy/runs", (409, 502)),
    (r"get /api/deploy/runs/{\w+}/outputs$", (409, 502)),
    (r"\w+ /comfyui-deploy/", (404,)),
    (r"post /comfyui-deploy/run$", (409, 507)),
    (r"get /v1/comfyui/output/", (400, 502)),
    (r"delete /v1/comfyui/workflow/", (409,)),
    (r"get /v1/comfyui/models$", (404,)),
    (r"post /v1/comfyui/models/download$", (404, 409, 507)),
    (r"(post|patch) /uploads", (409, 422, 507)),
    (r"delete /uploads/sessions/", (409,)),
    (r"(post|delete) /admin/instances", (409,)),
)
# What goes before all else, and is no concern of paths that are open to everybody.
_AT_THE_DOOR = (401, 403, 429, 503)
_OF_A_BODY = (400, 408, 413, 415)
_OF_A_SUBMIT = (400, 409, 422, 507)
# Any endpoint is there.
_NEVER_MISSED = frozenset({"endpoint_id"})
_PLAIN = frozenset({"type", "title", "default", "description", "example", "examples"})

Operation = Mapping[str, Any]


def responses() -> dict[str, Any]:
    """The failures, as components that operations refer to."""
    return {name: _response(status, text) for status, (name, text) in _TEXTS.items()}


def declared(path: str, method: str, operation: Operation, *, is_free: bool = False) -> dict[str, Any]:
    """The `responses` of an operation: those it has, and references to all its failures. `is_free`: for everybody."""
    failures = {
        str(status): {"$ref": _COMPONENT.format(name=_TEXTS[status][0])}
        for status in _statuses(path, method, operation, is_free=is_free)
    }
    return dict(sorted({**failures, **operation.get("responses", {})}.items()))


def _statuses(path: str, method: str, operation: Operation, *, is_free: bool) -> set[int]:
    parameters = operation.get("parameters", [])
    named = {each["name"] for each in parameters}
    found = {500} if is_free else {500, *_AT_THE_DOOR}
    if "requestBody" in operation:
        found.update(_OF_A_BODY)
    if "Idempotency-Key" in named:
        found.update(_OF_A_SUBMIT)
    if "cursor" in named:
        found.add(400)
    if any(_is_checked(each) for each in parameters):
        found.add(422)
    if any(each["in"] == "path" and each["name"] not in _NEVER_MISSED for each in parameters):
        found.add(404)
    if "206" in operation.get("responses", {}):
        found.add(416)
    return found.union(*(more for pattern, more in _BESIDES if re.match(pattern, f"{method} {path}")))


def _is_checked(parameter: Mapping[str, Any]) -> bool:
    """Whether the parameter may not be left out, or some text is no value of it."""
    if parameter["in"] != "path" and parameter.get("required"):
        return True
    schema = parameter["schema"]
    options = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    return any(each.get("type") != "string" or each.keys() - _PLAIN for each in options)


def _response(status: int, text: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": text,
        "content": {
            "application/json": {"schema": {"$ref": _SCHEMA.format(model=ErrorBody.__name__)}},
            "application/problem+json": {"schema": {"$ref": _SCHEMA.format(model=Problem.__name__)}},
        },
    }
    if status in _WITH_RETRY_AFTER:
        schema = {"type": "integer", "minimum": 1}
        told["headers"] = {"Retry-After": {"description": "Seconds to wait", "schema": schema, "example": 5}}
    return told
