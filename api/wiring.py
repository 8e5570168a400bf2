"""The composition root: settings → services. The only file that knows everything."""

import functools
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import __version__, logs
from .comfy_pool import ComfyPool, build_pool
from .deploy_machine import accept
from .errors import InvalidSettings, WorkerError
from .handler import JobHandler
from .ids import InstanceName
from .inputs.addresses import AddressGuard
from .inputs.resolve import InputPolicy, InputResolver, OpenS3
from .jobs.cancel import CancelToken
from .jobs.names import folder_of
from .jobs.placement import LOCAL, Places
from .jobs.ports import Host, Report, Workflow
from .jobs.request import JobRequest, Limits, ReportSpec
from .logs import get_logger
from .outputs.delivery import Delivery
from .outputs.disk import DiskSink
from .outputs.inline import InlineSink
from .outputs.s3 import RequestBuckets, S3Sink
from .pool.cleanup import Cleaner
from .pool.instance import Instance
from .pool.member import Member
from .preflight import Preflight
from .s3 import S3Connection, connect
from .settings import Settings, load_settings
from .tracing import Tracing
from .tracing import connect as connect_tracing
from .workflows.binding import Binder, FileLimits
from .workflows.live_file import LiveFile
from .workflows.naming import names_file
from .workflows.naming_table import Naming
from .workflows.registry import Registry

_NETWORK_VOLUME = Path("/runpod-volume")
_MB = 1_000_000
_LASTING_JOB_MS = 300_000
_LEFTOVER_AFTER_S = 24 * 3600

log = get_logger()


@dataclass(frozen=True)
class Services:
    """What the modes are made of."""

    settings: Settings
    comfy: ComfyPool
    inputs: InputResolver
    handler: JobHandler
    workflows: Registry
    binder: Binder
    places: Places
    names: LiveFile[Naming]
    tracing: Tracing | None = None

    @property
    def instance(self) -> Instance:
        """The first ComfyUI."""
        return self.comfy.roster.members[0].instance

    @property
    def cleaner(self) -> Cleaner:
        """What tidies up in it."""
        return self.comfy.roster.members[0].cleaner

    def close(self) -> None:
        """Finish clean-ups that are under way, then stop the threads and close the sockets."""
        self.comfy.close()
        if self.tracing:
            self.tracing.close()


@functools.cache
def shared_services() -> Services:
    """The services of this process, made from the environment on first use."""
    settings = load_settings()
    logs.configure(settings.log_level, settings.log_format)
    services = build(settings)
    watch_pool(services)
    return services


def build(
    settings: Settings,
    *,
    folder_key: bytes | None = None,
    runs_per_job: int | None = None,
    targets: Collection[str] = (),
) -> Services:
    """Make the services. Connects to nothing yet. Raises InvalidSettings for what only shows in combination.

    `folder_key` makes the names of the jobs' folders in ComfyUI; a mode that follows prompts across its own restarts
    has to keep it. `runs_per_job` takes the place of COMFY_MAX_ATTEMPTS where the mode itself runs jobs again, and
    `targets` are those it runs jobs on beside the ComfyUIs of this worker.
    """
    _prepare_work_dir(settings.work_dir)
    comfy = build_pool(settings, runs_per_job or settings.comfy_max_attempts)
    inputs = _input_resolver(settings)
    places = Places(targets, comfy.roster.labels)
    tracing = _tracing(settings)
    names = names_file(settings.workflow_names)
    workflows = Registry(
        settings.workflows_dir,
        roots=settings.workflow_paths,
        matches=lambda name, known: names.get().matches(name, known),
    )
    binder = Binder(workflows, FileLimits(settings.workflow_max_file_mb * _MB, settings.workflow_image_formats))
    reporting = _reporting(settings)
    handler = JobHandler(
        target=comfy.target,
        resolve_inputs=inputs.resolve,
        delivery=_delivery(settings),
        limits=_limits(settings),
        max_workflow_nodes=settings.max_workflow_nodes,
        workflow_paths=settings.workflow_paths,
        work_dir=settings.work_dir,
        folder_of=functools.partial(folder_of, key=folder_key or secrets.token_bytes(32)),
        comfy_org_api_key=settings.comfy_org_api_key.get_secret_value() if settings.comfy_org_api_key else None,
        timeout_s=time_limit_s(settings, lasting=runs_per_job is not None),
        expand=lambda job: binder.job(accept.job(job)),
        report=lambda request: reporting(request.report),
        report_refused=_reporting_refused(reporting),
        place=places.of,
        # Where jobs wait and may run again, the mode tells of the whole of them.
        trace=(tracing.whole if runs_per_job is None else tracing.run) if tracing else None,
    )
    return Services(settings, comfy, inputs, handler, workflows, binder, places, names, tracing)


def preflight(services: Services, expected_s: Callable[[Workflow], float | None] = lambda _workflow: None) -> Preflight:
    """The check of a job against the ComfyUIs it may run on; `expected_s` says how long it will execute."""
    roster = services.comfy.roster

    def may_run_on(request: JobRequest, name: InstanceName) -> bool:
        placement, member = services.places.of(request), roster.find(name)
        if placement.target != LOCAL or member is None:
            return False
        return placement.label is None or member.goes_by(placement.label)

    return Preflight(
        roster.catalogs,
        services.handler.check,
        expected_s=expected_s,
        max_nodes=services.settings.max_workflow_nodes,
        roots=services.settings.workflow_paths,
        may_run_on=may_run_on,
    )


