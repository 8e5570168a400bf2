"""The lines of waiting jobs, one for each target: moving one within its own."""

from typing import Any

from sqlalchemy import Connection, Row

from ..jobs.store import Place
from . import sql


def moved(connection: Connection, job_id: str, place: Place, before: str | None) -> Row[Any] | None:
    """Move a waiting job to an end of its line or right before another one; None when that one is not in it."""
    # Two moves at once could shift each other's rows; claims go on meanwhile.
    connection.execute(sql.LOCK_LINE)
    own = connection.execute(sql.place_of(job_id)).first()
    if own is None:
        return None
    rank = _at_end(connection, own.target, place) if before is None else _before(connection, own.target, before)
    if rank is None:
        return None
    return connection.execute(sql.CHANGE_QUEUED, {"of": job_id, "rank": rank}).first()


def _at_end(connection: Connection, target: str, place: Place) -> float:
    last = place is Place.LAST
    rank: float = connection.execute(sql.end_of_line(target, last)).scalar_one()
    return rank + 1 if last else rank - 1


def _before(connection: Connection, target: str, other: str) -> float | None:
    place = connection.execute(sql.place_of(other)).first()
    if place is None or place.target != target:
        return None
    # Halving the gap would run out of digits after some moves, and there is no gap between equals.
    connection.execute(sql.make_room(*place))
    return float(place.rank) - 0.5
