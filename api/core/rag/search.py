"""Asks the stores for one query: every collection that shares a model at once, all of them side by side.

Boundary: finds entries; knows nothing of passages. What must stay true: a query
is embedded once per model, however often the stores are asked, and one search
that fails fails them all.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter

from api.core.http import Cancelled
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import EmbedKind, ModelRef
from api.core.parallel import run_all
from api.core.ports import Cancel
from api.core.rag.chunk import Hit
from api.core.rag.fusion import Part, spread
from api.core.rag.passage import ChunkReader, Source
from api.core.rag.retrieval_model import SearchMethod
from api.core.rag.vector_store import KeywordIndex, VectorStore

# Where one search needs more models than this, some wait for others.
MAX_THREADS = 8

Collections = tuple[list[str], frozenset[str] | None]
"""Names of collections, and the documents to look at in them, None for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deps:
    """What retrieval works with."""

    models: ModelRuntime
    vectors: VectorStore
    keywords: KeywordIndex
    reader: ChunkReader
    cancel: Cancel


@dataclass(frozen=True, slots=True)
class Harvest:
    """What the stores found, best first; ``is_all`` where they have nothing more."""

    semantic: list[Hit]
    keyword: list[Hit]
    is_all: bool


class Search:
    """One ``query`` over some sources, of which there is at least one, all of one tenant."""

    def __init__(self, query: str, sources: Sequence[Source], method: SearchMethod, deps: Deps) -> None:
        self.query = query
        self.tenant_id = sources[0].tenant_id
        self._deps = deps
        self._by_model: dict[ModelRef, list[Source]] = {}
        self._by_words: list[Source] = []
        self._vector_of: dict[ModelRef, Sequence[float]] = {}
        for source in dict.fromkeys(sources):
            chosen = source.search_method or method
            is_semantic = chosen in ("semantic_search", "hybrid_search")
            if source.embedding is not None and is_semantic:
                self._by_model.setdefault(source.embedding, []).append(source)
            if source.embedding is None or chosen != "semantic_search":
                self._by_words.append(source)

    def run(self, limit: int) -> Harvest:
        """Return up to ``limit`` hits of each store and model.

        Raises what the first search to fail raises: a ProviderFailure,
        Unavailable or Cancelled.
        """
        if self._deps.cancel.is_set():
            raise Cancelled
        calls: list[Callable[[Cancel], list[list[Hit]]]] = [
            functools.partial(self._search_vectors, ref, sources, limit)
            for ref, sources in self._by_model.items()
        ]
        if self._by_words:
            calls.append(functools.partial(self._search_words, limit))
        answers = run_all(calls, self._deps.cancel, max_threads=MAX_THREADS)
        count = len(self._by_model)
        return Harvest(
            semantic=_merge(answers[:count]),
            keyword=_merge(answers[count:]),
            is_all=all(len(hits) < limit for answer in answers for hits in answer),
        )

    def parts(self, harvest: Harvest, shares: tuple[float, float]) -> list[Part]:
        """Return what was found as parts to fuse.

        ``shares`` weigh the semantic and the keyword hits of collections that
        are searched both ways; what is searched one way counts in full.
        """
        semantic = {source.collection for sources in self._by_model.values() for source in sources}
        both = semantic & {source.collection for source in self._by_words}
        parts = []
        for hits, share in zip((harvest.semantic, harvest.keyword), shares, strict=True):
            parts.append(Part(share, [hit for hit in hits if hit.collection in both]))
            parts.append(Part(1.0, [hit for hit in hits if hit.collection not in both]))
        return [part for part in parts if part.hits]

    def vector(self, source: Source) -> Sequence[float] | None:
        """Return the query's vector under a source's model, None where the search did without."""
        return self._vector_of.get(source.embedding) if source.embedding else None

    def _search_vectors(
        self, ref: ModelRef, sources: Sequence[Source], limit: int, cancel: Cancel
    ) -> list[list[Hit]]:
        models = self._deps.models
        if ref not in self._vector_of:
            embedded = models.embed(self.tenant_id, ref, [self.query], EmbedKind.QUERY, cancel)
            self._vector_of[ref] = embedded.vectors[0]
        schema = models.schema(self.tenant_id, ref)
        search = functools.partial(self._deps.vectors.search, vector=self._vector_of[ref], top_k=limit)
        return [
            spread(search(names, documents=documents), floor=schema.score_floor, ceiling=schema.score_ceiling)
            for names, documents in _by_filter(sources)
        ]

    def _search_words(self, limit: int, _cancel: Cancel) -> list[list[Hit]]:
        search = functools.partial(self._deps.keywords.search, query=self.query, top_k=limit)
        return [search(names, documents=documents) for names, documents in _by_filter(self._by_words)]


def _by_filter(sources: Iterable[Source]) -> list[Collections]:
    """Return the collections searched whole, and those of which only some documents are.

    A document is of one dataset, so that all filters may be asked for together.
    """
    whole: list[str] = []
    filtered: list[str] = []
    documents: set[str] = set()
    for source in sources:
        if source.documents is None:
            whole.append(source.collection)
        else:
            filtered.append(source.collection)
            documents |= source.documents
    found: list[Collections] = [(whole, None)] if whole else []
    return [*found, (filtered, frozenset(documents))] if filtered else found


def _merge(answers: Iterable[list[list[Hit]]]) -> list[Hit]:
    """Return the hits of several searches, each best first, as one list, best first."""
    found = [hits for answer in answers for hits in answer]
    if len(found) == 1:
        return found[0]
    return sorted(chain.from_iterable(found), key=attrgetter("score"), reverse=True)
