"""What listings of jobs are asked with, whatever the surface: moments, and the cursor of the next page."""

import base64
import json
import math
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from ..errors import Detail, InvalidInput
from ..ids import JobId
from ..jobs.store import Cursor

# Epoch seconds, or a date and time; without an offset it is UTC.
Moment = Annotated[float, Field(allow_inf_nan=False)] | datetime
MOMENT_EXAMPLE = "2026-01-15T10:30:00Z"
CURSOR_EXAMPLE = "WzE3MDQwNjcyMDAuMCwgIjU1MGU4Il0="


def seconds_of(moment: float | datetime | None) -> float | None:
    """Epoch seconds."""
    if not isinstance(moment, datetime):
        return moment
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def text_of(cursor: Cursor | None) -> str | None:
    """The cursor as callers get it."""
    return base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode() if cursor else None


def cursor_of(text: str | None) -> Cursor | None:
    """The cursor behind it. Raises InvalidInput for what none ever was."""
    if text is None:
        return None
    try:
        created_at, job_id = json.loads(base64.urlsafe_b64decode(text))
        if isinstance(job_id, str) and math.isfinite(float(created_at)):
            return Cursor(float(created_at), JobId(job_id))
    except (ValueError, TypeError, RecursionError, OverflowError):
        pass
    message = "cursor must be the `next` of an earlier page, unchanged."
    raise InvalidInput(message, [Detail(field="query.cursor", code="invalid_cursor", message=message)])
