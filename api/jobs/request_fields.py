"""The fields of a job as they arrive, as pydantic models. Lenient in spelling, strict in meaning."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from .json_value import NOT_TEXT, PlainCopier, encodable
from .names import fault_of_name
from .quoting import quote

# RunPod's longest execution time.
_MAX_TIMEOUT_S = 7 * 24 * 3600
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
    name: FileName
    image: Text
    max_bytes: Annotated[int, Field(gt=0), _no_flag("int_type")] | None = None
    formats: Annotated[list[Sound], Field(min_length=1)] | None = None


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
    endpoint_url: Text = Field(validation_alias=AliasChoices("endpoint_url", "endpointUrl"))
    access_key_id: Text = Field(validation_alias=AliasChoices("access_key_id", "accessId"))
    secret_access_key: Text = Field(validation_alias=AliasChoices("secret_access_key", "accessSecret"))
    bucket_name: Sound | None = Field(None, validation_alias=AliasChoices("bucket_name", "bucketName"))
    region: Sound | None = None
    prefix: Sound | None = None


class PolicyFields(Fields):
    """What the worker needs of RunPod's `policy`. 0 is no limit."""

    model_config = ConfigDict(json_schema_extra={"example": {"executionTimeout": 600_000}})
    execution_timeout_ms: Annotated[
        float, Field(ge=0, le=_MAX_TIMEOUT_S * 1000, allow_inf_nan=False), _no_flag("float_type")
    ] = Field(0, validation_alias="executionTimeout")


class EnvelopeFields(Fields):
    """What stands beside `input` in a job."""

    id: JobIdText = ""
    policy: PolicyFields = PolicyFields()
    s3: S3Fields | None = Field(None, validation_alias="s3Config")
    traceparent: Known = ""


class DeploymentFields(Fields):
    """What ComfyUI Deploy is to run: a deployment, or a workflow by id, by one of its versions or by name."""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "text2img", "inputs": {"prompt": "a cat"}}})
    deployment_id: Known = ""
    workflow_id: Known = ""
    workflow_version_id: Known = ""
    name: Known = ""
    inputs: dict[str, Any] = {}
    machine_id: Known = ""
    # A GPU in its words, such as T4 or A10G.
    gpu: Known = ""

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
    run_id: Annotated[Text, Field(max_length=200)]
    status_url: Annotated[Text, Field(max_length=2048)]
    upload_url: Annotated[Sound, Field(max_length=2048)] = ""
    token: Annotated[Sound, Field(max_length=8192)] = ""
    gpu_event_id: Annotated[Sound, Field(max_length=200)] | None = None


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
    workflow: dict[Any, Any] = Field(validation_alias=AliasChoices("workflow", "prompt"))
    images: list[ImageFields] = []
    overrides: dict[str, Any] = {}
    force: bool = False
    comfy_org_api_key: Sound | None = Field(
        None, validation_alias=AliasChoices("comfy_org_api_key", "api_key_comfy_org")
    )
    extra_pnginfo: Annotated[dict[str, Any], AfterValidator(_pnginfo)] = {}
    output_format: OutputFormat | None = None
    output_quality: Annotated[int, Field(ge=1, le=100), _no_flag("int_type")] = 90
    metadata: Annotated[Literal["keep", "strip"], Choice] | None = None
    delivery: Annotated[Literal["base64", "s3"], Choice] | None = None
    include_temp: bool = False
    s3: S3Fields | None = None
    timeout_s: Annotated[float, Field(gt=0, le=_MAX_TIMEOUT_S, allow_inf_nan=False), _no_flag("float_type")] | None = (
        None
    )
    receipt: bool = False
    timings: bool = False
    previews: bool = False
    # A target, or the label of a ComfyUI: which there are changes while the worker runs.
    # W3C's, of the span this job belongs to; one that is none is left aside.
    traceparent: Known = ""
    gpu: Annotated[Sound, Field(max_length=100), Choice] = ""
    # The same, where the rules of routing let it be said: a machine of ComfyUI Deploy, or the name of a ComfyUI.
    machine_id: Annotated[Sound, Field(max_length=100)] = ""
    # Runs there instead of a workflow here.
    deployment: DeploymentFields | None = None
    # What a run of ComfyUI Deploy brings along when this worker is its machine.
    report: ReportFields | None = None
