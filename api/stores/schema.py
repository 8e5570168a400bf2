"""The version of the schema: made, compared, brought up to date.

Alembic is loaded only when there is a step to take.
"""

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select

from ..errors import StoreOutdated
from ..jobs.job import TERMINAL
from .tables import VERSION, controls, metadata, tallies

COMMAND = "python -m api migrate"
_MIGRATIONS = Path(__file__).with_name("migrations")
# Alembic's own table.
_versions = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


def version_of(connection: Connection) -> str | None:
    """The version of the schema in the database; None when it is empty."""
    if not inspect(connection).has_table(_versions.name):
        return None
    version: str | None = connection.execute(select(_versions.c.version_num)).scalar()
    return version


def require(version: str | None) -> None:
    """Raise StoreOutdated when the database is not of this release's version."""
    if version == VERSION:
        return
    found = "is empty" if version is None else f"has schema version {version}"
    raise StoreOutdated(
        f"The job database {found}, this release needs {VERSION}: run `{COMMAND}` once (with this release), then start."
    )


def upgrade(connection: Connection) -> None:
    """Bring the database to this release's version, in the caller's transaction, which keeps others away."""
    version = version_of(connection)
    if version is None:
        _create(connection)
    elif version != VERSION:
        _migrate(connection, version)


def _create(connection: Connection) -> None:
    """All at once what the migrations give step by step; a test holds them together."""
    metadata.create_all(connection, checkfirst=False)
    connection.execute(insert(tallies), [{"status": status.value, "number": 0} for status in sorted(TERMINAL)])
    connection.execute(insert(controls).values(id=1, paused=False))
    _versions.create(connection)
    connection.execute(insert(_versions).values(version_num=VERSION))


def _migrate(connection: Connection, version: str) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory(str(_MIGRATIONS)).walk_revisions()}
    if version not in known:
        raise StoreOutdated(
            f"The job database has schema version {version}, which this release ({VERSION}) does not know: "
            f"start the newer release that wrote it, or give this one another database."
        )
    take_steps(connection)


def take_steps(connection: Connection, to: str = VERSION) -> None:
    """Every migration up to `to` that the database has not seen, from the first one if it has seen none."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
