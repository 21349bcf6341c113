"""Vectors in the program's own PostgreSQL, with its extension pgvector 0.8 or newer: a table a collection.

Up to some 20,000 entries a search is exact; above, an HNSW index is built aside
(pgvector_index.py) and searches become approximate, except those within given
documents. What must stay true: tables are named by what was parsed as a UUID.
"""

import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Self

import psycopg.errors
from sqlalchemy import Engine, event, exc, text
from sqlalchemy.orm import Session, sessionmaker

from api.backends.vectors.pgvector_index import MAX_DIMENSION, IndexBuilder, operand
from api.core.ports import Offload
from api.core.rag.chunk import Hit, VectorEntry
from api.core.rag.unit_vector import UnitVector, check_dimension, to_unit, to_units
from api.errors import Unavailable
from api.settings import Settings

EXACT_BELOW = 20_000
PAGE_ROWS = 5_000
MAX_CANDIDATES = 1_000
"""The most an HNSW index can be asked for (hnsw.ef_search)."""
MIN_CANDIDATES = 200
EXTENSION_LOCK = 4_871_937

FIND_TABLES = """
SELECT c.relname AS name, a.atttypmod AS dimension, EXISTS (
  SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
  WHERE i.indrelid = c.oid AND i.indisvalid AND m.amname = 'hnsw') AS is_indexed
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'vector'
WHERE c.relname = ANY(CAST(:names AS name[])) AND c.relkind = 'r' AND pg_table_is_visible(c.oid)
ORDER BY c.relname
"""
LIST_TABLES = """
SELECT c.relname FROM pg_class c
WHERE c.relname ~ '^vectors_[0-9a-f]{32}$' AND c.relkind = 'r' AND pg_table_is_visible(c.oid)
ORDER BY c.relname
"""
# A build holds a lock on its table until it ends, minutes later.
CANCEL_BUILD = """
SELECT pg_cancel_backend(pid) FROM pg_stat_progress_create_index WHERE relid = to_regclass(:name)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """The table of a collection that exists."""

    collection: str
    name: str
    dimension: int
    is_indexed: bool


class Backend:
    """Implements VectorStore; collections of at least ``exact_below`` entries get an index."""

    joins_unit: ClassVar[bool] = True

    def __init__(self, sessions: sessionmaker[Session], exact_below: int = EXACT_BELOW) -> None:
        engine = sessions.kw["bind"]
        assert isinstance(engine, Engine)
        self._sessions = sessions
        self._exact_below = exact_below
        self._index_builder = IndexBuilder(engine)

    @classmethod
    def from_settings(cls, _settings: Settings, *, sessions: sessionmaker[Session], offload: Offload) -> Self:
        """Use the program's own database."""
        del offload  # the work is done in the server
        return cls(sessions)

    def upsert(self, collection: str, entries: Sequence[VectorEntry], *, unit: object = None) -> None:
        """Store the entries, replacing those of the same id; see VectorStore."""
        vectors = to_units(entry.vector for entry in entries)
        if not vectors:
            return
        rows = {
            entry.id: {
                "id": entry.id,
                "segment_id": entry.segment_id,
                "document_id": entry.document_id,
                "vector": _to_text(vector),
            }
            for entry, vector in zip(entries, vectors, strict=True)
        }
        with self._writing(unit) as session:
            table = _make_table(session, collection, len(vectors[0]))
            check_dimension(len(vectors[0]), table.dimension)
            # In one order, so that two writers of the same entries cannot wait for each other.
            session.execute(text(_upsert_into(table)), [rows[entry_id] for entry_id in sorted(rows)])
            if self._should_be_indexed(session, table):
                self._build_after_commit(session, table)

    def search(
        self,
        collections: Sequence[str],
        vector: Sequence[float],
        *,
        top_k: int,
        min_score: float = 0.0,
        documents: Collection[str] | None = None,
    ) -> list[Hit]:
        """Return the nearest entries of all the collections together; see VectorStore.

        One statement finds the tables, one searches them all.
        """
        query = to_unit(vector)
        try:
            hits = self._search(collections, query, top_k, documents)
        except _Vanished:  # a collection was dropped in between; what is left is found now
            hits = self._search(collections, query, top_k, documents)
        kept = [hit for hit in hits if hit.score >= min_score]
        return sorted(kept, key=lambda hit: (-hit.score, hit.id))[:top_k]

    def delete(
        self,
        collection: str,
        *,
        ids: Collection[str] | None = None,
        document_id: str | None = None,
        unit: object = None,
    ) -> None:
        """Remove entries by their ids, or all of a document; see VectorStore."""
        with self._writing(unit) as session:
            for table in _find_tables(session, [collection]):
                statement = f"DELETE FROM {table.name} WHERE"  # noqa: S608 - see the top of the module
                if ids:
                    gone = text(f"{statement} id = ANY(CAST(:ids AS uuid[]))")
                    session.execute(gone, {"ids": list(ids)})
                if document_id is not None:
                    session.execute(text(f"{statement} document_id = :id"), {"id": document_id})

    def drop(self, collection: str, *, unit: object = None) -> None:
        """Remove a collection with all it holds; see VectorStore."""
        with self._writing(unit) as session:
            name = _name(collection)
            session.execute(text(CANCEL_BUILD), {"name": name})
            session.execute(text(f"DROP TABLE IF EXISTS {name}"))

    def ids(self, collection: str) -> Iterator[str]:
        """Yield the id of every entry, in their order."""
        last = str(uuid.UUID(int=0))
        while True:
            with _faults_told(), self._sessions() as session:
                tables = _find_tables(session, [collection])
                page = [
                    str(entry_id)
                    for table in tables
                    for entry_id in session.scalars(
                        text(f"SELECT id FROM {table.name} WHERE id > :last ORDER BY id LIMIT {PAGE_ROWS}"),  # noqa: S608
                        {"last": last},
                    )
                ]
            yield from page
            if len(page) < PAGE_ROWS:
                return
            last = page[-1]

    def known(self, collection: str, ids: Collection[str]) -> set[str]:
        """Return those of ``ids`` that have an entry."""
        with _faults_told(), self._sessions() as session:
            return {
                str(entry_id)
                for table in _find_tables(session, [collection])
                for entry_id in session.scalars(
                    text(f"SELECT id FROM {table.name} WHERE id = ANY(CAST(:ids AS uuid[]))"),  # noqa: S608
                    {"ids": list(ids)},
                )
            }

    def vectors(self, collection: str, ids: Collection[str]) -> dict[str, Sequence[float]]:
        """Return the stored vectors of those of ``ids`` that are there."""
        found: dict[str, Sequence[float]] = {}
        with _faults_told(), self._sessions() as session:
            for table in _find_tables(session, [collection]):
                columns = "id, CAST(vector AS real[])"
                wanted = text(f"SELECT {columns} FROM {table.name} WHERE id = ANY(CAST(:ids AS uuid[]))")  # noqa: S608
                for entry_id, vector in session.execute(wanted, {"ids": list(ids)}):
                    found[str(entry_id)] = vector
        return found

    def collections(self) -> Iterator[str]:
        """Yield the names of all collections, in their order."""
        with _faults_told(), self._sessions() as session:
            names = session.scalars(text(LIST_TABLES)).all()
        return (_collection(name) for name in names)

    def _search(
        self, collections: Sequence[str], query: UnitVector, top_k: int, documents: Collection[str] | None
    ) -> list[Hit]:
        with _faults_told(), self._sessions() as session:
            tables = _find_tables(session, collections)
            for table in tables:
                check_dimension(len(query), table.dimension)
            if not tables:
                return []
            # An index knows no documents: it would give the nearest of all, of which few may be wanted.
            may_use_index = documents is None and top_k <= MAX_CANDIDATES // 2
            if may_use_index and any(table.is_indexed for table in tables):
                session.execute(text(_widen_search(top_k)))
            parts = [_search_in(table, top_k, documents is not None, may_use_index) for table in tables]
            asked = {"query": _to_text(query), "documents": list(documents or ())}
            rows = session.execute(text(" UNION ALL ".join(parts)), asked)
            return [
                Hit(
                    collection=_collection(row.name),
                    id=str(row.id),
                    segment_id=str(row.segment_id),
                    document_id=str(row.document_id),
                    score=min(1.0, max(0.0, row.score)),
                )
                for row in rows
            ]

    def _should_be_indexed(self, session: Session, table: _Table) -> bool:
        if table.is_indexed or table.dimension > MAX_DIMENSION:
            return False
        some = f"SELECT id FROM {table.name} LIMIT {self._exact_below}"  # noqa: S608
        counted = session.execute(text(f"SELECT count(*) FROM ({some}) AS entries")).scalar_one()  # noqa: S608
        return bool(counted >= self._exact_below)

    def _build_after_commit(self, session: Session, table: _Table) -> None:
        def build(_session: Session) -> None:
            self._index_builder.build(table.name, table.dimension)

        event.listen(session, "after_commit", build, once=True)

    @contextmanager
    def _writing(self, unit: object) -> Iterator[Session]:
        """Yield the caller's session, or one of our own that commits."""
        with _faults_told():
            if unit is None:
                with self._sessions.begin() as session:
                    yield session
            else:
                assert isinstance(unit, Session)
                yield unit


