"""The index of what stands in the logs of apps: blocks of messages or runs, and their grams.

Grams, their chunks and sets of places are those of core/text/grams.py.
"""

from datetime import datetime

from sqlalchemy import BigInteger, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base
from api.models.types import Id, UTCDateTime

NUMBER = BigInteger().with_variant(Integer(), "sqlite")
GRAM = String().with_variant(String(collation="C"), "postgresql")
PLACES = 4096
"""How many rows a block may have; a row is known by its block's id times this and its place in it."""


class LogBlock(Base):
    """Rows of an app in the order of their time, from ``first_at`` to ``last_at`` and ``last_id``.

    ``kind`` is the table they are of, ``number`` the block's among those of its app.
    Rows that had not ended when they were looked at are in ``open``, a set of
    places: they may hold anything. ``removals`` counts how often some were
    deleted, ``settled`` how many of these the index has followed.
    """

    __tablename__ = "log_blocks"
    __table_args__ = (UniqueConstraint("app_id", "kind", "number"),)

    id: Mapped[int] = mapped_column(NUMBER, primary_key=True)
    tenant_id: Mapped[str] = mapped_column(Id)
    app_id: Mapped[str] = mapped_column(Id)
    kind: Mapped[str]
    number: Mapped[int]
    first_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_id: Mapped[str] = mapped_column(Id)
    open: Mapped[bytes | None] = mapped_column(LargeBinary)
    removals: Mapped[int] = mapped_column(server_default="0")
    settled: Mapped[int] = mapped_column(server_default="0")


class LogPlace(Base):
    """Which row has a place in a block."""

    __tablename__ = "log_places"

    number: Mapped[int] = mapped_column(NUMBER, primary_key=True, autoincrement=False)
    row_id: Mapped[str] = mapped_column(Id)


class LogChunk(Base):
    """The grams of a block from ``first`` on, up to the next chunk, and where they stand."""

    __tablename__ = "log_grams"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012  # as SQLAlchemy reads it

    block_id: Mapped[int] = mapped_column(NUMBER, primary_key=True, autoincrement=False)
    first: Mapped[str] = mapped_column(GRAM, primary_key=True)
    chunk: Mapped[bytes] = mapped_column(LargeBinary)


LOG_PLACES = Base.metadata.tables["log_places"]
LOG_GRAMS = Base.metadata.tables["log_grams"]
