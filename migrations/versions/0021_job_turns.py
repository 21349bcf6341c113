"""An index by which the jobs of a queue are counted for each workspace, without reading them."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

NAME, COLUMNS = "ix_jobs_turns", ["queue", "failed_at", "tenant_id", "leased_until", "run_at"]


def upgrade() -> None:
    op.create_index(NAME, "jobs", COLUMNS)


def downgrade() -> None:
    op.drop_index(NAME, "jobs")
