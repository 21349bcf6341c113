"""Searches collections in memory: the way of both databases, as long as the collections fit.

What must stay true: a search sees all that was committed before it, by whichever
process; numpy is of no use, and not there, before the first search.
"""

from collections.abc import Callable, Collection, Sequence
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING

from sqlalchemy import TextClause
from sqlalchemy.orm import Session, sessionmaker

from api.backends.keywords import tables
from api.backends.keywords.tables import Mark
from api.core.ports import Offload
from api.core.rag.chunk import Hit
from api.core.rag.keyword_search import words_of

if TYPE_CHECKING:
    from api.backends.keywords.memory import Snapshot
    from api.backends.keywords.memory_cache import Cache, Reading

MB = 1024 * 1024
IMPORT_TIMEOUT_S = 60.0
SEARCH_TIMEOUT_S = 30.0
FEW_ENTRIES = 3_000
FEW_WORDS = 50
"""To rank so many entries by so few words takes less than to have another thread do it."""


class MemorySearch:
    """Ranks by postings in this process, of which it keeps at most ``max_bytes``.

    ``reading`` gives a session in which all statements see one state of the
    database, ``newer`` the statement that reads a scope's entries above a number
    (see memory_cache.py), ``stored`` tells how those spell a token.
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        offload: Offload,
        max_bytes: int,
        *,
        reading: "Reading",
        newer: Callable[[int, int], TextClause],
        stored: Callable[[str], str],
    ) -> None:
        self._sessions = sessions
        self._offload = offload
        self._max_bytes = max_bytes
        self._reading = reading
        self._newer = newer
        self._stored = stored
        self._lock = Lock()
        self._cache: Cache | None = None

    def search(
        self, collections: Sequence[str], query: str, *, top_k: int, documents: Collection[str] | None
    ) -> list[Hit] | None:
        """Return the entries that match best, see KeywordIndex; None where they are too large for memory."""
        words = words_of(query)
        if top_k < 1 or not words or (documents is not None and not documents):
            return []
        with tables.connected(self._sessions) as connection:
            marks = tables.load_marks(connection, collections)
        snapshots = self._snapshots(marks)
        if snapshots is None:
            return None
        found = [snapshot for snapshot in snapshots if snapshot.parts]
        if not found:
            return []
        from api.backends.keywords.memory import rank  # brings numpy, see above

        asked = (found, words, self._stored, top_k, documents)
        is_short = len(words) <= FEW_WORDS and sum(snapshot.size.entries for snapshot in found) <= FEW_ENTRIES
        if is_short:
            return rank(*asked)
        with tables.faults_told():
            return self._offload.call(rank, *asked, timeout_s=SEARCH_TIMEOUT_S)

    def _snapshots(self, marks: Sequence[Mark]) -> "list[Snapshot] | None":
        cache = self._loaded()
        from api.backends.keywords.memory_cache import TooLarge  # brings numpy, see above

        try:
            with tables.faults_told():
                snapshots = [cache.read(mark) for mark in marks]
        except TooLarge:
            return None
        is_small = sum(snapshot.size_bytes for snapshot in snapshots) <= self._max_bytes
        return snapshots if is_small else None

    def _loaded(self) -> "Cache":
        """Return the one cache, made by the first search."""
        with self._lock:
            if self._cache is None:
                with tables.faults_told():
                    self._offload.call(import_module, "numpy", timeout_s=IMPORT_TIMEOUT_S)
                from api.backends.keywords.memory_cache import Cache  # numpy, of no use before a search

                self._cache = Cache(self._reading, self._newer, self._offload, self._max_bytes)
            return self._cache
