"""Who of a workspace may install plugins, and how they are upgraded."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tenants", sa.Column("plugin_settings", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("tenants", "plugin_settings")
