"""The HTTP API mode put together: job layer → routes → server."""

import os
import threading
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, FastAPI

from . import __version__, management, server
from .errors import WorkerError
from .gallery_layer import GalleryLayer, build_gallery
from .gpu import SystemStats
from .job_layer import JobLayer, build_job_layer
from .jobs.job import Status
from .jobs.watching import Watch
from .logs import get_logger
from .management import ManagementLayer, build_management
from .routes import (
    admin,
    api_jobs,
    deliveries,
    docs,
    events,
    instances,
    jobs,
    metrics_json,
    named,
    named_view,
    outputs,
    page,
    queueing,
    runpod,
    runpod_job,
    sockets,
    uploads,
    validation,
)
from .routes.auth import Guard
from .routes.dialects import job_stats
from .routes.errors import RUNPOD
from .routes.late import LateRoutes
from .routes.limits import Rate
from .routes.links import OutputLinks
from .routes.metrics_json import ProcessorFacts
from .routes.paths import (
    COMFY_PREFIX,
    COMFY_VIEW,
    DEPLOY_MACHINE_PREFIX,
    DEPLOY_OPERATOR_PATHS,
    DEPLOY_PREFIX,
    DEPLOY_WEBHOOK,
    DEPLOY_WEBHOOK_BYTES,
)
from .routes.probes import HealthFacts, Probes
from .settings import Settings
from .workflows.named import NamedWorkflow

log = get_logger()

_OPERATOR_PATHS = (
    *("/admin", "/stats", "/queue/pause", "/queue/resume", "/queue/move", "/queue/clear", "/webhooks"),
    *api_jobs.OPERATOR_PATHS,
    *metrics_json.OPERATOR_PATHS,
    *management.OPERATOR_PATHS,
    *DEPLOY_OPERATOR_PATHS,
)
_BODIES = {RUNPOD: runpod_job.webhook_body}


def serve(settings: Settings) -> int:
    """Serve until a signal says stop; the exit status. Raises InvalidSettings, StoreUnavailable."""
    layer = build_job_layer(settings, _BODIES)
    stopping = threading.Event()
    drained = threading.Event()

    managed = build_management(layer, lambda: _instances(layer), lambda: _system_stats(layer), __version__)
    gallery = build_gallery(layer)
    app = create_app(layer, stopping, managed, gallery)

    def start(_url: str) -> None:
        layer.start()
        managed.start()
        gallery.start()
        threading.Thread(target=_make_late_routes, args=(app,), name="late-routes", daemon=True).start()

    def stop() -> None:
        if layer.drain(settings.shutdown_grace_s):
            drained.set()
        managed.stop()
        gallery.stop()

    try:
        server.serve(
            app,
            *_listens(settings),
            stopping=stopping,
            on_stop=stop,
            started=start,
            forwarded_allow_ips=settings.forwarded_allow_ips,
        )
    finally:
        if stopping.is_set() and not drained.is_set():
            # Threads still follow prompts whose jobs have been handed back. They must not tidy up after themselves:
            # whoever takes the jobs needs what lies in ComfyUI.
            layer.database.close()
            os._exit(0)
        layer.close()
    return 0


def _make_late_routes(app: FastAPI) -> None:
    """Before anybody asks for them, and after those who need only the others are answered."""
    for route in app.router.routes:
        if isinstance(route, LateRoutes):
            route.routers()


