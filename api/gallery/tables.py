"""The tables of the gallery's index. They hold nothing that the sidecars do not: another version is made anew."""

from sqlalchemy import Column, Connection, Float, Index, Integer, MetaData, Table, Text, column, table, text

# Goes up with every change of the tables or of what is put into them.
VERSION = 1
_metadata = MetaData()

items = Table(
    "items",
    _metadata,
    Column("number", Integer, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("extension", Text, nullable=False),
    Column("day", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("width", Integer),
    Column("height", Integer),
    Column("created_at", Float, nullable=False),
    Column("source", Text, nullable=False),
    Column("prompt_id", Text),
    Column("job_id", Text),
    Column("workflow_name", Text),
    Column("checkpoints", Text, nullable=False),
    Column("prompt", Text),
    Column("deleted_until", Float),
    # 1: goes with its jobs.
    Column("is_passing", Integer, nullable=False),
    # When the sidecar was written, by the file system's clock: another time, and it is read again.
    Column("noted_ns", Integer, nullable=False),
)
for _name in ("day", "kind", "workflow_name", "source"):
    Index(f"items_{_name}", items.c[_name], items.c.number, sqlite_where=items.c.deleted_until.is_(None))
# Sizes are looked through in here: a fifth of the pages that the rows take.
Index(
    "items_size",
    *(items.c.number, items.c.width, items.c.height, items.c.kind, items.c.source, items.c.day),
    sqlite_where=items.c.deleted_until.is_(None),
)
Index("items_deleted", items.c.deleted_until, sqlite_where=items.c.deleted_until.is_not(None))
Index("items_passing", items.c.number, sqlite_where=items.c.is_passing == 1)

# Which item names which checkpoint; the newest are found without sorting.
loaded = Table(
    "loaded",
    _metadata,
    Column("name", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Index("loaded_number", "number"),
    sqlite_with_rowid=False,
)

# How many shown items have that day, workflow or checkpoint, kept up with every change.
counts = Table(
    "counts",
    _metadata,
    Column("subject", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    sqlite_with_rowid=False,
)
DAY, WORKFLOW, CHECKPOINT = "day", "workflow", "checkpoint"

# The column that has the name of the table is what MATCH is asked of.
texts = table("texts", column("rowid"), column("body"), column("texts"))
_TEXTS = "CREATE VIRTUAL TABLE texts USING fts5(body, prefix='2 3', tokenize='unicode61 remove_diacritics 2')"


def version_of(connection: Connection) -> int:
    """That of the index; 0 for an empty file."""
    return int(connection.execute(text("PRAGMA user_version")).scalar_one())


def make(connection: Connection) -> None:
    """Make the tables in a file that has none, or others."""
    if version_of(connection) == VERSION:
        return
    connection.execute(text("DROP TABLE IF EXISTS texts"))
    _metadata.drop_all(connection)
    _metadata.create_all(connection)
    connection.execute(text(_TEXTS))
    connection.execute(text(f"PRAGMA user_version = {VERSION}"))
