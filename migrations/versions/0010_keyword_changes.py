"""What was changed in a collection of the full-text index, so that what is in memory can follow."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("last_number", "removals"):
        op.add_column(
            "keyword_collections", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
        )
    op.execute(
        "UPDATE keyword_collections SET last_number = coalesce((SELECT max(number) FROM keyword_entries"
        " WHERE keyword_entries.scope = keyword_collections.scope), 0)"
    )


def downgrade() -> None:
    for name in ("removals", "last_number"):
        op.drop_column("keyword_collections", name)
