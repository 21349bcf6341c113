"""Annotations, their settings, their hits and the jobs that work on them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "annotations",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("message_id", ID, nullable=True),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("account_id", ID, nullable=True),
        sa.Column("hit_count", sa.Integer(), nullable=False),
        sa.Column("entry_id", ID, nullable=False),
        sa.Column("indexed_in", ID, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        *_shared(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotations")),
        sa.UniqueConstraint("message_id", name=op.f("uq_annotations_message_id")),
    )
    op.create_index("ix_annotations_app_created", "annotations", ["app_id", "created_at", "id"])

    op.create_table(
        "annotation_settings",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("score_threshold", sa.Double(), nullable=False),
        sa.Column("embedding_provider", sa.String(), nullable=False),
        sa.Column("embedding_model", sa.String(), nullable=False),
        sa.Column("collection_id", ID, nullable=False),
        sa.Column("job_id", ID, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        *_shared(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotation_settings")),
        sa.UniqueConstraint("app_id", name=op.f("uq_annotation_settings_app_id")),
    )

    op.create_table(
        "annotation_hits",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("annotation_id", ID, nullable=False),
        sa.Column("message_id", ID, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("match", sa.Text(), nullable=False),
        sa.Column("response", sa.Text(), nullable=False),
        sa.Column("from_end_user_id", ID, nullable=True),
        sa.Column("from_account_id", ID, nullable=True),
        *_shared(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotation_hits")),
    )
    hits = ["annotation_id", "created_at", "id"]
    op.create_index("ix_annotation_hits_annotation_created", "annotation_hits", hits)
    op.create_index("ix_annotation_hits_app_id", "annotation_hits", ["app_id"])

    op.create_table(
        "annotation_jobs",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("target", sa.JSON(), nullable=True),
        sa.Column("pairs", sa.JSON(), nullable=True),
        sa.Column("collection_id", ID, nullable=True),
        sa.Column("stale_id", ID, nullable=True),
        sa.Column("created_by", ID, nullable=True),
        *_shared(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotation_jobs")),
    )
    op.create_index("ix_annotation_jobs_app_created", "annotation_jobs", ["app_id", "created_at"])


def downgrade() -> None:
    for table in ("annotation_jobs", "annotation_hits", "annotation_settings", "annotations"):
        op.drop_table(table)


def _shared() -> tuple[sa.Column, ...]:
    return (
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
