"""Plugins of a workspace: packages it was given, and which of them are installed."""

from datetime import datetime

from sqlalchemy import Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base, TenantOwned
from api.models.types import Id, UTCDateTime

INSTALLED_ONLY = text("is_installed")


class PluginInstallation(TenantOwned, Base):
    """One package of a plugin in a workspace; of a plugin's packages at most one is installed.

    One that is not installed was uploaded, to be installed next. ``manifest`` is
    the JSON of api/core/plugins/manifest.py; the package lies in the storage
    under :attr:`storage_key`.
    """

    __tablename__ = "plugin_installations"
    __table_args__ = (
        UniqueConstraint("tenant_id", "identifier"),
        Index(
            "uq_plugin_installations_tenant_id_plugin_id",
            "tenant_id",
            "plugin_id",
            unique=True,
            sqlite_where=INSTALLED_ONLY,
            postgresql_where=INSTALLED_ONLY,
        ),
    )

    plugin_id: Mapped[str]
    identifier: Mapped[str]
    digest: Mapped[str]
    manifest: Mapped[bytes] = mapped_column(LargeBinary)
    icon: Mapped[bytes] = mapped_column(LargeBinary)
    is_verified: Mapped[bool]
    is_installed: Mapped[bool]
    installed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_by: Mapped[str | None] = mapped_column(Id)

    @property
    def storage_key(self) -> str:
        """Where the package is: each row has its own, so that nobody deletes another's."""
        return f"plugins/{self.digest}/{self.id}"
