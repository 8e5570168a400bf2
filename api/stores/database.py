"""What the stores need of a database: transactions that run a function, and a signal that there is work."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..errors import DiskFull, StoreUnavailable

T = TypeVar("T")
Work = Callable[[Connection], T]

_FULL = ("disk is full", "No space left", "disk quota exceeded")


class Database(Protocol):
    """One open database. A function given to it may be run again if its first run was undone."""

    def read(self, work: Work[T]) -> T:
        """Run `work` on a connection that does not hold up writers."""

    def write(self, work: Work[T], durable: bool = True) -> T:
        """Run `work` as one transaction. Not durable: a power cut may undo it, a crash of the process does not."""

    def sync(self) -> None:
        """Return when everything written so far has reached the disk, durable or not."""

    def insert(self, table: Table) -> Any:
        """The dialect's insert, which knows `on_conflict_do_nothing`."""

    def announce(self, connection: Connection) -> None:
        """Within a write: once it is committed, tell that there is work."""

    def on_work(self, wake: Callable[[], None]) -> None:
        """Call `wake` when there is work."""

    def compact(self) -> None:
        """Give freed space back to the disk."""

    def close(self) -> None:
        """Close every connection."""


def is_full(error: object) -> bool:
    """Whether a driver's error says that the disk is full."""
    # The first thing that is made on a full disk is the file that its connections share: "disk I/O error" says SQLite.
    no_room = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_SHMSIZE
    return no_room or any(word in str(error) for word in _FULL)


@contextmanager
def translated() -> Iterator[None]:
    """Database errors as ours. A broken constraint stays what it is: who broke it knows what it means."""
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, PoolTimeout, sqlite3.Error) as error:
        cause = getattr(error, "orig", error)
        reason = str(cause)
        if is_full(cause):
            raise DiskFull("The disk of the job database is full: free some space, then try again.") from error
        raise StoreUnavailable(f"The job database cannot be used right now ({reason}); try again.") from error
