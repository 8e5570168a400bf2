"""The line of waiting jobs: moving one within it."""

from typing import Any

from sqlalchemy import Connection, Row

from ..jobs.store import Place
from . import sql


def moved(connection: Connection, job_id: str, place: Place, before: str | None) -> Row[Any] | None:
    """Move a waiting job to an end of the line or right before another one; None when either does not wait."""
    # Two moves at once could shift each other's rows; claims go on meanwhile.
    connection.execute(sql.LOCK_LINE)
    if connection.execute(sql.place_of(job_id)).first() is None:
        return None
    rank = _at_end(connection, place) if before is None else _before(connection, before)
    if rank is None:
        return None
    return connection.execute(sql.CHANGE_QUEUED, {"of": job_id, "rank": rank}).first()


def _at_end(connection: Connection, place: Place) -> float:
    last = place is Place.LAST
    rank: float = connection.execute(sql.end_of_line(last)).scalar_one()
    return rank + 1 if last else rank - 1


def _before(connection: Connection, other: str) -> float | None:
    place = connection.execute(sql.place_of(other)).first()
    if place is None:
        return None
    # Halving the gap would run out of digits after some moves, and there is no gap between equals.
    connection.execute(sql.make_room(*place))
    return float(place.rank) - 0.5
