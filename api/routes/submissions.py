"""Bodies of requests made into Submissions: what a body says about the job's life in the queue, in both dialects."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from ..errors import Detail, InvalidInput
from ..jobs.job import Priority
from ..jobs.quoting import quote
from ..jobs.request_fields import Fields, InputFields, PolicyFields, S3Fields, Sound
from ..jobs.request_findings import validated
from ..jobs.service import JobService
from ..jobs.submission import Accepted, Submission
from .auth import ANONYMOUS
from .dialects import NATIVE
from .errors import RUNPOD
from .openapi import IDEMPOTENCY_KEY, request_body

REPLAYED = {"Idempotent-Replayed": "true"}
_MAX_LABELS = 16
_MAX_LABEL_BYTES = 256
_LABEL_KEY = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_MAX_TTL_S = 30 * 24 * 3600
_MAX_KEY = 255
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_WEBHOOK = "http(s) URL that is told when the job has ended"
_ENVELOPE = ("input", "policy", "s3Config")
# Runs on any ComfyUI: it needs no model.
_WORKFLOW: dict[str, Any] = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "input.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "inverted"}},
}
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mM4IWcDAALUASNMnwvaAAAAAElFTkSuQmCC"
_IMAGES: list[Any] = [{"name": "input.png", "image": f"data:image/png;base64,{_PIXEL}"}]


_POLICY: dict[str, Any] = {"executionTimeout": 600_000, "ttl": 86_400_000, "lowPriority": False}


def _labels(value: dict[str, str]) -> dict[str, str]:
    if len(value) > _MAX_LABELS:
        raise PydanticCustomError("too_large", "takes {most} labels at most", {"most": _MAX_LABELS})
    for key, text in value.items():
        if not _LABEL_KEY.fullmatch(key):
            reason = f"has the key {quote(key)}; keys are 1 to 40 letters, digits, _, . and -"
            raise PydanticCustomError("invalid_key", "{reason}", {"reason": reason})
        if len(text.encode()) > _MAX_LABEL_BYTES or not text.isprintable():
            reason = f"has a value at {quote(key)} that is too long or not printable: {_MAX_LABEL_BYTES} bytes at most"
            raise PydanticCustomError("invalid_value", "{reason}", {"reason": reason})
    return value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Webhook = Annotated[Sound, Field(max_length=2048)]
Labels = Annotated[dict[Sound, Sound], AfterValidator(_labels)]


class QueueFields(Fields):
    """What a native body says beside the job's input."""

    priority: Annotated[Priority, BeforeValidator(_lower)] = Field(
        Priority.NORMAL, description="Higher ones start first; first in, first out within one"
    )
    webhook: Webhook | None = Field(None, description=_WEBHOOK)
    ttl_s: Annotated[float, Field(ge=1, le=_MAX_TTL_S, allow_inf_nan=False)] | None = Field(
        None, description="Longest wait in line in s, after which the job has timed out; none = no limit"
    )
    labels: Labels = Field(
        default_factory=dict,
        description=f"{_MAX_LABELS} names and values of your own at most, shown with the job; "
        f"names of 1 to 40 letters, digits, _, . and -, values of {_MAX_LABEL_BYTES} bytes",
    )


class RunRequest(InputFields, QueueFields):
    """A job: a workflow in API format and what it needs, in the worker's own words."""

    model_config = ConfigDict(json_schema_extra={"example": {"workflow": _WORKFLOW, "images": _IMAGES}})


class RunPodPolicy(PolicyFields):
    """RunPod's policy. Times in ms."""

    model_config = ConfigDict(json_schema_extra={"example": _POLICY})
    ttl: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        None, description="Longest wait in line in ms; none = no limit"
    )
    low_priority: bool = Field(False, validation_alias="lowPriority", description="Start after jobs without it")


class RunPodFields(QueueFields):
    """What the queue needs to know of a body in RunPod's words. What a native one may say holds here as well."""

    policy: RunPodPolicy = Field(default_factory=RunPodPolicy, description="Limits of its time, and its place in line")


