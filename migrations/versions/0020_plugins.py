"""Plugins of a workspace."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

ID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
TIME = sa.DateTime(timezone=True)
INSTALLED_ONLY = sa.text("is_installed")


def upgrade() -> None:
    op.create_table(
        "plugin_installations",
        sa.Column("plugin_id", sa.String(), nullable=False),
        sa.Column("identifier", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("icon", sa.LargeBinary(), nullable=False),
        sa.Column("is_verified", sa.Boolean(), nullable=False),
        sa.Column("is_installed", sa.Boolean(), nullable=False),
        sa.Column("installed_at", TIME, nullable=True),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_plugin_installations_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_plugin_installations"),
        sa.UniqueConstraint("tenant_id", "identifier", name="uq_plugin_installations_tenant_id_identifier"),
    )
    op.create_index("ix_plugin_installations_tenant_id", "plugin_installations", ["tenant_id"])
    op.create_index(
        "uq_plugin_installations_tenant_id_plugin_id",
        "plugin_installations",
        ["tenant_id", "plugin_id"],
        unique=True,
        sqlite_where=INSTALLED_ONLY,
        postgresql_where=INSTALLED_ONLY,
    )


def downgrade() -> None:
    op.drop_table("plugin_installations")
