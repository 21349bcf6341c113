"""Knowledge: datasets, documents, segments, tags, searches."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
JSON = sa.JSON(none_as_null=True)
TIME = sa.DateTime(timezone=True)

TABLES = (
    "child_chunks",
    "dataset_queries",
    "documents",
    "segments",
    "stored_embeddings",
    "data_source_keys",
    "external_knowledge_apis",
    "tags",
    "datasets",
    "tag_bindings",
    "app_datasets",
    "dataset_members",
    "metadata_fields",
    "process_rules",
)


def upgrade() -> None:
    op.create_table(
        "child_chunks",
        sa.Column("dataset_id", ID, nullable=False),
        sa.Column("document_id", ID, nullable=False),
        sa.Column("segment_id", ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("word_count", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_child_chunks"),
    )
    op.create_index("ix_child_chunks_dataset", "child_chunks", ["dataset_id"])
    op.create_index("ix_child_chunks_document", "child_chunks", ["document_id"])
    op.create_index("ix_child_chunks_segment", "child_chunks", ["segment_id", "position"])

    op.create_table(
        "dataset_queries",
        sa.Column("dataset_id", ID, nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("source_app_id", ID, nullable=True),
        sa.Column("created_by_role", sa.String(), nullable=False),
        sa.Column("created_by", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dataset_queries"),
    )
    op.create_index("ix_dataset_queries_dataset", "dataset_queries", ["dataset_id", "created_at"])

    op.create_table(
        "documents",
        sa.Column("dataset_id", ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("data_source_type", sa.String(), nullable=False),
        sa.Column("source", JSON, nullable=False),
        sa.Column("process_rule_id", ID, nullable=True),
        sa.Column("batch", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_from", sa.String(), nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("doc_form", sa.String(), nullable=False),
        sa.Column("doc_language", sa.String(), nullable=False),
        sa.Column("doc_type", sa.String(), nullable=True),
        sa.Column("doc_metadata", JSON, nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("word_count", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("hit_count", sa.Integer(), nullable=False),
        sa.Column("passages_done", sa.Integer(), nullable=False),
        sa.Column("total_segments", sa.Integer(), nullable=False),
        sa.Column("completed_segments", sa.Integer(), nullable=False),
        sa.Column("indexing_status", sa.String(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("is_paused", sa.Boolean(), nullable=False),
        sa.Column("processing_started_at", TIME, nullable=True),
        sa.Column("parsing_completed_at", TIME, nullable=True),
        sa.Column("cleaning_completed_at", TIME, nullable=True),
        sa.Column("splitting_completed_at", TIME, nullable=True),
        sa.Column("completed_at", TIME, nullable=True),
        sa.Column("paused_at", TIME, nullable=True),
        sa.Column("stopped_at", TIME, nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_at", TIME, nullable=True),
        sa.Column("disabled_by", ID, nullable=True),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_documents"),
    )
    op.create_index("ix_documents_dataset_batch", "documents", ["dataset_id", "batch"])
    op.create_index("ix_documents_tenant_dataset", "documents", ["tenant_id", "dataset_id", "position"])

    op.create_table(
        "segments",
        sa.Column("dataset_id", ID, nullable=False),
        sa.Column("document_id", ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("word_count", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("keywords", JSON, nullable=True),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("hit_count", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_at", TIME, nullable=True),
        sa.Column("disabled_by", ID, nullable=True),
        sa.Column("indexing_at", TIME, nullable=True),
        sa.Column("completed_at", TIME, nullable=True),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("updated_by", ID, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_segments"),
    )
    op.create_index("ix_segments_dataset", "segments", ["dataset_id"])
    op.create_index("ix_segments_document", "segments", ["document_id", "position"])

    op.create_table(
        "stored_embeddings",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("used_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stored_embeddings"),
    )
    op.create_index("ix_stored_embeddings_used_at", "stored_embeddings", ["used_at"])
    op.create_index(
        "uq_stored_embeddings_key", "stored_embeddings", ["tenant_id", "model", "hash"], unique=True
    )

    op.create_table(
        "data_source_keys",
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=False),
        sa.Column("source_info", JSON, nullable=True),
        sa.Column("is_disabled", sa.Boolean(), nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_data_source_keys_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_data_source_keys"),
        sa.UniqueConstraint("tenant_id", "provider", name="uq_data_source_keys_tenant_id_provider"),
    )
    op.create_index("ix_data_source_keys_tenant_id", "data_source_keys", ["tenant_id"])

    op.create_table(
        "external_knowledge_apis",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("updated_by", ID, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_external_knowledge_apis_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_external_knowledge_apis"),
    )
    op.create_index("ix_external_knowledge_apis_tenant_id", "external_knowledge_apis", ["tenant_id"])

    op.create_table(
        "tags",
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_tags_tenant_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_tags"),
        sa.UniqueConstraint("tenant_id", "type", "name", name="uq_tags_tenant_id_type_name"),
    )
    op.create_index("ix_tags_tenant_id", "tags", ["tenant_id"])

    op.create_table(
        "datasets",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("permission", sa.String(), nullable=False),
        sa.Column("data_source_type", sa.String(), nullable=True),
        sa.Column("indexing_technique", sa.String(), nullable=True),
        sa.Column("embedding_provider", sa.String(), nullable=True),
        sa.Column("embedding_model", sa.String(), nullable=True),
        sa.Column("retrieval_model", JSON, nullable=True),
        sa.Column("doc_form", sa.String(), nullable=True),
        sa.Column("enable_api", sa.Boolean(), nullable=False),
        sa.Column("built_in_field_enabled", sa.Boolean(), nullable=False),
        sa.Column("icon_info", JSON, nullable=True),
        sa.Column("summary_index_setting", JSON, nullable=True),
        sa.Column("collection_id", ID, nullable=False),
        sa.Column("next_collection_id", ID, nullable=True),
        sa.Column("external_api_id", ID, nullable=True),
        sa.Column("external_knowledge_id", sa.String(), nullable=True),
        sa.Column("external_retrieval_model", JSON, nullable=True),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("updated_by", ID, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["external_api_id"], ["external_knowledge_apis.id"], name="fk_datasets_external_api_id"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_datasets_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_datasets"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_datasets_tenant_id_name"),
    )
    op.create_index("ix_datasets_tenant_id", "datasets", ["tenant_id"])
    op.create_index("ix_datasets_tenant_id_created_at", "datasets", ["tenant_id", "created_at", "id"])

    op.create_table(
        "tag_bindings",
        sa.Column("tag_id", ID, nullable=False),
        sa.Column("target_id", ID, nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name="fk_tag_bindings_tag_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_tag_bindings_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tag_bindings"),
        sa.UniqueConstraint("tag_id", "target_id", name="uq_tag_bindings_tag_id_target_id"),
    )
    op.create_index("ix_tag_bindings_target_id", "tag_bindings", ["target_id"])
    op.create_index("ix_tag_bindings_tenant_id", "tag_bindings", ["tenant_id"])

    op.create_table(
        "app_datasets",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("dataset_id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name="fk_app_datasets_app_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name="fk_app_datasets_dataset_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_app_datasets_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_app_datasets"),
        sa.UniqueConstraint("app_id", "dataset_id", name="uq_app_datasets_app_id_dataset_id"),
    )
    op.create_index("ix_app_datasets_dataset_id", "app_datasets", ["dataset_id"])
    op.create_index("ix_app_datasets_tenant_id", "app_datasets", ["tenant_id"])

    op.create_table(
        "dataset_members",
        sa.Column("dataset_id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_dataset_members_account_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name="fk_dataset_members_dataset_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_dataset_members_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_dataset_members"),
        sa.UniqueConstraint("dataset_id", "account_id", name="uq_dataset_members_dataset_id_account_id"),
    )
    op.create_index("ix_dataset_members_account_id", "dataset_members", ["account_id"])
    op.create_index("ix_dataset_members_tenant_id", "dataset_members", ["tenant_id"])

    op.create_table(
        "metadata_fields",
        sa.Column("dataset_id", ID, nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("updated_by", ID, nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name="fk_metadata_fields_dataset_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_metadata_fields_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_metadata_fields"),
        sa.UniqueConstraint("dataset_id", "name", name="uq_metadata_fields_dataset_id_name"),
    )
    op.create_index("ix_metadata_fields_tenant_id", "metadata_fields", ["tenant_id"])

    op.create_table(
        "process_rules",
        sa.Column("dataset_id", ID, nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("rules", JSON, nullable=True),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name="fk_process_rules_dataset_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_process_rules_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_process_rules"),
    )
    op.create_index("ix_process_rules_dataset_id", "process_rules", ["dataset_id"])
    op.create_index("ix_process_rules_tenant_id", "process_rules", ["tenant_id"])


def downgrade() -> None:
    for table in TABLES[::-1]:
        op.drop_table(table)
