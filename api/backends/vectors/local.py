"""Vectors as rows of the program's own database, searched exactly in memory.

The rows are the only truth. Each process keeps matrices of the collections it
searches and brings them up to date before every search, so that a search sees
all that was committed before it, by whichever process. Good to about 200,000
vectors a collection; beyond that choose pgvector or weaviate.
"""

import struct
import threading
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar, cast

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    CursorResult,
    Delete,
    Engine,
    Table,
    Update,
    bindparam,
    delete,
    exc,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, sessionmaker

from api.backends.vectors.local_tables import COLLECTIONS, ENTRIES, read_marks
from api.core.parallel import give_way
from api.core.ports import Offload
from api.core.rag.chunk import Hit, VectorEntry
from api.core.rag.unit_vector import check_dimension, to_unit, to_units
from api.errors import Unavailable
from api.runtime import reading_each
from api.settings import Settings

if TYPE_CHECKING:
    from api.backends.vectors.local_cache import Cache
    from api.backends.vectors.local_matrix import Snapshot

T = TypeVar("T")

MB = 1024 * 1024
IDS_AT_ONCE = 1_000
"""Fewer than a statement may have parameters."""
ROWS_AT_ONCE = 200
"""So many rows SQLite writes in 3 ms, during which no greenlet runs."""
PAGE_ROWS = 5_000
IMPORT_TIMEOUT_S = 60.0
SEARCH_TIMEOUT_S = 30.0
FEW_NUMBERS = 1_000_000
"""To compare so many takes 0.3 ms, less than to have another thread do it."""

VECTORS = select(ENTRIES.c.id, ENTRIES.c.vector).where(
    ENTRIES.c.collection_id == bindparam("collection"),
    ENTRIES.c.id.in_(bindparam("ids", expanding=True)),
)


class Backend:
    """Implements VectorStore; keeps matrices of at most ``cache_bytes`` in this process."""

    joins_unit: ClassVar[bool] = True

    def __init__(self, sessions: sessionmaker[Session], offload: Offload, cache_bytes: int) -> None:
        self._sessions = sessions
        self._offload = offload
        self._cache_bytes = cache_bytes
        self._lock = threading.Lock()
        self._cache: Cache | None = None

    @classmethod
    def from_settings(cls, settings: Settings, *, sessions: sessionmaker[Session], offload: Offload) -> Self:
        """Use the program's own database."""
        return cls(sessions, offload, settings.vectors_cache_mb * MB)

    def upsert(self, collection: str, entries: Sequence[VectorEntry], *, unit: object = None) -> None:
        """Store the entries, replacing those of the same id; see VectorStore."""
        vectors = to_units(entry.vector for entry in entries)
        if not vectors:
            return
        dimension = len(vectors[0])
        with self._writing(unit) as session:
            version, wanted = _count_up(session, collection, dimension)
            check_dimension(dimension, wanted)
            rows = {
                entry.id: {
                    "collection_id": collection,
                    "id": entry.id,
                    "segment_id": entry.segment_id,
                    "document_id": entry.document_id,
                    "version": version,
                    "vector": struct.pack(f"<{dimension}f", *vector),
                }
                for entry, vector in zip(entries, vectors, strict=True)
            }
            for some in _slices(list(rows.values()), ROWS_AT_ONCE):
                _replace(session, list(some))
                give_way()

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

        One statement tells the versions of all; those in memory are searched in
        one go, the others as each is read.
        """
        query = to_unit(vector)
        with self._connected() as connection:
            marks = read_marks(connection, collections)
        for mark in marks:
            check_dimension(len(query), mark.dimension)
        cache = self._snapshots()
        found = [(mark, cache.get(mark)) for mark in marks]
        asked = (query, top_k, min_score, documents)
        hits = self._nearest([snapshot for _, snapshot in found if snapshot is not None], *asked)
        for mark, snapshot in found:
            if snapshot is None:
                for part in cache.read(mark):
                    hits += self._nearest([part], *asked)
        return sorted(hits, key=lambda hit: (-hit.score, hit.id))[:top_k]

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
            mark = COLLECTIONS.c.id == collection
            counted = {"version": COLLECTIONS.c.version + 1, "removals": COLLECTIONS.c.removals + 1}
            if _rows_changed(session, update(COLLECTIONS).where(mark).values(counted)) == 0:
                return
            for some in _slices(list(ids or ()), IDS_AT_ONCE):
                _remove(session, collection, ENTRIES.c.id.in_(some))
            if document_id is not None:
                _remove(session, collection, ENTRIES.c.document_id == document_id)

    def drop(self, collection: str, *, unit: object = None) -> None:
        """Remove a collection with all it holds; see VectorStore."""
        with self._writing(unit) as session:
            if _rows_changed(session, delete(COLLECTIONS).where(COLLECTIONS.c.id == collection)):
                _remove(session, collection)

    def ids(self, collection: str) -> Iterator[str]:
        """Yield the id of every entry, in their order."""
        return self._pages(ENTRIES.c.id, ENTRIES.c.collection_id == collection)

    def known(self, collection: str, ids: Collection[str]) -> set[str]:
        """Return those of ``ids`` that have an entry."""
        wanted = select(ENTRIES.c.id).where(ENTRIES.c.collection_id == collection)
        found: set[str] = set()
        with _faults_told(), self._sessions() as session:
            for some in _slices(list(ids), IDS_AT_ONCE):
                found |= set(session.scalars(wanted.where(ENTRIES.c.id.in_(some))))
        return found

    def vectors(self, collection: str, ids: Collection[str]) -> dict[str, Sequence[float]]:
        """Return the stored vectors of those of ``ids`` that are there."""
        found: dict[str, Sequence[float]] = {}
        with self._connected() as connection:
            for some in _slices(list(ids), IDS_AT_ONCE):
                for entry_id, packed in connection.execute(VECTORS, {"collection": collection, "ids": some}):
                    found[entry_id] = struct.unpack(f"<{len(packed) // 4}f", packed)
        return found

    def collections(self) -> Iterator[str]:
        """Yield the names of all collections, in their order."""
        return self._pages(COLLECTIONS.c.id)

    def _snapshots(self) -> "Cache":
        """Return the one cache, made by the first search."""
        with self._lock:
            if self._cache is None:
                self._offload.call(import_module, "numpy", timeout_s=IMPORT_TIMEOUT_S)
                from api.backends.vectors.local_cache import Cache  # numpy, of no use before the first search

                self._cache = Cache(self._reading, self._offload, self._cache_bytes)
            return self._cache

    def _nearest(
        self,
        snapshots: "list[Snapshot]",
        query: Sequence[float],
        top_k: int,
        min_score: float,
        documents: Collection[str] | None,
    ) -> list[Hit]:
        from api.backends.vectors.local_matrix import nearest  # brings numpy, see above

        if not snapshots:
            return []
        asked = (snapshots, query, top_k, min_score, documents)
        if sum(snapshot.count * snapshot.matrix.dimension for snapshot in snapshots) <= FEW_NUMBERS:
            return nearest(*asked)
        try:
            return self._offload.call(nearest, *asked, timeout_s=SEARCH_TIMEOUT_S)
        except TimeoutError as error:
            raise Unavailable("The search for vectors is overloaded; try again shortly.") from error

    def _pages(self, column: Column[str], *where: ColumnElement[bool]) -> Iterator[str]:
        page = select(column).where(*where).order_by(column).limit(PAGE_ROWS)
        names: Sequence[str] = ()
        while True:
            after = [column > names[-1]] if names else []
            with _faults_told(), self._sessions() as session:
                names = session.scalars(page.where(*after)).all()
            yield from names
            if len(names) < PAGE_ROWS:
                return

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Yield a connection for statements that only read, each for itself: less than a session costs."""
        engine: Engine = self._sessions.kw["bind"]
        with _faults_told(), engine.connect() as connection:
            yield reading_each(connection)

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        """Yield a session in which all statements see one state of the database."""
        with _faults_told(), self._sessions() as session:
            if session.get_bind().dialect.name == "postgresql":
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            else:
                session.execute(text("BEGIN"))
            yield session

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


