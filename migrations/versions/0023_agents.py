"""Chat apps whose configuration is an agent's become agents, as those that are saved now do."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

IS_AGENT = {
    "sqlite": "json_extract(config, '$.agent_mode.enabled') = 1"
    " AND lower(coalesce(json_extract(config, '$.agent_mode.strategy'), '')) NOT LIKE '%router'",
    "postgresql": "config -> 'agent_mode' ->> 'enabled' = 'true'"
    " AND lower(coalesce(config -> 'agent_mode' ->> 'strategy', '')) NOT LIKE '%router'",
}


APPS = sa.table("apps", sa.column("mode"), sa.column("app_model_config_id"))
CONFIGS = sa.table("app_model_configs", sa.column("id"), sa.column("config"))


def upgrade() -> None:
    agents = sa.select(CONFIGS.c.id).where(sa.text(IS_AGENT[op.get_bind().dialect.name]))
    op.execute(
        APPS.update()
        .where(APPS.c.mode == "chat", APPS.c.app_model_config_id.in_(agents))
        .values(mode="agent-chat")
    )


def downgrade() -> None:
    """Leave them: the mode was there before, and which of them were chats is not known."""
