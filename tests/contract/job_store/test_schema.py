"""The versions of the schema: made at once or step by step they are the same, and a wrong one is refused."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.dialects import sqlite
from support.job_stores import Stores, open_database, opened
from support.postgres_server import fresh_database

from api.errors import DiskFull, StoreOutdated, StoreUnavailable
from api.ids import JobId
from api.jobs.job import Status
from api.jobs.store import Cursor, JobFilter
from api.stores import postgres, schema, sql
from api.stores.sqlite import SqliteDatabase
from api.stores.tables import VERSION, metadata

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def empty_url(server_url: str) -> Iterator[str]:
    with fresh_database(server_url) as url:
        yield url


def index(found: Mapping[str, Any]) -> str:
    options = found.get("dialect_options", {})
    condition = options.get("sqlite_where", options.get("postgresql_where"))
    return f"{found['name']} {found['column_names']} {found['unique']} {condition}"


def described(connection: Connection) -> dict[str, object]:
    seen = inspect(connection)
    tables = sorted(set(seen.get_table_names()) - {"alembic_version"})
    return {
        table: {
            "columns": str(seen.get_columns(table)),
            "key": str(seen.get_pk_constraint(table)["constrained_columns"]),
            "indexes": sorted(map(index, seen.get_indexes(table))),
            "references": sorted(map(str, seen.get_foreign_keys(table))),
            "rows": sorted(str(dict(row._mapping)) for row in connection.execute(text(f"SELECT * FROM {table}"))),
        }
        for table in tables
    }


def test_steps_and_the_short_cut_give_the_same_schema(tmp_path: Path, empty_url: str, migrated_url: str) -> None:
    urls = [f"sqlite:///{tmp_path / 'steps.db'}", f"sqlite:///{tmp_path / 'cut.db'}"]
    urls += [url.replace("postgresql:", "postgresql+psycopg:") for url in (empty_url, migrated_url)]
    found = []
    for url, make in zip(urls, (schema.take_steps, schema.upgrade) * 2, strict=True):
        engine = create_engine(url)
        with engine.begin() as connection:
            make(connection)
            assert schema.version_of(connection) == VERSION
            assert set(described(connection)) == set(metadata.tables)
            connection.execute(text("UPDATE job_controls SET checked_at = NULL, paused = false"))
            connection.execute(text("UPDATE job_tallies SET number = 0"))
            connection.execute(text("DELETE FROM jobs"))
            found.append(described(connection))
        engine.dispose()
    assert found[0] == found[1]
    assert found[2] == found[3]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_jobs_of_an_older_release_are_taken_over(tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> None:
    address = str(tmp_path / "old.db") if kind == "sqlite" else request.getfixturevalue("empty_url")
    url = f"sqlite:///{address}" if kind == "sqlite" else address.replace("postgresql:", "postgresql+psycopg:")
    engine = create_engine(url)
    with engine.begin() as connection:
        schema.take_steps(connection, "0002")
        for job_id, status in (("waits", "queued"), ("ended", "failed")):
            connection.execute(
                text(
                    "INSERT INTO jobs (id, created_at, status, priority, rank, dialect, available_at, attempts,"
                    " max_attempts, attempt, progress, cancel_requested)"
                    " VALUES (:id, 1, :status, 'normal', 1, '', 1, 0, 3, 0, 0, false)"
                ),
                {"id": job_id, "status": status},
            )
    engine.dispose()
    if kind == "postgres":
        postgres.migrate(address)
    with opened(address) as stores:
        (waits,) = stores.jobs.upcoming(5, "local")
        assert (waits.id, waits.target, waits.label, waits.movable) == ("waits", "local", None, False)
        assert stores.jobs.claim("w", "elsewhere") is None
        assert stores.jobs.claim("w") is not None
        assert stores.jobs.retry(JobId("ended")) is not None


def test_a_store_of_another_version_refuses_and_says_what_to_do(stores: Stores) -> None:
    def set_version(connection: Connection) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    stores.database.write(set_version)
    try:
        with pytest.raises(StoreOutdated) as refusal:
            open_database(stores.address)
    finally:
        stores.database.write(lambda at: at.execute(text(f"UPDATE alembic_version SET version_num = '{VERSION}'")))
    assert "9999" in refusal.value.message
    assert "newer release" in refusal.value.message or schema.COMMAND in refusal.value.message


def test_an_empty_postgres_is_not_made_by_itself(empty_url: str) -> None:
    with pytest.raises(StoreOutdated, match="python -m api migrate"):
        open_database(empty_url)
    assert postgres.migrate(empty_url) == VERSION
    assert postgres.migrate(empty_url) == VERSION
    with opened(empty_url) as stores:
        stores.add()


def test_a_postgres_that_is_not_there_is_told() -> None:
    with pytest.raises(StoreUnavailable, match="try again"):
        open_database("postgresql://nobody@127.0.0.1:1/none")


def test_the_listener_comes_back_after_its_connection_was_cut(migrated_url: str) -> None:
    woken = threading.Event()
    with opened(migrated_url) as stores:
        stores.jobs.on_work(woken.set)
        assert woken.wait(10)
        woken.clear()
        with psycopg.connect(migrated_url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        assert woken.wait(10)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.write_text("not a database" * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        SqliteDatabase(path)


def test_sqlite_is_set_up_to_keep_what_it_acknowledges(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "jobs.db")

    def look(connection: Connection) -> list[object]:
        pragmas = ("synchronous", "journal_mode", "auto_vacuum", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]

    levels = [database.write(look, durable=durable) for durable in (True, False, True)]
    database.close()
    assert levels == [[2, "wal", 2, 1], [1, "wal", 2, 1], [2, "wal", 2, 1]]


def test_freed_space_goes_back_to_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with opened(str(path)) as stores:
        for _ in range(300):
            stores.add(request_path="x" * 4000)
        stores.jobs.compact()
        full = path.stat().st_size
        stores.jobs.purge({job.status for job in stores.jobs.cancel_queued()}, stores.clock.now + 1)
        stores.jobs.compact()
        assert path.stat().st_size < full / 5
        assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    with opened(str(tmp_path / "jobs.db")) as stores:
        stores.add()
        running = stores.jobs.claim("w")
        assert running is not None
        stores.jobs.compact()
        stores.database.write(lambda at: at.exec_driver_sql("PRAGMA max_page_count=1"))  # as small as it is now
        added: list[str] = []
        with pytest.raises(DiskFull, match="free some space"):
            added.extend(stores.add(request_path="x" * 1000).id for _ in range(10_000))
        assert stores.jobs.heartbeat(running.lease) is not None
        stores.database.write(lambda at: at.exec_driver_sql("PRAGMA max_page_count=100000"))
        assert stores.jobs.finish(running.lease, Status.SUCCEEDED) is not None
        assert [job.id for job in stores.jobs.upcoming(10_000)] == added


WALKS = {
    "claim": (sql.CLAIM, "jobs_waiting"),
    "upcoming": (sql.UPCOMING, "jobs_waiting"),
    "upcoming of a target": (sql.UPCOMING_AT, "jobs_waiting"),
    "end of the line": (sql.end_of_line("local", last=True), "jobs_waiting"),
    "count queued": (sql.COUNT_QUEUED, "jobs_waiting"),
    "counts": (sql.COUNTS, "jobs_waiting"),
    "ahead": (sql.count_ahead("local", 1.0, 1), "jobs_waiting"),
    "stale": (sql.stale(1.0), "jobs_active"),
    "overdue": (sql.overdue(1.0), "jobs_expiring"),
    "purge": (sql.purged(Status.FAILED, 1.0, 5), "jobs_ended"),
    "newest": (sql.listed(JobFilter(), 5, Cursor(1.0, JobId("")))[0], "jobs_listed"),
    "status": (sql.listed(JobFilter(frozenset({Status.FAILED})), 5, None)[0], "jobs_listed_by_status"),
    "workflow": (sql.listed(JobFilter(workflow_name="x"), 5, None)[0], "jobs_listed_by_workflow"),
    "key": (sql.KEY, "sqlite_autoindex_idempotency_keys"),
}


@pytest.mark.parametrize("name", WALKS)
def test_no_statement_walks_the_history(tmp_path: Path, name: str) -> None:
    statement, index = WALKS[name]
    compiled = str(statement.compile(dialect=sqlite.dialect()))
    with opened(str(tmp_path / "jobs.db")) as stores:

        def explain(connection: Connection) -> list[str]:
            values = (1,) * compiled.count("?")
            return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values)]

        steps = stores.database.read(explain)
    jobs = [step for step in steps if " jobs" in step or " idempotency_keys" in step]
    assert any(index in step for step in jobs)
    assert all(" USING " in step for step in jobs)
    sorting = {step for step in steps if "TEMP B-TREE" in step}
    # By age over two statuses, of which few are there; the lines of all targets, of which only those that wait.
    assert not sorting or name in {"stale", "upcoming"}


def test_starting_loads_neither_alembic_nor_the_other_database(tmp_path: Path) -> None:
    script = (
        "import json, sys; from pathlib import Path; from api.stores.sqlite import SqliteDatabase;"
        "SqliteDatabase(Path(sys.argv[1])).close(); print(json.dumps(sorted(sys.modules)))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "jobs.db")]
    out = subprocess.run(
        command, env=dict(os.environ, PYTHONPATH=str(ROOT)), capture_output=True, text=True, check=True
    )
    assert not {"alembic", "psycopg", "sqlalchemy.dialects.postgresql", "fastapi", "pydantic", "requests"} & set(
        json.loads(out.stdout)
    )
