"""The full-text index: collections, their entries and sizes, and on PostgreSQL the tokens."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "keyword_collections",
        sa.Column("scope", NUMBER, nullable=False),
        sa.Column("collection", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("scope", name="pk_keyword_collections"),
        sa.UniqueConstraint("collection", name="uq_keyword_collections_collection"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "keyword_entries",
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("scope", NUMBER, nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("segment_id", sa.String(36), nullable=False),
        sa.Column("document_id", sa.String(36), nullable=False),
        sa.Column("words", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_keyword_entries"),
        sa.UniqueConstraint("scope", "id", name="uq_keyword_entries_scope_id"),
    )
    op.create_index("ix_keyword_entries_scope_document_id", "keyword_entries", ["scope", "document_id"])
    op.create_table(
        "keyword_sizes",
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("scope", NUMBER, nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("words", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_keyword_sizes"),
    )
    op.create_index("ix_keyword_sizes_scope", "keyword_sizes", ["scope"])
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("keyword_entries", sa.Column("tokens", postgresql.TSVECTOR(), nullable=False))
        # Every search reads through the list of pending entries; 512 kB cost it little and
        # let the index take in batches what it would else take token by token.
        op.create_index(
            "ix_keyword_entries_tokens",
            "keyword_entries",
            ["tokens"],
            postgresql_using="gin",
            postgresql_with={"fastupdate": "on", "gin_pending_list_limit": 512},
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for scope in op.get_bind().scalars(sa.text("SELECT scope FROM keyword_collections")).all():
            op.drop_table(f"keyword_tokens_{scope}")
    for table in ("keyword_sizes", "keyword_entries", "keyword_collections"):
        op.drop_table(table)
