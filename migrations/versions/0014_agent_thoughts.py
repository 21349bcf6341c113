"""What agents thought and did before they answered."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

ID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
TIME = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.create_table(
        "agent_thoughts",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("conversation_id", ID, nullable=False),
        sa.Column("message_id", ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("thought", sa.Text(), nullable=False),
        sa.Column("observation", sa.Text(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("tool_labels", JSON, nullable=False),
        sa.Column("tool_input", sa.Text(), nullable=False),
        sa.Column("files", JSON, nullable=False),
        sa.Column("calls", JSON, nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agent_thoughts"),
    )
    op.create_index("ix_agent_thoughts_message", "agent_thoughts", ["message_id", "position"])
    op.create_index("ix_agent_thoughts_app", "agent_thoughts", ["tenant_id", "app_id"])


def downgrade() -> None:
    op.drop_table("agent_thoughts")
