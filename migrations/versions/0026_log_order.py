"""The order of the log of conversations tells when each was begun: a search passes over later ones."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

NAME = "ix_conversations_log_updated"
LOGGED = sa.text("deleted_at IS NULL AND invoke_from <> 'debugger'")


def upgrade() -> None:
    _order("app_id", "updated_at", "id", "created_at")


def downgrade() -> None:
    _order("app_id", "updated_at", "id")


def _order(*columns: str) -> None:
    op.drop_index(NAME, "conversations")
    op.create_index(NAME, "conversations", columns, sqlite_where=LOGGED, postgresql_where=LOGGED)
