"""What a webhook says: the event of our own API, its signature, and the log of deliveries as callers see it.

Signed as Standard Webhooks 1.0 wants it: https://www.standardwebhooks.com.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from .job import Job, JobError, Status
from .outbox import Delivery, DeliveryState
from .quoting import cut
from .results import LISTS
from .webhook_lanes import host_of

# The part of an event's type after "job."; also the status in its data.
_WORDS: Mapping[Status, str] = {
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
    Status.TIMED_OUT: "timed_out",
    Status.CANCELLED: "cancelled",
}
_JSON = "application/json"
# Events are to be thin, 20 kB at most: receivers bound what they read before they have verified it.
_MAX_OUTPUTS_BYTES = 12_000
_MAX_MESSAGE = 500
_TOLD = ("filename", "mime_type", "size_bytes", "sha256")


def job_event(delivery: Delivery, job: Job, result: Mapping[str, Any] | None = None) -> tuple[bytes, str]:
    """The body and content type of `{"type": "job.completed", "timestamp", "data": {…}}`, below 20 kB.

    `result` is the job's, with links in place of content; outputs that do not fit are left off and counted as
    `outputs_omitted`.
    """
    word = _WORDS[delivery.status]
    data: dict[str, Any] = {"id": job.id, "status": word, "created_at": _iso(job.created_at)}
    # A job that was retried since is a story of its own: this event is about the end it had then.
    if job.status is delivery.status:
        data |= {"started_at": _iso(job.started_at), "completed_at": _iso(job.finished_at)}
        data |= {"error": _error(job.error)} if job.error and delivery.status is not Status.SUCCEEDED else {}
        data |= {"labels": dict(job.labels)} if job.labels else {}
        data |= _fitting(_outputs(result or {}))
    event = {"type": f"job.{word}", "timestamp": _iso(delivery.created_at), "data": data}
    return json.dumps(event, separators=(",", ":")).encode(), _JSON


def signed_headers(keys: Sequence[bytes], delivery_id: str, at: float, body: bytes) -> dict[str, str]:
    """The headers of one try at `at` (epoch seconds), signed by each key; without keys, unsigned."""
    timestamp = str(int(at))
    headers = {"webhook-id": delivery_id, "webhook-timestamp": timestamp}
    if keys:
        content = b".".join((delivery_id.encode(), timestamp.encode(), body))
        headers["webhook-signature"] = " ".join(_signature(key, content) for key in keys)
    return headers


def delivery_entry(delivery: Delivery, url: str | None) -> dict[str, Any]:
    """`{"id", "job_id", "event", "state", "host", "created_at", "next_at", "tries": [{"at", "outcome"}]}`.

    `url` is the delivery's, opened where it was sealed; None where it cannot be. Of it only the host: the rest often is
    its receiver's secret.
    """
    return {
        "id": delivery.id,
        "job_id": delivery.job_id,
        "event": f"job.{_WORDS[delivery.status]}",
        "state": delivery.state.value,
        "host": None if url is None else host_of(url),
        "created_at": _iso(delivery.created_at),
        "next_at": _iso(delivery.due_at) if delivery.state is DeliveryState.DUE else None,
        "tries": [{"at": _iso(each.at), "outcome": each.outcome} for each in delivery.tries],
    }


def _signature(key: bytes, content: bytes) -> str:
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def _error(error: JobError) -> dict[str, Any]:
    return {"code": error.code, "message": cut(error.message, _MAX_MESSAGE), "retryable": error.retryable}


def _outputs(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Where each output is, and what is known of it; never its content."""
    entries = (entry for name in LISTS for entry in result.get(name) or () if entry.get("type") != "base64")
    return [{"url": entry["data"]} | {key: entry[key] for key in _TOLD if key in entry} for entry in entries]


def _fitting(outputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    fitting: list[Mapping[str, Any]] = []
    room = _MAX_OUTPUTS_BYTES
    for output in outputs:
        room -= len(json.dumps(output)) + 1
        if room < 0:
            return {"outputs": fitting, "outputs_omitted": len(outputs) - len(fitting)}
        fitting.append(output)
    return {"outputs": fitting}


def _iso(at: float | None) -> str | None:
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