def watch_pool(services: Services) -> None:
    """Begin to look which of several ComfyUIs are up: jobs go only to those that have shown that they work."""
    if services.comfy.roster.is_several:
        services.comfy.crew.start(functools.partial(warm_up, services))


def get_ready(services: Services) -> None:
    """Wait for ComfyUI and run the warm-up workflow. What fails here is logged; the jobs will tell their callers."""
    preload(services)
    if services.comfy.roster.is_several:
        watch_pool(services)
        if not services.comfy.crew.wait_usable(services.settings.comfy_start_timeout_s):
            log.error("No ComfyUI is ready", error=services.comfy.roster.trouble())
        return
    try:
        services.instance.wait_ready(CancelToken())
    except WorkerError as error:
        log.error("ComfyUI is not ready", code=error.code, error=error.message)
        return
    warm_up(services, services.comfy.roster.members[0])


def preload(services: Services) -> None:
    """Import what would cost the first job time: boto3 takes a third of a second."""
    connection = bucket_connection(services.settings)
    if connection:
        _ = connection.client


def warm_up(services: Services, member: Member) -> None:
    """Run the warm-up workflow, when there is one, on that ComfyUI. What fails is logged."""
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
    there = Host(seat=services.comfy.pool.seat_on(member))
    result = services.handler({"id": "warm-up", "input": {**given, "delivery": "base64"}}, host=there)
    log.info("Warm-up done", instance=member.name, code=result.get("code", "OK"), error=result.get("error"))


def _tracing(settings: Settings) -> Tracing | None:
    return connect_tracing(__version__, f"{socket.gethostname()}-{os.getpid()}") if settings.traces else None


def _prepare_work_dir(work_dir: Path) -> None:
    """Make it, and remove what a killed worker left in it."""
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        for leftover in work_dir.glob("job-*"):
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_AFTER_S:
                shutil.rmtree(leftover, ignore_errors=True)
    except OSError as error:
        raise InvalidSettings(f"WORK_DIR={work_dir} cannot be used: {error.strerror}.") from error


def time_limit_s(settings: Settings, *, lasting: bool) -> float | None:
    """The longest execution. Where jobs last it is the middleware's; elsewhere the platform has one of its own."""
    given = settings.job_timeout
    limit_ms = given if given is not None else (_LASTING_JOB_MS if lasting else 0)
    return limit_ms / 1000 if limit_ms else None


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
            resolve=AddressGuard(settings.input_url_allow_private, settings.input_url_allowed_hosts).addresses,
        ),
        disk=DiskSink(overflow_dir) if overflow_dir else None,
        inline_limit_bytes=inline_limit_bytes(settings),
        default_metadata=settings.output_metadata,
    )


def _bucket(settings: Settings) -> S3Sink | None:
    connection = bucket_connection(settings)
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


def bucket_connection(settings: Settings) -> S3Connection | None:
    """The bucket of the settings; None without one."""
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


def inline_limit_bytes(settings: Settings) -> int | None:
    return int(settings.max_inline_result_mb * _MB) if settings.max_inline_result_mb else None


def _reporting(settings: Settings) -> Callable[[ReportSpec | None], Report | None]:
    """Tells ComfyUI Deploy of those of its runs that this worker does as its machine."""

    def report(spec: ReportSpec | None) -> Report | None:
        if spec is None:
            return None
        from .deploy_machine import report as telling  # few workers are such a machine
        from .deploy_machine.door import Door

        guard = AddressGuard(settings.webhook_allow_private, settings.webhook_allowed_hosts)
        return telling.Report(spec, Door(guard, timeout_s=settings.webhook_timeout_s))

    return report


def _reporting_refused(
    reporting: Callable[[ReportSpec | None], Report | None],
) -> Callable[[object, Mapping[str, Any]], None]:
    """The same for runs that could not even be read."""

    def refused(job: object, result: Mapping[str, Any]) -> None:
        if report := reporting(accept.report_of(job)):
            report.ended(result)

    return refused


def _input_resolver(settings: Settings) -> InputResolver:
    policy = InputPolicy(
        max_file_bytes=settings.max_input_file_mb * _MB,
        max_total_bytes=settings.max_input_total_mb * _MB,
        max_pixels=settings.max_input_pixels,
        urls=settings.input_urls,
        allow_private=settings.input_url_allow_private,
        allowed_hosts=settings.input_url_allowed_hosts,
        timeout_s=settings.input_url_timeout_s,
        total_timeout_s=settings.input_urls_timeout_s,
    )
    connection = bucket_connection(settings)
    return InputResolver(policy, open_s3=_own_bucket_only(connection) if connection else None)


def _own_bucket_only(connection: S3Connection) -> OpenS3:
    def open_s3(bucket: str, key: str) -> Iterator[bytes]:
        connection.check_own(bucket, key)
        return connection.open_object(bucket, key)

    return open_s3
