"""The composition root: settings → services. The only file that knows everything."""

import functools
import json
import shutil
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from . import logs, serverless
from .comfyui.client import ComfyClient
from .comfyui.limits import RunLimits
from .comfyui.process import ComfyProcess
from .comfyui.stream import ComfyStream
from .errors import Detail, InputUrlRefused, InvalidInput, InvalidSettings, WorkerError
from .handler import JobHandler
from .ids import InstanceName
from .inputs.addresses import AddressGuard
from .inputs.resolve import InputPolicy, InputResolver, OpenS3
from .jobs.cancel import CancelToken
from .jobs.request import Limits
from .logs import get_logger
from .outputs.delivery import Delivery
from .outputs.disk import DiskSink
from .outputs.inline import InlineSink
from .outputs.s3 import RequestBuckets, S3Sink
from .pool.cleanup import Cleaner
from .pool.instance import Instance, StartPatience
from .pool.target import ComfyTarget
from .s3 import S3Connection, connect
from .settings import Settings, load_settings

_NETWORK_VOLUME = Path("/runpod-volume")
_MB = 1_000_000
_PROBE_TIMEOUT_S = 10.0
_LEFTOVER_AFTER_S = 24 * 3600

log = get_logger()


@dataclass(frozen=True)
class Services:
    """What the modes are made of."""

    settings: Settings
    instance: Instance
    cleaner: Cleaner
    handler: JobHandler

    def close(self) -> None:
        """Finish clean-ups that are under way, then stop the threads and close the sockets."""
        self.cleaner.close()
        self.instance.close()


def start() -> int:
    """Start the mode the environment asks for. Returns the exit status of a mode that ends by itself."""
    try:
        settings = load_settings()
        logs.configure(settings.log_level, settings.log_format)
        if settings.http_api_mode:
            raise InvalidSettings("HTTP_API_MODE: this version has no HTTP API mode yet; leave it unset.")
        _start_serverless(settings)
    except WorkerError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    return 0


@functools.cache
def shared_services() -> Services:
    """The services of this process, made from the environment on first use."""
    settings = load_settings()
    logs.configure(settings.log_level, settings.log_format)
    return build(settings)


def build(settings: Settings) -> Services:
    """Make the services. Connects to nothing yet. Raises InvalidSettings for what only shows in combination."""
    _prepare_work_dir(settings.work_dir)
    instance = _instance(settings)
    cleaner = Cleaner(instance.client, _visible_root(settings))
    handler = JobHandler(
        target=ComfyTarget(instance, cleaner, _run_limits(settings), settings.comfy_max_attempts),
        resolve_inputs=_input_resolver(settings).resolve,
        delivery=_delivery(settings),
        limits=_limits(settings),
        max_workflow_nodes=settings.max_workflow_nodes,
        workflow_paths=settings.workflow_paths,
        work_dir=settings.work_dir,
        comfy_org_api_key=settings.comfy_org_api_key.get_secret_value() if settings.comfy_org_api_key else None,
        timeout_s=settings.job_timeout / 1000 if settings.job_timeout else None,
    )
    return Services(settings, instance, cleaner, handler)


def _start_serverless(settings: Settings) -> None:
    serverless.prepare_environment(system_checks=settings.runpod_system_checks, log_level=settings.log_level)
    services = build(settings)
    adapter = serverless.ServerlessAdapter(
        services.handler,
        # A worker that is replaced after each job must not have a second one under way.
        concurrency=1 if settings.refresh_worker else settings.worker_concurrency,
        progress_interval_s=settings.progress_interval_s,
        refresh_worker=settings.refresh_worker,
        inline_limit_bytes=_inline_limit_bytes(settings),
        shutdown_grace_s=settings.shutdown_grace_s,
    )
    try:
        serverless.run(adapter, functools.partial(get_ready, services))
    finally:
        services.close()


def get_ready(services: Services) -> None:
    """Wait for ComfyUI and run the warm-up workflow. What fails here is logged; the jobs will tell their callers."""
    connection = _connection(services.settings)
    if connection:
        _ = connection.client  # importing boto3 takes a third of a second: not in the first job
    try:
        services.instance.wait_ready(CancelToken())
    except WorkerError as error:
        log.error("ComfyUI is not ready", code=error.code, error=error.message)
        return
    path = services.settings.warmup_workflow
    if path is None:
        return
    try:
        job = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        log.error("Warm-up workflow cannot be read", path=str(path), error=str(error))
        return
    given = job.get("input") if isinstance(job, dict) else None
    given = given if isinstance(given, dict) else {"workflow": job}
    # Its outputs shall go nowhere, a configured bucket least of all.
    result = services.handler({"id": "warm-up", "input": {**given, "delivery": "base64"}})
    log.info("Warm-up done", code=result.get("code", "OK"), error=result.get("error"))


def _prepare_work_dir(work_dir: Path) -> None:
    """Make it, and remove what a killed worker left in it."""
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        for leftover in work_dir.glob("job-*"):
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_AFTER_S:
                shutil.rmtree(leftover, ignore_errors=True)
    except OSError as error:
        raise InvalidSettings(f"WORK_DIR={work_dir} cannot be used: {error.strerror}.") from error


