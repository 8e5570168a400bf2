"""A job as RunPod hands it over, parsed once into a frozen JobRequest. Knows no graph and reads no file."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from ..errors import Detail, InvalidInput
from ..ids import JobId
from .json_value import MAX_VALUES
from .misspelled import misspelled
from .quoting import kind_of, listed
from .request_fields import EnvelopeFields, ImageFields, InputFields, S3Fields
from .request_findings import findings, invalid, too_large

__all__ = ["DeploymentSpec", "ImageSpec", "JobRequest", "Limits", "OutputOptions", "ReportSpec", "S3Config", "parse"]

# Base64 is a third longer than its content, line breaks make it a little more.
_TEXT_PER_BYTE = 1.4
_MAX_OVERRIDES = 500
_MAX_OVERRIDE_KEY = 300
_ENVELOPE = ("id", "policy", "s3Config", "traceparent")
_Fields = TypeVar("_Fields", EnvelopeFields, InputFields)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one job may bring. `max_input_bytes` is all inline files together, decoded."""

    max_images: int = 100
    max_input_bytes: int = 500_000_000


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """An input file as the caller gave it. `field` is its place in the input, such as "images.0".

    `max_bytes` and `formats` are limits of its own, beside those of the worker.
    """

    name: str
    source: str = field(repr=False)
    field: str
    max_bytes: int | None = None
    formats: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """How outputs shall look and where they shall go; None leaves it to the worker's settings."""

    format: Literal["png", "jpeg", "webp"] | None = None
    quality: int = 90
    metadata: Literal["keep", "strip"] | None = None
    delivery: Literal["base64", "s3"] | None = None
    include_temp: bool = False


@dataclass(frozen=True, slots=True)
class S3Config:
    """A bucket that the request brings along."""

    endpoint_url: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    bucket_name: str | None = None
    region: str | None = None
    prefix: str | None = None


@dataclass(frozen=True, slots=True)
class DeploymentSpec:
    """What ComfyUI Deploy is to run; one of the first four is given. `gpu` is its word for one."""

    deployment_id: str = ""
    workflow_id: str = ""
    workflow_version_id: str = ""
    name: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    machine_id: str = ""
    gpu: str = ""

    @property
    def wanted(self) -> str:
        """Whichever is given."""
        return self.deployment_id or self.workflow_id or self.workflow_version_id or self.name


