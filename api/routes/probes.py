"""Whether the process lives, whether it can take jobs, and how it is. None of them waits for ComfyUI."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import anyio
from anyio import CapacityLimiter
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from ..errors import WorkerError

PROBE_PATHS = frozenset({"/livez", "/readyz", "/health", "/status", "/metrics"})
_HOUR_S = 3600
# Threads of their own: probes answer also while all others are busy.
_THREADS = 4

_INSTANCES: dict[str, Any] = {
    "total": 1,
    "healthy": 1,
    "instances": [{"name": "127.0.0.1:8188", "status": "healthy"}],
}

T = TypeVar("T")


@dataclass(frozen=True)
class HealthFacts:
    """What /health tells of the job layer. Any `problems` make the status degraded; `warnings` do not."""

    database_path: str = ""
    job_stats: Mapping[str, int] = field(default_factory=dict)
    comfyui_instances: Sequence[Mapping[str, Any]] = ()
    job_processing: Mapping[str, Any] = field(default_factory=dict)
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()
    remote_targets: Sequence[Mapping[str, Any]] = ()


# Returns nothing when the check passes, else what is wrong; a WorkerError is a failed check as well.
Check = Callable[[], str | None]


@dataclass(frozen=True)
class Probes:
    """What the probes ask. All callables but `page` run in a thread, for `patience_s` at most.

    Jobs are still taken, and wait, when one of the `waits_for` checks fails; when another one does they are refused.
    The `unseen` ones find what `health` does not see by itself. `page` makes the web page for a request of a browser,
    None for others.
    """

    version: str
    health: Callable[[], HealthFacts] = HealthFacts
    checks: Mapping[str, Check] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    waits_for: frozenset[str] = frozenset({"comfyui"})
    unseen: frozenset[str] = frozenset({"store"})
    began: float = field(default_factory=time.monotonic)
    patience_s: float = 2.0
    page: Callable[[Request], Response | None] = lambda _request: None

    def uptime(self) -> "Uptime":
        """How long the worker has been up."""
        seconds = time.monotonic() - self.began
        return Uptime(total_uptime_hours=round(seconds / _HOUR_S, 4), total_uptime_seconds=round(seconds, 3))


class Greeting(BaseModel):
    """The root page."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "name": "comfyui-worker",
                "version": "0.1.0",
                "docs": "/docs",
                "openapi": "/openapi.json",
                "health": "/health",
            }
        }
    )
    name: str
    version: str
    docs: str
    openapi: str
    health: str


class Alive(BaseModel):
    """The process answers."""

    model_config = ConfigDict(json_schema_extra={"example": {"status": "alive"}})
    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """Whether jobs can be taken; `checks` (with ?verbose) says "ok" or what is wrong, by name."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"status": "ready", "checks": {"store": "ok", "comfyui": "ok", "serving": "ok"}}}
    )
    status: Literal["ready", "not ready"]
    checks: dict[str, str] | None = None


class Uptime(BaseModel):
    """How long the worker has been up."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"total_uptime_hours": 24.5, "total_uptime_seconds": 88200.0}}
    )
    total_uptime_hours: float
    total_uptime_seconds: float


class ComfyInstances(BaseModel):
    """How many ComfyUIs there are, how many can be used, and each by itself."""

    model_config = ConfigDict(json_schema_extra={"example": _INSTANCES})
    total: int
    healthy: int
    instances: list[dict[str, Any]]


class QuickStatus(BaseModel):
    """`degraded`: jobs are taken and wait. `unavailable`: they are refused."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"status": "healthy", "timestamp": "2026-01-15T10:30:00.000Z", "uptime_seconds": 88200.0}
        }
    )
    status: Literal["healthy", "degraded", "unavailable"]
    timestamp: str
    uptime_seconds: float


class Health(BaseModel):
    """How the worker is; `job_stats` counts jobs by status."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "status": "healthy",
                "version": "0.1.0",
                "timestamp": "2026-01-15T10:30:00.000Z",
                "uptime": {"total_uptime_hours": 24.5, "total_uptime_seconds": 88200.0},
                "database_path": "/data/comfyui_jobs.db",
                "job_stats": {"pending": 2, "running": 1, "completed": 15, "failed": 1, "total": 19},
                "comfyui_instances": _INSTANCES,
                "remote_targets": [{"name": "runpod", "status": "healthy", "kind": "runpod", "breaker": "closed"}],
                "job_processing": {"processor_running": True, "active_jobs": 1},
                "warnings": [],
            }
        }
    )
    status: Literal["healthy", "degraded"]
    version: str
    timestamp: str
    uptime: Uptime
    database_path: str
    job_stats: dict[str, int]
    comfyui_instances: ComfyInstances
    remote_targets: list[dict[str, Any]]
    job_processing: dict[str, Any]
    warnings: list[str]