class _Vanished(Unavailable):
    """A table was dropped between being found and being read."""


@contextmanager
def _faults_told() -> Iterator[None]:
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError, exc.ProgrammingError) as error:
        cause = getattr(error, "orig", None)
        if isinstance(cause, psycopg.errors.UndefinedTable | psycopg.errors.DeadlockDetected):
            raise _Vanished("The store of vectors is being changed; try again.") from error
        if isinstance(error, exc.ProgrammingError):
            raise
        raise Unavailable("The store of vectors is not available; try again shortly.") from error


def _name(collection: str) -> str:
    """Return the name of a collection's table; raises ValueError for what is no UUID."""
    return f"vectors_{uuid.UUID(collection).hex}"


def _collection(name: str) -> str:
    return str(uuid.UUID(name.removeprefix("vectors_")))


def _find_tables(session: Session, collections: Sequence[str]) -> list[_Table]:
    """Return the tables of those collections that exist, in the order of their names."""
    found = session.execute(text(FIND_TABLES), {"names": [_name(collection) for collection in collections]})
    return [
        _Table(
            collection=_collection(row.name),
            name=row.name,
            dimension=row.dimension,
            is_indexed=row.is_indexed,
        )
        for row in found
    ]


def _make_table(session: Session, collection: str, dimension: int) -> _Table:
    """Return the table of a collection, made when it is not there; who comes second waits for the first."""
    found = _find_tables(session, [collection])
    if found:
        return found[0]
    name = _name(collection)
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})
    found = _find_tables(session, [collection])
    if not found:
        _make_extension(session)
        session.execute(
            text(
                f"CREATE TABLE {name} (id uuid PRIMARY KEY, segment_id uuid NOT NULL, "
                f"document_id uuid NOT NULL, vector vector({dimension}) NOT NULL)"
            )
        )
        session.execute(text(f"CREATE INDEX {name}_document_id ON {name} (document_id)"))
        found = _find_tables(session, [collection])
    return found[0]


