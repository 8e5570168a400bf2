"""PostgreSQL as the database, for several workers on one queue: rows are locked, not files; NOTIFY wakes claimers."""

import threading
from collections.abc import Callable
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, Table, create_engine, make_url, text
from sqlalchemy.dialects.postgresql import insert

from . import schema
from .database import T, Work, translated
from .tables import VERSION, metadata

_CHANNEL = "comfyui_jobs"
# Held while migrating, so that two migrations do not run at once. Any number, always the same.
_MIGRATION_LOCK = 7_206_113_001
_RECONNECT_S = 2.0
_IDLE_S = 30.0

for _index in (index for table in metadata.tables.values() for index in table.indexes):
    _index.dialect_options["postgresql"]["where"] = _index.dialect_options["sqlite"]["where"]


class PostgresDatabase:
    """Opens a database that `migrate` has made; refuses one of another version, with the command to run."""

    def __init__(self, url: str, pool_size: int = 8) -> None:
        self._engine = _engine(url, pool_size)
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._listener = _Listener(url)
        try:
            schema.require(self.read(schema.version_of))
        except BaseException:
            self.close()
            raise

    def read(self, work: Work[T]) -> T:
        """Run `work` on a connection of the pool."""
        with translated(), self._reader.connect() as connection:
            return work(connection)

    def write(self, work: Work[T], durable: bool = True) -> T:
        """Run `work` as one transaction."""
        with translated(), self._engine.begin() as connection:
            if not durable:
                connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")
            return work(connection)

    def sync(self) -> None:
        """Commit something durably: the log goes to the disk in its order."""
        self.write(lambda connection: connection.exec_driver_sql("SELECT pg_current_xact_id()"))

    def insert(self, table: Table) -> Any:
        """PostgreSQL's insert."""
        return insert(table)

    def announce(self, connection: Connection) -> None:
        """Wake every worker's listeners; the server sends it with the commit."""
        connection.exec_driver_sql(f"NOTIFY {_CHANNEL}")

    def on_work(self, wake: Callable[[], None]) -> None:
        """Call `wake` when any worker has announced work."""
        self._listener.add(wake)

    def compact(self) -> None:
        """Nothing: autovacuum does it."""

    def close(self) -> None:
        """Close every connection."""
        self._listener.stop()
        self._engine.dispose()


def migrate(url: str) -> str:
    """Bring a database to this release's version and return it; `python -m api migrate` calls this."""
    engine = _engine(url, pool_size=1)
    try:
        with translated(), engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            schema.upgrade(connection)
    finally:
        engine.dispose()
    return VERSION


class _Listener:
    """A thread that waits for NOTIFY, started with the first one who wants to hear of it."""

    def __init__(self, url: str) -> None:
        self._address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._wakers: list[Callable[[], None]] = []
        self._stopping = threading.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="job-listener", daemon=True)

    def add(self, wake: Callable[[], None]) -> None:
        self._wakers.append(wake)
        if not self._thread.is_alive():
            self._thread.start()
            self._listening.wait(_RECONNECT_S)

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            # Others wake up once for nothing, which they are made for.
            with psycopg.connect(self._address, autocommit=True) as connection:
                connection.execute(f"NOTIFY {_CHANNEL}")
            self._thread.join(_IDLE_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with psycopg.connect(self._address, autocommit=True) as connection:
                    self._listen(connection)
            except psycopg.Error:
                self._stopping.wait(_RECONNECT_S)

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(f"LISTEN {_CHANNEL}")
        self._listening.set()
        # What was announced while nobody listened is not sent again.
        self._wake()
        while not self._stopping.is_set():
            for _ in connection.notifies(timeout=_IDLE_S, stop_after=1):
                self._wake()

    def _wake(self) -> None:
        for wake in list(self._wakers):
            wake()


def _engine(url: str, pool_size: int) -> Engine:
    address = make_url(url).set(drivername="postgresql+psycopg")
    return create_engine(address, pool_size=pool_size, max_overflow=pool_size * 4, pool_pre_ping=True)
