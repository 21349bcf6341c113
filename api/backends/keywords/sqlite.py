"""Full text in SQLite: one FTS5 table for each collection, fed with tokens.

A table of its own makes other tenants' entries cost nothing, and removing a
collection a matter of dropping it. Searches rank in memory (memory.py) what
they read from the tables once. Collections too large for that are asked of
FTS5, which only tells which entries have a token (``detail=none``, the smallest
and fastest form); api/core/rag/keyword_search.py ranks what it tells. The
tables are plain ones: a contentless table cannot delete on the SQLite of
Debian 12.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

from sqlalchemy import Connection, Row, TextClause, text
from sqlalchemy.orm import Session, sessionmaker

from api.backends.keywords import tables
from api.backends.keywords.memory_search import MB, MemorySearch
from api.backends.keywords.tables import Mark
from api.core.ports import Offload
from api.core.rag import keyword_search
from api.core.rag.chunk import Hit, TextEntry
from api.core.rag.keyword_search import Passage, Probe, Size
from api.settings import Settings

# Tokens are told apart by spaces alone: the tokenizer takes letters, digits and
# all that is not ASCII; an apostrophe is stored as one that is not.
CREATE = """
CREATE VIRTUAL TABLE IF NOT EXISTS {table}
USING fts5(tokens, detail=none, columnsize=0, tokenize="ascii tokenchars '^'")
"""

ADD_ENTRIES = text("""
INSERT INTO keyword_entries (number, scope, id, segment_id, document_id, words)
VALUES (:number, :scope, :id, :segment_id, :document_id, :words)
""")
ADD_TOKENS = "INSERT INTO {table} (rowid, tokens) VALUES (:number, :tokens)"

CHOSEN = """FROM keyword_entries WHERE scope = :scope AND (
    id IN (SELECT value FROM json_each(:ids)) OR document_id = :document_id
)"""
MEASURE = text(f"SELECT count(*), sum(words) {CHOSEN}")
REMOVE_TOKENS = "DELETE FROM {table} WHERE rowid IN (SELECT number {chosen})"
REMOVE_ENTRIES = text(f"DELETE {CHOSEN}")

# Made for each search, with its own tables in it: not worth compiling and keeping.
COUNT = """SELECT {place:d}, value, (SELECT count(*) FROM {table} WHERE {table} MATCH value)
FROM json_each(?1)"""

PROBE = """SELECT {number:d} AS place, group_concat(number) FROM (
    SELECT {table}.rowid AS number FROM {table} {among} WHERE {table} MATCH ? LIMIT {limit:d}
)"""
AMONG = """JOIN keyword_entries ON keyword_entries.number = {table}.rowid
    AND document_id IN (SELECT value FROM json_each(?))"""

NEWER = """
SELECT keyword_entries.number, keyword_entries.id, keyword_entries.segment_id, keyword_entries.document_id,
    keyword_entries.words, {table}.tokens
FROM {table} JOIN keyword_entries ON keyword_entries.number = {table}.rowid
WHERE {table}.rowid > :after ORDER BY {table}.rowid
"""

NUMBERS = text("""
SELECT scope, number FROM keyword_entries
WHERE scope IN (SELECT value FROM json_each(:scopes))
    AND document_id IN (SELECT value FROM json_each(:documents)) LIMIT :limit
