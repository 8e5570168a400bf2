"""Numbers about jobs as JSON: /api/metrics, /status/metrics, /api/jobs/stats. Prometheus' text is elsewhere."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from ..jobs import performance
from ..jobs.ends import HOUR_S, Ends
from ..jobs.job import Job, Status
from ..jobs.performance import Window
from ..jobs.service import JobService
from ..jobs.statistics import KEPT_HOURS, Statistics
from ..jobs.store import JobFilter
from . import api_job
from .answers import answer
from .metrics_schemas import (
    BasicMetrics,
    ErrorMetrics,
    JobStatistics,
    Metrics,
    PerformanceMetrics,
    ProcessorStatistics,
)
from .probes import Uptime

OPERATOR_PATHS = ("/api/metrics", "/status/metrics")
_DAY_H = 24
_MOST_RECENT = 100
_ACTIVE = frozenset({Status.RUNNING, Status.CANCELING})
_FAILED = frozenset({Status.FAILED, Status.TIMED_OUT})

Hours = Annotated[
    int, Query(ge=1, le=KEPT_HOURS, description="How far back, from the beginning of that hour", examples=[24])
]


@dataclass(frozen=True)
class ProcessorFacts:
    """Whoever runs the jobs, as it is now. `instances` are `{"name", "status", …}`."""

    is_running: bool
    concurrency: int
    poll_s: float
    instances: tuple[Mapping[str, Any], ...] = ()
    storage: Mapping[str, Any] = field(default_factory=dict)

    @property
    def healthy(self) -> int:
        """How many ComfyUIs can be used."""
        return sum(instance.get("status") == "healthy" for instance in self.instances)


def router(
    service: JobService,
    statistics: Statistics,
    processor: Callable[[], ProcessorFacts],
    *,
    version: str,
    uptime: Callable[[], Uptime],
    clock: Callable[[], float] = time.time,
) -> APIRouter:
    """The routes. To be included before those that take an id at the same place."""
    routes = APIRouter(tags=["metrics"])
    source = _Source(service, statistics, processor, clock)
    _add_jobs(routes, source)

    @routes.get(
        "/status/metrics",
        summary="The most important numbers",
        responses={200: {"model": BasicMetrics, "description": "Now"}},
    )
    def basic() -> Response:
        window, facts = source.window(1), processor()
        return answer(
            {
                "timestamp": api_job.iso(window.now),
                "uptime": uptime().model_dump(),
                "jobs": source.counts(),
                "comfyui_instances": {"total": len(facts.instances), "healthy": facts.healthy},
                "jobs_per_hour": window.per_hour(performance.succeeded(window.whole)),
                "success_rate": performance.success_rate(window.ever),
                "average_processing_time_seconds": performance.mean_execution_s(window.ever),
            }
        )

    @routes.get("/api/metrics", summary="All numbers", responses={200: {"model": Metrics, "description": "Now"}})
    def everything(hours: Hours = _DAY_H) -> Response:
        window, facts = source.window(hours), processor()
        return answer(
            {
                "timestamp": api_job.iso(window.now),
                "version": version,
                "uptime": uptime().model_dump(),
                "jobs": source.counts(),
                "all_time": _outcomes(window.ever),
                "window": {"hours": hours, **_outcomes(window.whole), **_rates(window)},
                "performance": performance.times(window.whole),
                "workflows": _by(window, lambda series: series.workflow),
                "instances": _instances(window, facts),
                "errors": {"error_rate": _error_rate(window.whole), "by_category": _by_category(window.whole)},
                "hourly": [_hour(hour, ends) for hour, ends in window.by(lambda series: series.hour).items()],
                "processor": source.processor_object(facts),
                "storage": dict(facts.storage),
            }
        )

    @routes.get(
        "/api/metrics/performance",
        summary="Times and rates, of each workflow and ComfyUI",
        responses={200: {"model": PerformanceMetrics, "description": "Seconds; quantiles within 2 %"}},
    )
    def of_performance(hours: Hours = _DAY_H) -> Response:
        window = source.window(hours)
        return answer(
            {
                "timestamp": api_job.iso(window.now),
                "window": {"hours": hours, **_outcomes(window.whole), **_rates(window)},
                **performance.times(window.whole),
                "by_workflow": _by(window, lambda series: series.workflow),
                "by_instance": _by(window, lambda series: series.instance),
            }
        )

    @routes.get(
        "/api/metrics/errors",
        summary="What fails, how often and why",
        responses={200: {"model": ErrorMetrics, "description": "Rates are shares of the jobs that were not cancelled"}},
    )
    def of_errors(
        hours: Hours = _DAY_H, recent: Annotated[int, Query(ge=0, le=_MOST_RECENT, examples=[20])] = 20
    ) -> Response:
        window = source.window(hours)
        return answer({**_errors(window, hours), "recent": source.recent_errors(recent)})

    return routes


def _add_jobs(routes: APIRouter, source: "_Source") -> None:
    @routes.get(
        "/api/jobs/stats",
        summary="How many jobs there are, and how they go",
        responses={200: {"model": JobStatistics, "description": "Now"}},
    )
    def stats() -> Response:
        window = source.window(1)
        return answer({**source.counts(), "all_time": _outcomes(window.ever), "last_hour": _outcomes(window.whole)})

    @routes.get(
        "/api/jobs/processor/stats",
        summary="Who runs the jobs, and which",
        responses={200: {"model": ProcessorStatistics, "description": "Now"}},
    )
    def processor_stats() -> Response:
        return answer(source.processor_object())


class _Source:
    """Asks the services; each method is one question."""

    def __init__(
        self,
        service: JobService,
        statistics: Statistics,
        processor: Callable[[], ProcessorFacts],
        clock: Callable[[], float],
    ) -> None:
        self._service = service
        self._statistics = statistics
        self._processor = processor
        self._clock = clock

    def window(self, hours: int) -> Window:
        now = self._clock()
        return Window.of(self._statistics.ends(now - hours * HOUR_S), now, hours)

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = dict.fromkeys(api_job.WORDS.values(), 0)
        for status, count in self._service.counts().items():
            counts[api_job.WORDS[status]] += count
        return {"total": sum(counts.values()), **counts}

    def processor_object(self, facts: ProcessorFacts | None = None) -> dict[str, Any]:
        facts = facts or self._processor()
        counts = self._service.counts()
        active = self._service.list(JobFilter(_ACTIVE), _MOST_RECENT).jobs
        return {
            "processor_running": facts.is_running,
            "active_jobs": counts[Status.RUNNING] + counts[Status.CANCELING],
            "pending_jobs": counts[Status.QUEUED],
            "max_concurrent_jobs": facts.concurrency,
            "processing_interval_ms": round(facts.poll_s * 1000),
            "comfyui_instances": {
                "total": len(facts.instances),
                "healthy": facts.healthy,
                "instances": [dict(instance) for instance in facts.instances],
            },
            "jobs": [_active(job) for job in active],
        }

    def recent_errors(self, limit: int) -> list[dict[str, Any]]:
        if limit == 0:
            return []
        return [_error(job) for job in self._service.list(JobFilter(_FAILED), limit).jobs]


def _outcomes(ends: Ends) -> dict[str, Any]:
    return {
        "completed": performance.succeeded(ends),
        "failed": performance.failed(ends),
        "cancelled": performance.cancelled(ends),
        "success_rate": performance.success_rate(ends),
        "average_processing_time_seconds": performance.mean_execution_s(ends),
    }


def _rates(window: Window) -> dict[str, Any]:
    whole = window.whole
    return {
        "jobs_per_hour": window.per_hour(performance.succeeded(whole)),
        "covered_seconds": round(window.span_s),
    }


def _by(window: Window, key: Callable[[Any], str]) -> dict[str, Any]:
    # Jobs that never came to a ComfyUI have none.
    return {name or "none": _part(window, ends) for name, ends in window.by(key).items()}


def _part(window: Window, ends: Ends) -> dict[str, Any]:
    return {
        **_outcomes(ends),
        "jobs_per_hour": window.per_hour(performance.succeeded(ends)),
        "utilization": window.share_busy(ends),
        **performance.times(ends),
    }


def _instances(window: Window, facts: ProcessorFacts) -> list[dict[str, Any]]:
    measured = window.by(lambda series: series.instance)
    return [{**instance, **_part(window, measured.get(instance["name"], Ends()))} for instance in facts.instances]


def _hour(hour: int, ends: Ends) -> dict[str, Any]:
    return {
        "hour": api_job.iso(hour),
        "completed": performance.succeeded(ends),
        "failed": performance.failed(ends),
        "cancelled": performance.cancelled(ends),
    }


def _errors(window: Window, hours: int) -> dict[str, Any]:
    whole = window.whole
    failed = performance.failed(whole)
    by_code = [
        {
            "code": code,
            "category": performance.category(code),
            "count": count,
            "share": round(count / failed, 4) if failed else 0.0,
            "per_hour": window.per_hour(count),
        }
        for code, count in whole.by_error.most_common()
    ]
    return {
        "timestamp": api_job.iso(window.now),
        "window": {"hours": hours, **_outcomes(whole), **_rates(window)},
        "failed": failed,
        "error_rate": _error_rate(whole),
        "errors_per_hour": window.per_hour(failed),
        "by_code": by_code,
        "by_category": _by_category(whole),
        "by_workflow": _failing(window.by(lambda series: series.workflow)),
        "by_instance": _failing(window.by(lambda series: series.instance)),
    }


def _failing(parts: Mapping[str, Ends]) -> dict[str, Any]:
    return {
        name or "none": {"failed": performance.failed(ends), "error_rate": _error_rate(ends)}
        for name, ends in parts.items()
    }


def _error_rate(ends: Ends) -> float | None:
    success = performance.success_rate(ends)
    return None if success is None else round(1 - success, 4)


def _by_category(ends: Ends) -> dict[str, int]:
    sums: dict[str, int] = {}
    for code, count in ends.by_error.most_common():
        name = performance.category(code)
        sums[name] = sums.get(name, 0) + count
    return sums


def _active(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "type": api_job.type_of(job),
        "comfyui_instance": job.instance,
        "progress_percentage": api_job.progress_of(job),
        "started_at": api_job.iso(job.started_at),
    }


def _error(job: Job) -> dict[str, Any]:
    code = job.error.code if job.error else "INTERNAL_ERROR"
    return {
        "job_id": job.id,
        "type": api_job.type_of(job),
        "code": code,
        "category": performance.category(code),
        "message": job.error.message if job.error else None,
        "comfyui_instance": job.instance,
        "at": api_job.iso(job.finished_at),
    }
