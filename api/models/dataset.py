"""Knowledge: datasets, who may use them, how their documents are processed, and the names given to things.

These tables are small and go with their workspace or dataset; the large ones
are in models/document.py.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base, TenantOwned, new_id, utc_now
from api.models.types import Id, Json, UTCDateTime


class Dataset(TenantOwned, Base):
    """A body of documents that is searched together.

    ``collection_id`` names what the stores hold of it. A rebuild with another
    embedding model or store fills ``next_collection_id`` aside and swaps the
    two when it is complete. Technique, model and form are null until the first
    document sets them. ``provider`` is ``vendor`` or ``external``.
    """

    __tablename__ = "datasets"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        Index("ix_datasets_tenant_id_created_at", "tenant_id", "created_at", "id"),
    )

    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    provider: Mapped[str] = mapped_column(default="vendor")
    permission: Mapped[str] = mapped_column(default="only_me")
    data_source_type: Mapped[str | None]
    indexing_technique: Mapped[str | None]
    embedding_provider: Mapped[str | None]
    embedding_model: Mapped[str | None]
    retrieval_model: Mapped[dict[str, Any] | None] = mapped_column(Json)
    doc_form: Mapped[str | None]
    enable_api: Mapped[bool] = mapped_column(default=True)
    built_in_field_enabled: Mapped[bool] = mapped_column(default=False)
    icon_info: Mapped[dict[str, Any] | None] = mapped_column(Json)
    summary_index_setting: Mapped[dict[str, Any] | None] = mapped_column(Json)
    collection_id: Mapped[str] = mapped_column(Id, default=new_id)
    next_collection_id: Mapped[str | None] = mapped_column(Id)
    external_api_id: Mapped[str | None] = mapped_column(Id, ForeignKey("external_knowledge_apis.id"))
    external_knowledge_id: Mapped[str | None]
    external_retrieval_model: Mapped[dict[str, Any] | None] = mapped_column(Json)
    created_by: Mapped[str | None] = mapped_column(Id)
    updated_by: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)


class DatasetMember(TenantOwned, Base):
    """An account that may use a dataset of permission ``partial_members``."""

    __tablename__ = "dataset_members"
    __table_args__ = (UniqueConstraint("dataset_id", "account_id"),)

    dataset_id: Mapped[str] = mapped_column(Id, ForeignKey("datasets.id", ondelete="CASCADE"))
    account_id: Mapped[str] = mapped_column(Id, ForeignKey("accounts.id", ondelete="CASCADE"), index=True)


class AppDataset(TenantOwned, Base):
    """An app whose configuration in use names a dataset; written with the configuration."""

    __tablename__ = "app_datasets"
    __table_args__ = (UniqueConstraint("app_id", "dataset_id"),)

    app_id: Mapped[str] = mapped_column(Id, ForeignKey("apps.id", ondelete="CASCADE"))
    dataset_id: Mapped[str] = mapped_column(Id, ForeignKey("datasets.id", ondelete="CASCADE"), index=True)


class ProcessRuleRow(TenantOwned, Base):
    """How documents are cleaned and split; rows never change, documents point at them."""

    __tablename__ = "process_rules"

    dataset_id: Mapped[str] = mapped_column(Id, ForeignKey("datasets.id", ondelete="CASCADE"), index=True)
    mode: Mapped[str]
    rules: Mapped[dict[str, Any] | None] = mapped_column(Json)
    created_by: Mapped[str | None] = mapped_column(Id)


class MetadataField(TenantOwned, Base):
    """A field that documents of a dataset may carry; values are kept at the document, by the field's id."""

    __tablename__ = "metadata_fields"
    __table_args__ = (UniqueConstraint("dataset_id", "name"),)

    dataset_id: Mapped[str] = mapped_column(Id, ForeignKey("datasets.id", ondelete="CASCADE"))
    type: Mapped[str]
    name: Mapped[str]
    created_by: Mapped[str | None] = mapped_column(Id)
    updated_by: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)


class Tag(TenantOwned, Base):
    """A word that apps (``app``) or datasets (``knowledge``) are sorted by."""

    __tablename__ = "tags"
    __table_args__ = (UniqueConstraint("tenant_id", "type", "name"),)

    type: Mapped[str]
    name: Mapped[str]
    created_by: Mapped[str | None] = mapped_column(Id)


class TagBinding(TenantOwned, Base):
    """A tag on an app or a dataset."""

    __tablename__ = "tag_bindings"
    __table_args__ = (UniqueConstraint("tag_id", "target_id"),)

    tag_id: Mapped[str] = mapped_column(Id, ForeignKey("tags.id", ondelete="CASCADE"))
    target_id: Mapped[str] = mapped_column(Id, index=True)
    created_by: Mapped[str | None] = mapped_column(Id)


class ExternalKnowledgeAPI(TenantOwned, Base):
    """A service outside that answers searches; its key is sealed."""

    __tablename__ = "external_knowledge_apis"

    name: Mapped[str]
    description: Mapped[str] = mapped_column(Text, default="")
    endpoint: Mapped[str]
    sealed_key: Mapped[bytes] = mapped_column(LargeBinary)
    created_by: Mapped[str | None] = mapped_column(Id)
    updated_by: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)


class DataSourceKey(TenantOwned, Base):
    """A token by which documents are fetched from a service (``notion``), sealed.

    ``source_info`` says what it opens: ``{"workspace_id", "workspace_name", …}``.
    """

    __tablename__ = "data_source_keys"
    __table_args__ = (UniqueConstraint("tenant_id", "provider"),)

    provider: Mapped[str]
    sealed_key: Mapped[bytes] = mapped_column(LargeBinary)
    source_info: Mapped[dict[str, Any] | None] = mapped_column(Json)
    is_disabled: Mapped[bool] = mapped_column(default=False)
    created_by: Mapped[str | None] = mapped_column(Id)
