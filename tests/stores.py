"""Stores of passages in memory, as honest as the real ones, for tests of whatever searches them."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from api.core.rag.chunk import Entry, Hit, TextEntry, VectorEntry
from api.core.rag.passage import Passage

E = TypeVar("E", bound=Entry)

WORD_WORTH = 0.5


class MemoryStore(Generic[E]):
    """Entries by collection; ``calls`` tells how often it was searched, for how many, in what."""

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        self.entries: dict[str, dict[str, E]] = {}
        self.calls: list[tuple[tuple[str, ...], int, Collection[str] | None]] = []
        self._before = before

    def upsert(self, collection: str, entries: Sequence[E], *, unit: object = None) -> None:
        self.entries.setdefault(collection, {}).update({entry.id: entry for entry in entries})

    def delete(
        self,
        collection: str,
        *,
        ids: Collection[str] | None = None,
        document_id: str | None = None,
        unit: object = None,
    ) -> None:
        held = self.entries.get(collection, {})
        for entry in list(held.values()):
            if entry.document_id == document_id or entry.id in (ids or ()):
                del held[entry.id]

    def drop(self, collection: str, *, unit: object = None) -> None:
        self.entries.pop(collection, None)

    def ids(self, collection: str) -> Iterator[str]:
        yield from self.entries.get(collection, {})

    def known(self, collection: str, ids: Collection[str]) -> set[str]:
        return set(self.entries.get(collection, {})) & set(ids)

    def collections(self) -> Iterator[str]:
        yield from self.entries

    def find(
        self,
        collections: Sequence[str],
        score: Callable[[E], float],
        top_k: int,
        documents: Collection[str] | None,
    ) -> list[Hit]:
        """Return the hits with a score above 0, best first."""
        self.calls.append((tuple(collections), top_k, documents))
        self._before()
        found = [
            Hit(
                collection=name,
                id=entry.id,
                segment_id=entry.segment_id,
                document_id=entry.document_id,
                score=score(entry),
            )
            for name in collections
            for entry in self.entries.get(name, {}).values()
            if documents is None or entry.document_id in documents
        ]
        return sorted((hit for hit in found if hit.score > 0), key=lambda hit: -hit.score)[:top_k]


class MemoryVectors(MemoryStore[VectorEntry]):
    """Implements VectorStore."""

    joins_unit: ClassVar[bool] = False

    def search(
        self,
        collections: Sequence[str],
        vector: Sequence[float],
        *,
        top_k: int,
        min_score: float = 0.0,
        documents: Collection[str] | None = None,
    ) -> list[Hit]:
        def cosine(entry: VectorEntry) -> float:
            return max(0.0, sum(a * b for a, b in zip(entry.vector, vector, strict=True)))

        hits = self.find(collections, cosine, top_k, documents)
        return [hit for hit in hits if hit.score >= min_score]

    def vectors(self, collection: str, ids: Collection[str]) -> dict[str, Sequence[float]]:
        held = self.entries.get(collection, {})
        return {id_: held[id_].vector for id_ in ids if id_ in held}


class MemoryKeywords(MemoryStore[TextEntry]):
    """Implements KeywordIndex: each word of the query that an entry has halves what is missing to 1."""

    def search(
        self,
        collections: Sequence[str],
        query: str,
        *,
        top_k: int,
        documents: Collection[str] | None = None,
    ) -> list[Hit]:
        wanted = set(query.lower().split())

        def shared(entry: TextEntry) -> float:
            return 1.0 - WORD_WORTH ** len(wanted & set(entry.text.lower().split()))

        return self.find(collections, shared, top_k, documents)


class MemoryReader:
    """Implements ChunkReader over passages by entry id; the ``dead`` are never given out."""

    def __init__(self, passages: Mapping[str, Passage], dead: Iterable[str] = ()) -> None:
        self.passages = dict(passages)
        self.dead = set(dead)
        self.reads: list[list[str]] = []

    def load(self, hits: Sequence[Hit]) -> Mapping[str, Passage]:
        self.reads.append([hit.id for hit in hits])
        return {hit.id: self.passages[hit.id] for hit in hits if hit.id not in self.dead}
