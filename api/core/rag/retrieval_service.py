"""Finds the passages that answer a query: search, fuse, drop what is dead, rerank, cut.

Boundary: the stores propose, the reader disposes: nothing is returned that it
does not call live, and the places of the dead are filled. What must stay true:
a result is whole or an error; no part of it is left out because its search failed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api import traces
from api.core.model_runtime.types import ModelRef
from api.core.rag.chunk import Hit
from api.core.rag.fusion import Candidate, Part, by_score, fuse_by_rank, fuse_by_weight, to_candidate
from api.core.rag.passage import ChunkReader, Found, FoundChild, Passage, Source
from api.core.rag.projection import project
from api.core.rag.retrieval_model import RetrievalModel
from api.core.rag.search import Deps, Search

# Hits asked of each store at first: hybrid search needs depth, and several children share a segment.
MIN_FETCH = 50
FETCH_FACTOR = 3

# Where too many of those were dead, again with more, up to what every store can answer.
FETCH_GROWTH = 4
MAX_FETCH = 10_000

# Passages read beyond those wanted, so that a few dead ones cost no second read.
SPARE_READS = 4

# Texts a model reranks: more find better ones, at a cost for each.
RERANK_FACTOR = 4
MIN_RERANKED = 20
MAX_RERANKED = 100

MIN_PLOTTED = 3

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Plot:
    """What was found, with a picture of it: points (x, y) in -1..1 by segment id, and the query's.

    There are no points where fewer than three vectors are known, and none of the
    query where the search did not embed it.
    """

    found: list[Found]
    points: Mapping[str, Point]
    query: Point | None


@dataclass(frozen=True, slots=True)
class _Live:
    """Candidates that are live, best first, with their passages and what the stores scored, by entry id."""

    candidates: list[Candidate]
    passages: Mapping[str, Passage]
    nearness: Mapping[str, float]


def retrieve(query: str, sources: Sequence[Source], settings: RetrievalModel, deps: Deps) -> list[Found]:
    """Return the best live segments for a query over all the sources together, best first.

    At most ``settings.top_k``, none below its threshold; none at all for a
    blank query or no sources. The sources are of one tenant. Embeds the query
    once per model, calls a rerank model at most once. Raises a ProviderFailure,
    Unavailable or Cancelled.
    """
    search = _make_search(query, sources, settings, deps)
    return _retrieve(search, settings, deps) if search else []


def retrieve_plotted(query: str, source: Source, settings: RetrievalModel, deps: Deps) -> Plot:
    """Return the best live segments of one source, as :func:`retrieve` does, and where they lie."""
    search = _make_search(query, [source], settings, deps)
    if search is None:
        return Plot([], {}, None)
    found = _retrieve(search, settings, deps)
    if len(found) < MIN_PLOTTED:
        return Plot(found, {}, None)
    vectors = deps.vectors.vectors(source.collection, [one.entry_id for one in found])
    shown = [one for one in found if one.entry_id in vectors]
    if len(shown) < MIN_PLOTTED:
        return Plot(found, {}, None)
    asked = search.vector(source)
    points = project([*([] if asked is None else [asked]), *(vectors[one.entry_id] for one in shown)])
    at = None if asked is None else points.pop(0)
    segments = (one.passage.segment_id for one in shown)
    return Plot(found, dict(zip(segments, points, strict=True)), at)


def _make_search(
    query: str, sources: Sequence[Source], settings: RetrievalModel, deps: Deps
) -> Search | None:
    """Return the search to make, None where it could find nothing."""
    asked = query.strip()
    not_empty = [source for source in sources if source.documents is None or source.documents]
    return Search(asked, not_empty, settings.search_method, deps) if asked and not_empty else None


def _retrieve(search: Search, settings: RetrievalModel, deps: Deps) -> list[Found]:
    facts: traces.Facts = {
        "gen_ai.operation.name": "retrieval",
        "slipway.search_method": settings.search_method,
        "slipway.top_k": settings.top_k,
        "slipway.reranked": settings.rerank_ref is not None,
    }
    with traces.span("retrieval", facts) as span:
        found = _ranked(search, settings, deps)
        span.tell({"slipway.found": len(found)})
    return found


def _ranked(search: Search, settings: RetrievalModel, deps: Deps) -> list[Found]:
    reranker = settings.rerank_ref
    if reranker is None:
        live = _gather(search, settings, deps, wanted=settings.top_k)
        return [_to_found(candidate, candidate.score, live) for candidate in live.candidates]
    wanted = min(MAX_RERANKED, max(MIN_RERANKED, RERANK_FACTOR * settings.top_k))
    live = _gather(search, settings, deps, wanted=wanted)
    return _rerank(reranker, search, live, settings, deps)


def _gather(search: Search, settings: RetrievalModel, deps: Deps, *, wanted: int) -> _Live:
    """Return the best ``wanted`` live candidates; fewer only where the stores have no more.

    Without a rerank model, none are below the threshold.
    """
    by_model = settings.rerank_ref is not None
    threshold = 0.0 if by_model else settings.threshold
    limit = max(MIN_FETCH, FETCH_FACTOR * wanted)
    while True:
        harvest = search.run(limit)
        parts = search.parts(harvest, (0.5, 0.5) if by_model else settings.shares)
        ranked = fuse_by_rank(parts) if by_model else fuse_by_weight(parts)
        candidates, passages = _keep_live(ranked, deps.reader, wanted=wanted, threshold=threshold)
        # What was not fetched scores no more than the last of each part together.
        best_unseen = sum(part.weight * part.hits[-1].score for part in parts)
        is_full = len(candidates) >= wanted or best_unseen < threshold
        if is_full or harvest.is_all or limit >= MAX_FETCH:
            nearness = {hit.id: hit.score for hit in (*harvest.keyword, *harvest.semantic)}
            return _Live(candidates, passages, nearness)
        limit = min(MAX_FETCH, FETCH_GROWTH * limit)


def _keep_live(
    ranked: Sequence[Candidate], reader: ChunkReader, *, wanted: int, threshold: float
) -> tuple[list[Candidate], dict[str, Passage]]:
    """Return the best ``wanted`` candidates that are live, and the passages read for them.

    Reads no further than it must: a candidate whose best text is dead counts for
    its next best, so that reading goes on until no unread one can overtake.
    """
    live: list[Candidate] = []
    passages: dict[str, Passage] = {}
    for start in range(0, len(ranked), wanted + SPARE_READS):
        best_unread = ranked[start].score
        is_settled = sum(candidate.score >= best_unread for candidate in live) >= wanted
        if is_settled or best_unread < threshold:
            break
        batch = ranked[start : start + wanted + SPARE_READS]
        passages.update(reader.load([hit for candidate in batch for hit in candidate.hits]))
        live += (kept for candidate in batch if (kept := _without_dead(candidate, passages)))
    enough = [candidate for candidate in by_score(live) if candidate.score >= threshold]
    return enough[:wanted], passages


def _without_dead(candidate: Candidate, passages: Mapping[str, Passage]) -> Candidate | None:
    """Return a candidate as its live texts make it, None where it has none."""
    kept = [
        Part(part.weight, hits)
        for part in candidate.found
        if (hits := [hit for hit in part.hits if hit.id in passages])
    ]
    return to_candidate(kept) if kept else None


def _rerank(ref: ModelRef, search: Search, live: _Live, settings: RetrievalModel, deps: Deps) -> list[Found]:
    """Return the candidates as a model ranks them, cut at ``top_k`` and the threshold."""
    texts = [_to_text(_passage_of(candidate, live)) for candidate in live.candidates]
    scores = deps.models.rerank(
        search.tenant_id, ref, search.query, texts, top_n=settings.top_k, cancel=deps.cancel
    )
    return [
        _to_found(live.candidates[one.index], one.score, live)
        for one in scores
        if one.score >= settings.threshold
    ]


def _to_text(passage: Passage) -> str:
    """Return what a model reads of a passage: the text that was found, which of a long parent is a child."""
    if passage.child is not None:
        return passage.child.text
    return passage.text if passage.answer is None else f"{passage.text}\n{passage.answer}"


def _passage_of(candidate: Candidate, live: _Live) -> Passage:
    return live.passages[_nearest(candidate).id]


def _nearest(candidate: Candidate) -> Hit:
    """Return the best hit of a candidate, a semantic one where there are both."""
    return candidate.found[0].hits[0]


def _to_found(candidate: Candidate, score: float, live: _Live) -> Found:
    nearest = _nearest(candidate)
    chunks = {hit.id: child for hit in candidate.hits if (child := live.passages[hit.id].child)}
    children = [FoundChild(chunk=chunk, score=live.nearness[id_]) for id_, chunk in chunks.items()]
    return Found(
        passage=live.passages[nearest.id],
        score=score,
        children=tuple(sorted(children, key=lambda child: -child.score)),
        collection=nearest.collection,
        entry_id=nearest.id,
    )
