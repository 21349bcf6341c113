"""Where the engines find passages again: vectors and full text, as protocols; backends implement them.

A collection is named by an id of ours (a UUID) and holds the entries of one
dataset under one embedding model. ``unit`` is the caller's open transaction:
stores that live in the same database write within it, so that rows and index
change together; other stores ignore it, and are kept right by the indexing job
and by the filter at read. Deleting is always safe to repeat.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import ClassVar, Protocol

from api.core.rag.chunk import Hit, TextEntry, VectorEntry


class VectorStore(Protocol):
    """Vectors by collection; nearest by cosine.

    ``joins_unit`` tells whether what is written with a ``unit`` is written with
    the caller's transaction. Other stores are written to outside of one, for
    they are waited for.
    """

    joins_unit: ClassVar[bool]

    def upsert(self, collection: str, entries: Sequence[VectorEntry], *, unit: object = None) -> None:
        """Store the entries, replacing those of the same id; the first call makes the collection.

        Vectors are scaled to unit length. Raises Unavailable when the store is
        out of reach, InvalidRequest for a vector without a direction or of
        another dimension than the collection's.
        """
        ...

    def search(
        self,
        collections: Sequence[str],
        vector: Sequence[float],
        *,
        top_k: int,
        min_score: float = 0.0,
        documents: Collection[str] | None = None,
    ) -> list[Hit]:
        """Return the nearest ``top_k`` (1 or more) entries of all the collections together, best first.

        ``score`` is the cosine, negative ones taken as 0. Only entries of
        ``documents`` are looked at where it is given. A collection that does
        not exist has no entries. All that was committed before is seen. Raises
        Unavailable, and InvalidRequest where ``vector`` has another dimension
        than a collection.
        """
        ...

    def delete(
        self,
        collection: str,
        *,
        ids: Collection[str] | None = None,
        document_id: str | None = None,
        unit: object = None,
    ) -> None:
        """Remove entries by their ids, or all of a document; no error for what is not there."""
        ...

    def drop(self, collection: str, *, unit: object = None) -> None:
        """Remove a collection with all it holds; no error when it is not there."""
        ...

    def ids(self, collection: str) -> Iterator[str]:
        """Yield the id of every entry, in any order, in bounded memory; for comparing with the rows.

        Neither a session nor a transaction is held between two of them. What is
        written or removed meanwhile may be among them or not.
        """
        ...

    def known(self, collection: str, ids: Collection[str]) -> set[str]:
        """Return those of ``ids`` that have an entry; none for a collection that does not exist."""
        ...

    def vectors(self, collection: str, ids: Collection[str]) -> dict[str, Sequence[float]]:
        """Return the stored vectors, of unit length, of those of ``ids`` that are there."""
        ...

    def collections(self) -> Iterator[str]:
        """Yield the names of all collections, for finding orphans."""
        ...


class KeywordIndex(Protocol):
    """Full text by collection, ranked by BM25; simplified and traditional Chinese as well as English."""

    def upsert(self, collection: str, entries: Sequence[TextEntry], *, unit: object = None) -> None:
        """Index the entries, replacing those of the same id. Raises Unavailable."""
        ...

    def search(
        self,
        collections: Sequence[str],
        query: str,
        *,
        top_k: int,
        documents: Collection[str] | None = None,
    ) -> list[Hit]:
        """Return the ``top_k`` entries that match the query's words best, best first.

        Any word of the query may match; the more of them, the rarer and the
        more often, the better. ``score`` is the entry's BM25 sum as a share of
        the highest that any text could reach for those of the query's words
        that occur at all: above 0, below 1, about 0.45 for a usual entry that
        has each of them once. So a threshold does not depend on what else was
        found. The collections are weighed as one corpus. An index may look
        only at the most promising entries where words are very common, and
        return no more than 300 of each collection. Only entries of ``documents`` are
        looked at where it is given. A collection that does not exist has no
        entries. No query is a syntax error. Raises Unavailable.
        """
        ...

    def delete(
        self,
        collection: str,
        *,
        ids: Collection[str] | None = None,
        document_id: str | None = None,
        unit: object = None,
    ) -> None:
        """Remove entries by their ids, or all of a document; no error for what is not there."""
        ...

    def drop(self, collection: str, *, unit: object = None) -> None:
        """Remove a collection with all it holds; no error when it is not there."""
        ...

    def ids(self, collection: str) -> Iterator[str]:
        """Yield the id of every entry, in any order, in bounded memory; for comparing with the rows.

        Neither a session nor a transaction is held between two of them. What is
        written or removed meanwhile may be among them or not.
        """
        ...

    def known(self, collection: str, ids: Collection[str]) -> set[str]:
        """Return those of ``ids`` that have an entry; none for a collection that does not exist."""
        ...

    def collections(self) -> Iterator[str]:
        """Yield the names of all collections, for finding orphans."""
        ...
