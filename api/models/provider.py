"""Which model providers a workspace has configured, and which models it prefers."""

from datetime import datetime

from sqlalchemy import LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base, TenantOwned, utc_now
from api.models.types import Id, UTCDateTime


class ProviderCredential(TenantOwned, Base):
    """One set of credentials of a provider, by its short id; the current one is used.

    ``sealed`` is the JSON object of all fields under the workspace's data key.
    ``quota_exceeded_at`` is set while the provider reports its quota used up.
    """

    __tablename__ = "provider_credentials"
    __table_args__ = (UniqueConstraint("tenant_id", "provider", "name"),)

    provider: Mapped[str]
    name: Mapped[str]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    is_current: Mapped[bool] = mapped_column(default=False)
    quota_exceeded_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_by: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)


class CustomModel(TenantOwned, Base):
    """A model added by name to a customizable provider.

    ``sealed`` are credentials of its own, if any, and ``quota_exceeded_at``
    tells of those; else the provider's current credentials serve it.
    """

    __tablename__ = "custom_models"
    __table_args__ = (UniqueConstraint("tenant_id", "provider", "model_type", "model"),)

    provider: Mapped[str]
    model: Mapped[str]
    model_type: Mapped[str]
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    quota_exceeded_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_by: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)


class DefaultModel(TenantOwned, Base):
    """The model a workspace uses for a type where none is named."""

    __tablename__ = "default_models"
    __table_args__ = (UniqueConstraint("tenant_id", "model_type"),)

    model_type: Mapped[str]
    provider: Mapped[str]
    model: Mapped[str]
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)
