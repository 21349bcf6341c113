"""An index of what stands in messages and runs, for the logs of apps."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

ID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
TIME = sa.DateTime(timezone=True)
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
GRAM = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "log_blocks",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("app_id", ID, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("first_at", TIME, nullable=False),
        sa.Column("last_at", TIME, nullable=False),
        sa.Column("last_id", ID, nullable=False),
        sa.Column("open", sa.LargeBinary(), nullable=True),
        sa.Column("removals", sa.Integer(), server_default="0", nullable=False),
        sa.Column("settled", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_log_blocks"),
        sa.UniqueConstraint("app_id", "kind", "number", name="uq_log_blocks_app_id_kind_number"),
    )
    op.create_table(
        "log_places",
        sa.Column("number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("row_id", ID, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_log_places"),
    )
    op.create_table(
        "log_grams",
        sa.Column("block_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("first", GRAM, nullable=False),
        sa.Column("chunk", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("block_id", "first", name="pk_log_grams"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("log_grams")
    op.drop_table("log_places")
    op.drop_table("log_blocks")
