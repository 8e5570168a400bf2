"""The durable job layer put together: store, spool, service, dispatcher, janitor, webhooks around the one handler."""

import contextlib
import functools
import hashlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

from .deploy_layer import Unrun, build_deploy, checking, deploy_names, redirected
from .deploy_machine import accept
from .errors import JobNotFound, WorkerError
from .ids import JobId
from .inputs.addresses import AddressGuard
from .job_targets import JobTargets, MakeDispatcher, build_overflow, build_targets
from .jobs.dispatcher import Core, Dispatcher
from .jobs.durations import Durations
from .jobs.end_line import log_end
from .jobs.ends import Run
from .jobs.estimate import Estimates
from .jobs.hub import EventHub
from .jobs.intake import Intake
from .jobs.janitor import Janitor
from .jobs.job import ACTIVE, TERMINAL, Job
from .jobs.names import folder_of
from .jobs.outbox import Delivery
from .jobs.ports import Capacity
from .jobs.request import JobRequest
from .jobs.results import Results
from .jobs.service import JobService
from .jobs.spool import Spool
from .jobs.statistics import Statistics
from .jobs.store import JobFilter
from .jobs.survived import survived
from .jobs.trouble import Trouble
from .jobs.uploads import Uploads
from .jobs.webhook_message import job_event
from .jobs.webhooks import WebhookSender
from .lasting import Kept, has_lost_jobs, keep, sole_owner
from .leftovers import Leftovers
from .logs import get_logger
from .outputs.archive import Archive
from .pool.roster import Roster
from .preflight import Preflight
from .remotes import build_remotes, trouble_of
from .routing_layer import RoutingLayer, build_routing
from .sealing import Sealer
from .settings import Settings
from .stores.database import Database
from .stores.metrics import SqlLedger
from .stores.metrics_file import FileLedger
from .stores.outbox import SqlWebhookOutbox
from .tracing import TracedJob, Tracing
from .webhook_client import WebhookClient
from .wiring import Services, bucket_connection, build, preflight, preload, warm_up
from .workflows.shape import shape

if TYPE_CHECKING:
    from .comfydeploy.build import Deploy

log = get_logger()

# What each dialect's webhooks say, given the job and its result; the event of our own API for all others.
Bodies = Mapping[str, Callable[["Delivery", Any, dict[str, Any] | None], tuple[bytes, str]]]
_HEARTBEATS_PER_LOSS = 6
_RECOVER_AGAIN_S = 1.0
# Running jobs that are looked at for an estimate; a fleet has more, and its line is then told as shorter than it is.
_MOST_RUNNING = 1000
# Ended jobs that an earlier process may not have been done with.
_MOST_ENDED = 200


@dataclass(frozen=True)
class JobLayer:
    """Everything a surface needs, and everything that has to be started and stopped."""

    settings: Settings
    core: Services
    database: Database
    service: JobService
    hub: EventHub
    spool: Spool
    uploads: Uploads
    outbox: SqlWebhookOutbox
    sealer: Sealer
    preflight: Preflight
    webhooks: WebhookSender
    targets: JobTargets
    janitor: Janitor
    statistics: Statistics
    leftovers: Leftovers
    estimates: Estimates
    routing: RoutingLayer
    deploy: "Deploy | None"
    _lock: IO[bytes] | None
    _stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def dispatchers(self) -> Mapping[str, Dispatcher]:
        """By target, that of the worker's own ComfyUIs first."""
        return self.targets.dispatchers

    def start(self) -> None:
        """Take up what an earlier process left, then begin to work. Returns at once; ComfyUI may come up later."""
        self.core.comfy.crew.start(functools.partial(warm_up, self.core))
        self.targets.watch()
        threading.Thread(target=self._begin, name="get-ready", daemon=True).start()

    def _begin(self) -> None:
        if self._lock is not None and not self._has_recovered():
            return
        self.janitor.start()
        self.webhooks.start()
        with survived("What earlier jobs have left in ComfyUI stays there"):
            self.leftovers.of_earlier(self.service.list(JobFilter(TERMINAL), _MOST_ENDED).jobs)
        with contextlib.suppress(WorkerError):
            if self.service.paused():
                log.warning("The queue is paused: no job starts until POST /queue/resume")
        self.statistics.load()
        preload(self.core)
        # What is wrong with these files is logged when they are read: better now than at the first job.
        self.core.names.get()
        self.routing.router.tables()
        self.targets.start()

    def _has_recovered(self) -> bool:
        """Nobody else works on this database: whatever is still marked as running has lost its worker.

        A database that is locked and a disk that is full are waited for. False when the worker stops meanwhile.
        """
        trouble = Trouble("Jobs of an earlier process cannot be taken up yet", "The job database can be used")
        while not self._stopping.is_set():
            try:
                left = self.service.reset_stuck(0)
            except (WorkerError, OSError) as error:
                trouble.met(str(error))
                self._stopping.wait(_RECOVER_AGAIN_S)
                continue
            trouble.over()
            if left:
                log.info("Jobs of an earlier process go on", jobs=left)
            return True
        return False

    def drain(self, grace_s: float) -> bool:
        """Stop working: nothing new is taken, running jobs have `grace_s`. False when some had to be handed back."""
        self._stopping.set()
        self.service.stop()
        self.core.comfy.pool.hand_back_waiting()
        is_done = self.targets.drain(grace_s)
        self.janitor.stop()
        self.statistics.save()
        self.webhooks.stop()
        self.core.comfy.crew.stop()
        return is_done

    def close(self) -> None:
        """Let go of everything; after `drain`."""
        self.targets.close()
        self.core.close()
        self.database.close()
        if self._lock is not None:
            self._lock.close()


