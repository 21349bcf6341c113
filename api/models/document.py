"""Documents, their segments and child chunks, embeddings kept for use again, and the log of searches.

Large tables: no foreign keys (but for imports), removed in bounded batches by a job. A row counts
only while the rows above it (dataset, document, segment) are there and enabled;
every search checks that when it reads.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base, TenantOwned, TenantScoped, utc_now
from api.models.types import Id, Json, UTCDateTime

SUMMARY = "summary"
"""The type of a child chunk that is its segment's summary."""


class Document(TenantScoped, Base):
    """A document on its way into the index, or in it.

    ``indexing_status`` is waiting, parsing, cleaning, splitting, indexing,
    completed, error or paused; ``is_paused`` asks a running job to pause.
    ``passages_done`` is how much of a text that is being split has become segments.
    ``version`` grows when the content is replaced, and segments of an older one
    are on their way out. ``source`` says where the text comes from: by
    ``data_source_type`` an upload, ``{"url", …}`` of a website or
    ``{"notion_page_id", …}``; of all ``upload_file_id`` names the file that holds
    it, which a page of Notion has once it was read.
    ``doc_metadata`` holds values by the id of their field.
    """

    __tablename__ = "documents"
    __table_args__ = (
        Index("ix_documents_tenant_dataset", "tenant_id", "dataset_id", "position"),
        Index("ix_documents_dataset_batch", "dataset_id", "batch"),
    )

    dataset_id: Mapped[str] = mapped_column(Id)
    position: Mapped[int]
    data_source_type: Mapped[str]
    source: Mapped[dict[str, Any]] = mapped_column(Json)
    process_rule_id: Mapped[str | None] = mapped_column(Id)
    batch: Mapped[str]
    name: Mapped[str]
    created_from: Mapped[str]
    created_by: Mapped[str | None] = mapped_column(Id)
    doc_form: Mapped[str] = mapped_column(default="text_model")
    doc_language: Mapped[str] = mapped_column(default="English")
    doc_type: Mapped[str | None]
    doc_metadata: Mapped[dict[str, Any] | None] = mapped_column(Json)
    version: Mapped[int] = mapped_column(default=1)
    word_count: Mapped[int] = mapped_column(default=0)
    tokens: Mapped[int] = mapped_column(default=0)
    hit_count: Mapped[int] = mapped_column(default=0)
    passages_done: Mapped[int] = mapped_column(default=0)
    total_segments: Mapped[int] = mapped_column(default=0)
    completed_segments: Mapped[int] = mapped_column(default=0)
    indexing_status: Mapped[str] = mapped_column(default="waiting")
    error: Mapped[str | None] = mapped_column(Text)
    is_paused: Mapped[bool] = mapped_column(default=False)
    processing_started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    parsing_completed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    cleaning_completed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    splitting_completed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    completed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    paused_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    stopped_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    enabled: Mapped[bool] = mapped_column(default=True)
    disabled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    disabled_by: Mapped[str | None] = mapped_column(Id)
    archived: Mapped[bool] = mapped_column(default=False)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)


class Segment(TenantScoped, Base):
    """A passage of a document. Its id follows from document, version, position and content.

    ``hash`` is the SHA-256 of what is embedded; ``status`` is waiting,
    indexing, completed or error. ``summary_status`` is waiting (for a model to
    write one), completed or error, and null where there is to be no summary.
    """

    __tablename__ = "segments"
    __table_args__ = (
        Index("ix_segments_document", "document_id", "position"),
        Index("ix_segments_dataset", "dataset_id"),
    )

    dataset_id: Mapped[str] = mapped_column(Id)
    document_id: Mapped[str] = mapped_column(Id)
    version: Mapped[int]
    position: Mapped[int]
    content: Mapped[str] = mapped_column(Text)
    answer: Mapped[str | None] = mapped_column(Text)
    word_count: Mapped[int]
    tokens: Mapped[int]
    keywords: Mapped[list[str] | None] = mapped_column(Json)
    hash: Mapped[str]
    hit_count: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(default="waiting")
    error: Mapped[str | None] = mapped_column(Text)
    summary_status: Mapped[str | None]
    summary_error: Mapped[str | None] = mapped_column(Text)
    enabled: Mapped[bool] = mapped_column(default=True)
    disabled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    disabled_by: Mapped[str | None] = mapped_column(Id)
    indexing_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    completed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_by: Mapped[str | None] = mapped_column(Id)
    updated_by: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)


class SegmentImport(TenantOwned, Base):
    """A table whose rows become segments of a document, and how far that is.

    ``status`` is waiting, processing, completed or error; the first ``rows_done``
    rows are segments of the document's ``version``.
    """

    __tablename__ = "segment_imports"

    document_id: Mapped[str] = mapped_column(Id, ForeignKey("documents.id", ondelete="CASCADE"), index=True)
    version: Mapped[int]
    upload_file_id: Mapped[str] = mapped_column(Id)
    created_by: Mapped[str] = mapped_column(Id)
    status: Mapped[str] = mapped_column(default="waiting")
    rows_done: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None] = mapped_column(Text)


class ChildChunk(TenantScoped, Base):
    """A text that is searched in the place of its segment: a small piece of it, or its summary.

    ``type`` is automatic or customized for a piece, of hierarchical documents,
    and SUMMARY for the one summary a segment may have.
    """

    __tablename__ = "child_chunks"
    __table_args__ = (
        Index("ix_child_chunks_segment", "segment_id", "position"),
        Index("ix_child_chunks_document", "document_id"),
        Index("ix_child_chunks_dataset", "dataset_id"),
    )

    dataset_id: Mapped[str] = mapped_column(Id)
    document_id: Mapped[str] = mapped_column(Id)
    segment_id: Mapped[str] = mapped_column(Id)
    position: Mapped[int]
    content: Mapped[str] = mapped_column(Text)
    word_count: Mapped[int]
    hash: Mapped[str]
    type: Mapped[str] = mapped_column(default="automatic")
    created_by: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)


class StoredEmbedding(TenantScoped, Base):
    """A vector made before, so that the same text is not embedded twice in a workspace.

    ``vector`` is float32 in the order of bytes of its machine. ``model`` names provider and model.
    """

    __tablename__ = "stored_embeddings"
    __table_args__ = (
        Index("uq_stored_embeddings_key", "tenant_id", "model", "hash", unique=True),
        Index("ix_stored_embeddings_used_at", "used_at"),
    )

    model: Mapped[str]
    hash: Mapped[str]
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    used_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)


class DatasetQuery(TenantScoped, Base):
    """A search of a dataset: what was asked, from where, and by whom."""

    __tablename__ = "dataset_queries"
    __table_args__ = (Index("ix_dataset_queries_dataset", "dataset_id", "created_at"),)

    dataset_id: Mapped[str] = mapped_column(Id)
    content: Mapped[str] = mapped_column(Text)
    source: Mapped[str]
    source_app_id: Mapped[str | None] = mapped_column(Id)
    created_by_role: Mapped[str]
    created_by: Mapped[str] = mapped_column(Id)
