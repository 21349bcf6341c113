"""Workflows as tools, and one default among the credentials of a built-in provider."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
DEFAULT_ONLY = sa.text("is_default")
ONE_DEFAULT = sa.text(
    "UPDATE tool_credentials SET is_default = false WHERE is_default AND EXISTS ("
    "SELECT 1 FROM tool_credentials AS older WHERE older.is_default"
    " AND older.tenant_id = tool_credentials.tenant_id AND older.provider = tool_credentials.provider"
    " AND (older.created_at < tool_credentials.created_at"
    " OR (older.created_at = tool_credentials.created_at AND older.id < tool_credentials.id)))"
)


def upgrade() -> None:
    with op.batch_alter_table("tool_providers") as table:
        table.add_column(sa.Column("app_id", ID, nullable=True))
        table.add_column(sa.Column("workflow_id", ID, nullable=True))
        table.create_foreign_key("fk_tool_providers_app_id", "apps", ["app_id"], ["id"], ondelete="CASCADE")
        table.create_unique_constraint("uq_tool_providers_app_id", ["app_id"])
    op.execute(ONE_DEFAULT)
    op.create_index(
        "uq_tool_credentials_tenant_id_provider",
        "tool_credentials",
        ["tenant_id", "provider"],
        unique=True,
        sqlite_where=DEFAULT_ONLY,
        postgresql_where=DEFAULT_ONLY,
    )


def downgrade() -> None:
    op.drop_index("uq_tool_credentials_tenant_id_provider", "tool_credentials")
    op.execute("DELETE FROM tool_providers WHERE kind <> 'api'")
    with op.batch_alter_table("tool_providers") as table:
        table.drop_constraint("uq_tool_providers_app_id", type_="unique")
        table.drop_constraint("fk_tool_providers_app_id", type_="foreignkey")
        table.drop_column("workflow_id")
        table.drop_column("app_id")
