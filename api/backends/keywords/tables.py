"""The tables both keyword indexes keep in the program's own database; made by migration 0004.

What must stay true: numbers of a collection's entries are committed in their
order, and its size is the sum of its rows in ``keyword_sizes``, changed in the
same transaction as its entries.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    ScalarSelect,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    exc,
    func,
    select,
)
from sqlalchemy.orm import Session, sessionmaker

from api.core.rag.keyword_search import Size
from api.errors import Unavailable
from api.runtime import reading_each

PAGE_ROWS = 1_000

METADATA = MetaData()
NUMBER = BigInteger().with_variant(Integer(), "sqlite")

COLLECTIONS = Table(
    "keyword_collections",
    METADATA,
    Column("scope", NUMBER, primary_key=True),
    Column("collection", String(36), nullable=False),
    Column("last_number", BigInteger, nullable=False, server_default="0"),
    Column("removals", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("collection", name="uq_keyword_collections_collection"),
    sqlite_autoincrement=True,  # the scope of a dropped collection is never another's
)
"""``scope`` is the short name an index knows a collection by.

The last two tell what was changed: the highest number an entry of it ever had
(0 where none was added since an older release), and how often some were removed.
"""

ENTRIES = Table(
    "keyword_entries",
    METADATA,
    Column("number", NUMBER, primary_key=True),
    Column("scope", NUMBER, nullable=False),
    Column("id", String(36), nullable=False),
    Column("segment_id", String(36), nullable=False),
    Column("document_id", String(36), nullable=False),
    Column("words", Integer, nullable=False),
    UniqueConstraint("scope", "id", name="uq_keyword_entries_scope_id"),
    Index("ix_keyword_entries_scope_document_id", "scope", "document_id"),
)
"""On PostgreSQL with one column more: ``tokens``, a tsvector with a GIN index."""

SIZES = Table(
    "keyword_sizes",
    METADATA,
    Column("number", NUMBER, primary_key=True),
    Column("scope", NUMBER, nullable=False),
    Column("entries", BigInteger, nullable=False),
    Column("words", BigInteger, nullable=False),
    Index("ix_keyword_sizes_scope", "scope"),
)


@contextmanager
def reading(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """Yield a session for reading; raises Unavailable where the database does not answer."""
    with faults_told(), sessions() as session:
        yield session


@contextmanager
def connected(sessions: sessionmaker[Session]) -> Iterator[Connection]:
    """Yield a connection for statements that only read, each for itself; less than a session costs.

    Raises Unavailable where the database does not answer.
    """
    engine: Engine = sessions.kw["bind"]
    with faults_told(), engine.connect() as connection:
        yield reading_each(connection)


@contextmanager
def writing(sessions: sessionmaker[Session], unit: object) -> Iterator[Session]:
    """Yield the caller's session, or one of our own that commits; raises Unavailable."""
    with faults_told():
        if unit is None:
            with sessions.begin() as session:
                yield session
        else:
            assert isinstance(unit, Session)
            yield unit


@contextmanager
def faults_told() -> Iterator[None]:
    """Tell what keeps an index from answering as Unavailable."""
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError, TimeoutError) as error:
        raise Unavailable("The full-text index is not available; try again shortly.") from error


def find_scope(session: Session, collection: str) -> int | None:
    """Return the scope of a collection, or None when there is no such collection."""
    return session.scalar(select(COLLECTIONS.c.scope).where(COLLECTIONS.c.collection == collection))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A collection as it is at an instant."""

    collection: str
    scope: int
    size: Size
    last_number: int
    removals: int


def _total(of_each: Column[int]) -> ScalarSelect[int]:
    total = select(func.coalesce(func.sum(of_each), 0)).where(SIZES.c.scope == COLLECTIONS.c.scope)
    return total.correlate(COLLECTIONS).scalar_subquery()


LOAD_MARKS = (
    select(COLLECTIONS, _total(SIZES.c.entries).label("entries"), _total(SIZES.c.words).label("words"))
    .where(COLLECTIONS.c.collection.in_(bindparam("collections", expanding=True)))
    .order_by(COLLECTIONS.c.scope)
)


def load_marks(session: Session | Connection, collections: Sequence[str]) -> list[Mark]:
    """Return the marks of those collections that exist, oldest first, in one statement."""
    return [
        Mark(
            collection=row.collection,
            scope=row.scope,
            size=Size(int(row.entries), int(row.words)),
            last_number=row.last_number,
            removals=row.removals,
        )
        for row in session.execute(LOAD_MARKS, {"collections": list(set(collections))})
    ]


def token_table(scope: int) -> str:
    """Return the name of the table that holds the tokens of a collection on SQLite."""
    return f"keyword_tokens_{scope:d}"


def iterate_ids(sessions: sessionmaker[Session], collection: str) -> Iterator[str]:
    """Yield the ids of a collection's entries, page by page; no session is held between pages."""
    last = ""
    while True:
        with reading(sessions) as session:
            scope = find_scope(session, collection)
            page = select(ENTRIES.c.id).where(ENTRIES.c.scope == scope, ENTRIES.c.id > last)
            ids = session.scalars(page.order_by(ENTRIES.c.id).limit(PAGE_ROWS)).all()
        yield from ids
        if len(ids) < PAGE_ROWS:
            return
        last = ids[-1]


def find_known(sessions: sessionmaker[Session], collection: str, ids: Collection[str]) -> set[str]:
    """Return those of ``ids`` that a collection has an entry of."""
    wanted = list(ids)
    found: set[str] = set()
    with reading(sessions) as session:
        scope = find_scope(session, collection)
        for start in range(0, len(wanted), PAGE_ROWS):
            some = ENTRIES.c.id.in_(wanted[start : start + PAGE_ROWS])
            found |= set(session.scalars(select(ENTRIES.c.id).where(ENTRIES.c.scope == scope, some)))
    return found


def iterate_collections(sessions: sessionmaker[Session]) -> Iterator[str]:
    """Yield the names of all collections."""
    with reading(sessions) as session:
        names = session.scalars(select(COLLECTIONS.c.collection)).all()
    yield from names


def to_json(values: Collection[str] | Collection[int]) -> str:
    """Return a list as SQLite takes it in one parameter, however long it is."""
    return json.dumps(list(values))
