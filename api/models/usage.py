"""What was taken of models, summed up by day: the ledger."""

from datetime import date
from decimal import Decimal

from sqlalchemy import BigInteger, Date, Numeric, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base, TenantScoped
from api.models.types import Id

NOBODY = "00000000-0000-0000-0000-000000000000"
"""The id of what there is none of, such as the key of runs that no key began; a null is not itself."""


class UsageDay(TenantScoped, Base):
    """What one caller of an app or a dataset took of one model on a day (UTC).

    ``app_id`` is the dataset's where ``is_dataset`` says so: of its indexing and the
    tests of its retrieval. ``key_id`` is the API key the calls came with, ``actor_id``
    the end user or account they were for. Rows only grow, and outlive what they are of.
    """

    __tablename__ = "usage_days"
    __table_args__ = (
        UniqueConstraint(
            "tenant_id",
            "day",
            "app_id",
            "key_id",
            "actor_id",
            "provider",
            "model",
            "currency",
            name="uq_usage_days_key",
        ),
    )

    day: Mapped[date] = mapped_column(Date)
    app_id: Mapped[str] = mapped_column(Id)
    is_dataset: Mapped[bool] = mapped_column(server_default=false())
    key_id: Mapped[str] = mapped_column(Id)
    actor_id: Mapped[str] = mapped_column(Id)
    provider: Mapped[str]
    model: Mapped[str]
    currency: Mapped[str]
    calls: Mapped[int] = mapped_column(BigInteger)
    prompt_tokens: Mapped[int] = mapped_column(BigInteger)
    completion_tokens: Mapped[int] = mapped_column(BigInteger)
    total_price: Mapped[Decimal] = mapped_column(Numeric(24, 10))
