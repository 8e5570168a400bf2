"""Numbers and upkeep of the job store, for operators."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict

from ..jobs.service import JobService
from ..jobs.store import JobFilter
from .answers import answer
from .dialects import job_id_of, job_stats
from .native_job import JobDeleted, Stats, recent_object

_RECENT = 10
_HOUR_S = 3600.0
_MAX_HOURS = 100_000

Hours = Annotated[float, Query(ge=0, le=_MAX_HOURS, allow_inf_nan=False, examples=[12])]


class Cleanup(BaseModel):
    """How many ended jobs were removed, with their files."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"message": "3 jobs were removed.", "removed": 3, "max_age_hours": 24}}
    )
    message: str
    removed: int
    max_age_hours: float


class Reset(BaseModel):
    """How many stuck jobs were put in line again, or given up where they had been run too often."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"message": "1 job was reset.", "reset": 1, "max_running_time_hours": 2}}
    )
    message: str
    reset: int
    max_running_time_hours: float


def router(service: JobService) -> APIRouter:
    """/stats and /admin/…"""
    routes = APIRouter(tags=["admin"])

    @routes.get(
        "/stats",
        summary="How many jobs there are in each state",
        responses={200: {"model": Stats, "description": "The numbers"}},
    )
    def stats(include_recent: Annotated[bool, Query(examples=[True])] = False) -> Response:
        numbers = {f"{word}_jobs": count for word, count in job_stats(service.counts()).items()}
        recent = service.list(JobFilter(), _RECENT).jobs if include_recent else ()
        total = numbers.pop("total_jobs")
        return answer({"total_jobs": total, **numbers, "recent_jobs": [recent_object(job) for job in recent]})

    @routes.post(
        "/admin/cleanup",
        summary="Remove ended jobs of some age, with their files",
        responses={200: {"model": Cleanup, "description": "Done"}},
    )
    def cleanup(max_age_hours: Hours = 24) -> Response:
        removed = service.cleanup(max_age_hours * _HOUR_S)
        message = f"{_jobs(removed)} removed."
        return answer({"message": message, "removed": removed, "max_age_hours": max_age_hours})

    @routes.post(
        "/admin/reset-stuck",
        summary="Put running jobs in line again that gave no sign of life for so long",
        responses={200: {"model": Reset, "description": "Done"}},
    )
    def reset_stuck(max_running_time_hours: Hours = 2) -> Response:
        reset = service.reset_stuck(max_running_time_hours * _HOUR_S)
        message = f"{_jobs(reset)} reset."
        return answer({"message": message, "reset": reset, "max_running_time_hours": max_running_time_hours})

    @routes.delete(
        "/admin/job/{job_id}",
        summary="Delete a completed or failed job and its files",
        responses={200: {"model": JobDeleted, "description": "It is gone"}},
    )
    def delete(job_id: str) -> Response:
        service.delete(job_id_of(job_id))
        return answer({"job_id": job_id, "message": "The job was deleted."})

    return routes


def _jobs(count: int) -> str:
    return f"{count} job was" if count == 1 else f"{count} jobs were"
