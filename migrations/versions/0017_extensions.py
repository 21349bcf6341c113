"""API-based extensions of workspaces, answers that are kept by whoever asked for them, pinned apps."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0015"
branch_labels = None
depends_on = None

ID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "api_extensions",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_api_extensions_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_api_extensions"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_api_extensions_tenant_id_name"),
    )
    op.create_index("ix_api_extensions_tenant_id", "api_extensions", ["tenant_id"])
    op.create_table(
        "saved_messages",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("message_id", ID, nullable=False),
        sa.Column("from_end_user_id", ID, nullable=True),
        sa.Column("from_account_id", ID, nullable=True),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_saved_messages"),
        sa.UniqueConstraint("message_id", name="uq_saved_messages_message_id"),
    )
    op.create_index("ix_saved_messages_app_created", "saved_messages", ["app_id", "created_at", "id"])
    op.add_column("apps", sa.Column("is_pinned", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("apps", "is_pinned")
    op.drop_table("saved_messages")
    op.drop_table("api_extensions")
