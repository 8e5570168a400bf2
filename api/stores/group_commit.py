"""One writer at a time, and writers that wait share a transaction: one sync to disk for all of them.

A sync costs more than everything else a small write does, so under load this multiplies durable writes per second.
"""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from sqlalchemy import Connection

from .database import T, Work


class _Entry:
    """A write that waits for its turn. Entered around its work: an error is kept for its own caller."""

    def __init__(self, work: Work[Any], durable: bool) -> None:
        self.work = work
        self.durable = durable
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None

    def __enter__(self) -> None:
        self.error = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        self.error = error
        return True

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


class GroupCommit:
    """Runs writes on one connection, each all or nothing, in the order in which they came."""

    def __init__(self, begin: Callable[[bool], Connection], committed: Callable[[], None]) -> None:
        """`begin` starts a transaction, durable or not, and gives its connection; `committed` is called after each."""
        self._begin = begin
        self._committed = committed
        self._turn = threading.Lock()
        self._waiting_lock = threading.Lock()
        self._waiting: list[_Entry] = []

    def run(self, work: Work[T], durable: bool) -> T:
        """Run `work` in a transaction, maybe together with other threads' work; back after the commit."""
        entry = _Entry(work, durable)
        with self._waiting_lock:
            self._waiting.append(entry)
        with self._turn:
            # The thread that had the turn before may have taken this one's work along.
            if not entry.done:
                self._flush()
        result: T = entry.outcome()
        return result

    def exclusively(self, work: Callable[[], None]) -> None:
        """Run something that must not be inside a transaction, while nobody writes."""
        with self._turn:
            work()

    def _flush(self) -> None:
        with self._waiting_lock:
            group, self._waiting = self._waiting, []
        whole = _Entry(lambda connection: self._write_all(connection, group), any(entry.durable for entry in group))
        with whole:
            connection = self._begin(whole.durable)
            whole.work(connection)
            self._committed()
        for entry in group:
            entry.error = whole.error or entry.error
            entry.done = True

    def _write_all(self, connection: Connection, group: list[_Entry]) -> None:
        try:
            for entry in group:
                _write(connection, entry)
            connection.commit()
        except BaseException:
            connection.rollback()
            raise


def _write(connection: Connection, entry: _Entry) -> None:
    driver: Any = connection.connection.driver_connection
    driver.execute("SAVEPOINT entry")
    with entry:
        entry.value = entry.work(connection)
    if entry.error is not None:
        # After an I/O error or with a full disk SQLite has undone everything, the others' work too.
        if not driver.in_transaction:
            raise entry.error
        driver.execute("ROLLBACK TO entry")
    driver.execute("RELEASE entry")
