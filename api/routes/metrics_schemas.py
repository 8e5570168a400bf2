"""The schemas of the numbers about jobs."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from .probes import ComfyInstances, Uptime

_AT = "2026-01-15T10:30:00.000Z"
_UPTIME: dict[str, Any] = {"total_uptime_hours": 24.5, "total_uptime_seconds": 88200.0}
_COUNTS: dict[str, Any] = {"total": 19, "pending": 2, "processing": 1, "completed": 14, "failed": 1, "cancelled": 1}
_OUTCOMES: dict[str, Any] = {
    "completed": 180,
    "failed": 3,
    "cancelled": 1,
    "success_rate": 0.9836,
    "average_processing_time_seconds": 31.2,
}
_RATES: dict[str, Any] = {"jobs_per_hour": 90.0, "covered_seconds": 7200}
_TIMES: dict[str, Any] = {"count": 180, "mean": 31.2, "p50": 30.1, "p95": 42.8, "p99": 47.0, "max": 51.3}
_ALL_TIMES: dict[str, Any] = {"wait": _TIMES, "execute": _TIMES, "deliver": _TIMES, "total": _TIMES}
_NAME = "192.168.1.19:8188"
_PART: dict[str, Any] = {**_OUTCOMES, "jobs_per_hour": 90.0, "utilization": 0.78, **_ALL_TIMES}
_INSTANCE: dict[str, Any] = {"name": _NAME, "status": "healthy"}
_PROCESSOR: dict[str, Any] = {
    "processor_running": True,
    "active_jobs": 1,
    "pending_jobs": 2,
    "max_concurrent_jobs": 2,
    "processing_interval_ms": 1000,
    "comfyui_instances": {"total": 1, "healthy": 1, "instances": [_INSTANCE]},
    "jobs": [
        {
            "job_id": "550e8400-e29b-41d4-a716-446655440000",
            "type": "remove-background",
            "comfyui_instance": _NAME,
            "progress_percentage": 33,
            "started_at": _AT,
        }
    ],
}
_WINDOW: dict[str, Any] = {"hours": 24, **_OUTCOMES, **_RATES}
_CATEGORIES: dict[str, Any] = {"comfyui": 2, "execution": 1}


def _example(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(defer_build=True, json_schema_extra={"example": example})


class Counts(BaseModel):
    """How many jobs there are in each state."""

    model_config = _example(_COUNTS)
    total: int
    pending: int
    processing: int
    completed: int
    failed: int
    cancelled: int


class Outcomes(BaseModel):
    """How jobs ended. Cancelled ones do not count in `success_rate` (0 to 1); null where nothing has ended."""

    model_config = _example(_OUTCOMES)
    completed: int
    failed: int
    cancelled: int
    success_rate: float | None
    average_processing_time_seconds: float | None


class WindowOutcomes(Outcomes):
    """How jobs ended in the last `hours`, of which `covered_seconds` were counted."""

    model_config = _example(_WINDOW)
    hours: int
    jobs_per_hour: float
    covered_seconds: int


class Times(BaseModel):
    """Seconds; null where there were none."""

    model_config = _example(_TIMES)
    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


class AllTimes(BaseModel):
    """Waiting, executing, delivering, and from submit to end, of the jobs that succeeded."""

    model_config = _example(_ALL_TIMES)
    wait: Times
    execute: Times
    deliver: Times
    total: Times


class ActiveJob(BaseModel):
    """A job that runs."""

    model_config = _example(_PROCESSOR["jobs"][0])
    job_id: str
    type: str
    comfyui_instance: str | None
    progress_percentage: int
    started_at: str | None


class ProcessorStatistics(BaseModel):
    """Who runs the jobs: whether any are started, how many at a time, and where."""

    model_config = _example(_PROCESSOR)
    processor_running: bool
    active_jobs: int
    pending_jobs: int
    max_concurrent_jobs: int
    processing_interval_ms: int
    comfyui_instances: ComfyInstances
    jobs: list[ActiveJob]


class JobStatistics(Counts):
    """How many jobs there are in each state, and how they ended ever and in the last hour."""

    model_config = _example({**_COUNTS, "all_time": _OUTCOMES, "last_hour": _OUTCOMES})
    all_time: Outcomes
    last_hour: Outcomes


class InstanceCounts(BaseModel):
    """How many ComfyUIs there are, and how many can be used."""

    model_config = _example({"total": 2, "healthy": 2})
    total: int
    healthy: int


class BasicMetrics(BaseModel):
    """The most important numbers. `jobs_per_hour` is of the last hour, the rest of all time."""

    model_config = _example(
        {
            "timestamp": _AT,
            "uptime": _UPTIME,
            "jobs": _COUNTS,
            "comfyui_instances": {"total": 2, "healthy": 2},
            "jobs_per_hour": 90.0,
            "success_rate": 0.9836,
            "average_processing_time_seconds": 31.2,
        }
    )
    timestamp: str
    uptime: Uptime
    jobs: Counts
    comfyui_instances: InstanceCounts
    jobs_per_hour: float
    success_rate: float | None
    average_processing_time_seconds: float | None


class ErrorShare(BaseModel):
    """How many jobs failed, as a number and as a share (0 to 1) of those that were not cancelled."""

    model_config = _example({"error_rate": 0.0164, "by_category": _CATEGORIES})
    error_rate: float | None
    by_category: dict[str, int]


class HourlyOutcomes(BaseModel):
    """How jobs ended in one hour."""

    model_config = _example({"hour": _AT, "completed": 88, "failed": 1, "cancelled": 0})
    hour: str
    completed: int
    failed: int
    cancelled: int


class Metrics(BaseModel):
    """All numbers; `window`, and what comes below it, is about the last hours.

    Of each workflow and ComfyUI its outcomes and times; `utilization` is the share of the time (0 to 1) it executed.
    """

    model_config = _example(
        {
            "timestamp": _AT,
            "version": "0.1.0",
            "uptime": _UPTIME,
            "jobs": _COUNTS,
            "all_time": _OUTCOMES,
            "window": _WINDOW,
            "performance": _ALL_TIMES,
            "workflows": {"remove-background": _PART},
            "instances": [{**_INSTANCE, **_PART}],
            "errors": {"error_rate": 0.0164, "by_category": _CATEGORIES},
            "hourly": [{"hour": _AT, "completed": 88, "failed": 1, "cancelled": 0}],
            "processor": _PROCESSOR,
            "storage": {"free_disk_bytes": 52000000000},
        }
    )
    timestamp: str
    version: str
    uptime: Uptime
    jobs: Counts
    all_time: Outcomes
    window: WindowOutcomes
    performance: AllTimes
    workflows: dict[str, Any]
    instances: list[dict[str, Any]]
    errors: ErrorShare
    hourly: list[HourlyOutcomes]
    processor: ProcessorStatistics
    storage: dict[str, Any]


class PerformanceMetrics(AllTimes):
    """Times and rates of the last hours, whole and by workflow and ComfyUI, with the same keys."""

    model_config = _example(
        {
            "timestamp": _AT,
            "window": _WINDOW,
            **_ALL_TIMES,
            "by_workflow": {"remove-background": _PART},
            "by_instance": {_NAME: _PART},
        }
    )
    timestamp: str
    window: WindowOutcomes
    by_workflow: dict[str, Any]
    by_instance: dict[str, Any]


_CODE: dict[str, Any] = {"code": "COMFY_DIED", "category": "comfyui", "count": 2, "share": 0.6667, "per_hour": 1.0}
_FAILING: dict[str, Any] = {"failed": 3, "error_rate": 0.0164}
_RECENT: dict[str, Any] = {
    "job_id": "550e8400-e29b-41d4-a716-446655440000",
    "type": "remove-background",
    "code": "COMFY_DIED",
    "category": "comfyui",
    "message": "ComfyUI died: out of memory.",
    "comfyui_instance": _NAME,
    "at": _AT,
}


class ErrorCode(BaseModel):
    """One error code: `share` (0 to 1) of all failures."""

    model_config = _example(_CODE)
    code: str
    category: str
    count: int
    share: float
    per_hour: float


class Failing(BaseModel):
    """How often something fails."""

    model_config = _example(_FAILING)
    failed: int
    error_rate: float | None


class RecentError(BaseModel):
    """A job that failed and is still kept."""

    model_config = _example(_RECENT)
    job_id: str
    type: str
    code: str
    category: str
    message: str | None
    comfyui_instance: str | None
    at: str | None


class ErrorMetrics(BaseModel):
    """What fails, how often and why; `recent` are the newest failed jobs."""

    model_config = _example(
        {
            "timestamp": _AT,
            "window": _WINDOW,
            "failed": 3,
            "error_rate": 0.0164,
            "errors_per_hour": 1.5,
            "by_code": [_CODE],
            "by_category": _CATEGORIES,
            "by_workflow": {"remove-background": _FAILING},
            "by_instance": {_NAME: _FAILING},
            "recent": [_RECENT],
        }
    )
    timestamp: str
    window: WindowOutcomes
    failed: int
    error_rate: float | None
    errors_per_hour: float
    by_code: list[ErrorCode]
    by_category: dict[str, int]
    by_workflow: dict[str, Failing]
    by_instance: dict[str, Failing]
    recent: list[RecentError]
