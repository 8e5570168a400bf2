"""Every failure as one envelope, in the dialect of its path. The only file that gives errors an HTTP status."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp
from starlette.websockets import WebSocketClose

from .. import deploy_errors
from .. import errors as tree
from ..errors import WorkerError
from ..logs import get_logger
from .methods import allowed_methods

STATUS: Mapping[type[WorkerError], HTTPStatus] = {
    tree.InvalidInput: HTTPStatus.BAD_REQUEST,
    tree.InputTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    tree.WorkflowNotFound: HTTPStatus.NOT_FOUND,
    tree.ModelTypeUnknown: HTTPStatus.NOT_FOUND,
    tree.NodeTypeUnknown: HTTPStatus.NOT_FOUND,
    tree.InputUnavailable: HTTPStatus.BAD_GATEWAY,
    tree.ExecutionInterrupted: HTTPStatus.CONFLICT,
    tree.JobCancelled: HTTPStatus.CONFLICT,
    tree.JobTimedOut: HTTPStatus.GATEWAY_TIMEOUT,
    tree.ComfyError: HTTPStatus.BAD_GATEWAY,
    tree.ComfyUnreachable: HTTPStatus.SERVICE_UNAVAILABLE,
    tree.ComfyBusy: HTTPStatus.SERVICE_UNAVAILABLE,
    tree.ComfyNotStarted: HTTPStatus.SERVICE_UNAVAILABLE,
    deploy_errors.DeployError: HTTPStatus.BAD_GATEWAY,
    deploy_errors.DeployUnreachable: HTTPStatus.SERVICE_UNAVAILABLE,
    deploy_errors.DeployBusy: HTTPStatus.SERVICE_UNAVAILABLE,
    deploy_errors.DeployNotFound: HTTPStatus.NOT_FOUND,
    deploy_errors.DeployOff: HTTPStatus.NOT_FOUND,
    deploy_errors.DeployMachineUnfit: HTTPStatus.CONFLICT,
    tree.DeliveryFailed: HTTPStatus.BAD_GATEWAY,
    tree.DiskFull: HTTPStatus.INSUFFICIENT_STORAGE,
    tree.JobRefused: HTTPStatus.CONFLICT,
    tree.JobNotFound: HTTPStatus.NOT_FOUND,
    tree.QueueFull: HTTPStatus.TOO_MANY_REQUESTS,
    tree.StorageFull: HTTPStatus.INSUFFICIENT_STORAGE,
    tree.KeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    tree.OutputNotFound: HTTPStatus.NOT_FOUND,
    tree.InstanceNotFound: HTTPStatus.NOT_FOUND,
    tree.UploadNotFound: HTTPStatus.NOT_FOUND,
    tree.GalleryItemNotFound: HTTPStatus.NOT_FOUND,
    tree.DownloadNotFound: HTTPStatus.NOT_FOUND,
    tree.UploadMismatch: HTTPStatus.UNPROCESSABLE_ENTITY,
    tree.Unauthorized: HTTPStatus.UNAUTHORIZED,
    tree.Forbidden: HTTPStatus.FORBIDDEN,
    tree.ComfyDisabled: HTTPStatus.NOT_FOUND,
    tree.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    tree.WorkflowUnusable: HTTPStatus.SERVICE_UNAVAILABLE,
    tree.StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    tree.StoreOutdated: HTTPStatus.SERVICE_UNAVAILABLE,
    tree.WorkerStopping: HTTPStatus.SERVICE_UNAVAILABLE,
    tree.WorkerError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
RUNPOD = "runpod"
_RUNPOD_PREFIX = "/v2/"
# The one call of RunPod's own local server that is only RunPod's.
RUNSYNC = "/runsync"
# Where its other paths are looked for when /v2/{endpoint_id} was left out.
_RUNPOD_ROOTS = frozenset({"status-sync", "stream", "cancel", "retry", "purge-queue"})
_PROBLEM = "application/problem+json"
_JSON = "application/json"
_JSON_TYPES = {_JSON, "application/*", "*/*"}
_SHOWN_PATH = 200
_INTERNAL_CLOSE = 1011
# When another worker, or this one started anew, may take what one that stops has refused.
_RESTART_S = 5

log = get_logger()


class ErrorDetail(BaseModel):
    """One finding; only the keys that apply are there."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"example": {"field": "query.limit", "message": "must be at least 1", "code": "too_small"}},
    )
    field: str | None = None
    message: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """What every answer of status 400 and above holds. Below /v2/, `error` is the message."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "error": "Not Found",
                "message": "There is no job 550e8400-e29b-41d4-a716-446655440000.",
                "statusCode": 404,
                "code": "JOB_NOT_FOUND",
                "details": [],
            }
        }
    )
    error: str
    message: str
    statusCode: int = Field(ge=400, le=599)  # noqa: N815 - a promised name
    code: str
    details: list[ErrorDetail]


class Problem(BaseModel):
    """RFC 9457, for callers whose Accept prefers application/problem+json."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": "There is no job 550e8400-e29b-41d4-a716-446655440000.",
                "instance": "/status/550e8400-e29b-41d4-a716-446655440000",
                "code": "JOB_NOT_FOUND",
                "details": [],
            }
        }
    )
    type: str
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    instance: str
    code: str
    details: list[ErrorDetail]


