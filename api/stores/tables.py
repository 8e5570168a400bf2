"""The tables. Rows stay small: pictures, workflows and results are files beside the database.

A change here needs a step in `migrations/versions` and a new `VERSION`; a test compares the two.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    false,
    text,
)

VERSION = "0003"

metadata = MetaData()

# SQLite's rowid must be INTEGER to be one.
_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")
_JSON = JSON(none_as_null=True)


def _to_job(**options: bool) -> Column[str]:
    """Deferred, because a key is reserved before its job is inserted."""
    job = ForeignKey("jobs.id", ondelete="CASCADE", deferrable=True, initially="DEFERRED")
    return Column("job_id", String, job, nullable=False, **options)  # type: ignore[arg-type]


jobs = Table(
    "jobs",
    metadata,
    Column("seq", _SEQUENCE, Identity(), primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
    Column("status", String, nullable=False),
    Column("priority", String, nullable=False),
    Column("rank", Double, nullable=False),
    Column("dialect", String, nullable=False),
    Column("available_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("expires_at", Double),
    Column("timeout_s", Double),
    Column("attempts", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("worker", String),
    Column("heartbeat_at", Double),
    Column("prompt_id", String),
    Column("instance", String),
    Column("progress", Double, nullable=False),
    Column("node", String),
    Column("step", Integer),
    Column("steps", Integer),
    Column("error", _JSON),
    Column("cancel_requested", Boolean, nullable=False),
    Column("webhook", String),
    Column("workflow_name", String),
    Column("labels", _JSON),
    Column("request_path", String),
    Column("result_path", String),
    Column("shape", String),
    Column("target", String, nullable=False, server_default="local"),
    Column("label", String),
    Column("movable", Boolean, nullable=False, server_default=false()),
)


def _partial(name: str, condition: str, *columns: str) -> None:
    # PostgreSQL's part is added in postgres.py: to name it here loads that dialect, 30 ms at every start.
    Index(name, *(jobs.c[column] for column in columns), sqlite_where=text(condition))


# Claiming, cancelling and counting look only at what has not ended: their cost does not grow with the history.
QUEUED_SQL = "status = 'queued'"
ACTIVE_SQL = "status IN ('running', 'canceling')"
_partial("jobs_waiting", QUEUED_SQL, "target", "rank", "seq")
_partial("jobs_expiring", f"{QUEUED_SQL} AND expires_at IS NOT NULL", "expires_at")
_partial("jobs_active", ACTIVE_SQL, "status", "heartbeat_at")
# Listing: whole, by one status, by one workflow. The condition is always true; it keeps SQLite's planner, which
# prefers an index with a status to the partial ones above, from claiming by way of this one and sorting.
Index("jobs_listed", jobs.c.created_at, jobs.c.id)
_partial("jobs_listed_by_status", "created_at IS NOT NULL", "status", "created_at", "id")
_partial("jobs_listed_by_workflow", "workflow_name IS NOT NULL", "workflow_name", "created_at", "id")
_partial("jobs_ended", "finished_at IS NOT NULL", "status", "finished_at")

# How many jobs ended in each state. Those that have not are counted by their index: a shared counter of them
# would make claimers on PostgreSQL wait for each other.
tallies = Table(
    "job_tallies",
    metadata,
    Column("status", String, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

# One row.
controls = Table(
    "job_controls",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("paused", Boolean, nullable=False),
    Column("checked_at", Double),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key", String, primary_key=True),
    Column("fingerprint", String, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    _to_job(index=True),
)

deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", String, primary_key=True),
    _to_job(index=True),
    Column("status", String, nullable=False),
    Column("url", String, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("state", String, nullable=False),
    Column("tries", _JSON, nullable=False),
    Column("lease", Integer, nullable=False),
)
Index("webhook_deliveries_due", deliveries.c.due_at, sqlite_where=text("state = 'due'"))

# How jobs ended and how long they took, added up by the hour; hour 0 holds all of them.
ends = Table(
    "job_ends",
    metadata,
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    Column("workflow", String, primary_key=True),
    Column("instance", String, primary_key=True),
    Column("data", _JSON, nullable=False),
)

# The newest executions of each shape of workflow, by which others are expected.
durations = Table(
    "job_durations",
    metadata,
    Column("subject", String, primary_key=True),
    Column("changed_at", Double, nullable=False),
    Column("data", _JSON, nullable=False),
)
