"""Full text in PostgreSQL: entries with their tokens, each named after its collection.

Searches rank in memory (memory.py) what they read from the table once. Of
collections too large for that a GIN index tells which entries have a token, and
api/core/rag/keyword_search.py ranks what it tells; because the collection is
part of each token, that index alone tells a tenant's entries from others'.
Reading through the entries of a common word would cost more than all the rest,
so those are counted in a sample: one entry of ``SAMPLED`` carries the token
``#`` besides its words.

What must stay true: who changes a collection holds its row until the commit, so
that an entry of a higher number is never committed before one of a lower.
"""

import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, starmap
from typing import Self

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session, sessionmaker

from api.backends.keywords import tables
from api.backends.keywords.memory_search import MB, MemorySearch
from api.backends.keywords.tables import Mark
from api.core.ports import Offload
from api.core.rag import keyword_search
from api.core.rag.chunk import Hit, TextEntry
from api.core.rag.keyword_search import Passage, Probe, Size
from api.settings import Settings

SAMPLED = 16
SAMPLE = "#"
MIN_IN_SAMPLE = 32
"""With fewer entries in the sample than this, all of them are counted."""

# One that is there is changed into itself: so it is held, and cannot be dropped in between.
MAKE = text("""
INSERT INTO keyword_collections (collection) VALUES (:collection)
ON CONFLICT (collection) DO UPDATE SET collection = excluded.collection RETURNING scope
""")

HOLD = text("SELECT scope FROM keyword_collections WHERE collection = :collection FOR UPDATE")

INSERT = text("""
INSERT INTO keyword_entries (scope, id, segment_id, document_id, words, tokens)
VALUES (:scope, :id, :segment_id, :document_id, :words, array_to_tsvector(CAST(:tokens AS text[])))
""")

REMOVE = text("""
DELETE FROM keyword_entries
WHERE scope = :scope AND (id = ANY(CAST(:ids AS text[])) OR document_id = :document_id)
RETURNING words
""")

NOTE_ADDED = text("""
UPDATE keyword_collections SET last_number = currval(pg_get_serial_sequence('keyword_entries', 'number'))
WHERE scope = :scope
""")
NOTE_REMOVED = text("UPDATE keyword_collections SET removals = removals + 1 WHERE scope = :scope")

GROW = text("""
WITH before AS (DELETE FROM keyword_sizes WHERE scope = :scope RETURNING entries, words)
INSERT INTO keyword_sizes (scope, entries, words)
SELECT :scope, coalesce(sum(entries), 0) + :entries, coalesce(sum(words), 0) + :words FROM before
""")

NEWER = text("""
SELECT number, id, segment_id, document_id, words,
    replace(' ' || array_to_string(tsvector_to_array(tokens), ' '), ' ' || scope || ':', ' ')
FROM keyword_entries WHERE scope = :scope AND number > :after ORDER BY number
""")

# With a LIMIT the planner may prefer reading the whole table.
PLAN = text("SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)")

COUNT = text("""
SELECT asked.place - 1, CASE
    WHEN sample.entries >= :min_in_sample THEN sample.entries * :sampled
    ELSE (SELECT count(*) FROM keyword_entries WHERE tokens @@ CAST(asked.query AS tsquery))
END
FROM unnest(CAST(:queries AS text[]), CAST(:samples AS text[])) WITH ORDINALITY
    AS asked (query, sample, place)
CROSS JOIN LATERAL (
    SELECT count(*) AS entries FROM keyword_entries WHERE tokens @@ CAST(asked.sample AS tsquery)
) AS sample
""")

PROBE = """
SELECT ARRAY(
    SELECT number FROM keyword_entries WHERE tokens @@ CAST(asked.query AS tsquery) {among} LIMIT asked.top
)
FROM unnest(CAST(:queries AS text[]), CAST(:limits AS int[])) WITH ORDINALITY AS asked (query, top, place)
ORDER BY place
"""
PROBE_ALL = text(PROBE.format(among=""))
PROBE_AMONG = text(PROBE.format(among="AND document_id = ANY(CAST(:documents AS text[]))"))

