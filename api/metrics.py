"""The worker's metrics as Prometheus reads them. Fed by what ends and what is announced; asks nobody by itself.

No label ever holds an id, a path with one, or what a caller has written.
"""

import platform
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from . import errors
from .deploy_metrics import DeployMetrics
from .errors import WorkerError
from .gpu import Gpu
from .jobs.ends import Run
from .jobs.job import ACTIVE, Job, Status
from .jobs.placement import LOCAL
from .jobs.updates import Kind, Update
from .jobs.webhook_schedule import Answer

OTHER = "OTHER"
STAGES = ("fetch", "wait", "upload", "execute", "download", "deliver")
_WORDS = {
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
    Status.TIMED_OUT: "failed",
    Status.CANCELLED: "cancelled",
}
_BREAKER = {"closed": 0, "half_open": 1, "open": 2}
_JOB_BUCKETS = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800)
_WAIT_BUCKETS = (0.1, 0.5, 1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600)
_STAGE_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


@dataclass(frozen=True, slots=True)
class State:
    """What is looked up whenever metrics are read. `instances` and `remotes` are `{"name", "status", "breaker"?}`.

    `executing_s`: for how long each ComfyUI has been at what it executes now.
    """

    counts: Mapping[Status, int]
    is_paused: bool
    free_bytes: int
    spool_bytes: int | None = None
    instances: Sequence[Mapping[str, Any]] = ()
    gpus: Sequence[Gpu] = ()
    executing_s: Mapping[str, float] = field(default_factory=dict)
    remotes: Sequence[Mapping[str, Any]] = ()


