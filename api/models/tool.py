"""What a workspace has of tools: credentials of built-in ones, and providers of its own."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base, TenantOwned, utc_now
from api.models.types import Id, UTCDateTime

DEFAULT_ONLY = text("is_default")


class ToolCredential(TenantOwned, Base):
    """One set of credentials of a built-in provider, by its short id; the default one is used.

    ``sealed`` is the JSON object of all fields under the workspace's data key.
    """

    __tablename__ = "tool_credentials"
    __table_args__ = (
        UniqueConstraint("tenant_id", "provider", "name"),
        Index(
            "uq_tool_credentials_tenant_id_provider",
            "tenant_id",
            "provider",
            unique=True,
            sqlite_where=DEFAULT_ONLY,
            postgresql_where=DEFAULT_ONLY,
        ),
    )

    provider: Mapped[str]
    name: Mapped[str]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    is_default: Mapped[bool] = mapped_column(default=False)
    created_by: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)


class ToolProvider(TenantOwned, Base):
    """A provider of tools a workspace made; ``kind`` says of what.

    ``api`` is made of an OpenAPI document, ``mcp`` of a server's list of tools,
    ``workflow`` of an app's version: ``app_id`` and ``workflow_id`` name that.
    ``name`` is what drawings may know it by. ``document`` is what its tools are
    read from, ``details`` the JSON object of how it is shown, ``sealed`` that of
    its credentials under the workspace's data key.
    """

    __tablename__ = "tool_providers"
    __table_args__ = (UniqueConstraint("tenant_id", "kind", "name"), UniqueConstraint("app_id"))

    kind: Mapped[str]
    name: Mapped[str]
    document: Mapped[str] = mapped_column(Text)
    details: Mapped[bytes] = mapped_column(LargeBinary)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    app_id: Mapped[str | None] = mapped_column(Id, ForeignKey("apps.id", ondelete="CASCADE"))
    workflow_id: Mapped[str | None] = mapped_column(Id)
    created_by: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)