""")
LAST_NUMBER = text("""
SELECT max((SELECT coalesce(max(number), 0) FROM keyword_entries), last_number)
FROM keyword_collections WHERE scope = :scope
""")

PASSAGES = """
SELECT {place:d}, entry.id, entry.segment_id, entry.document_id, entry.words, ' ' || {table}.tokens || ' '
FROM json_each(?) AS wanted
JOIN keyword_entries AS entry ON entry.number = wanted.value JOIN {table} ON {table}.rowid = wanted.value
"""

UNITED = 400
"""So many SELECTs SQLite takes in one statement, with some to spare."""


class Backend:
    """A KeywordIndex in the program's SQLite file; keeps at most ``cache_bytes`` of it in this process."""

    def __init__(self, sessions: sessionmaker[Session], offload: Offload, cache_bytes: int) -> None:
        self._sessions = sessions
        self._memory = MemorySearch(
            sessions, offload, cache_bytes, reading=self._reading, newer=_newer, stored=_stored
        )

    @classmethod
    def from_settings(cls, settings: Settings, *, sessions: sessionmaker[Session], offload: Offload) -> Self:
        """Use the program's own database."""
        return cls(sessions, offload, settings.keywords_cache_mb * MB)

    def upsert(self, collection: str, entries: Sequence[TextEntry], *, unit: object = None) -> None:
        """Index the entries, replacing those of the same id; see KeywordIndex."""
        if not entries:
            return
        latest = {entry.id: (entry, *keyword_search.tokens_of(entry.text)) for entry in entries}
        with tables.writing(self._sessions, unit) as session:
            scope = _make(session, collection)
            _remove(session, scope, ids=latest, document_id=None)
            first = 1 + session.scalars(LAST_NUMBER, {"scope": scope}).one()
            rows = [
                {
                    "number": number,
                    "scope": scope,
                    "id": entry.id,
                    "segment_id": entry.segment_id,
                    "document_id": entry.document_id,
                    "words": words,
                    "tokens": _stored(" ".join(tokens)),
                }
                for number, (entry, tokens, words) in enumerate(latest.values(), first)
            ]
            session.execute(ADD_ENTRIES, rows)
            session.execute(_on(ADD_TOKENS, scope), rows)
            _note(session, scope, last_number=first + len(rows) - 1)
            _grow(session, scope, Size(len(rows), sum(words for _, _, words in latest.values())))

    def search(
        self, collections: Sequence[str], query: str, *, top_k: int, documents: Collection[str] | None = None
    ) -> list[Hit]:
        """Return the entries that match best; see KeywordIndex."""
        found = self._memory.search(collections, query, top_k=top_k, documents=documents)
        if found is not None:
            return found
        with self._reading() as session:
            index = _Postings(session.connection(), tables.load_marks(session, collections))
            return keyword_search.search(index, query, top_k=top_k, documents=documents)

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        """Yield a session in which all statements see one state of the database."""
        with tables.reading(self._sessions) as session:
            session.execute(text("BEGIN"))
            yield session

    def delete(
        self,
        collection: str,
        *,
        ids: Collection[str] | None = None,
        document_id: str | None = None,
        unit: object = None,
    ) -> None:
        """Remove entries by their ids, or all of a document; see KeywordIndex."""
        with tables.writing(self._sessions, unit) as session:
            scope = tables.find_scope(session, collection)
            if scope is not None:
                _remove(session, scope, ids=ids or (), document_id=document_id)

    def drop(self, collection: str, *, unit: object = None) -> None:
        """Remove a collection with all it holds; see KeywordIndex."""
        with tables.writing(self._sessions, unit) as session:
            scope = tables.find_scope(session, collection)
            if scope is None:
                return
            for table in (tables.ENTRIES, tables.SIZES, tables.COLLECTIONS):
                session.execute(table.delete().where(table.c.scope == scope))
            session.execute(_on("DROP TABLE {table}", scope))

    def ids(self, collection: str) -> Iterator[str]:
        """Yield the id of every entry; see KeywordIndex."""
        return tables.iterate_ids(self._sessions, collection)

    def known(self, collection: str, ids: Collection[str]) -> set[str]:
        """Return those of ``ids`` that have an entry; see KeywordIndex."""
        return tables.find_known(self._sessions, collection, ids)

    def collections(self) -> Iterator[str]:
        """Yield the names of all collections; see KeywordIndex."""
        return tables.iterate_collections(self._sessions)


def _on(statement: str, scope: int, **parts: object) -> TextClause:
    """Return a statement on the table of a collection."""
    return text(statement.format(table=tables.token_table(scope), **parts))


def _newer(scope: int, after: int) -> TextClause:
    return _on(NEWER, scope).bindparams(after=after)


def _make(session: Session, collection: str) -> int:
    """Return the scope of a collection, which is made when it is not there."""
    inserted = text(
        "INSERT INTO keyword_collections (collection) VALUES (:collection) ON CONFLICT DO NOTHING"
    )
    if session.execute(inserted, {"collection": collection}).rowcount:  # type: ignore[attr-defined]  # of a cursor
        scope = tables.find_scope(session, collection)
        assert scope is not None
        session.execute(_on(CREATE, scope))
        session.execute(tables.SIZES.insert().values(scope=scope, entries=0, words=0))
        return scope
    scope = tables.find_scope(session, collection)
    assert scope is not None
    return scope


