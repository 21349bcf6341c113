"""Vectors: the tables of VECTORS=local."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")


def upgrade() -> None:
    op.create_table(
        "vector_collections",
        sa.Column("id", ID, nullable=False),
        sa.Column("generation", ID, nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("removals", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_vector_collections"),
    )
    op.create_table(
        "vector_entries",
        sa.Column("collection_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("segment_id", ID, nullable=False),
        sa.Column("document_id", ID, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("collection_id", "id", name="pk_vector_entries"),
    )
    op.create_index("ix_vector_entries_version", "vector_entries", ["collection_id", "version", "id"])
    op.create_index("ix_vector_entries_document_id", "vector_entries", ["collection_id", "document_id"])


def downgrade() -> None:
    op.drop_table("vector_entries")
    op.drop_table("vector_collections")
