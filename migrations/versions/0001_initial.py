"""The first schema: accounts, workspaces, apps, conversations, files, providers, jobs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
JSON = sa.JSON(none_as_null=True)
TIME = sa.DateTime(timezone=True)

TABLES = (
    "accounts",
    "conversations",
    "end_users",
    "jobs",
    "login_failures",
    "message_feedbacks",
    "messages",
    "setups",
    "tenants",
    "upload_files",
    "worker_beats",
    "apps",
    "custom_models",
    "data_keys",
    "default_models",
    "idempotency_keys",
    "provider_credentials",
    "sessions",
    "tenant_members",
    "api_tokens",
    "app_model_configs",
    "sites",
)


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=True),
        sa.Column("avatar", sa.String(), nullable=True),
        sa.Column("interface_language", sa.String(), nullable=False),
        sa.Column("interface_theme", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("last_login_at", TIME, nullable=True),
        sa.Column("last_login_ip", sa.String(), nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("email", name="uq_accounts_email"),
    )
    op.create_table(
        "conversations",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("inputs", JSON, nullable=False),
        sa.Column("introduction", sa.Text(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("invoke_from", sa.String(), nullable=False),
        sa.Column("from_end_user_id", ID, nullable=True),
        sa.Column("from_account_id", ID, nullable=True),
        sa.Column("deleted_at", TIME, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_conversations"),
    )
    op.create_index("ix_conversations_deleted_at", "conversations", ["deleted_at"])
    op.create_index(
        "ix_conversations_user_created", "conversations", ["app_id", "from_end_user_id", "created_at", "id"]
    )
    op.create_index(
        "ix_conversations_user_updated", "conversations", ["app_id", "from_end_user_id", "updated_at", "id"]
    )
    op.create_table(
        "end_users",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("external_user_id", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("is_anonymous", sa.Boolean(), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_end_users"),
        sa.UniqueConstraint("app_id", "type", "session_id", name="uq_end_users_app_id_type_session_id"),
    )
    op.create_table(
        "jobs",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("run_at", TIME, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("leased_until", TIME, nullable=True),
        sa.Column("failed_at", TIME, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_index("ix_jobs_due", "jobs", ["failed_at", "run_at"])
    op.create_table(
        "login_failures",
        sa.Column("key_hash", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name="pk_login_failures"),
    )
    op.create_index("ix_login_failures_last_at", "login_failures", ["last_at"])
    op.create_table(
        "message_feedbacks",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("conversation_id", ID, nullable=False),
        sa.Column("message_id", ID, nullable=False),
        sa.Column("rating", sa.String(), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("from_source", sa.String(), nullable=False),
        sa.Column("from_end_user_id", ID, nullable=True),
        sa.Column("from_account_id", ID, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_message_feedbacks"),
        sa.UniqueConstraint("message_id", "from_source", name="uq_message_feedbacks_message_id_from_source"),
    )
    op.create_index("ix_message_feedbacks_app_created", "message_feedbacks", ["app_id", "created_at", "id"])
    op.create_index("ix_message_feedbacks_conversation_id", "message_feedbacks", ["conversation_id"])
    op.create_table(
        "messages",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("conversation_id", ID, nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("parent_message_id", ID, nullable=True),
        sa.Column("invoke_from", sa.String(), nullable=False),
        sa.Column("from_end_user_id", ID, nullable=True),
        sa.Column("from_account_id", ID, nullable=True),
        sa.Column("inputs", JSON, nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("files", JSON, nullable=True),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("owner", ID, nullable=True),
        sa.Column("model_provider", sa.String(), nullable=True),
        sa.Column("model_name", sa.String(), nullable=True),
        sa.Column("message_tokens", sa.Integer(), nullable=False),
        sa.Column("answer_tokens", sa.Integer(), nullable=False),
        sa.Column("total_price", sa.Numeric(precision=18, scale=10), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("latency_s", sa.Double(), nullable=False),
        sa.Column("outcome", JSON, nullable=True),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
    )
    op.create_index("ix_messages_app_created", "messages", ["app_id", "created_at", "id"])
    op.create_index("ix_messages_conversation", "messages", ["conversation_id", "created_at", "id"])
    op.create_index("ix_messages_status_owner", "messages", ["status", "owner"])
    op.create_table(
        "setups",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("setup_at", TIME, nullable=False),
        sa.CheckConstraint("id = 1", name="ck_setups_only_one"),
        sa.PrimaryKeyConstraint("id", name="pk_setups"),
    )
    op.create_table(
        "tenants",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("plan", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("trial_end_at", TIME, nullable=True),
        sa.Column("providers_version", sa.Integer(), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
    )
    op.create_table(
        "upload_files",
        sa.Column("app_id", ID, nullable=True),
        sa.Column("storage_key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("extension", sa.String(), nullable=False),
        sa.Column("mime_type", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("created_by", ID, nullable=False),
        sa.Column("created_by_role", sa.String(), nullable=False),
        sa.Column("attached_at", TIME, nullable=True),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_upload_files"),
        sa.UniqueConstraint("storage_key", name="uq_upload_files_storage_key"),
    )
    op.create_index("ix_upload_files_tenant_app", "upload_files", ["tenant_id", "app_id"])
    op.create_index("ix_upload_files_unattached", "upload_files", ["attached_at", "created_at"])
    op.create_table(
        "worker_beats",
        sa.Column("beat_at", TIME, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_worker_beats"),
    )
    op.create_index("ix_worker_beats_beat_at", "worker_beats", ["beat_at"])
    op.create_table(
        "apps",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("unique_name", sa.String(), nullable=True),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("icon_type", sa.String(), nullable=True),
        sa.Column("icon", sa.String(), nullable=True),
        sa.Column("icon_background", sa.String(), nullable=True),
        sa.Column("enable_site", sa.Boolean(), nullable=False),
        sa.Column("enable_api", sa.Boolean(), nullable=False),
        sa.Column("api_rpm", sa.Integer(), nullable=False),
        sa.Column("api_rph", sa.Integer(), nullable=False),
        sa.Column("is_demo", sa.Boolean(), nullable=False),
        sa.Column("max_active_requests", sa.Integer(), nullable=True),
        sa.Column("use_icon_as_answer_icon", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("app_model_config_id", ID, nullable=True),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("updated_by", ID, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_apps_tenant_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_apps"),
        sa.UniqueConstraint("tenant_id", "unique_name", name="uq_apps_tenant_id_unique_name"),
    )
    op.create_index("ix_apps_tenant_id", "apps", ["tenant_id"])
    op.create_index("ix_apps_tenant_id_created_at", "apps", ["tenant_id", "created_at", "id"])
    op.create_table(
        "custom_models",
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("model_type", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("quota_exceeded_at", TIME, nullable=True),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_custom_models_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_custom_models"),
        sa.UniqueConstraint(
            "tenant_id",
            "provider",
            "model_type",
            "model",
            name="uq_custom_models_tenant_id_provider_model_type_model",
        ),
    )
    op.create_index("ix_custom_models_tenant_id", "custom_models", ["tenant_id"])
    op.create_table(
        "data_keys",
        sa.Column("sealed_key", sa.LargeBinary(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_data_keys_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_data_keys"),
    )
    op.create_index("ix_data_keys_tenant_id", "data_keys", ["tenant_id"])
    op.create_table(
        "default_models",
        sa.Column("model_type", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_default_models_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_default_models"),
        sa.UniqueConstraint("tenant_id", "model_type", name="uq_default_models_tenant_id_model_type"),
    )
    op.create_index("ix_default_models_tenant_id", "default_models", ["tenant_id"])
    op.create_table(
        "idempotency_keys",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("response_status", sa.Integer(), nullable=True),
        sa.Column("sealed_body", sa.LargeBinary(), nullable=True),
        sa.Column("message_id", ID, nullable=True),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_idempotency_keys_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_idempotency_keys"),
        sa.UniqueConstraint("tenant_id", "scope", "key", name="uq_idempotency_keys_tenant_id_scope_key"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.create_index("ix_idempotency_keys_tenant_id", "idempotency_keys", ["tenant_id"])
    op.create_table(
        "provider_credentials",
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("quota_exceeded_at", TIME, nullable=True),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_provider_credentials_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_provider_credentials"),
        sa.UniqueConstraint(
            "tenant_id", "provider", "name", name="uq_provider_credentials_tenant_id_provider_name"
        ),
    )
    op.create_index("ix_provider_credentials_tenant_id", "provider_credentials", ["tenant_id"])
    op.create_table(
        "sessions",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("refresh_hash", sa.String(), nullable=False),
        sa.Column("previous_hash", sa.String(), nullable=True),
        sa.Column("rotated_at", TIME, nullable=True),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.Column("ip", sa.String(), nullable=True),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_sessions_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("refresh_hash", name="uq_sessions_refresh_hash"),
    )
    op.create_index("ix_sessions_account_id", "sessions", ["account_id"])
    op.create_table(
        "tenant_members",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_tenant_members_account_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_tenant_members_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tenant_members"),
        sa.UniqueConstraint("tenant_id", "account_id", name="uq_tenant_members_tenant_id_account_id"),
    )
    op.create_index("ix_tenant_members_account_id", "tenant_members", ["account_id"])
    op.create_index("ix_tenant_members_tenant_id", "tenant_members", ["tenant_id"])
    op.create_table(
        "api_tokens",
        sa.Column("app_id", ID, nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("masked", sa.String(), nullable=False),
        sa.Column("permissions", JSON, nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("last_used_at", TIME, nullable=True),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name="fk_api_tokens_app_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_api_tokens_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_api_tokens"),
        sa.UniqueConstraint("token_hash", name="uq_api_tokens_token_hash"),
    )
    op.create_index("ix_api_tokens_app_id", "api_tokens", ["app_id"])
    op.create_index("ix_api_tokens_tenant_id", "api_tokens", ["tenant_id"])
    op.create_table(
        "app_model_configs",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("config", JSON, nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("updated_by", ID, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id"], ["apps.id"], name="fk_app_model_configs_app_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_app_model_configs_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_app_model_configs"),
    )
    op.create_index("ix_app_model_configs_app_id", "app_model_configs", ["app_id"])
    op.create_index("ix_app_model_configs_tenant_id", "app_model_configs", ["tenant_id"])
    op.create_table(
        "sites",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("icon_type", sa.String(), nullable=True),
        sa.Column("icon", sa.String(), nullable=True),
        sa.Column("icon_background", sa.String(), nullable=True),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("default_language", sa.String(), nullable=False),
        sa.Column("chat_color_theme", sa.String(), nullable=True),
        sa.Column("chat_color_theme_inverted", sa.Boolean(), nullable=False),
        sa.Column("customize_domain", sa.String(), nullable=True),
        sa.Column("copyright", sa.String(), nullable=True),
        sa.Column("privacy_policy", sa.String(), nullable=True),
        sa.Column("custom_disclaimer", sa.String(), nullable=False),
        sa.Column("input_placeholder", sa.String(), nullable=True),
        sa.Column("customize_token_strategy", sa.String(), nullable=False),
        sa.Column("prompt_public", sa.Boolean(), nullable=False),
        sa.Column("show_workflow_steps", sa.Boolean(), nullable=False),
        sa.Column("use_icon_as_answer_icon", sa.Boolean(), nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("updated_by", ID, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name="fk_sites_app_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_sites_tenant_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_sites"),
        sa.UniqueConstraint("app_id", name="uq_sites_app_id"),
        sa.UniqueConstraint("code", name="uq_sites_code"),
    )
    op.create_index("ix_sites_tenant_id", "sites", ["tenant_id"])


def downgrade() -> None:
    for table in TABLES[::-1]:
        op.drop_table(table)
