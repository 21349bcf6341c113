"""Invitations into workspaces, codes sent by mail, and the ledger of what models were used for."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

ID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "invitations",
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("invited_by", ID, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_invitations_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_invitations"),
        sa.UniqueConstraint("tenant_id", "email", name="uq_invitations_tenant_id_email"),
    )
    op.create_index("ix_invitations_tenant_id", "invitations", ["tenant_id"])
    op.create_index("ix_invitations_expires_at", "invitations", ["expires_at"])
    op.create_table(
        "confirmations",
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("email_hash", sa.String(), nullable=False),
        sa.Column("address_hash", sa.String(), nullable=False),
        sa.Column("account_id", ID, nullable=True),
        sa.Column("tenant_id", ID, nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("verified_at", TIME, nullable=True),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_confirmations_account_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_confirmations_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_confirmations"),
    )
    op.create_index("ix_confirmations_email_hash", "confirmations", ["email_hash", "created_at"])
    op.create_index("ix_confirmations_address_hash", "confirmations", ["address_hash", "created_at"])
    op.create_index("ix_confirmations_expires_at", "confirmations", ["expires_at"])
    op.create_table(
        "usage_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("app_id", ID, nullable=False),
        sa.Column("key_id", ID, nullable=False),
        sa.Column("actor_id", ID, nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("total_price", sa.Numeric(24, 10), nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_usage_days"),
        sa.UniqueConstraint(
            "tenant_id",
            "day",
            "app_id",
            "key_id",
            "actor_id",
            "provider",
            "model",
            "currency",
            name="uq_usage_days_key",
        ),
    )


def downgrade() -> None:
    op.drop_table("usage_days")
    op.drop_table("confirmations")
    op.drop_table("invitations")
