"""Forms that runs wait for, and the triggers of workflows."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "human_input_forms",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("workflow_run_id", ID, nullable=False),
        sa.Column("node_id", sa.String(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("asked", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("closed_at", TIME, nullable=True),
        sa.Column("answered_by", ID, nullable=True),
        sa.Column("edge", sa.String(), nullable=True),
        sa.Column("outputs", sa.LargeBinary(), nullable=True),
        sa.Column("told", sa.LargeBinary(), nullable=True),
        sa.Column("resumed_at", TIME, nullable=True),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_human_input_forms")),
        sa.UniqueConstraint("token", name=op.f("uq_human_input_forms_token")),
        sa.UniqueConstraint(
            "workflow_run_id", "node_id", name=op.f("uq_human_input_forms_workflow_run_id_node_id")
        ),
    )
    with op.batch_alter_table("human_input_forms") as table:
        table.create_index("ix_human_input_forms_due", ["closed_at", "expires_at"])

    op.create_table(
        "workflow_triggers",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("node_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("webhook_id", sa.String(), nullable=True),
        sa.Column("next_at", TIME, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id"], ["apps.id"], name=op.f("fk_workflow_triggers_app_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_workflow_triggers_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflow_triggers")),
        sa.UniqueConstraint("app_id", "node_id", name=op.f("uq_workflow_triggers_app_id_node_id")),
        sa.UniqueConstraint("webhook_id", name=op.f("uq_workflow_triggers_webhook_id")),
    )
    with op.batch_alter_table("workflow_triggers") as table:
        table.create_index("ix_workflow_triggers_next_at", ["next_at"])
        table.create_index(table.f("ix_workflow_triggers_tenant_id"), ["tenant_id"])

    with op.batch_alter_table("workflow_runs") as table:
        table.add_column(sa.Column("root", sa.String(), nullable=True))
        table.add_column(sa.Column("told_chars", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("told_events", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    with op.batch_alter_table("workflow_runs") as table:
        table.drop_column("told_events")
        table.drop_column("told_chars")
        table.drop_column("root")

    with op.batch_alter_table("workflow_triggers") as table:
        table.drop_index(table.f("ix_workflow_triggers_tenant_id"))
        table.drop_index("ix_workflow_triggers_next_at")

    op.drop_table("workflow_triggers")
    with op.batch_alter_table("human_input_forms") as table:
        table.drop_index("ix_human_input_forms_due")

    op.drop_table("human_input_forms")
