"""Indexes by which is found which workspaces have jobs that wait and jobs that run, without reading them."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_jobs_turns": (["queue", "tenant_id", "run_at"], "failed_at IS NULL"),
    "ix_jobs_running": (["queue", "tenant_id", "leased_until"], "leased_until IS NOT NULL"),
}


def upgrade() -> None:
    for name, (columns, only) in INDEXES.items():
        op.create_index(name, "jobs", columns, sqlite_where=sa.text(only), postgresql_where=sa.text(only))


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(name, "jobs")
