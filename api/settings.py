"""The settings of the whole worker: one frozen model, and the only reader of the environment."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .comfy_address import ComfyAddress, parse_addresses
from .comfy_settings import ComfySettings
from .deploy_settings import DeploySettings
from .errors import Detail, InvalidSettings
from .remote_settings import RemoteSettings
from .routing_settings import RoutingSettings
from .setting_texts import parts, shown, signing_keys
from .tracing_settings import TracingSettings

Positive = Annotated[int, Field(gt=0)]
PositiveSeconds = Annotated[float, Field(gt=0)]
PictureFormat = Literal["png", "jpeg", "webp", "gif", "bmp", "tiff", "avif"]
_WORKFLOW_MB = 34


class Settings(ComfySettings, DeploySettings, RemoteSettings, RoutingSettings, TracingSettings, BaseSettings):
    """Each field is the environment variable of the same name in capitals. An empty variable counts as unset."""

    model_config = SettingsConfigDict(
        frozen=True,
        case_sensitive=False,
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    http_api_mode: bool = Field(False, description="Serve the HTTP API instead of taking jobs from RunPod")
    api_host: str = Field("0.0.0.0", description="Address the HTTP API listens on")  # noqa: S104  the seed's default
    api_port: int = Field(
        8000,
        ge=0,
        le=65535,
        validation_alias=AliasChoices("api_port", "port"),
        description="Port of the HTTP API, also as PORT; 0 = any free one, told in the log",
    )
    sqlite_db_path: Path = Field(Path("/tmp/comfyui_jobs.db"), description="Job database, made when it is not there")
    database_url: SecretStr | None = Field(
        None, description="PostgreSQL for several workers on one queue (postgresql://…), instead of SQLite"
    )
    spool_dir: Path | None = Field(
        None, description="The jobs' files; none = beside SQLITE_DB_PATH. Workers on one queue share it"
    )
    max_queue_size: Positive = Field(1000, description="Jobs that may wait; more are answered with 429")
    job_max_attempts: Positive = Field(3, description="Runs of a job in which ComfyUI dies before it is given up")
    job_lost_after_s: PositiveSeconds = Field(60, description="Silence after which a running job's worker is gone")
    job_retention_hours: PositiveSeconds = Field(24, description="Age at which ended jobs and their files are removed")
    job_cleanup_interval_s: PositiveSeconds = Field(3600, description="Pause between two such clean-ups")
    job_cleanup_interval: Positive | None = Field(None, description="The same in ms; it goes before")
    job_processing_interval: Positive = Field(
        1000, description="Pause in ms between two looks for jobs that nobody has announced"
    )
    metrics_file_path: Path | None = Field(
        None, description="JSON file the metrics of jobs are kept in; none = the job database"
    )
    metrics_save_interval: Positive = Field(
        300_000, description="Pause in ms between two savings of them; a crash loses what was counted since"
    )
    output_files: bool = Field(False, description="Keep a copy of every output, whatever becomes of its job")
    output_dir: Path = Field(Path("output"), description="Where those copies go, by day and job")
    min_free_disk_mb: int = Field(500, ge=0, description="Space new jobs leave to running ones; below it: 507")
    api_key: SecretStr | None = Field(
        None, description="Key that opens the API; several, separated by a comma. None: everybody may use it"
    )
    admin_api_key: SecretStr | None = Field(
        None, description="Key for /admin and /stats, and for all else; none = API_KEY opens them"
    )
    rate_limit: str | None = Field(None, description="Requests of one key or address, like 100/minute; none = no limit")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated origins whose web pages may use the API (https://app.example.com, or *)"
    )
    max_body_mb: Positive | None = Field(
        None, description="Largest request body; none = what MAX_INPUT_TOTAL_MB takes as base64"
    )
    forwarded_allow_ips: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1", "::1"),
        description="Comma-separated addresses or networks of proxies whose X-Forwarded-For and -Proto are believed",
    )

    management_api_port: int | None = Field(
        None, ge=0, le=65535, description="A second port on which the same API answers; none = API_PORT only"
    )
    management_api_host: str | None = Field(None, description="Address of that port; none = API_HOST")
    management_api_key: SecretStr | None = Field(None, description="Further keys like those of API_KEY")
    management_rate_limit: str | None = Field(
        "100/minute", description="Requests of one address below /v1, like 100/minute; off = no limit"
    )
    job_ageing_s: PositiveSeconds = Field(
        3600, description="How much later a job may come and still overtake one of the next lower priority"
    )
    comfyui_outputs: Path | None = Field(
        None, description="A folder whose files are listed with the jobs' outputs, like ComfyUI's output; none = none"
    )
    comfyui_models_checkpoints: Path | None = Field(
        None, description="Folder of checkpoints; none = those in COMFY_ROOT and on the network volume. So are the next"
    )
    comfyui_models_loras: Path | None = Field(None, description="Folder of LoRAs")
    comfyui_models_vae: Path | None = Field(None, description="Folder of VAEs")
    comfyui_models_controlnet: Path | None = Field(None, description="Folder of ControlNets")
    comfyui_models_upscale: Path | None = Field(None, description="Folder of upscale models")
    model_download_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        ("huggingface.co", "*.huggingface.co", "*.hf.co"),
        description="Comma-separated hosts models may be fetched from, redirects included: host, host:port or *.domain",
    )
    model_download_max_gb: PositiveSeconds = Field(100, description="Size of one model file")
    model_download_pickles: bool = Field(
        False, description="Also fetch .ckpt, .pt, .pth and .bin, which may run code when they are loaded"
    )
    hf_endpoint: str = Field("https://huggingface.co", description="Where Hugging Face, or a mirror of it, is")
    hf_token: SecretStr | None = Field(None, description="Hugging Face token, sent to HF_ENDPOINT only")

    comfy_host: str = Field(
        "127.0.0.1:8188",
        description="ComfyUIs, comma-separated: host:port or URL, each with ;label=… and ;weight=… where wanted",
    )
    comfyui_use_ssl: bool = Field(False, description="https for the addresses in COMFY_HOST that have no scheme")
    max_concurrent_jobs: Positive | None = Field(
        None, description="Jobs in hand at once, over all ComfyUIs; none = what keeps all of them busy"
    )
    max_jobs_per_instance: Positive = Field(
        2, description="Jobs given to one ComfyUI at a time: one executes, the others wait behind it"
    )
    max_connections_per_instance: Positive = Field(16, description="HTTP connections kept open to one ComfyUI")
    comfy_canary: bool | None = Field(
        None, description="Have a ComfyUI run a small prompt before it gets jobs; none = where there are several"
    )
    comfy_probe_interval_s: PositiveSeconds = Field(1, description="Pause between two looks at a silent ComfyUI")
    comfy_probe_timeout_s: PositiveSeconds = Field(5, description="Longest wait for the answer to such a look")
    comfy_breaker_failures: Positive = Field(
        3, description="Failed looks, or lost runs, in a row after which a ComfyUI gets no more jobs"
    )
    comfy_breaker_open_s: PositiveSeconds = Field(
        10, description="Pause before one that loses its runs is tried again; doubles up to ten times as long"
    )
    comfy_run_dir: Path = Field(
        Path("/tmp/comfyui-run"), description="Where start.sh keeps ComfyUI's pid, exit and log files"
    )
    comfy_root: Path = Field(
        Path("/comfyui"), description="ComfyUI's folder; when seen, its files of a job are removed"
    )
    comfy_api_available_interval_ms: Positive = Field(50, description="Pause between two looks whether ComfyUI is up")
    comfy_api_available_max_retries: int = Field(
        0, ge=0, description="Looks before giving up; 0 = while its process lives, 500 where no pid file is"
    )
    comfy_start_timeout_s: PositiveSeconds = Field(600, description="Longest wait for a ComfyUI that is starting")
    comfy_unreachable_grace_s: PositiveSeconds = Field(60, description="How long ComfyUI may be away during a job")
    comfy_read_timeout_s: PositiveSeconds = Field(
        30,
        validation_alias=AliasChoices("comfy_read_timeout_s", "comfy_timeout"),
        description="Longest wait for an answer of ComfyUI; also as COMFY_TIMEOUT",
    )
    comfy_stall_s: PositiveSeconds = Field(30, description="Silence after which a running prompt is looked into")
    comfy_silence_limit_s: PositiveSeconds | None = Field(
        None, description="Silence after which a running prompt counts as stuck; none = only on evidence"
    )
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

    job_timeout: int | None = Field(None, ge=0, description="Longest run in ms, 0 = any; 300000 in HTTP API mode")
    max_images: Positive = Field(100, description="Input files of one job")
    max_input_file_mb: Positive = Field(100, description="Size of one input file")
    max_upload_mb: Positive | None = Field(
        None, description="Size of one file sent to /uploads; none = MAX_INPUT_FILE_MB"
    )
    upload_retention_hours: PositiveSeconds = Field(
        24, description="Age since its last use at which an upload is removed"
    )
    max_input_total_mb: Positive = Field(500, description="Size of all input files of a job")
    max_input_pixels: Positive = Field(200_000_000, description="Width × height (× frames) of one input picture")
    max_workflow_nodes: Positive = Field(5000, description="Nodes of one workflow")
    workflow_paths: Annotated[tuple[str, ...], NoDecode] = Field(
        ("/runpod-volume",),
        description="Comma-separated folders whose files custom nodes may be given by absolute path",
    )
    workflows_dir: Path | None = Field(
        None, description="Folder of named workflows, each a folder or file; over the built-in ones of the same name"
    )
    workflow_max_file_mb: Positive = Field(10, description="Size of one file sent to a named workflow")
    workflow_image_formats: Annotated[tuple[PictureFormat, ...], NoDecode] = Field(
        ("png", "jpeg", "webp"), description="Comma-separated formats of pictures that named workflows take"
    )
    workflow_wait_s: PositiveSeconds = Field(
        120, description="Longest wait of a call for a named workflow's result; then it is answered with the job's id"
    )
    input_urls: bool = Field(True, description="Take http(s) and s3 URLs as input files")
    input_url_allow_private: bool = Field(False, description="Also from private, loopback and link-local addresses")
    input_url_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated hosts exempt from the address check: host (ports 80 and 443), host:port or host:*",
    )
    input_url_timeout_s: PositiveSeconds = Field(120, description="Longest download of one input URL")
    input_urls_timeout_s: PositiveSeconds = Field(300, description="Longest download of all input URLs of a job")

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

    worker_concurrency: Positive | None = Field(
        None, description="Jobs taken at a time from RunPod; none = 2, and 4 while they execute for less than 2 s"
    )
    refresh_worker: bool = Field(False, description="Ask RunPod for a fresh worker after each job")
    runpod_system_checks: bool = Field(False, description="Let the SDK run its network, disk and GPU checks at start")
    progress_interval_s: float = Field(1.0, ge=0, description="Least time between two progress updates; 0 = none sent")
    shutdown_grace_s: PositiveSeconds = Field(
        25, description="Time running jobs have to finish after SIGTERM before they are handed back"
    )
    warmup_workflow: Path | None = Field(None, description="API-format workflow to run before the first job is taken")

    webhook_secret: SecretStr | None = Field(
        None, description="Signs webhooks: whsec_… or any text; several, separated by a comma, while they are changed"
    )
    webhook_allow_private: bool = Field(False, description="Also send webhooks to private and loopback addresses")
    webhook_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated hosts webhooks may go to whatever their address"
    )
    webhook_timeout_s: PositiveSeconds = Field(15, description="Longest try to send a webhook")

    error_log_tail: bool = Field(True, description="Quote ComfyUI's log in errors; other jobs' lines may be among it")
    log_level: Literal["debug", "info", "warning", "warn", "error"] = Field("info", description="Least level logged")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto = console on a terminal, else json"
    )

    @field_validator("log_level", "log_format", "output_metadata", "comfy_gallery_generated", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("comfy_host", "comfyui_host")
    @classmethod
    def _addresses(cls, value: str | None) -> str | None:
        if value is not None:
            parse_addresses(value)
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _keys_are_whole(cls, value: SecretStr | None) -> SecretStr | None:
        signing_keys(value)
        return value

    @field_validator("api_key", "admin_api_key", "management_api_key")
    @classmethod
    def _can_be_sent(cls, value: SecretStr | None) -> SecretStr | None:
        keys = parts(value.get_secret_value()) if value else ()
        if value and not keys:
            raise ValueError("holds no key: leave it unset, or everybody would be let in by mistake")
        if not all(key.isascii() and key.isprintable() and " " not in key for key in keys):
            raise ValueError("a key is made of printable ASCII characters without spaces, or it cannot be sent")
        return value

    @field_validator("management_rate_limit", "comfy_view_rate", mode="before")
    @classmethod
    def _may_be_off(cls, value: Any) -> Any:
        return None if isinstance(value, str) and value.strip().lower() == "off" else value

    @field_validator("rate_limit", "management_rate_limit", "comfy_view_rate")
    @classmethod
    def _is_rate(cls, value: str | None) -> str | None:
        if value is not None:
            from limits import parse  # only where a limit is set: it takes a tenth of a second

            parse(value)
        return value

    @field_validator(
        "input_url_allowed_hosts",
        "workflow_paths",
        "workflow_image_formats",
        "webhook_allowed_hosts",
        "cors_origins",
        "forwarded_allow_ips",
        "model_download_hosts",
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return parts(value) if isinstance(value, str) else value

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
    def comfy_addresses(self) -> tuple[ComfyAddress, ...]:
        """The ComfyUIs of COMFY_HOST, or else of COMFYUI_HOST."""
        text = self.comfy_host if "comfy_host" in self.model_fields_set else self.comfyui_host or self.comfy_host
        return parse_addresses(text, use_ssl=self.comfyui_use_ssl)

    @property
    def comfy_url(self) -> str:
        """The first ComfyUI's base URL, without a slash at its end."""
        return self.comfy_addresses[0].url

    @property
    def api_keys(self) -> tuple[str, ...]:
        """The keys of API_KEY and MANAGEMENT_API_KEY."""
        secrets = (self.api_key, self.management_api_key)
        return tuple(key for secret in secrets if secret for key in parts(secret.get_secret_value()))

    @property
    def cleanup_interval_s(self) -> float:
        """Pause between two clean-ups, by whichever name it was given."""
        return self.job_cleanup_interval / 1000 if self.job_cleanup_interval else self.job_cleanup_interval_s

    @property
    def max_upload_bytes(self) -> int:
        """Largest file that is taken at /uploads."""
        return (self.max_upload_mb or self.max_input_file_mb) * 1_000_000

    @property
    def max_body_bytes(self) -> int:
        """Room for the largest input as base64 and the workflow beside it, unless MAX_BODY_MB says otherwise."""
        return (self.max_body_mb or self.max_input_total_mb * 4 // 3 + _WORKFLOW_MB) * 1_000_000

    @property
    def webhook_keys(self) -> tuple[bytes, ...]:
        """The keys of WEBHOOK_SECRET."""
        return signing_keys(self.webhook_secret)


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
    # Those of the other areas come behind.
    for name, field in sorted(Settings.model_fields.items(), key=lambda item: item[0] not in Settings.__annotations__):
        value = getattr(settings, name)
        rows.append((name.upper(), shown(value), shown(field.default), field.description or ""))
    return rows
