"""The first schema. Frozen: what changes later is a step of its own, here the tables are as they were then."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_JSON = sa.JSON(none_as_null=True)
_QUEUED = "status = 'queued'"


def upgrade() -> None:
    """Make everything."""
    _create_jobs()
    _create_indexes()
    _create_counters()
    _create_idempotency_keys()
    _create_deliveries()


def _create_jobs() -> None:
    sequence = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "jobs",
        sa.Column("seq", sequence, sa.Identity(), primary_key=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("created_at", sa.Double, nullable=False),
        *(sa.Column(name, sa.String, nullable=False) for name in ("status", "priority")),
        sa.Column("rank", sa.Double, nullable=False),
        sa.Column("dialect", sa.String, nullable=False),
        sa.Column("available_at", sa.Double, nullable=False),
        *(sa.Column(name, sa.Double) for name in ("started_at", "finished_at", "expires_at", "timeout_s")),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("attempts", "max_attempts", "attempt")),
        sa.Column("worker", sa.String),
        sa.Column("heartbeat_at", sa.Double),
        *(sa.Column(name, sa.String) for name in ("prompt_id", "instance")),
        sa.Column("progress", sa.Double, nullable=False),
        sa.Column("node", sa.String),
        *(sa.Column(name, sa.Integer) for name in ("step", "steps")),
        sa.Column("error", _JSON),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        *(sa.Column(name, sa.String) for name in ("webhook", "workflow_name")),
        sa.Column("labels", _JSON),
        *(sa.Column(name, sa.String) for name in ("request_path", "result_path")),
    )


def _create_indexes() -> None:
    op.create_index("jobs_listed", "jobs", ["created_at", "id"])
    _partial("jobs_waiting", "jobs", _QUEUED, "rank", "seq")
    _partial("jobs_expiring", "jobs", f"{_QUEUED} AND expires_at IS NOT NULL", "expires_at")
    _partial("jobs_active", "jobs", "status IN ('running', 'canceling')", "status", "heartbeat_at")
    _partial("jobs_listed_by_status", "jobs", "created_at IS NOT NULL", "status", "created_at", "id")
    _partial("jobs_listed_by_workflow", "jobs", "workflow_name IS NOT NULL", "workflow_name", "created_at", "id")
    _partial("jobs_ended", "jobs", "finished_at IS NOT NULL", "status", "finished_at")


def _create_counters() -> None:
    tallies = op.create_table(
        "job_tallies",
        sa.Column("status", sa.String, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    ended = ("cancelled", "failed", "succeeded", "timed_out")
    op.bulk_insert(tallies, [{"status": status, "number": 0} for status in ended])
    controls = op.create_table(
        "job_controls",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("checked_at", sa.Double),
    )
    op.bulk_insert(controls, [{"id": 1, "paused": False}])


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        _job_id(),
    )
    op.create_index("ix_idempotency_keys_expires_at", "idempotency_keys", ["expires_at"])
    op.create_index("ix_idempotency_keys_job_id", "idempotency_keys", ["job_id"])


def _create_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String, primary_key=True),
        _job_id(),
        *(sa.Column(name, sa.String, nullable=False) for name in ("status", "url")),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("created_at", "due_at")),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("tries", _JSON, nullable=False),
        sa.Column("lease", sa.Integer, nullable=False),
    )
    op.create_index("ix_webhook_deliveries_job_id", "webhook_deliveries", ["job_id"])
    _partial("webhook_deliveries_due", "webhook_deliveries", "state = 'due'", "due_at")


def _job_id() -> sa.Column[str]:
    job = sa.ForeignKey("jobs.id", ondelete="CASCADE", deferrable=True, initially="DEFERRED")
    return sa.Column("job_id", sa.String, job, nullable=False)


def _partial(name: str, table: str, condition: str, *columns: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, list(columns), sqlite_where=where, postgresql_where=where)