NUMBERS = text("""
SELECT scope, number FROM keyword_entries
WHERE scope = ANY(CAST(:scopes AS bigint[])) AND document_id = ANY(CAST(:documents AS text[])) LIMIT :limit
""")

PASSAGES = text("""
SELECT scope, id, segment_id, document_id, words,
    ' ' || array_to_string(tsvector_to_array(tokens), ' ') || ' '
FROM keyword_entries WHERE number = ANY(CAST(:numbers AS bigint[]))
""")


class Backend:
    """A KeywordIndex in the program's PostgreSQL; keeps at most ``cache_bytes`` of it in this process."""

    def __init__(self, sessions: sessionmaker[Session], offload: Offload, cache_bytes: int) -> None:
        self._sessions = sessions
        self._memory = MemorySearch(
            sessions, offload, cache_bytes, reading=self._reading, newer=_newer, stored=str
        )

    @classmethod
    def from_settings(cls, settings: Settings, *, sessions: sessionmaker[Session], offload: Offload) -> Self:
        """Use the program's own database."""
        return cls(sessions, offload, settings.keywords_cache_mb * MB)

    def upsert(self, collection: str, entries: Sequence[TextEntry], *, unit: object = None) -> None:
        """Index the entries, replacing those of the same id; see KeywordIndex."""
        if not entries:
            return
        latest = list({entry.id: entry for entry in entries}.values())
        indexed = [keyword_search.tokens_of(entry.text) for entry in latest]
        with tables.writing(self._sessions, unit) as session:
            scope: int = session.execute(MAKE, {"collection": collection}).scalar_one()
            removed = _remove(session, scope, ids=[entry.id for entry in latest], document_id=None)
            rows = [
                _to_row(scope, entry, tokens, words)
                for entry, (tokens, words) in zip(latest, indexed, strict=True)
            ]
            session.execute(INSERT, rows)
            session.execute(NOTE_ADDED, {"scope": scope})
            words = sum(words for _, words in indexed)
            _grow(session, scope, Size(len(rows) - removed.entries, words - removed.words))

    def search(
        self, collections: Sequence[str], query: str, *, top_k: int, documents: Collection[str] | None = None
    ) -> list[Hit]:
        """Return the entries that match best; see KeywordIndex."""
        found = self._memory.search(collections, query, top_k=top_k, documents=documents)
        if found is not None:
            return found
        with tables.reading(self._sessions) as session:
            session.execute(PLAN)
            index = _Postings(session, tables.load_marks(session, collections))
            return keyword_search.search(index, query, top_k=top_k, documents=documents)

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
            scope = _hold(session, collection)
            if scope is None:
                return
            removed = _remove(session, scope, ids=ids or (), document_id=document_id)
            if removed.entries:
                _grow(session, scope, Size(-removed.entries, -removed.words))

    def drop(self, collection: str, *, unit: object = None) -> None:
        """Remove a collection with all it holds; see KeywordIndex."""
        with tables.writing(self._sessions, unit) as session:
            scope = _hold(session, collection)
            for table in (tables.ENTRIES, tables.SIZES, tables.COLLECTIONS):
                session.execute(table.delete().where(table.c.scope == scope))

    def ids(self, collection: str) -> Iterator[str]:
        """Yield the id of every entry; see KeywordIndex."""
        return tables.iterate_ids(self._sessions, collection)

    def known(self, collection: str, ids: Collection[str]) -> set[str]:
        """Return those of ``ids`` that have an entry; see KeywordIndex."""
        return tables.find_known(self._sessions, collection, ids)

    def collections(self) -> Iterator[str]:
        """Yield the names of all collections; see KeywordIndex."""
        return tables.iterate_collections(self._sessions)

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        """Yield a session in which all statements see one state of the database."""
        with tables.reading(self._sessions) as session:
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session


