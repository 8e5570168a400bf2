"""The fields of a job as they arrive, as pydantic models. Lenient in spelling, strict in meaning."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from .json_value import NOT_TEXT, PlainCopier, encodable
from .names import fault_of_name
from .quoting import quote

# RunPod's longest and shortest execution time.
_MAX_TIMEOUT_S = 7 * 24 * 3600
_MIN_POLICY_MS = 5000
# PNG's own limits for the keyword of a text chunk, which each key becomes.
_MAX_KEYWORD = 79


def _file_name(name: str) -> str:
    if fault := fault_of_name(name):
        raise PydanticCustomError("invalid_name", "{reason}", {"reason": f"({quote(name)}) {fault}"})
    return name


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _no_flag(kind: Literal["int_type", "float_type"]) -> BeforeValidator:
    """Refuses true and false, which pydantic takes for 1 and 0."""

    def check(value: Any) -> Any:
        if isinstance(value, bool):
            raise PydanticKnownError(kind)
        return value

    return BeforeValidator(check)


def _format_name(value: Any) -> Any:
    return {"jpg": "jpeg"}.get(value, value) if isinstance(value := _lower(value), str) else value


def _pnginfo(value: dict[str, Any]) -> dict[str, Any]:
    copier = PlainCopier()
    copied: dict[str, Any] = copier.copy(value)
    for flaw in copier.flaws[:1]:
        place = ".".join(flaw.path)
        raise PydanticCustomError(flaw.code, "{reason}", {"reason": f"at {place!r} {flaw.message}"})
    for key in copied:
        if not (0 < len(key) <= _MAX_KEYWORD and key.isprintable() and ord(max(key)) < 256):
            reason = f"has the key {quote(key)}, which a PNG cannot hold: use 1 to {_MAX_KEYWORD} Latin letters"
            raise PydanticCustomError("invalid_key", "{reason}", {"reason": reason})
    return copied


def _sound(value: str) -> str:
    if not encodable(value):
        raise PydanticCustomError("invalid_text", NOT_TEXT)
    return value


def _job_id(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 64:
        return str(value)
    if isinstance(value, str) and not value.isprintable():
        raise PydanticCustomError("invalid_id", "must hold no control characters")
    return value


def _as_runpods(limit_ms: float) -> float:
    if 0 < limit_ms < _MIN_POLICY_MS:
        reason = f"is in ms, and must be 0 or {_MIN_POLICY_MS} at least; timeout_s in the input may be shorter"
        raise PydanticCustomError("out_of_range", "{reason}", {"reason": reason})
    return limit_ms


Sound = Annotated[str, AfterValidator(_sound)]
Text = Annotated[str, Field(min_length=1), AfterValidator(_sound)]
JobIdText = Annotated[str, Field(max_length=256), BeforeValidator(_job_id)]
FileName = Annotated[str, AfterValidator(_file_name)]
OutputFormat = Annotated[Literal["png", "jpeg", "webp"], BeforeValidator(_format_name)]
Choice = BeforeValidator(_lower)
Known = Annotated[Sound, Field(max_length=200)]


class Fields(BaseModel):
    """Unknown keys are ignored, as the RunPod worker does; null is the same as absent."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value


class ImageFields(Fields):
    """An entry of `images`. `formats` (png, jpeg, mp4 …) are those its content may have, `max_bytes` its size."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "input.png", "image": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA"}}
    )
    name: FileName = Field(description="What nodes of the workflow call it; may have a subfolder")
    image: Text = Field(description="Base64, a data URI, an http(s) or s3:// URL, or the ref of an upload")
    max_bytes: Annotated[int, Field(gt=0), _no_flag("int_type")] | None = Field(
        None, description="Refused when larger; none = MAX_INPUT_FILE_MB"
    )
    formats: Annotated[list[Sound], Field(min_length=1)] | None = Field(
        None, description="Formats its content may have, e.g. png, jpeg, mp4; none = any a loader takes"
    )


class S3Fields(Fields):
    """A bucket of the caller's own; in our spelling or in RunPod's."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "endpoint_url": "https://s3.eu-central-1.amazonaws.com",
                "access_key_id": "AKIAIOSFODNN7EXAMPLE",
                "secret_access_key": "secret",
                "bucket_name": "pictures",
            }
        }
    )
    endpoint_url: Text = Field(
        validation_alias=AliasChoices("endpoint_url", "endpointUrl"),
        description="Where the service is; may hold the bucket as host name or path. Also `endpointUrl`",
    )
    access_key_id: Text = Field(
        validation_alias=AliasChoices("access_key_id", "accessId"), description="Its access key. Also `accessId`"
    )
    secret_access_key: Text = Field(
        validation_alias=AliasChoices("secret_access_key", "accessSecret"),
        description="Its secret key. Also `accessSecret`",
    )
    bucket_name: Sound | None = Field(
        None,
        validation_alias=AliasChoices("bucket_name", "bucketName"),
        description="The bucket, when the endpoint does not hold it. Also `bucketName`",
    )
    region: Sound | None = Field(None, description="Its region, when the endpoint does not tell it")
    prefix: Sound | None = Field(None, description="Put in front of the keys of the job's files")


class PolicyFields(Fields):
    """What the worker needs of RunPod's `policy`."""

    model_config = ConfigDict(json_schema_extra={"example": {"executionTimeout": 600_000}})
    execution_timeout_ms: Annotated[
        float,
        Field(ge=0, le=_MAX_TIMEOUT_S * 1000, allow_inf_nan=False),
        _no_flag("float_type"),
        AfterValidator(_as_runpods),
    ] = Field(
        0, validation_alias="executionTimeout", description="Longest execution in ms, 5000 at least; 0 = JOB_TIMEOUT"
    )


