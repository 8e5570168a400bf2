"""Stores, jobs and a clock for the tests of the job store."""

import itertools
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.ids import JobId
from api.jobs.job import Job
from api.jobs.store import Added
from api.stores.database import Database
from api.stores.job_store import SqlJobStore
from api.stores.outbox import SqlWebhookOutbox
from api.stores.postgres import PostgresDatabase
from api.stores.sqlite import SqliteDatabase

T0 = 1_700_000_000.0


class Clock:
    """Stands still until it is set."""

    def __init__(self, now: float = T0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float = 1.0) -> float:
        self.now += seconds
        return self.now


@dataclass(frozen=True)
class Stores:
    """One database, what is built on it, and how another process opens it."""

    address: str
    database: Database
    clock: Clock
    jobs: SqlJobStore
    webhooks: SqlWebhookOutbox

    def add(self, **values: Any) -> Job:
        return self.jobs.add(new_job(self.clock, **values)).job

    def admit(self, *args: Any, **values: Any) -> Added:
        return self.jobs.add(new_job(self.clock, **values), *args)


_numbers = itertools.count()


def new_job(clock: Callable[[], float], **values: Any) -> Job:
    return Job(**{"id": JobId(str(uuid.UUID(int=next(_numbers)))), "created_at": clock(), **values})


def open_database(address: str) -> Database:
    """A SQLite file by its path, PostgreSQL by its URL. Without syncs: no test here cuts the power."""
    if address.startswith("postgresql:"):
        return PostgresDatabase(address)
    return SqliteDatabase(Path(address), sync="NORMAL")


@contextmanager
def opened(address: str, clock: Clock | None = None) -> Iterator[Stores]:
    database, clock = open_database(address), clock or Clock()
    try:
        yield Stores(address, database, clock, SqlJobStore(database, clock), SqlWebhookOutbox(database, clock))
    finally:
        database.close()
