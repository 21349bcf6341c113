"""The tables of vectors kept in the program's own database; made by migrations/versions/0003_vectors.py.

What must stay true: whoever changes entries first counts up the version of
their collection, in the same transaction. PostgreSQL keeps that row locked
until the commit, SQLite has one writer: so versions come in the order of
commits, and who has read one has seen all entries up to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

ID: TypeEngine[str] = String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")

METADATA = MetaData()

COLLECTIONS = Table(
    "vector_collections",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("generation", ID, nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("removals", BigInteger, nullable=False),
)
"""``generation`` is new when a collection is made again; ``removals`` counts deletions."""

ENTRIES = Table(
    "vector_entries",
    METADATA,
    Column("collection_id", ID, primary_key=True),
    Column("id", ID, primary_key=True),
    Column("segment_id", ID, nullable=False),
    Column("document_id", ID, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    # An index alone answers which entries are there, and which are new.
    Index("ix_vector_entries_version", "collection_id", "version", "id"),
    Index("ix_vector_entries_document_id", "collection_id", "document_id"),
)
"""``vector``: unit length, little-endian floats of 32 bits. ``version``: the collection's at the writing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a collection is at an instant."""

    collection: str
    generation: str
    dimension: int
    version: int
    removals: int


READ_MARKS = select(COLLECTIONS).where(COLLECTIONS.c.id.in_(bindparam("collections", expanding=True)))


def read_marks(session: Session | Connection, collections: Sequence[str]) -> list[Mark]:
    """Return the marks of those collections that exist, in one statement."""
    rows = session.execute(READ_MARKS, {"collections": list(collections)})
    return [
        Mark(
            collection=row.id,
            generation=row.generation,
            dimension=row.dimension,
            version=row.version,
            removals=row.removals,
        )
        for row in rows
    ]
