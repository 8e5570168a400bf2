"""Jobs and deliveries as rows, and back."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Double, Row

from ..jobs.job import Job, JobError, Priority, Status
from ..jobs.outbox import Delivery, DeliveryState, Try
from .tables import jobs

_JOB_FIELDS = tuple(field.name for field in fields(Job))
_COLUMNS = tuple(jobs.c.keys())
_FLOATS = tuple(column.name for column in jobs.c if isinstance(column.type, Double))


def job_values(job: Job) -> dict[str, Any]:
    """The row of a job, without the columns that are the store's own."""
    values = {name: getattr(job, name) for name in _JOB_FIELDS}
    return values | {"error": error_value(job.error), "labels": dict(job.labels) or None}


def job_of(row: Row[Any]) -> Job:
    """The job of a row."""
    values = dict(zip(_COLUMNS, row, strict=True))
    del values["seq"]
    values["status"], values["priority"] = Status(values["status"]), Priority(values["priority"])
    values["error"], values["labels"] = _error_of(values["error"]), values["labels"] or {}
    for name in _FLOATS:
        # SQLite keeps whole numbers short, and RETURNING hands them out that way.
        if type(values[name]) is int:
            values[name] = float(values[name])
    return Job(**values)


def error_value(error: JobError | None) -> dict[str, Any] | None:
    """An error as JSON."""
    return None if error is None else asdict(error)


def _error_of(value: Mapping[str, Any] | None) -> JobError | None:
    return None if value is None else JobError(**{**value, "details": tuple(value["details"])})


def delivery_of(row: Row[Any]) -> Delivery:
    """The delivery of a row."""
    values = dict(row._mapping)
    tries = tuple(Try(*item) for item in values.pop("tries"))
    status, state = Status(values.pop("status")), DeliveryState(values.pop("state"))
    return Delivery(**values, status=status, state=state, tries=tries)


def delivery_values(delivery: Delivery) -> dict[str, Any]:
    """The row of a delivery."""
    values = asdict(delivery)
    return values | {"tries": tries_value(delivery.tries)}


def tries_value(tries: tuple[Try, ...]) -> list[list[Any]]:
    """The log of a delivery as JSON."""
    return [[each.at, each.outcome] for each in tries]