class RunPodRequest(RunPodFields):
    """A job in RunPod's words."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "input": {"workflow": _WORKFLOW, "images": _IMAGES},
                "policy": _POLICY,
            }
        }
    )
    input: InputFields = Field(description="The job")
    s3: S3Fields | None = Field(None, validation_alias="s3Config", description="A bucket for this job's outputs")


_Model = TypeVar("_Model", QueueFields, RunPodFields)


def documented(*models: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` of a route that takes submissions."""
    return {**request_body(*models), "parameters": [IDEMPOTENCY_KEY]}


def native(body: Mapping[str, Any]) -> Submission:
    """The Submission of a body in the worker's own words. Raises InvalidInput."""
    fields = _checked(QueueFields, body)
    given = {key: value for key, value in body.items() if key not in QueueFields.model_fields}
    given.pop("input", None)
    return Submission(
        job={"input": given},
        dialect=NATIVE,
        priority=fields.priority,
        webhook=fields.webhook or None,
        ttl_s=fields.ttl_s,
        labels=fields.labels,
    )


def runpod(body: Mapping[str, Any], *, sync: bool = False, ttl_ms: float | None = None) -> Submission:
    """The Submission of a body in RunPod's words; `ttl_ms` is what the address says about it. Raises InvalidInput."""
    fields = _checked(RunPodFields, body)
    ttl_ms = fields.policy.ttl if fields.policy.ttl is not None else ttl_ms
    by_policy = Priority.LOW if fields.policy.low_priority else Priority.NORMAL
    return Submission(
        job={key: body[key] for key in _ENVELOPE if key in body},
        dialect=RUNPOD,
        priority=fields.priority if "priority" in fields.model_fields_set else by_policy,
        webhook=fields.webhook or None,
        ttl_s=ttl_ms / 1000 if ttl_ms is not None else fields.ttl_s,
        labels=fields.labels,
        id_prefix="sync-" if sync else "",
        waits=sync,
    )


async def submit(service: JobService, request: Request, submission: Submission, body: bytes | None = None) -> Accepted:
    """Hand it in for the request's caller, under its Idempotency-Key if it has one. Raises what the service does.

    `body` stands for one that is not at hand as a whole; equal ones are the same request.
    """
    key = idempotency_key(request)
    raw = body if body is not None else await request.body() if key else b""
    caller = getattr(request.state, "caller", ANONYMOUS)
    is_operator = getattr(request.state, "is_operator", False)
    trace = getattr(request.state, "traceparent", None)
    template = getattr(request.scope.get("route"), "path", request.url.path)

    def in_thread() -> Accepted:
        fingerprint = _fingerprint(request.method, template, raw, caller) if key else ""
        job = {**submission.job, "traceparent": trace} if trace else submission.job
        sent = replace(submission, job=job, caller=caller, is_operator=is_operator)
        return service.submit(replace(sent, idempotency_key=key, fingerprint=fingerprint))

    return await run_in_threadpool(in_thread)


def idempotency_key(request: Request) -> str | None:
    """The key, bare or quoted. Raises InvalidInput for one that is not 1 to 255 printable ASCII characters."""
    value = request.headers.get("idempotency-key")
    if value is None:
        return None
    key = value.strip()
    if quoted := _QUOTED.fullmatch(key):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    if not (0 < len(key) <= _MAX_KEY and key.isascii() and key.isprintable()):
        message = f"Idempotency-Key must be 1 to {_MAX_KEY} printable ASCII characters."
        raise InvalidInput(message, [Detail(field="Idempotency-Key", code="invalid_key", message=message)])
    return key


def _fingerprint(method: str, template: str, raw: bytes, caller: str) -> str:
    digest = hashlib.sha256("\0".join((method, template, caller, "")).encode())
    digest.update(raw)
    return digest.hexdigest()


def _checked(model: type[_Model], body: Mapping[str, Any]) -> _Model:
    names = model.model_fields
    # RunPod's clients send empty objects and strings for what they leave out.
    given = {key: body[key] for key in names if key in body and body[key] not in ({}, "")}
    return validated(model, given)
