"""The webhooks of a job: what became of each, and sending one again."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from ..errors import SecretsUnreadable
from ..ids import JobId
from ..jobs.outbox import Delivery, DeliveryState
from ..jobs.service import JobService
from ..jobs.webhook_message import delivery_entry
from .dialects import job_id_of

# For the door: these take the operator's key where there is one.
OPERATOR_PATHS = ("/webhooks",)
_DELIVERY_ID = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"
_TRY: dict[str, Any] = {"at": "2024-01-01T00:00:25.000Z", "outcome": "200"}
_ENTRY: dict[str, Any] = {
    "id": _DELIVERY_ID,
    "job_id": "550e8400-e29b-41d4-a716-446655440000",
    "event": "job.completed",
    "state": "delivered",
    "host": "hooks.example.com",
    "created_at": "2024-01-01T00:00:25.000Z",
    "next_at": None,
    "tries": [_TRY],
}


class DeliveryTry(BaseModel):
    """One try; `outcome` is a status code or what was in the way."""

    model_config = ConfigDict(json_schema_extra={"example": _TRY})
    at: str
    outcome: str


class DeliveryEntry(BaseModel):
    """One webhook of a job. Of its address only the host is shown; `next_at` is when it is tried again.

    `host` is null when the address cannot be read: the key beside the database is another one than it was sealed with.
    """

    model_config = ConfigDict(json_schema_extra={"example": _ENTRY})
    id: str
    job_id: str
    event: str
    state: DeliveryState
    host: str | None
    created_at: str
    next_at: str | None
    tries: list[DeliveryTry]


class DeliveryLog(BaseModel):
    """The webhooks of a job, each with all its tries."""

    model_config = ConfigDict(json_schema_extra={"example": {"deliveries": [_ENTRY]}})
    deliveries: list[DeliveryEntry]


class Resent(BaseModel):
    """The webhook goes out again now."""

    model_config = ConfigDict(json_schema_extra={"example": {"delivery_id": _DELIVERY_ID, "state": "due"}})
    delivery_id: str
    state: Literal["due"]


def router(
    service: JobService,
    deliveries: Callable[[JobId], Sequence[Delivery]],
    resend: Callable[[str], bool],
    open_url: Callable[[str], str] = str,
) -> APIRouter:
    """/jobs/{job_id}/webhooks and /webhooks/{delivery_id}/resend.

    `resend` says False of an unknown delivery; `open_url` opens the address of one where it is sealed.
    """
    routes = APIRouter(tags=["webhooks"])

    @routes.get("/jobs/{job_id}/webhooks", summary="The delivery log of a job's webhooks")
    def log_of_job(job_id: str) -> DeliveryLog:
        job = service.get(job_id_of(job_id))
        entries = [delivery_entry(each, _readable(open_url, each.url)) for each in deliveries(job.id)]
        return DeliveryLog.model_validate({"deliveries": entries})

    @routes.post("/webhooks/{delivery_id}/resend", summary="Send a webhook again, now", status_code=202)
    def send_again(delivery_id: str) -> Resent:
        if not resend(delivery_id):
            raise HTTPException(404, "There is no such delivery; GET /jobs/{job_id}/webhooks lists those of a job.")
        return Resent(delivery_id=delivery_id, state="due")

    return routes


def _readable(open_url: Callable[[str], str], url: str) -> str | None:
    try:
        return open_url(url)
    except SecretsUnreadable:
        return None