class EnvelopeFields(Fields):
    """What stands beside `input` in a job."""

    id: JobIdText = ""
    policy: PolicyFields = PolicyFields()
    s3: S3Fields | None = Field(None, validation_alias="s3Config")
    traceparent: Known = ""


class DeploymentFields(Fields):
    """What ComfyUI Deploy is to run: a deployment, or a workflow by id, by one of its versions or by name."""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "text2img", "inputs": {"prompt": "a cat"}}})
    deployment_id: Known = Field("", description="A deployment; or one of the next three")
    workflow_id: Known = Field("", description="A workflow, in its newest version")
    workflow_version_id: Known = Field("", description="One version of a workflow")
    name: Known = Field("", description="A workflow by its name, as /api/deploy/workflows lists it")
    inputs: dict[str, Any] = Field({}, description="Values of its inputs, by their names")
    machine_id: Known = Field("", description="The machine it is to run on; none = the deployment's own")
    gpu: Known = Field("", description="A GPU in ComfyUI Deploy's words, such as T4 or A10G")

    @model_validator(mode="after")
    def _names_one(self) -> "DeploymentFields":
        if sum(map(bool, (self.deployment_id, self.workflow_id, self.workflow_version_id, self.name))) != 1:
            reason = "needs one of deployment_id, workflow_id, workflow_version_id and name"
            raise PydanticCustomError("one_of", "{reason}", {"reason": reason})
        return self


class ReportFields(Fields):
    """Where ComfyUI Deploy is told of a run that it has this worker do, as its machine."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "run_id": "36dd538d-c13b-437b-94e1-c2efa3d87543",
                "status_url": "https://api.comfydeploy.com/api/update-run",
                "upload_url": "https://api.comfydeploy.com/api/file-upload",
            }
        }
    )
    run_id: Annotated[Text, Field(max_length=200)] = Field(description="The run's id over there")
    status_url: Annotated[Text, Field(max_length=2048)] = Field(description="Is told how the run stands")
    upload_url: Annotated[Sound, Field(max_length=2048)] = Field("", description="Gives places for its files")
    token: Annotated[Sound, Field(max_length=8192)] = Field("", description="Sent to both as Bearer")
    gpu_event_id: Annotated[Sound, Field(max_length=200)] | None = Field(None, description="Handed back as it is")


class InputFields(Fields):
    """The job's `input`."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "workflow": {"6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["4", 1]}}},
                "images": [{"name": "input.png", "image": "https://example.com/input.png"}],
                "overrides": {"6.text": "a dog"},
            }
        }
    )
    # Its keys and nodes are checked as a graph, with node ids in the findings.
    workflow: dict[Any, Any] = Field(
        validation_alias=AliasChoices("workflow", "prompt"),
        description="The workflow in API format: nodes by their ids. Also `prompt`",
    )
    images: list[ImageFields] = Field([], description="Input files, which its nodes name")
    overrides: dict[str, Any] = Field(
        {}, description='Inputs to replace, by node id or title: {"6.text": "a cat", "My sampler.seed": 7}'
    )
    force: bool = Field(False, description="Render even what ComfyUI has cached")
    comfy_org_api_key: Sound | None = Field(
        None,
        validation_alias=AliasChoices("comfy_org_api_key", "api_key_comfy_org"),
        description="comfy.org key for API nodes; none = COMFY_ORG_API_KEY. Also `api_key_comfy_org`",
    )
    extra_pnginfo: Annotated[dict[str, Any], AfterValidator(_pnginfo)] = Field(
        {}, description="Passed on to nodes that write metadata into pictures"
    )
    output_format: OutputFormat | None = Field(None, description="Turn output pictures into it; none = as they are")
    output_quality: Annotated[int, Field(ge=1, le=100), _no_flag("int_type")] = Field(
        90, description="Of `output_format`, where it is jpeg or webp"
    )
    metadata: Annotated[Literal["keep", "strip"], Choice] | None = Field(
        None, description="The workflow inside output pictures; none = OUTPUT_METADATA"
    )
    delivery: Annotated[Literal["base64", "s3"], Choice] | None = Field(
        None, description="How outputs are delivered; none = s3 where a bucket is set, else base64"
    )
    include_temp: bool = Field(False, description="Deliver previews when the workflow saves nothing else")
    s3: S3Fields | None = Field(None, description="A bucket for this job's outputs")
    timeout_s: Annotated[float, Field(gt=0, le=_MAX_TIMEOUT_S, allow_inf_nan=False), _no_flag("float_type")] | None = (
        Field(None, description="Longest execution in s, without the wait for other jobs; none = JOB_TIMEOUT")
    )
    receipt: bool = Field(False, description="Tell with the result how it was made, and how to make it again")
    timings: bool = Field(False, description="Tell with the result the seconds of each stage")
    previews: bool = Field(False, description="Without effect: pictures come to readers who ask for them")
    traceparent: Known = Field("", description="W3C's, of the span this job belongs to; one that is none is ignored")
    # Which there are changes while the worker runs.
    gpu: Annotated[Sound, Field(max_length=100), Choice] = Field(
        "", description="Where it runs: local, the name of a remote target, or the label of a ComfyUI; none = anywhere"
    )
    machine_id: Annotated[Sound, Field(max_length=100)] = Field(
        "", description="The same for ROUTING_FILE: a machine of ComfyUI Deploy, or the name of a ComfyUI"
    )
    deployment: DeploymentFields | None = Field(
        None, description="What ComfyUI Deploy is to run in place of a workflow here"
    )
    report: ReportFields | None = Field(None, description="Where ComfyUI Deploy is told of it, when it is its run")
