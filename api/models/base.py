"""The declarative base, and what most tables share: an id, a workspace, times.

Boundary: columns, relations and ``to_spec()``; no queries. Small tables carry
foreign keys with cascades. The large ones (conversations, messages, files) do
not: their rows are removed in bounded batches by a job, which a cascade would
turn into one endless statement.
"""

import os
import time
from datetime import UTC, datetime

from sqlalchemy import ForeignKey, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from api.models.types import Id, UTCDateTime

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


def new_id() -> str:
    """Return a fresh id: a UUID of version 7 (RFC 9562), whose beginning is the time in milliseconds.

    What is made together so lies together in every index; of random ids each
    new row would change a page of its own in all of them. 74 bits are random.
    """
    at = f"{time.time_ns() // 1_000_000:012x}"
    random = os.urandom(10).hex()
    variant = "89ab"[int(random[0], 16) & 3]
    return f"{at[:8]}-{at[8:]}-7{random[1:4]}-{variant}{random[4:7]}-{random[7:19]}"


def utc_now() -> datetime:
    """Return the present instant, aware, in UTC."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """Root of all tables; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(naming_convention=NAMING)


class Identified:
    """An id made by us, and when the row was made."""

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)


class TenantOwned(Identified):
    """A row of one workspace; it goes when the workspace goes."""

    tenant_id: Mapped[str] = mapped_column(Id, ForeignKey("tenants.id", ondelete="CASCADE"), index=True)


class TenantScoped(Identified):
    """A row of one workspace in a large table: no foreign key, purged in batches."""

    tenant_id: Mapped[str] = mapped_column(Id)