def create_app(layer: JobLayer, stopping: threading.Event, managed: ManagementLayer, gallery: GalleryLayer) -> FastAPI:
    """The app over a job layer. `stopping` is set when the worker is to be given no more work."""
    settings = layer.settings
    admin_key = settings.admin_api_key.get_secret_value() if settings.admin_api_key else None
    guard = Guard(
        settings.api_keys,
        admin_key,
        allowed_origins=settings.cors_origins,
        operator_paths=_OPERATOR_PATHS,
        late_paths=(*sockets.LATE_PATHS, *management.LATE_PATHS),
        open_below=(*docs.OPEN_BELOW, *page.OPEN_BELOW, DEPLOY_WEBHOOK),
    )
    warning = guard.warning(settings.api_host)
    if warning:
        log.warning(warning)
    web_page = page.Page()
    probes = Probes(
        __version__,
        health=lambda: _health(layer),
        checks={
            "store": layer.service.ping,
            "disk": layer.spool.check_room,
            "comfyui": layer.core.comfy.roster.trouble,
            "serving": lambda: "The worker is stopping." if stopping.is_set() else None,
        },
        warnings=[warning] if warning else [],
        page=web_page.front,
    )
    app = server.create_app(
        [
            page.router(web_page),
            LateRoutes([COMFY_PREFIX], lambda: _comfy(layer, guard, managed, gallery)),
            LateRoutes([DEPLOY_PREFIX, DEPLOY_MACHINE_PREFIX], lambda: _deploy(layer, guard)),
            *managed.routers(guard),
            *_routers(layer, guard, probes),
        ],
        probes=probes,
        guard=guard,
        max_body_bytes=settings.max_body_bytes,
        body_limits={
            "/uploads": settings.max_upload_bytes,
            **gallery.body_limits,
            DEPLOY_WEBHOOK: DEPLOY_WEBHOOK_BYTES,
        },
        cors_origins=settings.cors_origins,
        rates=_rates(settings),
        timing=managed.timing,
    )
    app.openapi = named_view.documented(  # type: ignore[method-assign]
        app.openapi, layer.core.workflows, layer.core.binder.limits
    )
    return app


def _routers(layer: JobLayer, guard: Guard, probes: Probes) -> list[APIRouter]:
    service, links = layer.service, OutputLinks(guard.sign)
    watch = Watch(service, layer.hub)
    return [
        # Before those whose job ids stand at the place of its names.
        metrics_json.router(
            service,
            layer.statistics,
            lambda: _processor(layer),
            version=__version__,
            uptime=probes.uptime,
        ),
        jobs.router(service, links),
        api_jobs.router(
            service,
            layer.estimates,
            links,
            keep_hours=layer.settings.job_retention_hours,
            result_node=lambda name: _result_node(layer, name),
        ),
        admin.router(service),
        instances.router(
            layer.core.comfy.roster,
            lambda address: layer.core.comfy.crew.add(address, use_ssl=layer.settings.comfyui_use_ssl).facts(),
            lambda name, force: layer.core.comfy.crew.remove(name, force=force),
        ),
        runpod.router(service, links, lambda: _workers(layer, probes.uptime().total_uptime_seconds)),
        events.router(watch, guard.sign),
        sockets.router(watch, guard.knows),
        outputs.router(service),
        uploads.router(layer.uploads),
        queueing.router(service),
        validation.router(lambda job: layer.preflight.validate(job).as_dict()),
        deliveries.router(service, layer.outbox.deliveries, layer.outbox.resend, layer.sealer.open),
        # The last one: any name below /api may be that of a workflow.
        named.router(
            service,
            layer.core.workflows,
            layer.core.binder.limits,
            links,
            lambda workflow: _availability(layer, workflow),
            layer.settings.workflow_wait_s,
        ),
    ]


def _comfy(layer: JobLayer, guard: Guard, managed: ManagementLayer, gallery: GalleryLayer) -> list[APIRouter]:
    from . import comfy_surface

    drawing = [comfy_surface.text2img(layer, managed.folders)] if layer.settings.comfy_enabled else []
    # First those that say so where the surface is switched off.
    return [*comfy_surface.routers(layer, guard), *gallery.routers(guard.sign), *drawing]


def _deploy(layer: JobLayer, guard: Guard) -> list[APIRouter]:
    from .routes import deploy, deploy_machine, routing

    return [
        routing.router(layer.routing),
        deploy.router(deploy.Surface(layer.service, OutputLinks(guard.sign), layer.deploy)),
        deploy_machine.router(layer.service),
    ]