def _remove(session: Session, scope: int, *, ids: Collection[str], document_id: str | None) -> None:
    chosen = {"scope": scope, "ids": tables.to_json(ids), "document_id": document_id}
    entries, words = session.execute(MEASURE, chosen).one()
    if entries:
        session.execute(_on(REMOVE_TOKENS, scope, chosen=CHOSEN), chosen)
        session.execute(REMOVE_ENTRIES, chosen)
        _note(session, scope, removals=tables.COLLECTIONS.c.removals + 1)
        _grow(session, scope, Size(-entries, -words))


def _note(session: Session, scope: int, **changed: object) -> None:
    """Tell the snapshots of a collection that it changed."""
    session.execute(tables.COLLECTIONS.update().where(tables.COLLECTIONS.c.scope == scope).values(changed))


def _grow(session: Session, scope: int, size: Size) -> None:
    session.execute(
        tables.SIZES.update()
        .where(tables.SIZES.c.scope == scope)
        .values(entries=tables.SIZES.c.entries + size.entries, words=tables.SIZES.c.words + size.words)
    )


def _stored(token: str) -> str:
    """Return a token as the tables hold it."""
    return token.replace("'", "’")


def _phrase(token: str) -> str:
    """Return a token as FTS5 takes it; words hold neither a double quote nor a space."""
    return f'"{_stored(token)}"'


def _expression(probe: Probe) -> str:
    if not probe.beside:
        return _phrase(probe.token)
    return f"{_phrase(probe.token)} AND ({' OR '.join(map(_phrase, probe.beside))})"


class _Postings:
    """Postings of some collections."""

    def __init__(self, connection: Connection, marks: Sequence[Mark]) -> None:
        self._connection = connection
        self._tables = [tables.token_table(mark.scope) for mark in marks]
        self._places = {mark.scope: place for place, mark in enumerate(marks)}
        self.collections = [mark.collection for mark in marks]
        self.sizes = [mark.size for mark in marks]

    def stored(self, _place: int, token: str) -> str:
        return _stored(token)

    def count(self, words: Sequence[str]) -> Sequence[Mapping[str, int]]:
        phrases = dict(zip(map(_phrase, words), words, strict=True))
        selects = [COUNT.format(place=place, table=table) for place, table in enumerate(self._tables)]
        counts: list[dict[str, int]] = [{} for _ in selects]
        for start in range(0, len(selects), UNITED):
            some = selects[start : start + UNITED]
            for place, phrase, count in self._united(some, (tables.to_json(phrases),)):
                counts[place][phrases[phrase]] = count
        return counts

    def probe(
        self, probes: Sequence[tuple[int, Probe]], documents: Collection[str] | None
    ) -> Sequence[Iterable[int]]:
        among = "" if documents is None else AMONG
        chosen = () if documents is None else (tables.to_json(documents),)
        answers: list[Iterable[int]] = []
        for start in range(0, len(probes), UNITED):
            selects, given = [], []
            for number, (place, probe) in enumerate(probes[start : start + UNITED]):
                table = self._tables[place]
                joined = among.format(table=table)
                selects.append(PROBE.format(number=number, table=table, among=joined, limit=probe.limit))
                given += [*chosen, _expression(probe)]
            found = self._united([*selects[:-1], f"{selects[-1]} ORDER BY place"], tuple(given))
            answers += [list(map(int, numbers.split(","))) if numbers else [] for _, numbers in found]
        return answers

    def numbers(self, documents: Collection[str], limit: int) -> Sequence[tuple[int, int]]:
        scopes = tables.to_json(self._places)
        chosen = {"scopes": scopes, "documents": tables.to_json(documents), "limit": limit}
        return [(self._places[scope], number) for scope, number in self._connection.execute(NUMBERS, chosen)]

    def passages(self, numbers: Mapping[int, Collection[int]]) -> Iterable[Passage]:
        selects = [PASSAGES.format(place=place, table=self._tables[place]) for place in numbers]
        given = [tables.to_json(some) for some in numbers.values()]
        for start in range(0, len(selects), UNITED):
            end = start + UNITED
            yield from map(Passage._make, self._united(selects[start:end], tuple(given[start:end])))

    def _united(self, selects: Sequence[str], given: tuple[str, ...]) -> Sequence[Row[*tuple[Any, ...]]]:
        return self._connection.exec_driver_sql(" UNION ALL ".join(selects), given).all()
