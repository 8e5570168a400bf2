"""Answers in the words of the API: rows, FastAPI's details, findings about ids."""

import json
import uuid
from typing import Any, NoReturn

from aiohttp import web


def row(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(content, status=status, headers=headers)


def detail(status: int, text: Any, headers: dict[str, str] | None = None) -> web.Response:
    return row({"detail": text}, status, headers)


# In a request: the most rows that are sent at once, whatever it asks for.
PAGE_CAP = "page_cap"


class Refused(Exception):
    """Ends a request with FastAPI's `{"detail": …}`."""

    def __init__(self, status: int, text: Any) -> None:
        super().__init__(str(text))
        self.status = status
        self.text = text


def invalid(kind: str, place: list[str | int], message: str, given: Any) -> NoReturn:
    raise Refused(422, [{"type": kind, "loc": place, "msg": message, "input": given}])


def checked_id(value: Any, *place: str) -> str:
    """A UUID, or a 422 as pydantic words it."""
    try:
        return str(uuid.UUID(value))
    except (ValueError, AttributeError, TypeError):
        invalid("uuid_parsing", list(place), "Input should be a valid UUID", value)


async def body_of(request: web.Request) -> dict[str, Any]:
    try:
        content = await request.json()
    except json.JSONDecodeError:
        invalid("json_invalid", ["body", 0], "JSON decode error", {})
    if not isinstance(content, dict):
        invalid("model_attributes_type", ["body"], "Input should be a valid dictionary", content)
    return content


def paged(rows: list[Any], request: web.Request, size: str = "limit", default: int = 100) -> list[Any]:
    try:
        offset, limit = int(request.query.get("offset", 0)), int(request.query.get(size, default))
    except ValueError:
        invalid("int_parsing", ["query", size], "Input should be a valid integer", request.query.get(size))
    return rows[offset : offset + min(limit, request.get(PAGE_CAP, limit))]