def _rates(settings: Settings) -> list[Rate]:
    rate = settings.comfy_view_rate
    view = [Rate(rate, COMFY_VIEW)] if settings.comfy_enabled and rate else []
    return [*view, *management.rates_of(settings)]


def _availability(layer: JobLayer, workflow: NamedWorkflow) -> named_view.Availability:
    report = layer.preflight.validate({"input": dict(workflow.trial_input())})
    # Of what some ComfyUIs take unlooked at, the node fails all the same.
    missing = [*report.errors, *(each for each in report.warnings if each.get("code") == "value_not_in_list")]
    return named_view.Availability(available=report.ok and not missing, missing=missing)


def _result_node(layer: JobLayer, name: str) -> str | None:
    """The node that makes a named workflow's result; None for one that is no longer there."""
    try:
        return layer.core.workflows.get(name).result
    except WorkerError:
        return None


def _listens(settings: Settings) -> list[server.Listen]:
    listens = [server.Listen(settings.api_host, settings.api_port)]
    if settings.management_api_port is not None:
        host = settings.management_api_host or settings.api_host
        # 0 is any free port, each time another one.
        if settings.management_api_port == 0 or (host, settings.management_api_port) != listens[0][:2]:
            words = ("MANAGEMENT_API_PORT", "MANAGEMENT_API_HOST")
            listens.append(server.Listen(host, settings.management_api_port, *words))
    return listens


def _system_stats(layer: JobLayer) -> Mapping[str, SystemStats]:
    return {member.name: member.instance.client.system_stats for member in layer.core.comfy.roster.members}


def _instances(layer: JobLayer) -> list[Mapping[str, Any]]:
    return layer.core.comfy.roster.facts()


def _processor(layer: JobLayer) -> ProcessorFacts:
    return ProcessorFacts(
        is_running=not layer.service.paused(),
        concurrency=layer.targets.concurrency,
        poll_s=layer.settings.job_processing_interval / 1000,
        instances=tuple(_instances(layer)),
        storage={"free_disk_bytes": layer.spool.free_bytes()},
    )


def _health(layer: JobLayer) -> HealthFacts:
    counts = layer.service.counts()
    paused = layer.service.paused()
    return HealthFacts(
        database_path=str(layer.settings.sqlite_db_path) if layer.settings.database_url is None else "postgresql",
        job_stats=job_stats(counts),
        comfyui_instances=_instances(layer),
        job_processing={
            "processor_running": not paused,
            "active_jobs": counts[Status.RUNNING] + counts[Status.CANCELING],
            "free_disk_bytes": layer.spool.free_bytes(),
        },
        problems=[
            *_disk_trouble(layer),
            *layer.core.comfy.roster.troubles(),
            *layer.targets.troubles(),
            *layer.routing.problems(),
        ],
        warnings=["The queue is paused: no job starts until POST /queue/resume."] if paused else [],
        remote_targets=layer.targets.facts(),
    )


def _disk_trouble(layer: JobLayer) -> list[str]:
    try:
        layer.spool.check_room()
    except WorkerError as error:
        return [error.message]
    return []


def _workers(layer: JobLayer, up_s: float) -> Mapping[str, int]:
    """RunPod counts workers; here those are the ComfyUIs."""
    facts = layer.core.comfy.roster.facts()
    ready = sum(each["status"] == "healthy" for each in facts)
    away = sum(each["status"] == "unhealthy" for each in facts)
    busy = sum(bool(each["running"] or each["waiting"]) for each in facts if each["status"] == "healthy")
    # A job on its way to its ComfyUI keeps one busy as well.
    busy = max(busy, min(ready, layer.targets.local.running()))
    # Nobody waits for ever for one that starts.
    word = "initializing" if up_s < layer.settings.comfy_start_timeout_s else "unhealthy"
    throttled = sum(each["status"] == "draining" for each in facts)
    return {word: away, "ready": ready, "running": busy, "idle": ready - busy, "throttled": throttled}
