"""What goes into the index and out of it, many files at a time."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy import Row as Found
from sqlalchemy.dialects.sqlite import insert

from .entry import Entry
from .tables import CHECKPOINT, DAY, WORKFLOW, counts, items, loaded, texts

_DERIVED = frozenset({"number", "source", "checkpoints", "is_passing", "noted_ns"})
_PLAIN = [name for name in items.c.keys() if name not in _DERIVED]  # noqa: SIM118 - no dict
_by_number: Any = bindparam("gone")
_REMOVALS = [
    delete(table).where(column == _by_number)
    for table, column in (
        (loaded, loaded.c.number),
        (texts, texts.c.rowid),
        (items, items.c.number),
    )
]
_added = insert(counts)
_ADD = _added.on_conflict_do_update(
    index_elements=[counts.c.subject, counts.c.name], set_={"count": counts.c.count + _added.excluded.count}
)
Changes = Counter[tuple[str, str]]


class Row(NamedTuple):
    """What the index holds of one file. `is_passing`: it goes with its jobs."""

    entry: Entry
    text: str
    is_passing: bool
    noted_ns: int


def put(connection: Connection, rows: Sequence[Row]) -> None:
    """Enter files that are not there, and what has changed of the others."""
    before = {found.sha256: found for found in _found(connection, [row.entry.sha256 for row in rows])}
    # One that is older was read before somebody else wrote the sidecar anew. Of two of one file the last one counts.
    newest = {row.entry.sha256: row for row in rows}
    fresh = [row for sha, row in newest.items() if sha not in before or before[sha].noted_ns <= row.noted_ns]
    changes: Changes = Counter()
    _remove(connection, [before[row.entry.sha256] for row in fresh if row.entry.sha256 in before], changes)
    numbers = _numbers(connection, fresh, {sha: found.number for sha, found in before.items()})
    _insert(connection, fresh, numbers)
    for row in fresh:
        if row.entry.deleted_until is None:
            changes.update(_subjects(row.entry.day, row.entry.workflow_name, row.entry.checkpoints))
    _count(connection, changes)


def remove(connection: Connection, hashes: Sequence[str]) -> None:
    """Forget files."""
    changes: Changes = Counter()
    _remove(connection, _found(connection, hashes), changes)
    _count(connection, changes)


def _found(connection: Connection, hashes: Sequence[str]) -> Sequence[Found[Any]]:
    columns = ("number", "sha256", "day", "workflow_name", "checkpoints", "deleted_until", "noted_ns")
    return connection.execute(select(*(items.c[name] for name in columns)).where(items.c.sha256.in_(hashes))).all()


def _remove(connection: Connection, found: Sequence[Found[Any]], changes: Changes) -> None:
    if not found:
        return
    numbers = [{"gone": each.number} for each in found]
    for removal in _REMOVALS:
        connection.execute(removal, numbers)
    for each in found:
        if each.deleted_until is None:
            changes.subtract(_subjects(each.day, each.workflow_name, json.loads(each.checkpoints)))


def _numbers(connection: Connection, rows: Sequence[Row], before: dict[str, int]) -> list[int]:
    """The number each had, else its own, else the next one that is free."""
    wanted = [row.entry.number for row in rows if row.entry.sha256 not in before]
    taken = set(connection.execute(select(items.c.number).where(items.c.number.in_(wanted))).scalars())
    taken.update(before.values())
    numbers = []
    for row in rows:
        number = before.get(row.entry.sha256)
        if number is None:
            number = row.entry.number
            while number in taken or (number != row.entry.number and _is_taken(connection, number)):
                number += 1
            taken.add(number)
        numbers.append(number)
    return numbers


def _is_taken(connection: Connection, number: int) -> bool:
    return connection.execute(select(items.c.number).where(items.c.number == number)).first() is not None


def _insert(connection: Connection, rows: Sequence[Row], numbers: Sequence[int]) -> None:
    if not rows:
        return
    both = list(zip(rows, numbers, strict=True))
    connection.execute(items.insert(), [_values(row, number) for row, number in both])
    connection.execute(texts.insert(), [{"rowid": number, "body": row.text} for row, number in both])
    names = [{"name": name, "number": number} for row, number in both for name in row.entry.checkpoints]
    if names:
        connection.execute(loaded.insert(), names)


def _values(row: Row, number: int) -> dict[str, Any]:
    entry = row.entry
    return {
        **{name: getattr(entry, name) for name in _PLAIN},
        "number": number,
        "source": entry.source.value,
        "checkpoints": json.dumps(entry.checkpoints),
        "is_passing": int(row.is_passing),
        "noted_ns": row.noted_ns,
    }


def _subjects(day: str, workflow: str | None, checkpoints: Iterable[str]) -> list[tuple[str, str]]:
    return [(DAY, day), *([(WORKFLOW, workflow)] if workflow else []), *((CHECKPOINT, name) for name in checkpoints)]


def _count(connection: Connection, changes: Changes) -> None:
    values = [{"subject": subject, "name": name, "count": count} for (subject, name), count in changes.items() if count]
    if values:
        connection.execute(_ADD, values)
        connection.execute(delete(counts).where(counts.c.count <= 0))
