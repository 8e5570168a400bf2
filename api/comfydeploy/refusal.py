"""What answers of ComfyUI Deploy that are no success say: in short, as an error of ours, and when to come again."""

import email.utils
import json
from http import HTTPStatus
from typing import Any

import requests

from ..deploy_errors import DeployError, DeployNotFound, DeployRefused
from ..errors import Detail, InvalidInput
from ..masking import mask

_SHOWN_CHARS = 300
_CODE_CHARS = 100
_MOST_FINDINGS = 20


def said_of(body: bytes) -> str:
    """What an answer says, short enough for a message and without anything secret."""
    detail = _detail(body)
    text = detail if isinstance(detail, str) else json.dumps(detail)
    return mask(text[:_SHOWN_CHARS]) if detail else "no reason given."


def refusal(status: int, body: bytes, said: str, path: str) -> DeployError | InvalidInput:
    where = f"{template(path)}, {status}"
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return DeployRefused(f"ComfyUI Deploy does not take the key (COMFY_DEPLOY_API_KEY): {said} ({where})")
        case HTTPStatus.FORBIDDEN | HTTPStatus.PAYMENT_REQUIRED:
            return DeployRefused(f"ComfyUI Deploy does not allow it: {said} ({where})")
        case HTTPStatus.NOT_FOUND:
            return DeployNotFound(f"ComfyUI Deploy has nothing there: {said} ({where})")
        case HTTPStatus.UNPROCESSABLE_ENTITY:
            details = _findings(body)
            message = "; ".join(each["message"] for each in details) or said
            return InvalidInput(f"ComfyUI Deploy does not take the request: {message}", details)
    return DeployRefused(f"ComfyUI Deploy refused: {said} ({where})")


def _detail(body: bytes) -> Any:
    """What FastAPI puts into its errors; None where the answer is a proxy's page, or anything else."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content.get("detail") if isinstance(content, dict) else None


def _findings(body: bytes) -> list[Detail]:
    found = _detail(body)
    rows = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    return [
        Detail(
            field=_place(row.get("loc")),
            message=mask(str(row.get("msg", ""))[:_SHOWN_CHARS]),
            code=str(row.get("type", "invalid"))[:_CODE_CHARS],
        )
        for row in rows[:_MOST_FINDINGS]
    ]


def _place(steps: Any) -> str:
    named = [str(step)[:_CODE_CHARS] for step in steps[:10] if step != "body"] if isinstance(steps, list) else []
    return ".".join(["deployment", *named])


def retry_after(answer: requests.Response, now: float) -> float | None:
    """Seconds; the header may also be a date."""
    value = answer.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return None


def template(path: str) -> str:
    """The path with its ids as {id}."""
    steps = path.partition("?")[0].split("/")
    return "/".join("{id}" if len(step) >= 32 or step.isdecimal() else step for step in steps)