def _make_extension(session: Session) -> None:
    has_extension = text("SELECT FROM pg_extension WHERE extname = 'vector'")
    if session.execute(has_extension).first() is not None:
        return
    session.execute(text(f"SELECT pg_advisory_xact_lock({EXTENSION_LOCK})"))
    try:
        session.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
    except exc.DBAPIError as error:
        raise Unavailable(
            "VECTORS=pgvector needs the extension pgvector in PostgreSQL: install it, and have an "
            "administrator run CREATE EXTENSION vector in this database."
        ) from error


def _to_text(vector: UnitVector) -> str:
    """Return pgvector's spelling; nine digits tell every float of 32 bits."""
    return f"[{','.join(format(number, '.9g') for number in vector)}]"


def _upsert_into(table: _Table) -> str:
    return (
        f"INSERT INTO {table.name} (id, segment_id, document_id, vector) "  # noqa: S608
        "VALUES (:id, :segment_id, :document_id, :vector) "
        "ON CONFLICT (id) DO UPDATE SET segment_id = excluded.segment_id, "
        "document_id = excluded.document_id, vector = excluded.vector"
    )


def _widen_search(top_k: int) -> str:
    """Have an index look at enough candidates, and at more where some were deleted."""
    candidates = min(MAX_CANDIDATES, max(MIN_CANDIDATES, 2 * top_k))
    return (
        f"SELECT set_config('hnsw.ef_search', '{candidates}', true), "
        "set_config('hnsw.iterative_scan', 'strict_order', true)"
    )


def _search_in(table: _Table, top_k: int, is_filtered: bool, may_use_index: bool) -> str:
    """Return the SELECT of a table's nearest, with their exact cosines.

    The count is written out: of a plan made for any count the planner would
    think the index no use.
    """
    distance = "vector <=> CAST(:query AS vector)"
    source = table.name
    if table.is_indexed and may_use_index:
        near = (
            f"{operand('vector', table.dimension)} <=> {operand('CAST(:query AS vector)', table.dimension)}"
        )
        source = f"(SELECT * FROM {table.name} ORDER BY {near} LIMIT {2 * top_k}) AS candidates"  # noqa: S608
    where = "WHERE document_id = ANY(CAST(:documents AS uuid[]))" if is_filtered else ""
    return (
        f"(SELECT '{table.name}' AS name, id, segment_id, document_id, 1 - ({distance}) AS score "  # noqa: S608
        f"FROM {source} {where} ORDER BY ({distance}) + 0 LIMIT {int(top_k)})"  # + 0: never by the index
    )