def _instance(settings: Settings) -> Instance:
    url = settings.comfy_url
    return Instance(
        InstanceName(urlsplit(url).netloc),
        ComfyClient(url, read_timeout_s=settings.comfy_read_timeout_s),
        # One client id per process: a second socket under the same id would take all events.
        ComfyStream(
            url,
            f"worker-{socket.gethostname()}-{uuid.uuid4().hex}",
            reconnect_attempts=settings.websocket_reconnect_attempts,
            reconnect_delay_s=settings.websocket_reconnect_delay_s,
            trace=settings.websocket_trace,
        ),
        ComfyProcess.in_dir(settings.comfy_run_dir),
        StartPatience(
            settings.comfy_api_available_interval_ms / 1000,
            settings.comfy_api_available_max_retries,
            settings.comfy_start_timeout_s,
        ),
    )


def _run_limits(settings: Settings) -> RunLimits:
    return RunLimits(
        probe_timeout_s=min(_PROBE_TIMEOUT_S, settings.comfy_read_timeout_s),
        outage_grace_s=settings.comfy_unreachable_grace_s,
        stall_s=settings.comfy_stall_s,
        stop_grace_s=settings.comfy_cancel_grace_s,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(max_images=settings.max_images, max_input_bytes=settings.max_input_total_mb * _MB)


def _delivery(settings: Settings) -> Delivery:
    overflow_dir = settings.overflow_dir or (_NETWORK_VOLUME / "outputs" if _NETWORK_VOLUME.is_dir() else None)
    return Delivery(
        inline=InlineSink(),
        s3=_bucket(settings),
        s3_factory=RequestBuckets(
            key_template=settings.bucket_key_template,
            url_expiry_s=settings.bucket_url_expiry_s,
            retry_limit_s=settings.bucket_retry_s,
            check_endpoint=functools.partial(_check_endpoint, settings),
        ),
        disk=DiskSink(overflow_dir) if overflow_dir else None,
        inline_limit_bytes=_inline_limit_bytes(settings),
        default_metadata=settings.output_metadata,
    )


def _bucket(settings: Settings) -> S3Sink | None:
    connection = _connection(settings)
    if connection is None:
        return None
    return S3Sink(
        connection,
        key_template=settings.bucket_key_template,
        key_prefix=settings.bucket_key_prefix,
        url_expiry_s=settings.bucket_url_expiry_s,
        public_url=settings.bucket_public_url,
        retry_limit_s=settings.bucket_retry_s,
    )


def _connection(settings: Settings) -> S3Connection | None:
    if not (settings.bucket_endpoint_url and settings.bucket_access_key_id and settings.bucket_secret_access_key):
        return None  # a half configuration was refused with the settings
    return connect(
        settings.bucket_endpoint_url,
        settings.bucket_access_key_id.get_secret_value(),
        settings.bucket_secret_access_key.get_secret_value(),
        settings.bucket_name,
        settings.bucket_region,
        read_timeout_s=settings.bucket_timeout_s,
    )


def _inline_limit_bytes(settings: Settings) -> int | None:
    return int(settings.max_inline_result_mb * _MB) if settings.max_inline_result_mb else None


def _visible_root(settings: Settings) -> Path | None:
    """ComfyUI's folder, when it is that of the ComfyUI jobs run on: one elsewhere keeps its files."""
    here = urlsplit(settings.comfy_url).hostname in {"127.0.0.1", "localhost", "::1"}
    return settings.comfy_root if here and (settings.comfy_root / "output").is_dir() else None


def _input_resolver(settings: Settings) -> InputResolver:
    policy = InputPolicy(
        max_file_bytes=settings.max_input_file_mb * _MB,
        max_total_bytes=settings.max_input_total_mb * _MB,
        max_pixels=settings.max_input_pixels,
        urls=settings.input_urls,
        allow_private=settings.input_url_allow_private,
        allowed_hosts=settings.input_url_allowed_hosts,
        timeout_s=settings.input_url_timeout_s,
    )
    connection = _connection(settings)
    return InputResolver(policy, open_s3=_own_bucket_only(connection) if connection else None)


def _own_bucket_only(connection: S3Connection) -> OpenS3:
    """Objects of the worker's bucket: its key may open others, which no caller shall reach through it."""

    def open_s3(bucket: str, key: str) -> Iterator[bytes]:
        if any(part in {".", ".."} for part in key.split("/")):
            raise InputUrlRefused("an s3 URL may not have . or .. in its key.")
        if bucket != connection.location.bucket:
            raise InputUrlRefused("s3 URLs are taken from the worker's own bucket only; send an http(s) URL instead.")
        return connection.open_object(bucket, key)

    return open_s3


def _check_endpoint(settings: Settings, endpoint: str) -> None:
    """Refuse a request's S3 endpoint on an address that its input URLs may not use either."""
    parts = urlsplit(endpoint)
    guard = AddressGuard(settings.input_url_allow_private, settings.input_url_allowed_hosts)
    try:
        guard.addresses(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    except InputUrlRefused as error:
        message = f"The S3 endpoint of the job cannot be used: {error.message}."
        raise InvalidInput(
            message, [Detail(field="s3.endpoint_url", code="endpoint_refused", message=message)]
        ) from None
    except OSError:
        return  # a name that does not resolve is the upload's to report