@contextmanager
def _faults_told() -> Iterator[None]:
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError, TimeoutError) as error:
        raise Unavailable("The store of vectors is not available; try again shortly.") from error


def _count_up(session: Session, collection: str, dimension: int) -> tuple[int, int]:
    """Count up the version of a collection, made when it is not there; return it and the dimension."""
    made = {"id": collection, "generation": str(uuid.uuid4()), "dimension": dimension}
    statement = _insert(session, COLLECTIONS).values(**made, version=1, removals=0)
    counted = statement.on_conflict_do_update(
        index_elements=["id"], set_={"version": COLLECTIONS.c.version + 1}
    )
    version, wanted = session.execute(counted.returning(COLLECTIONS.c.version, COLLECTIONS.c.dimension)).one()
    return version, wanted


def _replace(session: Session, rows: list[dict[str, object]]) -> None:
    statement = _insert(session, ENTRIES)
    replaced = {name: statement.excluded[name] for name in ("segment_id", "document_id", "version", "vector")}
    session.execute(
        statement.on_conflict_do_update(index_elements=["collection_id", "id"], set_=replaced), rows
    )


def _insert(session: Session, table: Table) -> postgresql.Insert:
    """Return the INSERT of the session's database that knows ``ON CONFLICT``; both spell it alike."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)
    return cast("postgresql.Insert", sqlite.insert(table))


def _remove(session: Session, collection: str, *where: ColumnElement[bool]) -> None:
    """Delete entries some hundred at a time, letting other greenlets run in between."""
    doomed = select(ENTRIES.c.id).where(ENTRIES.c.collection_id == collection, *where).limit(IDS_AT_ONCE)
    statement = delete(ENTRIES).where(ENTRIES.c.collection_id == collection, ENTRIES.c.id.in_(doomed))
    while _rows_changed(session, statement) == IDS_AT_ONCE:
        give_way()


def _rows_changed(session: Session, statement: Delete | Update) -> int:
    result = session.execute(statement)
    assert isinstance(result, CursorResult)
    return result.rowcount


def _slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
