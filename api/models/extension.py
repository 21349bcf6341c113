"""Services of a workspace's own that apps ask while they run."""

from datetime import datetime

from sqlalchemy import LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base, TenantOwned, utc_now
from api.models.types import Id, UTCDateTime


class APIExtension(TenantOwned, Base):
    """An API-based extension: where it answers; ``sealed_key`` is its key under the workspace's data key."""

    __tablename__ = "api_extensions"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    name: Mapped[str]
    endpoint: Mapped[str] = mapped_column(Text)
    sealed_key: Mapped[bytes] = mapped_column(LargeBinary)
    created_by: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)
