"""Metrics and durations of jobs, and the shape by which jobs are expected to take alike long."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    """Add them. Jobs that are there already have no shape."""
    op.add_column("jobs", sa.Column("shape", sa.String))
    op.create_table(
        "job_ends",
        sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("workflow", sa.String, primary_key=True),
        sa.Column("instance", sa.String, primary_key=True),
        sa.Column("data", _JSON, nullable=False),
    )
    op.create_table(
        "job_durations",
        sa.Column("subject", sa.String, primary_key=True),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.Column("data", _JSON, nullable=False),
    )
