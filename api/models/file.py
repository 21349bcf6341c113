"""Uploaded files: what is known of them; the bytes lie in the storage backend."""

from datetime import datetime

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base, TenantScoped
from api.models.types import Id, UTCDateTime


class UploadFile(TenantScoped, Base):
    """A file someone uploaded; only that someone may attach or fetch it.

    ``name`` is for display only, ``storage_key`` is made by us. ``app_id`` is
    null for console uploads. ``attached_at`` is set when a message first uses
    the file; those never attached expire.
    """

    __tablename__ = "upload_files"
    __table_args__ = (
        Index("ix_upload_files_tenant_app", "tenant_id", "app_id"),
        Index("ix_upload_files_unattached", "attached_at", "created_at"),
    )

    app_id: Mapped[str | None] = mapped_column(Id)
    storage_key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    extension: Mapped[str]
    mime_type: Mapped[str]
    kind: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    created_by: Mapped[str] = mapped_column(Id)
    created_by_role: Mapped[str]
    attached_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
