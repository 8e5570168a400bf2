"""The settings of the whole worker: one frozen model, and the only reader of the environment."""

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .errors import Detail, InvalidSettings

Positive = Annotated[int, Field(gt=0)]
PositiveSeconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """Each field is the environment variable of the same name in capitals. An empty variable counts as unset."""

    model_config = SettingsConfigDict(
        frozen=True, case_sensitive=False, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    http_api_mode: bool = Field(False, description="Reserved for the HTTP API; this version refuses it")

    comfy_host: str = Field("127.0.0.1:8188", description="ComfyUI as host:port or URL")
    comfy_run_dir: Path = Field(Path("/tmp"), description="Where start.sh keeps ComfyUI's pid, exit and log files")
    comfy_root: Path = Field(
        Path("/comfyui"), description="ComfyUI's folder; when seen, its files of a job are removed"
    )
    comfy_api_available_interval_ms: Positive = Field(50, description="Pause between two looks whether ComfyUI is up")
    comfy_api_available_max_retries: int = Field(
        0, ge=0, description="Looks before giving up; 0 = while its process lives, 500 where no pid file is"
    )
    comfy_start_timeout_s: PositiveSeconds = Field(600, description="Longest wait for a ComfyUI that is starting")
    comfy_unreachable_grace_s: PositiveSeconds = Field(60, description="How long ComfyUI may be away during a job")
    comfy_read_timeout_s: PositiveSeconds = Field(30, description="Longest wait for an answer of ComfyUI")
    comfy_stall_s: PositiveSeconds = Field(30, description="Silence after which a running prompt is looked into")
    comfy_cancel_grace_s: PositiveSeconds = Field(
        20, description="Time a cancelled prompt has to stop before ComfyUI is restarted"
    )
    comfy_max_attempts: Positive = Field(2, description="Runs of one job when ComfyUI loses the prompt")
    comfy_org_api_key: SecretStr | None = Field(
        None, description="comfy.org key for API nodes; a job may bring its own"
    )

    websocket_reconnect_attempts: int = Field(5, ge=0, description="Reconnects in a row after the socket dropped")
    websocket_reconnect_delay_s: float = Field(3, ge=0, description="Longest pause between two reconnects")
    websocket_trace: bool = Field(False, description="Log every WebSocket frame (headers only)")

    job_timeout: int | None = Field(None, gt=0, description="Longest execution of a job in ms; none = no limit")
    max_images: Positive = Field(100, description="Input files of one job")
    max_input_file_mb: Positive = Field(100, description="Size of one input file")
    max_input_total_mb: Positive = Field(500, description="Size of all input files of a job")
    max_input_pixels: Positive = Field(200_000_000, description="Width × height (× frames) of one input picture")
    max_workflow_nodes: Positive = Field(5000, description="Nodes of one workflow")
    workflow_paths: Annotated[tuple[str, ...], NoDecode] = Field(
        ("/runpod-volume",),
        description="Comma-separated folders whose files custom nodes may be given by absolute path",
    )
    input_urls: bool = Field(True, description="Take http(s) and s3 URLs as input files")
    input_url_allow_private: bool = Field(False, description="Also from private, loopback and link-local addresses")
    input_url_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated host names exempt from the address check"
    )
    input_url_timeout_s: PositiveSeconds = Field(120, description="Longest download of one input URL")

    bucket_endpoint_url: str | None = Field(None, description="S3 endpoint; may hold the bucket as host name or path")
    bucket_access_key_id: SecretStr | None = Field(None, description="S3 access key")
    bucket_secret_access_key: SecretStr | None = Field(None, description="S3 secret key")
    bucket_name: str | None = Field(None, description="Bucket, when the endpoint does not hold it")
    bucket_region: str | None = Field(None, description="Region, when the endpoint does not tell it")
    bucket_timeout_s: PositiveSeconds = Field(20, description="Longest wait for an answer of S3, tried three times")
    bucket_retry_s: float = Field(
        30, ge=0, description="How long a failing upload is repeated before another way is taken"
    )
    bucket_key_prefix: str = Field("", description="Put in front of every object key")
    bucket_key_template: str = Field("{job_id}/{filename}", description="Object key below the prefix")
    bucket_url_expiry_s: Annotated[int, Field(ge=1, le=604_800)] = Field(
        604_800, description="Life of a presigned URL in seconds"
    )
    bucket_public_url: str | None = Field(None, description="Base of public URLs; then nothing is presigned")

    output_metadata: Literal["keep", "strip"] = Field(
        "keep", description="Workflow metadata inside output pictures, unless the job says otherwise"
    )
    max_inline_result_mb: float | None = Field(
        None,
        gt=0,
        description="Largest encoded result; none = RunPod's 10 (/run) and 20 (/runsync), no limit elsewhere",
    )
    overflow_dir: Path | None = Field(
        None, description="Where results too large to inline go; none = the network volume when there is one"
    )
    work_dir: Path = Field(Path("/tmp/comfyui-worker"), description="Scratch space of running jobs")

    worker_concurrency: Positive = Field(
        2, description="Jobs taken at a time from RunPod; 4 when they execute for less than 2 s"
    )
    refresh_worker: bool = Field(False, description="Ask RunPod for a fresh worker after each job")
    runpod_system_checks: bool = Field(False, description="Let the SDK run its network, disk and GPU checks at start")
    progress_interval_s: float = Field(1.0, ge=0, description="Least time between two progress updates; 0 = none sent")
    shutdown_grace_s: PositiveSeconds = Field(
        25, description="Time running jobs have to finish after SIGTERM before they are handed back"
    )
    warmup_workflow: Path | None = Field(None, description="API-format workflow to run before the first job is taken")

    log_level: Literal["debug", "info", "warning", "warn", "error"] = Field("info", description="Least level logged")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto = console on a terminal, else json"
    )

    @field_validator("log_level", "log_format", "output_metadata", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("comfy_host")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        if parts.scheme not in {"http", "https"} or not parts.hostname or not _port_of(parts):
            raise ValueError(f"{value!r} is not host:port or an http(s) URL")
        return value

    @field_validator("input_url_allowed_hosts", "workflow_paths", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _s3_is_whole_or_absent(self) -> "Settings":
        parts = {
            "BUCKET_ENDPOINT_URL": self.bucket_endpoint_url,
            "BUCKET_ACCESS_KEY_ID": self.bucket_access_key_id,
            "BUCKET_SECRET_ACCESS_KEY": self.bucket_secret_access_key,
        }
        missing = [name for name, value in parts.items() if value is None]
        if missing and len(missing) < len(parts):
            raise ValueError(
                f"S3 is configured by half: {', '.join(missing)} missing. Set all three of "
                f"{', '.join(parts)}, or none to return outputs as base64."
            )
        return self

    @property
    def comfy_url(self) -> str:
        """ComfyUI's base URL, without a slash at its end."""
        host = self.comfy_host.strip().rstrip("/")
        return host if "://" in host else f"http://{host}"


def _port_of(parts: SplitResult) -> int | None:
    try:
        return parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None


def load_settings() -> Settings:
    """Read the environment. Raises InvalidSettings naming each variable and what it accepts."""
    try:
        return Settings()
    except ValidationError as error:
        details = [_detail(finding) for finding in error.errors(include_url=False, include_context=False)]
        lines = "; ".join(detail["message"] for detail in details)
        raise InvalidSettings(f"The environment cannot be used: {lines}", details) from None


def _detail(finding: Any) -> Detail:
    text = finding["msg"].removeprefix("Value error, ")
    if not finding["loc"]:
        return Detail(message=text, code="invalid_setting")
    name = str(finding["loc"][0]).upper()
    return Detail(field=name, message=f"{name}: {text}", code="invalid_setting")


def table(settings: Settings) -> list[tuple[str, str, str, str]]:
    """Rows of (variable, effective value, default, meaning); secrets are masked."""
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        rows.append((name.upper(), shown(value), shown(field.default), field.description or ""))
    return rows


def shown(value: Any) -> str:
    """A setting's value as an operator would write it; a secret as asterisks."""
    if value is None or value in ("", ()):
        return "–"
    if isinstance(value, SecretStr):
        return "********"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