def build_job_layer(settings: Settings, bodies: Bodies) -> JobLayer:
    """Make the job layer. Opens the database, starts no thread. Raises InvalidSettings, StoreUnavailable."""
    kept = keep(settings)
    remotes = build_remotes(settings, bucket_connection(settings))
    elsewhere = (*remotes, *deploy_names(settings))
    core = build(_with_scratch(settings, kept.root), folder_key=kept.key, runs_per_job=1, targets=elsewhere)

    def route(workflow: str, job_id: JobId) -> str | None:
        return routing.machine_for(workflow, job_id)

    deploy = build_deploy(settings, kept.root, lambda name: core.names.get().standard(name), route)
    if deploy is not None:
        remotes[deploy.name] = deploy
    routing = build_routing(
        settings,
        core,
        lambda target: trouble_of(remotes[target]) if target in remotes else None,
        lambda machine: deploy.machine_trouble(machine) if deploy else None,
        lambda spec: deploy.workflow_name(spec) if deploy else spec.name,
    )
    hub = EventHub(time.time)
    intake = Intake(kept.spool, kept.sealer, core.inputs.keep, kept.uploads.find, core.inputs.check)
    guard = AddressGuard(settings.webhook_allow_private, settings.webhook_allowed_hosts)
    post = WebhookClient(guard, settings.webhook_timeout_s)
    service = JobService(
        store=kept.store,
        spool=kept.spool,
        intake=intake,
        results=Results(kept.spool),
        hub=hub,
        sealer=kept.sealer,
        check=core.handler.check,
        check_webhook=post.check,
        waits_for=lambda job: targets.obstacle(job, core.comfy.roster),
        max_queued=settings.max_queue_size,
        max_attempts=settings.job_max_attempts,
        expand=lambda submission: core.binder.submission(
            redirected(accept.submission(submission), core.workflows, deploy)
        ),
        shape_of=_shape_of,
        place=checking(routing.place, deploy),
    )
    webhooks = WebhookSender(
        kept.outbox,
        post.post,
        functools.partial(_body_of, service, bodies),
        open_url=kept.sealer.open,
        keys=settings.webhook_keys,
        try_s=settings.webhook_timeout_s,
    )
    service.on_end(log_end)
    service.on_end(lambda job, _run: webhooks.wake() if job.webhook else None)
    leftovers = Leftovers(core.comfy.target, functools.partial(folder_of, key=kept.key))
    service.on_end(leftovers.note)
    targets = build_targets(core, remotes, _dispatchers(settings, kept, intake, service, hub))
    statistics = _statistics(settings, kept.database)
    service.on_end(statistics.note)
    service.on_end(Unrun(intake, core.handler.tell_of).note)
    if core.tracing:
        service.on_end(functools.partial(_trace, core.tracing, kept.spool))
    estimates = _estimates(settings, statistics.durations, service, targets, core.comfy.roster)
    overflow = build_overflow(settings, kept.store, estimates, targets, core.comfy.roster)
    return JobLayer(
        settings=settings,
        core=core,
        database=kept.database,
        service=service,
        hub=hub,
        spool=kept.spool,
        uploads=kept.uploads,
        outbox=kept.outbox,
        sealer=kept.sealer,
        preflight=preflight(core, lambda workflow: estimates.expected_s(shape(workflow))),
        webhooks=webhooks,
        targets=targets,
        janitor=_janitor(settings, kept, service, (statistics.save_when_due, *([overflow.look] if overflow else []))),
        statistics=statistics,
        leftovers=leftovers,
        estimates=estimates,
        routing=routing,
        deploy=deploy,
        _lock=None if settings.database_url else sole_owner(kept.root / "lock"),
    )