@dataclass(frozen=True, slots=True)
class ReportSpec:
    """Where ComfyUI Deploy is told of its run `run_id`, which this worker does as its machine."""

    run_id: str
    status_url: str = field(repr=False)
    upload_url: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    gpu_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job whose fields are sound. Its workflow is still raw: the graph and the files are checked next.

    `gpu` and `machine_id` are the place it asks for, `gpu` in small letters. With a `deployment` the workflow is
    empty. `remarks` are findings that hinder nothing and belong into the result.
    """

    job_id: JobId
    workflow: dict[str, Any] = field(repr=False)
    images: tuple[ImageSpec, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict, repr=False)
    force: bool = False
    comfy_org_api_key: str | None = field(default=None, repr=False)
    extra_pnginfo: Mapping[str, Any] = field(default_factory=dict, repr=False)
    output: OutputOptions = OutputOptions()
    s3: S3Config | None = None
    timeout_s: float | None = None
    receipt: bool = False
    timings: bool = False
    gpu: str | None = None
    traceparent: str | None = None
    machine_id: str | None = None
    deployment: DeploymentSpec | None = None
    report: ReportSpec | None = None
    remarks: tuple[Detail, ...] = ()


def parse(job: object, limits: Limits) -> JobRequest:
    """Check everything that can be told from the job alone. Raises InvalidInput or InputTooLarge, all findings in it.

    Unknown keys are ignored, as the RunPod worker does; one that looks like a field's name is remarked on. A job
    without id gets one.
    """
    if not isinstance(job, dict):
        raise InvalidInput(f'The job must be an object like {{"input": {{…}}}}, not {kind_of(job)}.')
    raw = _input_of(job, limits)
    _check_size(raw, limits)
    details: list[Detail] = []
    envelope = _validated(EnvelopeFields, {key: job[key] for key in _ENVELOPE if _given(job.get(key))}, details)
    is_deployment = _given(raw.get("deployment"))
    fields = _validated(InputFields, {**raw, "workflow": {}} if is_deployment else raw, details)
    if fields is not None and _unwieldy(fields.overrides):
        message = f"overrides takes {_MAX_OVERRIDES} keys of {_MAX_OVERRIDE_KEY} characters at most."
        details.append(Detail(field="overrides", code="too_large", message=message))
        fields = None
    remarks = misspelled(job, raw)
    if envelope is None or fields is None:
        details += remarks
        raise InvalidInput(listed([detail["message"] for detail in details]), details)
    return _request(envelope, fields, remarks)


def _input_of(job: dict[Any, Any], limits: Limits) -> dict[Any, Any]:
    raw = job.get("input")
    if isinstance(raw, str):
        raw = _from_json(raw, limits)
    if not isinstance(raw, dict):
        hint = ' Put the fields of the job under "input".' if "workflow" in job or "prompt" in job else ""
        raise invalid("input", "wrong_type", f"input must be an object, not {kind_of(raw)}.{hint}")
    has_workflow = any(_given(raw.get(name)) for name in ("workflow", "prompt"))
    if has_workflow and _given(raw.get("deployment")):
        raise invalid("deployment", "not_alone", "input has a workflow and a deployment: leave one of them out.")
    if not ("workflow" in raw or "prompt" in raw or "deployment" in raw):
        _explain_missing_workflow(raw)
    return raw


def _from_json(text: str, limits: Limits) -> Any:
    if len(text) > limits.max_input_bytes * _TEXT_PER_BYTE:
        raise too_large("input", f"input is larger than the {limits.max_input_bytes:,} bytes this worker takes.")
    if sum(map(text.count, ",{[")) > MAX_VALUES:
        raise too_large("input", f"input holds more than {MAX_VALUES:,} values (each , {{ and [ counts).")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at line {error.lineno}, column {error.colno}"
    except RecursionError:
        reason = "it is nested too deep"
    except ValueError:
        reason = "it holds a number with too many digits"
    raise invalid("input", "invalid_json", f"input is a string that is not valid JSON: {reason}.")


def _explain_missing_workflow(raw: dict[Any, Any]) -> None:
    """Raise for the two mistakes that a bare "workflow is missing" would not explain."""
    if any(isinstance(node, dict) and "class_type" in node for node in raw.values()):
        raise invalid(
            "workflow",
            "missing",
            'The workflow stands where the job is to be: send it one level down, as {"workflow": …} to /run, else as '
            '{"input": {"workflow": …}}.',
        )
    if isinstance(raw.get("input"), dict):
        raise invalid("workflow", "missing", "input holds another input: leave one of the two levels out.")


def _check_size(raw: dict[Any, Any], limits: Limits) -> None:
    images = raw.get("images")
    if not isinstance(images, list):
        return
    if len(images) > limits.max_images:
        raise too_large(
            "images",
            f"images has {len(images)} entries; this worker takes {limits.max_images} (setting MAX_IMAGES).",
        )
    sources = (entry.get("image") for entry in images if isinstance(entry, dict))
    total = sum(len(source) for source in sources if isinstance(source, str))
    if total > limits.max_input_bytes * _TEXT_PER_BYTE:
        raise too_large(
            "images",
            f"images together are larger than {limits.max_input_bytes:,} bytes (setting MAX_INPUT_TOTAL_MB): "
            "send URLs, or smaller files.",
        )


def _unwieldy(overrides: Mapping[str, Any]) -> bool:
    return len(overrides) > _MAX_OVERRIDES or any(len(key) > _MAX_OVERRIDE_KEY for key in overrides)


def _given(value: Any) -> bool:
    # RunPod passes on empty objects and nulls for what the caller left out.
    return value is not None and not (isinstance(value, str | dict) and not value)


def _validated(model: type[_Fields], raw: dict[Any, Any], details: list[Detail]) -> _Fields | None:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        details += findings(error)
    return None


def _request(envelope: EnvelopeFields, fields: InputFields, remarks: tuple[Detail, ...]) -> JobRequest:
    return JobRequest(
        job_id=JobId(envelope.id or str(uuid.uuid4())),
        workflow=fields.workflow,
        images=tuple(_image(index, image) for index, image in enumerate(fields.images)),
        overrides=fields.overrides,
        force=fields.force,
        comfy_org_api_key=fields.comfy_org_api_key or None,
        extra_pnginfo=fields.extra_pnginfo,
        output=OutputOptions(
            format=fields.output_format,
            quality=fields.output_quality,
            metadata=fields.metadata,
            delivery=fields.delivery,
            include_temp=fields.include_temp,
        ),
        s3=_s3(fields.s3 or envelope.s3),
        timeout_s=_shorter(fields.timeout_s, envelope.policy.execution_timeout_ms / 1000),
        receipt=fields.receipt,
        timings=fields.timings,
        gpu=fields.gpu or None,
        traceparent=envelope.traceparent or fields.traceparent or None,
        machine_id=fields.machine_id or None,
        deployment=DeploymentSpec(**fields.deployment.model_dump()) if fields.deployment else None,
        report=ReportSpec(**fields.report.model_dump()) if fields.report else None,
        remarks=remarks,
    )


def _image(index: int, image: ImageFields) -> ImageSpec:
    return ImageSpec(
        name=image.name,
        source=image.image,
        field=f"images.{index}",
        max_bytes=image.max_bytes,
        formats=tuple(image.formats) if image.formats else None,
    )


def _s3(given: S3Fields | None) -> S3Config | None:
    return S3Config(**given.model_dump()) if given else None


def _shorter(timeout_s: float | None, policy_s: float) -> float | None:
    return min(filter(None, (timeout_s, policy_s)), default=None)
