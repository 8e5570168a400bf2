"""How a workflow comes into line in the words of /api/comfy, whichever route made it."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from ..errors import Detail, InvalidInput
from ..jobs.quoting import quote
from ..jobs.service import JobService
from . import submissions
from .comfy_words import PREFIX
from .management_words import WORDS

STATUS_CODE = 202
_MOST_CLIENT_ID = 200


async def queued(
    service: JobService, request: Request, body: Mapping[str, Any], workflow_name: str | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields of a ComfyQueueResponse, and headers. Raises InvalidInput, and what the service does."""
    client_id = _client_id(body.get("client_id"))
    own = {key: value for key, value in body.items() if key != "client_id"}
    submission = replace(submissions.native(own), workflow_name=workflow_name)
    accepted = await submissions.submit(service, request, submission)
    job = accepted.job
    position = await run_in_threadpool(service.position, job.id)
    told = {
        "prompt_id": job.id,
        # Made of the job's, so that a repeated request is answered alike.
        "client_id": client_id or str(uuid.uuid5(uuid.NAMESPACE_OID, job.id)),
        "status": WORDS[job.status],
        "position": position or 0,
    }
    return told, {"Location": f"{PREFIX}/status/{job.id}", **(submissions.REPLAYED if accepted.replayed else {})}


def _client_id(given: object) -> str | None:
    if given is None or given == "":
        return None
    if isinstance(given, str) and len(given) <= _MOST_CLIENT_ID and given.isprintable():
        return given
    message = f"client_id is {quote(str(given))}; it must be a text of {_MOST_CLIENT_ID} printable characters at most."
    raise InvalidInput(message, [Detail(field="client_id", code="invalid_client_id", message=message)])