def router(probes: Probes) -> APIRouter:
    """/, /livez, /readyz, /health and /status."""
    routes = APIRouter(tags=["health"])
    asker = _Asker(probes.patience_s)

    @routes.get("/", summary="Name and version; for browsers the web page", response_model=Greeting)
    async def greet(request: Request, response: Response) -> Greeting | Response:
        response.headers["Vary"] = "Accept"
        return probes.page(request) or Greeting(
            name="comfyui-worker", version=probes.version, docs="/docs", openapi="/openapi.json", health="/health"
        )

    @routes.get("/livez", summary="The process is alive")
    async def alive() -> Alive:
        return Alive()

    @routes.get(
        "/readyz",
        summary="Jobs can be taken",
        response_model_exclude_none=True,
        responses={503: {"model": Readiness, "description": "Not ready"}},
    )
    async def ready(response: Response, verbose: str | None = Query(None, examples=["1"])) -> Readiness:
        findings = await asker.findings(probes.checks)
        if any(findings.values()):
            response.status_code = 503
        checks = {name: finding or "ok" for name, finding in findings.items()}
        status: Literal["ready", "not ready"] = "not ready" if any(findings.values()) else "ready"
        return Readiness(status=status, checks=checks if verbose is not None else None)

    @routes.get("/health", summary="How the worker is; 200 while it works, degraded or not")
    async def health() -> Health:
        unseen = {name: check for name, check in probes.checks.items() if name in probes.unseen}
        facts, found = await asyncio.gather(asker.facts(probes.health), asker.findings(unseen))
        news = {name: finding for name, finding in found.items() if finding and finding not in facts.problems}
        problems = [*facts.problems, *(f"{name}: {finding}" for name, finding in news.items())]
        return Health(
            status="degraded" if problems else "healthy",
            version=probes.version,
            timestamp=_now(),
            uptime=probes.uptime(),
            database_path=facts.database_path,
            job_stats=dict(facts.job_stats),
            comfyui_instances=_counted(facts.comfyui_instances),
            remote_targets=[dict(target) for target in facts.remote_targets],
            job_processing=dict(facts.job_processing),
            warnings=[*probes.warnings, *facts.warnings, *problems],
        )

    @routes.get(
        "/status",
        summary="For load balancers: 200 while jobs are taken, whether they run at once or wait",
        responses={503: {"model": QuickStatus, "description": "Jobs are refused"}},
    )
    async def quick(response: Response) -> QuickStatus:
        found = await asker.findings(probes.checks)
        failing = {name for name, finding in found.items() if finding}
        status: Literal["healthy", "degraded", "unavailable"] = "degraded" if failing else "healthy"
        if failing - probes.waits_for:
            status, response.status_code = "unavailable", 503
        return QuickStatus(status=status, timestamp=_now(), uptime_seconds=probes.uptime().total_uptime_seconds)

    return routes


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _counted(instances: Sequence[Mapping[str, Any]]) -> ComfyInstances:
    healthy = sum(instance.get("status") == "healthy" for instance in instances)
    return ComfyInstances(total=len(instances), healthy=healthy, instances=[dict(instance) for instance in instances])


class _Asker:
    """Asks in a thread, and not for long."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._limiter = CapacityLimiter(_THREADS)

    async def findings(self, checks: Mapping[str, Check]) -> dict[str, str | None]:
        """What is wrong, by check; None for those that passed. All at once: they cost what the slowest costs."""
        found = await asyncio.gather(*(self._finding(check) for check in checks.values()))
        return dict(zip(checks, found, strict=True))

    async def facts(self, health: Callable[[], HealthFacts]) -> HealthFacts:
        try:
            return await self._in_time(health)
        except TimeoutError:
            return HealthFacts(problems=["The job store does not answer in time."])
        except WorkerError as error:
            return HealthFacts(problems=[error.message])

    async def _finding(self, check: Check) -> str | None:
        try:
            return await self._in_time(check)
        except TimeoutError:
            return f"no answer within {self._patience_s:g} s"
        except WorkerError as error:
            return error.message

    async def _in_time(self, question: Callable[[], T]) -> T:
        with anyio.fail_after(self._patience_s):
            return await anyio.to_thread.run_sync(question, abandon_on_cancel=True, limiter=self._limiter)
