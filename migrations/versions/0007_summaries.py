"""Where the summary of a segment stands."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("segments") as table:
        table.add_column(sa.Column("summary_status", sa.String(), nullable=True))
        table.add_column(sa.Column("summary_error", sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("segments") as table:
        table.drop_column("summary_error")
        table.drop_column("summary_status")