def _newer(scope: int, after: int) -> TextClause:
    return NEWER.bindparams(scope=scope, after=after)


def _hold(session: Session, collection: str) -> int | None:
    """Return the scope of a collection, whose row nobody else may change until the commit; None without."""
    scope: int | None = session.scalar(HOLD, {"collection": collection})
    return scope


def _to_row(scope: int, entry: TextEntry, tokens: Sequence[str], words: int) -> dict[str, object]:
    if zlib.crc32(entry.id.encode()) % SAMPLED == 0:
        tokens = [*tokens, SAMPLE]
    return {
        "scope": scope,
        "id": entry.id,
        "segment_id": entry.segment_id,
        "document_id": entry.document_id,
        "words": words,
        "tokens": [f"{scope}:{token}" for token in tokens],
    }


def _remove(session: Session, scope: int, *, ids: Collection[str], document_id: str | None) -> Size:
    chosen = {"scope": scope, "ids": list(ids), "document_id": document_id}
    words = session.scalars(REMOVE, chosen).all()
    if words:
        session.execute(NOTE_REMOVED, {"scope": scope})
    return Size(len(words), sum(words))


def _grow(session: Session, scope: int, size: Size) -> None:
    session.execute(GROW, {"scope": scope, "entries": size.entries, "words": size.words})


class _Postings:
    """Postings of some collections."""

    def __init__(self, session: Session, marks: Sequence[Mark]) -> None:
        self._session = session
        self._scopes = [mark.scope for mark in marks]
        self._places = {scope: place for place, scope in enumerate(self._scopes)}
        self.collections = [mark.collection for mark in marks]
        self.sizes = [mark.size for mark in marks]

    def stored(self, place: int, token: str) -> str:
        return f"{self._scopes[place]}:{token}"

    def count(self, words: Sequence[str]) -> Sequence[Mapping[str, int]]:
        asked = [(place, word) for place in range(len(self._scopes)) for word in words]
        queries = list(starmap(self._lexeme, asked))
        samples = [
            f"{query} & {self._lexeme(place, SAMPLE)}"
            for (place, _), query in zip(asked, queries, strict=True)
        ]
        given = {
            "queries": queries,
            "samples": samples,
            "min_in_sample": MIN_IN_SAMPLE,
            "sampled": SAMPLED,
        }
        counts: list[dict[str, int]] = [{} for _ in self._scopes]
        for number, entries in self._session.execute(COUNT, given).all():
            place, word = asked[number]
            counts[place][word] = entries
        return counts

    def probe(
        self, probes: Sequence[tuple[int, Probe]], documents: Collection[str] | None
    ) -> Sequence[Iterable[int]]:
        asked = {
            "queries": list(starmap(self._expression, probes)),
            "limits": [probe.limit for _, probe in probes],
        }
        if documents is None:
            return self._session.scalars(PROBE_ALL, asked).all()
        return self._session.scalars(PROBE_AMONG, {**asked, "documents": list(documents)}).all()

    def numbers(self, documents: Collection[str], limit: int) -> Sequence[tuple[int, int]]:
        chosen = {"scopes": self._scopes, "documents": list(documents), "limit": limit}
        return [
            (self._places[scope], number) for scope, number in self._session.execute(NUMBERS, chosen).all()
        ]

    def passages(self, numbers: Mapping[int, Collection[int]]) -> Iterable[Passage]:
        wanted = list(chain.from_iterable(numbers.values()))
        for scope, *values in self._session.execute(PASSAGES, {"numbers": wanted}).all():
            yield Passage(self._places[scope], *values)

    def _expression(self, place: int, probe: Probe) -> str:
        token = self._lexeme(place, probe.token)
        if not probe.beside:
            return token
        return f"{token} & ({' | '.join(self._lexeme(place, word) for word in probe.beside)})"

    def _lexeme(self, place: int, token: str) -> str:
        """Return a token as tsquery takes it, quoted."""
        escaped = self.stored(place, token).replace("'", "''")
        return f"'{escaped}'"
