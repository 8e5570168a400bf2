"""What answers of ComfyUI Deploy that are no success say: in short, as an error of ours, and when to come again."""

import email.utils
import json
from http import HTTPStatus

import requests

from ..deploy_errors import DeployError, DeployNotFound, DeployRefused
from ..errors import Detail, InvalidInput
from ..masking import mask

_SHOWN_CHARS = 300


def said_of(body: bytes) -> str:
    """What an answer says, short enough for a message and without anything secret."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return "no reason given."
    detail = content.get("detail") if isinstance(content, dict) else None
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


def _findings(body: bytes) -> list[Detail]:
    found = json.loads(body).get("detail")
    if not isinstance(found, list):
        return []
    rows = [each for each in found if isinstance(each, dict)][:20]
    return [
        Detail(
            field=".".join(["deployment", *(str(step) for step in row.get("loc", []) if step != "body")]),
            message=mask(str(row.get("msg", ""))[:_SHOWN_CHARS]),
            code=str(row.get("type", "invalid")),
        )
        for row in rows
    ]


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
