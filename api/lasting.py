"""What outlives the process: the folder of the jobs' files, the key of their secrets, the database."""

import fcntl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .errors import InvalidSettings, StoreUnavailable
from .jobs.spool import Spool
from .jobs.store import JobFilter
from .jobs.uploads import Uploads
from .logs import get_logger
from .sealing import Sealer, load_key
from .settings import Settings
from .stores.database import Database
from .stores.job_store import SqlJobStore
from .stores.outbox import SqlWebhookOutbox
from .stores.sqlite import SqliteDatabase
from .stores.tables import VERSION

log = get_logger()


@dataclass(frozen=True)
class Kept:
    """Open, and to be closed by whoever opened it. `key` seals what is secret of a job."""

    root: Path
    key: bytes
    sealer: Sealer
    spool: Spool
    database: Database
    store: SqlJobStore
    outbox: SqlWebhookOutbox
    uploads: Uploads


def keep(settings: Settings) -> Kept:
    """Open all of it. Raises InvalidSettings, StoreUnavailable."""
    root = spool_root(settings)
    spool = _spool(root, settings)
    key = load_key(root / "key")
    database = _database(settings)
    return Kept(
        root=root,
        key=key,
        sealer=Sealer(key),
        spool=spool,
        database=database,
        store=SqlJobStore(database, time.time, settings.job_ageing_s),
        outbox=SqlWebhookOutbox(database, time.time),
        uploads=Uploads(
            root / "uploads",
            settings.max_upload_bytes,
            ttl_s=settings.upload_retention_hours * 3600,
            check_room=spool.check_room,
        ),
    )


def has_lost_jobs(kept: Kept) -> bool:
    """Whether folders of jobs lie beside a database without any; says so in the log."""
    if kept.store.list(JobFilter(), 1).jobs or not any(True for _ in kept.spool.old_folders(0)):
        return False
    log.warning(
        "The job database is empty and folders of jobs lie beside it: has its file been lost or moved? They are kept "
        "until the next start with jobs in it",
        folder=str(kept.root),
    )
    return True


def migrate(settings: Settings) -> str:
    """Bring the database to this release's version; SQLite does so by itself whenever it is opened."""
    if settings.database_url is None:
        SqliteDatabase(settings.sqlite_db_path).close()
        return VERSION
    from .stores import postgres

    return postgres.migrate(settings.database_url.get_secret_value())


def spool_root(settings: Settings) -> Path:
    """The folder of the jobs' files."""
    return settings.spool_dir or settings.sqlite_db_path.with_name(f"{settings.sqlite_db_path.name}.files")


def _spool(root: Path, settings: Settings) -> Spool:
    try:
        scratch = settings.work_dir if "work_dir" in settings.model_fields_set else None
        return Spool(root, settings.min_free_disk_mb * 1_000_000, scratch)
    except OSError as error:
        raise InvalidSettings(f"The folder {root} of the jobs' files cannot be used: {error.strerror}.") from error


def _database(settings: Settings) -> Database:
    if settings.database_url is None:
        return _sqlite(settings.sqlite_db_path)
    from .stores.postgres import PostgresDatabase

    return PostgresDatabase(settings.database_url.get_secret_value())


def _sqlite(path: Path) -> Database:
    try:
        return SqliteDatabase(path)
    except OSError as error:
        reason = error.strerror
    except StoreUnavailable as error:
        if type(error) is not StoreUnavailable:
            raise
        reason = str(getattr(error.__cause__, "orig", error.__cause__))
    raise InvalidSettings(f"The job database {path} cannot be opened ({reason}): set SQLITE_DB_PATH to another file.")


def sole_owner(path: Path) -> IO[bytes] | None:
    """The lock of the process that works on this database alone; None when another one does."""
    lock = path.open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        log.warning("Another process works on this database", lock=str(path))
        return None
    return lock
