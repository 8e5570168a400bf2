"""SQLite as the database: one file, WAL, one writer and many readers. An acknowledged write has reached the disk."""

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool, QueuePool

from ..errors import StoreUnavailable
from ..jobs.trouble import Trouble
from . import schema
from .database import T, Work, is_full, translated
from .group_commit import GroupCommit
from .group_sync import GroupSync
from .tables import VERSION

# The WAL grows while somebody (a backup) reads for long; afterwards it shrinks to this.
_WAL_LIMIT_BYTES = 64 * 1024 * 1024
# Written back at once while the writers wait: 8 MB.
_VACUUM_PAGES = 2000
_READERS = 16
# A writer that waits for longer because somebody else has the database says so in the log.
_QUIET_S = 3.0


class SqliteDatabase:
    """Opens the file, making it as needed. `sync` is FULL, or NORMAL where a power cut may cost jobs.

    `prepare` brings its tables to this release's version; those of the jobs, unless told otherwise.
    """

    def __init__(
        self,
        path: Path,
        sync: str = "FULL",
        busy_timeout_s: float = 30.0,
        prepare: "Callable[[SqliteDatabase], None] | None" = None,
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Its other files get the same mode from SQLite.
        path.touch(mode=0o600)
        self._path = path
        self._sync = sync
        self._busy_timeout_s = busy_timeout_s
        self._quiet_s = min(_QUIET_S, busy_timeout_s)
        self._synced: bool | None = None
        self._has_work = False
        self._wakers: list[Callable[[], None]] = []
        self._locked = Trouble("A database is locked by another process", "The database is free again")
        self._lock = threading.Lock()
        self._readers = _engine(path, busy_timeout_s, "query_only=ON", pool=QueuePool)
        self._writers = _engine(path, busy_timeout_s, f"journal_size_limit={_WAL_LIMIT_BYTES}", pool=NullPool)
        with translated():
            _use_wal(path, busy_timeout_s)
            self._writer = self._writers.connect()
            self._wait_at_most(self._quiet_s)
        self._group = GroupCommit(self._begin, self._committed)
        self._file = _identity(path)
        self._wal_sync = GroupSync(path.with_name(f"{path.name}-wal"))
        try:
            (prepare or _migrate)(self)
        except BaseException:
            self.close()
            raise

    def read(self, work: Work[T]) -> T:
        """Run `work` on a connection of its own; WAL lets it read while others write."""
        with translated(), self._readers.connect() as connection:
            return work(connection)

    def write(self, work: Work[T], durable: bool = True) -> T:
        """Run `work` as one transaction, maybe sharing its sync with other threads'."""
        with translated():
            return self._group.run(work, durable)

    def sync(self) -> None:
        """Sync the WAL beside the writers, not in their turn: what a checkpoint has moved is synced already."""
        if self._sync == "FULL":
            try:
                self._wal_sync.wait()
            except OSError as error:
                raise StoreUnavailable(f"The job database cannot be synced ({error.strerror}); try again.") from error

    def insert(self, table: Table) -> Any:
        """SQLite's insert."""
        return insert(table)

    def announce(self, connection: Connection) -> None:
        """Wake the listeners of this process after the commit; other processes poll."""
        self._has_work = True

    def on_work(self, wake: Callable[[], None]) -> None:
        """Call `wake` after commits that may have made work."""
        with self._lock:
            self._wakers.append(wake)

    def compact(self) -> None:
        """Free pages go back to the file system, and the WAL is emptied as far as no reader needs it."""
        with translated():
            while _driver(self._writer).execute("PRAGMA freelist_count").fetchone()[0]:
                self._group.exclusively(lambda: _run(self._writer, f"PRAGMA incremental_vacuum({_VACUUM_PAGES})"))
            self._group.exclusively(self._empty_wal)

    def close(self) -> None:
        """Close every connection; the last one to close empties the WAL."""
        self._readers.dispose()
        self._group.exclusively(self._writer.close)
        self._writers.dispose()

    def _empty_wal(self) -> None:
        # Somebody who reads for long must not hold up the writers meanwhile: what cannot be had now comes another time.
        self._wait_at_most(0)
        _run(self._writer, "PRAGMA wal_checkpoint(TRUNCATE)")
        self._wait_at_most(self._quiet_s)

    def _begin(self, durable: bool) -> Connection:
        self._check_file()
        driver = _driver(self._writer)
        if durable is not self._synced:
            # What was written before without a sync is synced by the next commit that is durable.
            driver.execute(f"PRAGMA synchronous={self._sync if durable else 'NORMAL'}")
            self._synced = durable
        self._take()
        return self._writer

    def _take(self) -> None:
        """Begin to write, and say so where that takes long. Raises OperationalError when it takes too long."""
        try:
            self._writer.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError as error:
            if getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
                raise
            self._locked.met(str(error.orig), database=str(self._path))
            self._wait_at_most(max(0.0, self._busy_timeout_s - self._quiet_s))
            try:
                self._writer.exec_driver_sql("BEGIN IMMEDIATE")
            finally:
                self._wait_at_most(self._quiet_s)
        self._locked.over(database=str(self._path))

    def _wait_at_most(self, seconds: float) -> None:
        _run(self._writer, f"PRAGMA busy_timeout={int(seconds * 1000)}")

    def _check_file(self) -> None:
        # SQLite goes on with a file that has lost its name, and everything it acknowledges goes with the process.
        if _identity(self._path) != self._file:
            raise StoreUnavailable(
                "The file of the job database was removed or replaced while it was open: restart the worker."
            )

    def _committed(self) -> None:
        if self._has_work:
            self._has_work = False
            with self._lock:
                wakers = list(self._wakers)
            for wake in wakers:
                wake()


def _migrate(database: SqliteDatabase) -> None:
    if database.read(schema.version_of) != VERSION:
        # Two processes may start at once: the second finds the work done.
        database.write(schema.upgrade)


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file the name stands for; None for none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _run(connection: Connection, pragma: str) -> None:
    _driver(connection).execute(pragma).fetchall()


def _engine(path: Path, busy_timeout_s: float, pragma: str, pool: Any) -> Engine:
    limits = {"pool_size": _READERS, "max_overflow": -1} if pool is QueuePool else {}
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=pool,
        # No implicit transactions: the driver's would begin as readers and fail to become writers.
        connect_args={"timeout": busy_timeout_s, "check_same_thread": False, "isolation_level": None},
        **limits,
    )

    def connected(driver: Any, _record: Any) -> None:
        driver.execute("PRAGMA foreign_keys=ON")
        driver.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", connected)
    return engine


def _use_wal(path: Path, busy_timeout_s: float) -> None:
    """Switch a new file to WAL. The switch needs the file alone and does not wait for it by itself."""
    give_up_at = time.monotonic() + busy_timeout_s
    while True:
        driver = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
        try:
            if driver.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                # Before the first table, or it has no effect.
                driver.execute("PRAGMA auto_vacuum=INCREMENTAL")
                driver.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if is_full(error) or time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)
        finally:
            driver.close()
