"""Where a job runs. Jobs that are there already run where all of them did: on the worker's own ComfyUIs."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_QUEUED = sa.text("status = 'queued'")


def upgrade() -> None:
    """Add it, and have each target's line found without a look at the others'."""
    op.add_column("jobs", sa.Column("target", sa.String, nullable=False, server_default="local"))
    op.add_column("jobs", sa.Column("label", sa.String))
    op.add_column("jobs", sa.Column("movable", sa.Boolean, nullable=False, server_default=sa.false()))
    op.drop_index("jobs_waiting", "jobs")
    op.create_index("jobs_waiting", "jobs", ["target", "rank", "seq"], sqlite_where=_QUEUED, postgresql_where=_QUEUED)
