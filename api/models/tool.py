"""What a workspace has of tools: credentials of built-in ones, and providers of its own."""

from datetime import datetime

from sqlalchemy import LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base, TenantOwned, utc_now
from api.models.types import Id, UTCDateTime


class ToolCredential(TenantOwned, Base):
    """One set of credentials of a built-in provider, by its short id; the default one is used.

    ``sealed`` is the JSON object of all fields under the workspace's data key.
    """

    __tablename__ = "tool_credentials"
    __table_args__ = (UniqueConstraint("tenant_id", "provider", "name"),)

    provider: Mapped[str]
    name: Mapped[str]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    is_default: Mapped[bool] = mapped_column(default=False)
    created_by: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)


class ToolProvider(TenantOwned, Base):
    """A provider of tools a workspace made; ``kind`` says of what: ``api`` of an OpenAPI document.

    ``document`` is what its tools are read from, ``details`` the JSON object of
    how it is shown, ``sealed`` that of its credentials under the workspace's data key.
    """

    __tablename__ = "tool_providers"
    __table_args__ = (UniqueConstraint("tenant_id", "kind", "name"),)

    kind: Mapped[str]
    name: Mapped[str]
    document: Mapped[str] = mapped_column(Text)
    details: Mapped[bytes] = mapped_column(LargeBinary)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_by: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)
