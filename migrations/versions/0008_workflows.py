"""Workflows, their runs, and what their nodes did."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "conversation_variables",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("conversation_id", ID, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value_type", sa.String(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversation_variables")),
        sa.UniqueConstraint(
            "conversation_id", "name", name=op.f("uq_conversation_variables_conversation_id_name")
        ),
    )
    op.create_table(
        "workflow_draft_variables",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("node_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value_type", sa.String(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column("is_edited", sa.Boolean(), nullable=False),
        sa.Column("execution_id", ID, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflow_draft_variables")),
        sa.UniqueConstraint(
            "app_id",
            "account_id",
            "node_id",
            "name",
            name=op.f("uq_workflow_draft_variables_app_id_account_id_node_id_name"),
        ),
    )
    op.create_table(
        "workflow_node_executions",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("workflow_id", ID, nullable=False),
        sa.Column("workflow_run_id", ID, nullable=True),
        sa.Column("triggered_from", sa.String(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("node_id", sa.String(), nullable=False),
        sa.Column("node_type", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("predecessor_node_id", sa.String(), nullable=True),
        sa.Column("iteration_id", sa.String(), nullable=True),
        sa.Column("loop_id", sa.String(), nullable=True),
        sa.Column("inputs", sa.LargeBinary(), nullable=True),
        sa.Column("process_data", sa.LargeBinary(), nullable=True),
        sa.Column("outputs", sa.LargeBinary(), nullable=True),
        sa.Column("kept_at", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("edge", sa.String(), nullable=False),
        sa.Column("elapsed_s", sa.Double(), nullable=False),
        sa.Column("execution_metadata", sa.LargeBinary(), nullable=False),
        sa.Column("finished_order", sa.Integer(), nullable=False),
        sa.Column("from_end_user_id", ID, nullable=True),
        sa.Column("from_account_id", ID, nullable=True),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflow_node_executions")),
    )
    with op.batch_alter_table("workflow_node_executions") as table:
        table.create_index("ix_workflow_node_executions_created", ["created_at"], unique=False)
        table.create_index(
            "ix_workflow_node_executions_node", ["app_id", "node_id", "created_at"], unique=False
        )
        table.create_index("ix_workflow_node_executions_run", ["workflow_run_id", "index"], unique=False)

    op.create_table(
        "workflow_runs",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("workflow_id", ID, nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("graph_hash", sa.String(), nullable=True),
        sa.Column("triggered_from", sa.String(), nullable=False),
        sa.Column("invoke_from", sa.String(), nullable=False),
        sa.Column("inputs", sa.LargeBinary(), nullable=False),
        sa.Column("system", sa.LargeBinary(), nullable=False),
        sa.Column("outputs", sa.LargeBinary(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("owner", ID, nullable=True),
        sa.Column("elapsed_s", sa.Double(), nullable=False),
        sa.Column("total_tokens", sa.Integer(), nullable=False),
        sa.Column("total_price", sa.Numeric(precision=18, scale=10), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("total_steps", sa.Integer(), nullable=False),
        sa.Column("exceptions_count", sa.Integer(), nullable=False),
        sa.Column("from_end_user_id", ID, nullable=True),
        sa.Column("from_account_id", ID, nullable=True),
        sa.Column("conversation_id", ID, nullable=True),
        sa.Column("message_id", ID, nullable=True),
        sa.Column("searchable", sa.Text(), nullable=False),
        sa.Column("resumes", ID, nullable=True),
        sa.Column("outcome", sa.LargeBinary(), nullable=True),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflow_runs")),
    )
    with op.batch_alter_table("workflow_runs") as table:
        table.create_index("ix_workflow_runs_app_created", ["app_id", "created_at", "id"], unique=False)
        table.create_index("ix_workflow_runs_created", ["created_at"], unique=False)
        table.create_index("ix_workflow_runs_status_owner", ["status", "owner"], unique=False)

    op.create_table(
        "workflow_snapshots",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("graph", sa.LargeBinary(), nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflow_snapshots")),
        sa.UniqueConstraint("app_id", "hash", name=op.f("uq_workflow_snapshots_app_id_hash")),
    )
    op.create_table(
        "workflows",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("graph", sa.LargeBinary(), nullable=False),
        sa.Column("features", sa.LargeBinary(), nullable=False),
        sa.Column("environment_variables", sa.LargeBinary(), nullable=False),
        sa.Column("conversation_variables", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("marked_name", sa.String(), nullable=False),
        sa.Column("marked_comment", sa.String(), nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("updated_by", ID, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id"], ["apps.id"], name=op.f("fk_workflows_app_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_workflows_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflows")),
        sa.UniqueConstraint("app_id", "number", name=op.f("uq_workflows_app_id_number")),
    )
    with op.batch_alter_table("workflows") as table:
        table.create_index(table.f("ix_workflows_app_id"), ["app_id"], unique=False)
        table.create_index(table.f("ix_workflows_tenant_id"), ["tenant_id"], unique=False)

    with op.batch_alter_table("apps") as table:
        table.add_column(sa.Column("workflow_id", ID, nullable=True))

    with op.batch_alter_table("messages") as table:
        table.add_column(sa.Column("workflow_run_id", ID, nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("messages") as table:
        table.drop_column("workflow_run_id")

    with op.batch_alter_table("apps") as table:
        table.drop_column("workflow_id")

    with op.batch_alter_table("workflows") as table:
        table.drop_index(table.f("ix_workflows_tenant_id"))
        table.drop_index(table.f("ix_workflows_app_id"))

    op.drop_table("workflows")
    op.drop_table("workflow_snapshots")
    with op.batch_alter_table("workflow_runs") as table:
        table.drop_index("ix_workflow_runs_status_owner")
        table.drop_index("ix_workflow_runs_created")
        table.drop_index("ix_workflow_runs_app_created")

    op.drop_table("workflow_runs")
    with op.batch_alter_table("workflow_node_executions") as table:
        table.drop_index("ix_workflow_node_executions_run")
        table.drop_index("ix_workflow_node_executions_node")
        table.drop_index("ix_workflow_node_executions_created")

    op.drop_table("workflow_node_executions")
    op.drop_table("workflow_draft_variables")
    op.drop_table("conversation_variables")