@dataclass(frozen=True)
class Failure:
    """What went wrong, as HTTP knows it."""

    status: HTTPStatus
    code: str
    message: str
    details: Sequence[Mapping[str, Any]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def status_of(error: WorkerError) -> HTTPStatus:
    """The HTTP status of an error: that of its nearest relative in the table."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def speak_runpod(connection: HTTPConnection) -> None:
    """Answer this request's errors as RunPod does, whatever its path."""
    connection.state.dialect = RUNPOD


async def respond(connection: HTTPConnection, error: Exception) -> Response | ASGIApp:
    """The answer to any exception: an envelope, or the closing of a WebSocket where there is no other."""
    failure = _failure(connection, error)
    if connection.scope["type"] == "websocket" and not _can_answer(connection):
        return WebSocketClose(code=_INTERNAL_CLOSE, reason=failure.code)
    if connection.scope.get("method") == "OPTIONS" and failure.status == HTTPStatus.METHOD_NOT_ALLOWED:
        return Response(status_code=204, headers=dict(failure.headers))
    as_problem = prefers_problem(connection.headers.get("accept", ""))
    body = _problem(connection, failure) if as_problem else _envelope(connection, failure)
    return Response(
        # ASCII only: a message may quote half of a surrogate pair, which cannot be written as UTF-8.
        json.dumps(body, default=str).encode(),
        int(failure.status),
        dict(failure.headers),
        _PROBLEM if as_problem else _JSON,
    )


HANDLERS: dict[Any, Any] = {
    WorkerError: respond,
    HTTPException: respond,
    RequestValidationError: respond,
    ClientDisconnect: respond,
}
# For the border around the app, where nothing may pass.
BORDER_HANDLERS: dict[Any, Any] = {**HANDLERS, Exception: respond}


def prefers_problem(accept: str) -> bool:
    """Whether the Accept header ranks application/problem+json above plain JSON."""
    best, wanted = 0.0, ""
    for part in accept.lower().split(","):
        kind, _, parameters = part.strip().partition(";")
        weight = weight_of(parameters)
        if kind.strip() in {_PROBLEM, *_JSON_TYPES} and weight > best:
            best, wanted = weight, kind.strip()
    return wanted == _PROBLEM


def weight_of(parameters: str) -> float:
    """The q of a media type in Accept, whose parameters these are."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _can_answer(websocket: HTTPConnection) -> bool:
    """Whether it is still being asked for, by a server that can answer this with more than yes and no."""
    is_open = getattr(websocket.state, "accepted", False)
    return not is_open and "websocket.http.response" in websocket.scope.get("extensions", {})


def _failure(connection: HTTPConnection, error: Exception) -> Failure:
    if isinstance(error, WorkerError):
        return Failure(status_of(error), error.code, error.message, error.details, _headers(error))
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        return _refused(connection, error)
    if isinstance(error, ClientDisconnect):
        return Failure(HTTPStatus.BAD_REQUEST, "CLIENT_DISCONNECTED", "The caller left before its request was read.")
    log.error("Unhandled error of a request", exc_info=error)
    number = getattr(connection.state, "request_id", "-")
    message = f"The worker made a mistake. Its log says more under the request id {number}."
    return Failure(HTTPStatus.INTERNAL_SERVER_ERROR, tree.InternalError.code, message)


def _headers(error: WorkerError) -> dict[str, str]:
    headers = {}
    if isinstance(error, tree.Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    after_s = getattr(error, "retry_after_s", _RESTART_S if isinstance(error, tree.WorkerStopping) else None)
    if after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(after_s)))
    return headers


def _invalid(error: RequestValidationError) -> Failure:
    details = [
        {"field": ".".join(str(step) for step in each["loc"]), "message": each["msg"], "code": each["type"]}
        for each in error.errors()
    ]
    message = "; ".join(f"{each['field']}: {each['message']}" for each in details)
    return Failure(HTTPStatus.UNPROCESSABLE_ENTITY, "INVALID_PARAMETERS", message, details)


def _refused(connection: HTTPConnection, error: HTTPException) -> Failure:
    status = HTTPStatus(error.status_code)
    headers = dict(error.headers or {})
    message = error.detail if isinstance(error.detail, str) else status.phrase
    scope = connection.scope
    if message == status.phrase and status == HTTPStatus.NOT_FOUND:
        message = _no_path(scope["path"])
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(allowed_methods(scope))
        message = f"{scope['method']} is not possible here; allowed: {headers['Allow']}."
    return Failure(status, status.name, message, (), headers)


def _no_path(path: str) -> str:
    shown = path[:_SHOWN_PATH]
    if path.split("/")[1] in _RUNPOD_ROOTS:
        return f"There is no path {shown}; RunPod's API is below /v2/{{endpoint_id}}: /v2/{{endpoint_id}}{shown}."
    return f"There is no path {shown}; /docs lists those there are."


def _envelope(connection: HTTPConnection, failure: Failure) -> dict[str, Any]:
    path = connection.scope["path"]
    named = path.startswith(_RUNPOD_PREFIX) or path == RUNSYNC
    runpod = named or getattr(connection.state, "dialect", "") == RUNPOD
    # RunPod's own word for a wrong key is the bare reason phrase.
    by_message = runpod and failure.status != HTTPStatus.UNAUTHORIZED
    return {
        "error": failure.message if by_message else failure.status.phrase,
        "message": failure.message,
        "statusCode": int(failure.status),
        "code": failure.code,
        "details": list(failure.details),
    }


def _problem(connection: HTTPConnection, failure: Failure) -> dict[str, Any]:
    quota = failure.code == tree.RateLimited.code
    return {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded" if quota else "about:blank",
        "title": failure.status.phrase,
        "status": int(failure.status),
        "detail": failure.message,
        "instance": connection.scope["path"],
        "code": failure.code,
        "details": list(failure.details),
    }