class Metrics:
    """One per process. Safe to share between threads."""

    def __init__(self, version: str, look: Callable[[], State]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        self._busy = _Busy()
        self._workflows = Counter(
            "comfyui_workflow_total", "Workflows that have ended, by how", ["status"], registry=registry
        )
        self._submitted = Counter("comfyui_workflow_submitted_total", "Workflows taken in", registry=registry)
        self._requeued = Counter(
            "comfyui_workflow_requeued_total", "Runs that were lost, their workflows back in line", registry=registry
        )
        self._errors = Counter(
            "comfyui_workflow_errors_total", "Workflows that failed, by error code", ["error_type"], registry=registry
        )
        self._durations = Histogram(
            "comfyui_workflow_duration_seconds",
            "From the first claim to the end, of workflows that were not cancelled",
            ["gpu_type"],
            buckets=_JOB_BUCKETS,
            registry=registry,
        )
        self._waits = Histogram(
            "comfyui_workflow_wait_seconds",
            "From the submission to the first claim",
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self._stages = Histogram(
            "comfyui_workflow_stage_seconds",
            "Stages of the run that ended a workflow",
            ["stage"],
            buckets=_STAGE_BUCKETS,
            registry=registry,
        )
        self._webhooks = Counter(
            "comfyui_webhook_attempts_total", "Tries to send a webhook, by outcome", ["outcome"], registry=registry
        )
        self.deploy = DeployMetrics(registry)
        self._requests = Histogram(
            "http_server_request_duration_seconds",
            "HTTP requests, until the last byte was sent",
            ["http_request_method", "http_route", "http_response_status_code"],
            buckets=_HTTP_BUCKETS,
            registry=registry,
        )
        self._sockets = 0
        self._lock = threading.Lock()
        self._prepare()
        registry.register(_Looked(look, self._busy, version, lambda: self._sockets))
        ProcessCollector(registry=registry)

    def note_end(self, job: Job, run: Run | None = None) -> None:
        """Count a workflow that has just ended; `run` is what was measured where it ran."""
        self._workflows.labels(_WORDS[job.status]).inc()
        if job.status in {Status.FAILED, Status.TIMED_OUT}:
            code = job.error.code if job.error else OTHER
            self._errors.labels(code if code in _CODES else OTHER).inc()
        if job.started_at is not None:
            self._waits.observe(max(job.started_at - job.created_at, 0.0))
            if job.finished_at is not None and job.status is not Status.CANCELLED:
                self._durations.labels(job.target).observe(max(job.finished_at - job.started_at, 0.0))
        if run is not None:
            for stage, seconds in run.stages_s.items():
                self._stages.labels(stage if stage in STAGES else OTHER).observe(seconds)
            if job.instance is not None:
                self._busy.add(job.instance, run.execute_s or 0.0)

    def note_update(self, update: Update) -> None:
        """Take an announcement."""
        if update.kind is Kind.QUEUED and update.data.get("again"):
            self._requeued.inc()

    def note_accept(self, _job: Job) -> None:
        """Count a job that is taken in."""
        self._submitted.inc()

    def note_webhook(self, answer: Answer) -> None:
        """Count one try to send a webhook."""
        delivered = answer.status is not None and 200 <= answer.status < 300
        self._webhooks.labels("delivered" if delivered else "failed").inc()

    def note_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request by the template of its route."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def note_sockets(self, change: int) -> None:
        """More (+1) or fewer (-1) WebSockets are open."""
        with self._lock:
            self._sockets += change

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All metrics and their media type, in the format the Accept header asks for. May read the disk."""
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type

    def _prepare(self) -> None:
        """Rates need a zero to begin with."""
        for word in _WORDS.values():
            self._workflows.labels(word)
        for outcome in ("delivered", "failed"):
            self._webhooks.labels(outcome)
        for stage in STAGES:
            self._stages.labels(stage)
        self._durations.labels(LOCAL)


class _Busy:
    """How long each ComfyUI has executed in all, and since when it is watched."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began_at = time.monotonic()
        self._ended_s: dict[str, float] = {}
        self._told: dict[str, tuple[float, float]] = {}

    def add(self, instance: str, seconds: float) -> None:
        with self._lock:
            self._ended_s[instance] = self._ended_s.get(instance, 0.0) + seconds

    def told(self, instance: str, executing_s: float) -> tuple[float, float]:
        """(busy, idle) seconds up to now. Neither ever goes back, though what a run took is only known at its end."""
        with self._lock:
            whole_s = time.monotonic() - self._began_at
            busy_before, idle_before = self._told.get(instance, (0.0, 0.0))
            busy_s = min(self._ended_s.get(instance, 0.0) + executing_s, whole_s)
            told = max(busy_s, busy_before), max(whole_s - busy_s, idle_before)
            self._told[instance] = told
            return told


class _Looked(Collector):
    """What is looked up whenever metrics are read."""

    def __init__(self, look: Callable[[], State], busy: _Busy, version: str, sockets: Callable[[], int]) -> None:
        self._look = look
        self._busy = busy
        self._version = version
        self._sockets = sockets

    def describe(self) -> Iterable[Metric]:
        """Nothing: no look before there is somebody to tell."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Called by the registry."""
        build = GaugeMetricFamily("comfyui_worker_build_info", "Versions; always 1", labels=["version", "python"])
        build.add_metric([self._version, platform.python_version()], 1)
        yield build
        yield GaugeMetricFamily("comfyui_websocket_clients", "Open WebSockets", self._sockets())
        try:
            state = self._look()
        except WorkerError:
            yield GaugeMetricFamily("comfyui_store_up", "Whether the job database answers", 0)
            return
        yield GaugeMetricFamily("comfyui_store_up", "Whether the job database answers", 1)
        yield from _of_jobs(state)
        yield from _of_gpus(state)
        yield from self._of_instances(state)
        yield from _of_remotes(state)

    def _of_instances(self, state: State) -> Iterable[Metric]:
        up = GaugeMetricFamily("comfyui_instance_up", "Whether a ComfyUI takes workflows", labels=["comfyui"])
        breaker = GaugeMetricFamily(
            "comfyui_instance_breaker_state", "0 closed, 1 half open, 2 open: not used", labels=["comfyui"]
        )
        busy = CounterMetricFamily(
            "comfyui_gpu_busy_seconds_total", "Time a ComfyUI has executed workflows", labels=["comfyui"]
        )
        idle = CounterMetricFamily(
            "comfyui_gpu_idle_seconds_total", "Time a ComfyUI has executed none", labels=["comfyui"]
        )
        for instance in state.instances:
            name = str(instance["name"])
            up.add_metric([name], float(instance["status"] == "healthy"))
            breaker.add_metric([name], _breaker_of(instance))
            busy_s, idle_s = self._busy.told(name, state.executing_s.get(name, 0.0))
            busy.add_metric([name], busy_s)
            idle.add_metric([name], idle_s)
        return up, breaker, busy, idle


def _breaker_of(facts: Mapping[str, Any]) -> int:
    word = str(facts.get("breaker") or ("closed" if facts["status"] == "healthy" else "open"))
    return _BREAKER.get(word, 2)


def _of_remotes(state: State) -> Iterable[Metric]:
    up = GaugeMetricFamily("comfyui_remote_target_up", "Whether a remote target takes workflows", labels=["target"])
    breaker = GaugeMetricFamily(
        "comfyui_remote_target_breaker_state", "0 closed, 1 half open, 2 open: not used", labels=["target"]
    )
    for remote in state.remotes:
        up.add_metric([str(remote["name"])], float(remote["status"] == "healthy"))
        breaker.add_metric([str(remote["name"])], _breaker_of(remote))
    return up, breaker


def _of_jobs(state: State) -> Iterable[Metric]:
    counts = state.counts
    yield GaugeMetricFamily("comfyui_queue_length", "Workflows that wait", counts.get(Status.QUEUED, 0))
    running = sum(counts.get(status, 0) for status in ACTIVE)
    yield GaugeMetricFamily("comfyui_workflows_running", "Workflows that run", running)
    yield GaugeMetricFamily("comfyui_queue_paused", "Whether no workflows are started", float(state.is_paused))
    yield GaugeMetricFamily("comfyui_spool_free_bytes", "Space left on the disk of the jobs' files", state.free_bytes)
    if state.spool_bytes is not None:
        yield GaugeMetricFamily("comfyui_spool_bytes", "Space the jobs' files take", state.spool_bytes)


def _of_gpus(state: State) -> Iterable[Metric]:
    busy = GaugeMetricFamily("comfyui_gpu_utilization", "Utilization of a GPU in percent, 0 to 100", labels=["gpu_id"])
    used = GaugeMetricFamily("comfyui_vram_usage_bytes", "GPU memory in use", labels=["gpu_id"])
    total = GaugeMetricFamily("comfyui_vram_total_bytes", "GPU memory there is", labels=["gpu_id"])
    for gpu in state.gpus:
        if gpu.utilization_percent is not None:
            busy.add_metric([gpu.id], gpu.utilization_percent)
        used.add_metric([gpu.id], gpu.used_bytes)
        total.add_metric([gpu.id], gpu.total_bytes)
    return busy, used, total


def _codes(kind: type[WorkerError]) -> set[str]:
    return {kind.code}.union(*(_codes(child) for child in kind.__subclasses__()))


# Errors may come from elsewhere; a label has to be one of a few.
_CODES = frozenset(_codes(errors.WorkerError)) | {"STUCK"}
