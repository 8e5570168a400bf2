"""Which language a request speaks, and each language's words for the states of a job. Knows no route."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from ..errors import JobNotFound
from ..ids import JobId
from ..jobs.job import Status
from .errors import RUNPOD

NATIVE = "native"

NativeWord = Literal["pending", "running", "completed", "failed"]
RunPodWord = Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"]

NATIVE_WORDS: Mapping[Status, NativeWord] = {
    Status.QUEUED: "pending",
    Status.RUNNING: "running",
    Status.CANCELING: "running",
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
    Status.TIMED_OUT: "failed",
    Status.CANCELLED: "failed",
}
RUNPOD_WORDS: Mapping[Status, RunPodWord] = {
    Status.QUEUED: "IN_QUEUE",
    Status.RUNNING: "IN_PROGRESS",
    Status.CANCELING: "IN_PROGRESS",
    Status.SUCCEEDED: "COMPLETED",
    Status.FAILED: "FAILED",
    Status.TIMED_OUT: "TIMED_OUT",
    Status.CANCELLED: "CANCELLED",
}

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


def dialect_of(body: Mapping[str, Any]) -> str:
    """RUNPOD for a body with an `input`, NATIVE for the others."""
    if body.get("input") is None and not ("input" in body and "workflow" not in body):
        return NATIVE
    return RUNPOD


def job_id_of(text: str) -> JobId:
    """The job id of a path. Raises JobNotFound for what never was one."""
    if not _JOB_ID.fullmatch(text):
        raise JobNotFound("There is no such job: job ids are letters, digits, - and _.")
    return JobId(text)


def job_stats(counts: Mapping[Status, int]) -> dict[str, int]:
    """`{"pending", "running", "completed", "failed", "total"}`, how many jobs there are."""
    stats: dict[str, int] = dict.fromkeys(NATIVE_WORDS.values(), 0)
    for status, count in counts.items():
        stats[NATIVE_WORDS[status]] += count
    return {**stats, "total": sum(counts.values())}