def _dispatchers(settings: Settings, kept: Kept, intake: Intake, service: JobService, hub: EventHub) -> MakeDispatcher:
    worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    archive = Archive(settings.output_dir) if settings.output_files else None

    def make(target: str, handler: Core, capacity: Capacity) -> Dispatcher:
        return Dispatcher(
            store=kept.store,
            spool=kept.spool,
            intake=intake,
            service=service,
            hub=hub,
            core=handler,
            capacity=capacity,
            worker=worker,
            heartbeat_s=settings.job_lost_after_s / _HEARTBEATS_PER_LOSS,
            poll_s=settings.job_processing_interval / 1000,
            archive=archive,
            target=target,
        )

    return make


def _janitor(settings: Settings, kept: Kept, service: JobService, looks: tuple[Callable[[], None], ...]) -> Janitor:
    return Janitor(
        service=service,
        spool=kept.spool,
        lost_after_s=settings.job_lost_after_s,
        keep_s=settings.job_retention_hours * 3600,
        interval_s=settings.cleanup_interval_s,
        sweeps=(kept.uploads.expire,),
        looks=looks,
        keeps_orphans=has_lost_jobs(kept),
    )


def _statistics(settings: Settings, database: Database) -> Statistics:
    path = settings.metrics_file_path
    ledger = FileLedger(path) if path else SqlLedger(database)
    return Statistics(ledger, Durations(), time.time, settings.metrics_save_interval / 1000)


def _estimates(
    settings: Settings, durations: Durations, service: JobService, targets: JobTargets, roster: Roster
) -> Estimates:
    return Estimates(
        durations,
        running=lambda: service.list(JobFilter(ACTIVE), _MOST_RUNNING).jobs,
        upcoming=lambda: service.upcoming(settings.max_queue_size),
        live=targets.live,
        slots=lambda: {} if service.paused() else targets.slots(roster),
        clock=time.time,
    )


def _shape_of(request: JobRequest) -> str | None:
    if request.deployment is not None:
        return f"{hashlib.sha256(request.deployment.wanted.encode()).hexdigest()[:16]}:1"
    return shape(request.workflow, request.overrides)


def _with_scratch(settings: Settings, root: Path) -> Settings:
    """Scratch space on the disk of the spool, unless told otherwise: an output is kept there without a copy."""
    return (
        settings if "work_dir" in settings.model_fields_set else settings.model_copy(update={"work_dir": root / "work"})
    )


def _trace(tracing: Tracing, spool: Spool, job: Job, _run: Run | None) -> None:
    asked = spool.request(job.id) or {}
    given = asked.get("input")
    tracing.job(
        TracedJob(
            job.id,
            job.created_at,
            job.finished_at or time.time(),
            job.started_at,
            job.error.code if job.error else None,
            {
                "job.id": job.id,
                "job.status": job.status.value,
                "job.priority": job.priority.value,
                "job.attempts": job.attempts,
                "job.target": job.target,
                "job.workflow": job.workflow_name,
            },
            asked.get("traceparent") or (given.get("traceparent") if isinstance(given, dict) else None),
        )
    )


def _body_of(service: JobService, bodies: Bodies, delivery: Delivery) -> tuple[bytes, str] | None:
    try:
        job = service.get(delivery.job_id)
    except JobNotFound:
        return None
    build_body = bodies.get(job.dialect)
    if build_body is None:
        return job_event(delivery, job, service.result(job, lambda output: quote(output.address)))
    return build_body(delivery, job, service.result(job))
