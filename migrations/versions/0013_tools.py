"""Credentials of built-in tools, and providers of tools a workspace made."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "tool_credentials",
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_tool_credentials_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tool_credentials"),
        sa.UniqueConstraint(
            "tenant_id", "provider", "name", name="uq_tool_credentials_tenant_id_provider_name"
        ),
    )
    op.create_index("ix_tool_credentials_tenant_id", "tool_credentials", ["tenant_id"])
    op.create_table(
        "tool_providers",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("details", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_tool_providers_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tool_providers"),
        sa.UniqueConstraint("tenant_id", "kind", "name", name="uq_tool_providers_tenant_id_kind_name"),
    )
    op.create_index("ix_tool_providers_tenant_id", "tool_providers", ["tenant_id"])


def downgrade() -> None:
    op.drop_table("tool_providers")
    op.drop_table("tool_credentials")
