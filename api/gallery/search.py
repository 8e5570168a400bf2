"""The statements behind lists of the gallery: by whichever index finds the newest without sorting."""

from typing import Any

from sqlalchemy import ColumnElement, Select, exists, literal, select

from .entry import Wanted
from .tables import items, loaded, texts

_EQUAL = ("day", "workflow_name", "kind")


def page_of(wanted: Wanted, before: int | None) -> Select[Any]:
    """The newest of those, from `before` that number on."""
    order = _order(wanted)
    statement = where(select(items), wanted).order_by(order.desc())
    return statement if before is None else statement.where(order < before)


def where(statement: Select[Any], wanted: Wanted) -> Select[Any]:
    """The statement about items, of those alone."""
    statement = statement.where(items.c.deleted_until.is_(None))
    order = _order(wanted)
    if order is not items.c.number:
        statement = statement.select_from(order.table.join(items, items.c.number == order))
    if wanted.query:
        statement = statement.where(texts.c.texts.op("MATCH")(literal(wanted.query)))
    if wanted.checkpoint is not None:
        statement = statement.where(_names(wanted.checkpoint, joined=order is loaded.c.number))
    for name in _EQUAL:
        if (value := getattr(wanted, name)) is not None:
            statement = statement.where(items.c[name] == value)
    if wanted.source is not None:
        statement = statement.where(items.c.source == wanted.source.value)
    return statement.where(*_sizes(wanted))


def _order(wanted: Wanted) -> ColumnElement[int]:
    """Where the number is taken from: the table that is gone through from its newest end."""
    if wanted.query:
        return texts.c.rowid
    return items.c.number if wanted.checkpoint is None else loaded.c.number


def _names(checkpoint: str, *, joined: bool) -> ColumnElement[bool]:
    if joined:
        return loaded.c.name == checkpoint
    return exists().where(loaded.c.name == checkpoint, loaded.c.number == items.c.number)


def _sizes(wanted: Wanted) -> list[ColumnElement[bool]]:
    limits = (
        (items.c.width, wanted.min_width, wanted.max_width),
        (items.c.height, wanted.min_height, wanted.max_height),
    )
    found: list[ColumnElement[bool]] = []
    for size, least, most in limits:
        found += [size >= least] if least is not None else []
        found += [size <= most] if most is not None else []
    return found
