"""The gallery's index: what is listed and searched without a look at the folder. It can be made anew from the sidecars.

Every change is one transaction, seen by all processes that share the folder. None is synced: what a power cut undoes
is found again by comparing with the folder.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Select, func, select
from sqlalchemy.exc import DBAPIError

from ..errors import StoreUnavailable
from ..logs import get_logger
from ..stores.sqlite import SqliteDatabase
from .entry import Count, Entry, Wanted
from .rows import Row, put, remove
from .search import page_of, where
from .sidecar import Source
from .tables import CHECKPOINT, DAY, VERSION, WORKFLOW, counts, items, make, version_of

log = get_logger()

T = TypeVar("T")
_BUSY_S = 10.0
_FACETS = 100
_REMOVED_AT_ONCE = 500
_SIBLINGS = ("", "-wal", "-shm")
_AGAIN = "The gallery's index cannot be read; it is being made anew: try again in a moment."


class Known(NamedTuple):
    """What the index knows of a file that is compared with the folder."""

    day: str
    extension: str
    noted_ns: int


class GalleryIndex:
    """Opened by its first use, and made when it is missing or cannot be read. Safe from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._database: SqliteDatabase | None = None
        self._identity: tuple[int, int] | None = None
        # Set while the file that is there cannot be relied on.
        self.is_damaged = threading.Event()

    def put(self, rows: Iterable[Row]) -> None:
        """Enter files, or what has changed of them."""
        entered = list(rows)
        if entered:
            self._write(lambda connection: put(connection, entered))

    def remove(self, hashes: Sequence[str]) -> None:
        """Forget files."""
        for at in range(0, len(hashes), _REMOVED_AT_ONCE):
            some = hashes[at : at + _REMOVED_AT_ONCE]
            self._write(lambda connection, some=some: remove(connection, some))  # type: ignore[misc]

    def get(self, sha256: str) -> Entry | None:
        """A file, also a deleted one that can still be brought back."""
        row = self._read(lambda connection: connection.execute(select(items).where(items.c.sha256 == sha256)).first())
        return _entry(row) if row else None

    def page(self, wanted: Wanted, limit: int, before: int | None = None) -> list[Entry]:
        """The newest of those, `before` a number."""
        statement = page_of(wanted, before).limit(limit)
        rows = self._read(lambda connection: connection.execute(statement).all())
        return [_entry(row) for row in rows]

    def days(self, wanted: Wanted) -> list[Count]:
        """How many of those came in on which day, the newest first."""
        if wanted == Wanted():
            return self._counts(_counted(DAY).order_by(counts.c.name.desc()))
        day = items.c.day
        return self._counts(where(select(day, func.count()), wanted).group_by(day).order_by(day.desc()))

    def facets(self) -> tuple[list[Count], list[Count]]:
        """The named workflows, and the checkpoints, that most were made with."""
        order = (counts.c.count.desc(), counts.c.name)
        workflows, checkpoints = (
            _counted(subject).order_by(*order).limit(_FACETS) for subject in (WORKFLOW, CHECKPOINT)
        )
        return self._counts(workflows), self._counts(checkpoints)

    def due(self, now: float) -> list[Entry]:
        """The deleted ones that can no longer be brought back."""
        statement = select(items).where(items.c.deleted_until <= now)
        return [_entry(row) for row in self._read(lambda connection: connection.execute(statement).all())]

    def next_due(self) -> float | None:
        """When the next deletion becomes final."""
        statement = select(func.min(items.c.deleted_until)).where(items.c.deleted_until.is_not(None))
        found: float | None = self._read(lambda connection: connection.execute(statement).scalar_one_or_none())
        return found

    def passing(self, before: int | None, limit: int) -> list[Entry]:
        """Those that go with their jobs, the newest first."""
        statement = select(items).where(items.c.is_passing == 1)
        statement = statement if before is None else statement.where(items.c.number < before)
        statement = statement.order_by(items.c.number.desc()).limit(limit)
        return [_entry(row) for row in self._read(lambda connection: connection.execute(statement).all())]

    def of_jobs(self, job_ids: Sequence[str]) -> list[Entry]:
        """Those that go with one of these jobs."""
        statement = select(items).where(items.c.is_passing == 1, items.c.job_id.in_(job_ids))
        return [_entry(row) for row in self._read(lambda connection: connection.execute(statement).all())]

    def known(self) -> Mapping[str, Known]:
        """All files, to be compared with the folder."""
        columns = select(items.c.sha256, items.c.day, items.c.extension, items.c.noted_ns)
        rows = self._read(lambda connection: connection.execute(columns).all())
        return {sha256: Known(day, extension, noted_ns) for sha256, day, extension, noted_ns in rows}

    def reset(self) -> None:
        """Throw the file away; the next use makes an empty one."""
        with self._lock:
            self._close()
            for suffix in _SIBLINGS:
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self.is_damaged.clear()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _counts(self, statement: Any) -> list[Count]:
        return [Count(str(name), count) for name, count in self._read(lambda each: each.execute(statement).all())]

    def _read(self, work: Callable[[Connection], T]) -> T:
        return self._use(lambda database: database.read(work))

    def _write(self, work: Callable[[Connection], None]) -> None:
        self._use(lambda database: database.write(work, durable=False))

    def _use(self, use: Callable[[SqliteDatabase], T]) -> T:
        try:
            return use(self._opened())
        except StoreUnavailable as error:
            # Without a cause: somebody removed or replaced the file, and what is still open is of no use.
            if error.__cause__ is not None and not _is_damage(error.__cause__):
                raise StoreUnavailable("The gallery's index is in use; try again.") from error
            if not self.is_damaged.is_set():
                log.warning("The gallery's index cannot be read", reason=str(error.__cause__ or error)[:200])
            self.is_damaged.set()
            raise StoreUnavailable(_AGAIN) from error

    def _opened(self) -> SqliteDatabase:
        with self._lock:
            if self._database is not None and (found := _identity(self._path)) != self._identity:
                # Another process has made it anew, or somebody removed it.
                self._close()
                if found is None:
                    self.is_damaged.set()
                    raise StoreUnavailable(_AGAIN)
            if self._database is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._database = SqliteDatabase(self._path, "NORMAL", _BUSY_S, _prepare)
                self._identity = _identity(self._path)
            return self._database


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file the name stands for; None for none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _prepare(database: SqliteDatabase) -> None:
    if database.read(version_of) != VERSION:
        database.write(make)


def _is_damage(cause: BaseException | None) -> bool:
    """What SQLite says of a file that is broken, rather than in use."""
    found = cause.orig if isinstance(cause, DBAPIError) else cause
    if not isinstance(found, sqlite3.DatabaseError):
        return False
    # OperationalError is a locked file or a missing table; only the last is damage.
    return not isinstance(found, sqlite3.OperationalError) or "no such" in str(found)


def _counted(subject: str) -> Select[Any]:
    return select(counts.c.name, counts.c.count).where(counts.c.subject == subject)


def _entry(row: Any) -> Entry:
    values = {name: getattr(row, name) for name in Entry.__slots__}
    return Entry(**{**values, "source": Source(row.source), "checkpoints": tuple(json.loads(row.checkpoints))})
