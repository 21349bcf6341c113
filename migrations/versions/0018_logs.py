"""Indexes for the logs of apps, and when a conversation was read by its app's team."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
LOGGED = sa.text("deleted_at IS NULL AND invoke_from <> 'debugger'")
NO_TEST = sa.text("triggered_from <> 'debugging'")
CONVERSATIONS = {
    "ix_conversations_log_updated": ["app_id", "updated_at", "id"],
    "ix_conversations_log_created": ["app_id", "created_at", "id"],
}
RUNS = {
    "ix_workflow_runs_log": ["app_id", "created_at", "id"],
    "ix_workflow_runs_log_status": ["app_id", "status", "created_at", "id"],
}
AUTHORS = ("from_end_user_id", "from_account_id")


def upgrade() -> None:
    op.add_column("conversations", sa.Column("read_at", TIME, nullable=True))
    for name, columns in CONVERSATIONS.items():
        op.create_index(name, "conversations", columns, sqlite_where=LOGGED, postgresql_where=LOGGED)
    for name, columns in RUNS.items():
        op.create_index(name, "workflow_runs", columns, sqlite_where=NO_TEST, postgresql_where=NO_TEST)
    for author in AUTHORS:
        known = sa.text(f"{author} IS NOT NULL")
        op.create_index(
            f"ix_workflow_runs_{author}",
            "workflow_runs",
            [author, "created_at", "id"],
            sqlite_where=known,
            postgresql_where=known,
        )


def downgrade() -> None:
    for author in reversed(AUTHORS):
        op.drop_index(f"ix_workflow_runs_{author}", "workflow_runs")
    for name in reversed(RUNS):
        op.drop_index(name, "workflow_runs")
    for name in reversed(CONVERSATIONS):
        op.drop_index(name, "conversations")
    op.drop_column("conversations", "read_at")
