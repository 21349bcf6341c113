"""From a query to live passages: every method, fusion, threshold, refill, reranking, failure."""

import functools
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from api.core.egress import EgressPolicy
from api.core.http import Cancelled, HTTPClient, Timeouts
from api.core.model_runtime.metering import Tab
from api.core.model_runtime.provider import PROVIDERS, ProviderContext
from api.core.model_runtime.runtime import ModelRuntime, ResolvedModel
from api.core.model_runtime.types import (
    Embeddings,
    EmbedKind,
    ModelRef,
    ModelSchema,
    ModelType,
    ProviderSchema,
    Ranking,
    Score,
    TokenCount,
)
from api.core.ports import Cancel, JSONObject
from api.core.rag.chunk import TextEntry, VectorEntry
from api.core.rag.passage import ChildChunk, Found, Passage, Source
from api.core.rag.retrieval_model import load_retrieval_model
from api.core.rag.retrieval_service import retrieve, retrieve_plotted
from api.core.rag.search import Deps
from api.errors import CompletionFailed, ModelUnavailable, Unavailable
from tests.stores import MemoryKeywords, MemoryReader, MemoryVectors
from tests.vendors import InlineOffload

PLAIN = ModelRef("planar", "plain")
NARROW = ModelRef("planar", "narrow")
RERANKER: JSONObject = {
    "reranking_enable": True,
    "reranking_model": {"reranking_provider_name": "planar", "reranking_model_name": "rerank"},
}


class PlanarProvider:
    """Embeds every query as (1, 0) and ranks texts by the number they begin with, in hundredths."""

    schema: ClassVar[ProviderSchema] = ProviderSchema(
        id="planar",
        plugin_id="tests/planar",
        label="Planar",
        label_zh="平面",
        description="-",
        description_zh="-",
        background="#FFFFFF",
        icon_svg="<svg/>",
        models=(),
    )
    embedded: ClassVar[list[tuple[str, list[str], EmbedKind]]] = []
    reranked: ClassVar[list[tuple[str, list[str], int]]] = []
    before: ClassVar[Callable[[], object]] = staticmethod(lambda: None)

    def __init__(self, context: ProviderContext) -> None:
        self.context = context

    def check_credentials(self) -> None: ...

    def model_schema(self, model: str) -> ModelSchema:
        floor, ceiling = (0.5, 0.9) if model == "narrow" else (0.0, 1.0)
        return ModelSchema(
            model=model,
            type=ModelType.TEXT_EMBEDDING,
            label=model,
            context_tokens=100,
            max_chunks=9,
            score_floor=floor,
            score_ceiling=ceiling,
        )

    def embed(self, model: str, texts: Sequence[str], kind: EmbedKind, cancel: Cancel) -> Embeddings:
        self.embedded.append((model, list(texts), kind))
        type(self).before()
        return Embeddings([[1.0, 0.0] for _ in texts], TokenCount())

    def rerank(self, model: str, query: str, texts: Sequence[str], top_n: int, cancel: Cancel) -> Ranking:
        self.reranked.append((query, list(texts), top_n))
        type(self).before()
        scores = [Score(index, int(text.split()[0]) / 100) for index, text in enumerate(texts)]
        return Ranking(sorted(scores, key=lambda one: -one.score)[:top_n])


@pytest.fixture(autouse=True)
def _planar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROVIDERS, "planar", PlanarProvider)
    for remembered in ("embedded", "reranked"):
        monkeypatch.setattr(PlanarProvider, remembered, [])


def make_models() -> ModelRuntime:
    resolved = ResolvedModel(credentials={}, is_quota_ok=True, report=list[bool]().append)
    timeouts = Timeouts(connect_s=20, first_byte_s=20, idle_s=20)
    return ModelRuntime(
        lambda _tenant, _ref: resolved, HTTPClient(EgressPolicy(), timeouts), InlineOffload(), book=Tab()
    )


@dataclass
class House:
    """Stores with what a test puts into them."""

    vectors: MemoryVectors = field(default_factory=MemoryVectors)
    keywords: MemoryKeywords = field(default_factory=MemoryKeywords)
    reader: MemoryReader = field(default_factory=lambda: MemoryReader({}))
    cancel: Cancel = field(default_factory=Cancel)

    @property
    def deps(self) -> Deps:
        return Deps(
            models=make_models(),
            vectors=self.vectors,
            keywords=self.keywords,
            reader=self.reader,
            cancel=self.cancel,
        )

    def add(
        self,
        id_: str,
        text: str,
        cosine: float | None = None,
        *,
        collection: str = "c",
        document: str = "d",
        child_of: str | None = None,
        answer: str | None = None,
    ) -> None:
        """Index a segment, or a child chunk of one; its vector lies at ``cosine`` of every query's."""
        segment = child_of or id_
        self.keywords.upsert(
            collection, [TextEntry(id=id_, segment_id=segment, document_id=document, text=text)]
        )
        if cosine is not None:
            vector = [cosine, math.sqrt(1 - cosine**2)]
            entry = VectorEntry(id=id_, segment_id=segment, document_id=document, vector=vector)
            self.vectors.upsert(collection, [entry])
        child = ChildChunk(id=id_, text=text, position=1) if child_of else None
        self.reader.passages[id_] = Passage(
            segment_id=segment,
            document_id=document,
            dataset_id=f"dataset of {collection}",
            text=f"all of {segment}" if child_of else text,
            answer=answer,
            child=child,
        )

    def retrieve(
        self, settings: JSONObject, *sources: Source, query: str = "red pump", method: str = "semantic_search"
    ) -> list[Found]:
        chosen = load_retrieval_model({"search_method": method, **settings})
        return retrieve(query, sources or [source()], chosen, self.deps)


@pytest.fixture
def house() -> House:
    return House()


def source(collection: str = "c", embedding: ModelRef | None = PLAIN, **values: object) -> Source:
    return Source(tenant_id="t", collection=collection, embedding=embedding, **values)  # type: ignore[arg-type]  # a test's values


def told(found: list[Found]) -> list[tuple[str, float]]:
    return [(one.passage.segment_id, round(one.score, 4)) for one in found]


# Methods


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("semantic_search", [("near", 0.9), ("both", 0.8)]),
        ("full_text_search", [("words", 0.75), ("both", 0.5)]),
        ("keyword_search", [("words", 0.75), ("both", 0.5)]),
        ("hybrid_search", [("both", 0.62), ("words", 0.45), ("near", 0.36)]),
    ],
)
def test_retrieve_each_method_scores_by_its_parts(
    house: House, method: str, expected: list[tuple[str, float]]
) -> None:
    house.add("near", "blue valve", 0.9)
    house.add("both", "a pump", 0.8)
    house.add("words", "red pump")
    assert told(house.retrieve({}, method=method)) == expected


def test_retrieve_semantic_asks_only_the_vectors_and_words_only_the_index(house: House) -> None:
    house.add("a", "red pump", 0.9)
    house.retrieve({})
    assert (len(house.vectors.calls), len(house.keywords.calls)) == (1, 0)
    house.retrieve({}, method="full_text_search")
    assert (len(house.vectors.calls), len(house.keywords.calls)) == (1, 1)
    assert PlanarProvider.embedded == [("plain", ["red pump"], EmbedKind.QUERY)]


def test_retrieve_hybrid_honours_the_weights(house: House) -> None:
    house.add("near", "blue", 0.9)
    house.add("words", "red pump", 0.1)
    weights: JSONObject = {"weights": {"semantic_weight": 0.2, "keyword_weight": 0.8}}
    found = told(house.retrieve(weights, method="hybrid_search"))
    assert found == [("words", 0.62), ("near", 0.18)]


@pytest.mark.parametrize("method", ["semantic_search", "hybrid_search", "full_text_search", "keyword_search"])
def test_retrieve_economy_is_searched_by_words_whatever_the_method(house: House, method: str) -> None:
    house.add("a", "red pump")
    assert told(house.retrieve({}, source(embedding=None), method=method)) == [("a", 0.75)]
    assert PlanarProvider.embedded == []


def test_retrieve_cosines_spread_over_the_range_of_their_model(house: House) -> None:
    house.add("best", "x", 0.95)
    house.add("good", "x", 0.8)
    house.add("poor", "x", 0.4)
    found = house.retrieve({}, source(embedding=NARROW))
    assert told(found) == [("best", 1.0), ("good", 0.75), ("poor", 0.0)]


def test_retrieve_query_is_searched_without_the_space_around_it(house: House) -> None:
    house.add("a", "red", 0.9)
    assert told(house.retrieve({}, query="  red\n")) == [("a", 0.9)]
    assert PlanarProvider.embedded == [("plain", ["red"], EmbedKind.QUERY)]


@pytest.mark.parametrize("query", ["", " \n\t"])
def test_retrieve_blank_query_finds_nothing_and_asks_nobody(house: House, query: str) -> None:
    house.add("a", "red", 0.9)
    assert house.retrieve({}, query=query) == []
    assert (PlanarProvider.embedded, house.vectors.calls) == ([], [])


def test_retrieve_no_sources_find_nothing(house: House) -> None:
    assert retrieve("red", [], load_retrieval_model({}), house.deps) == []


# Several sources


def test_retrieve_sources_of_one_model_cost_one_search(house: House) -> None:
    names = [f"c{number}" for number in range(14)]
    for number, name in enumerate(names):
        house.add(f"a{number}", "red pump", number / 14, collection=name)
    found = house.retrieve({"top_k": 3}, *map(source, names), method="hybrid_search")
    assert [one.passage.dataset_id for one in found] == [f"dataset of c{n}" for n in (13, 12, 11)]
    assert [call[0] for call in house.vectors.calls] == [tuple(names)]
    assert [call[0] for call in house.keywords.calls] == [tuple(names)]
    assert len(PlanarProvider.embedded) == 1


def test_retrieve_query_is_embedded_once_per_model(house: House) -> None:
    house.add("a", "x", 0.9)
    house.add("b", "x", 0.7, collection="narrow")
    found = house.retrieve({}, source(), source("narrow", NARROW), source("empty"))
    assert told(found) == [("a", 0.9), ("b", 0.5)]
    assert sorted(model for model, _, _ in PlanarProvider.embedded) == ["narrow", "plain"]


def test_retrieve_source_named_twice_counts_once(house: House) -> None:
    house.add("a", "x", 0.9)
    assert told(house.retrieve({}, source(), source())) == [("a", 0.9)]
    assert house.vectors.calls[0][0] == ("c",)


def test_retrieve_mixed_sources_each_count_in_full_by_their_own_method(house: House) -> None:
    house.add("hybrid", "red", 0.5)
    house.add("words", "red pump", collection="economy")
    house.add("near", "x", 0.6, collection="semantic")
    found = house.retrieve(
        {},
        source(),
        source("economy", None),
        source("semantic", search_method="semantic_search"),
        method="hybrid_search",
    )
    assert told(found) == [("words", 0.75), ("near", 0.6), ("hybrid", 0.5)]


@pytest.mark.parametrize("method", ["semantic_search", "full_text_search", "hybrid_search"])
def test_retrieve_only_the_documents_allowed(house: House, method: str) -> None:
    for name in ("open", "filtered"):
        for document in ("d1", "d2"):
            house.add(f"{name} {document}", "red", 0.9, collection=name, document=f"{name} {document}")
    found = house.retrieve(
        {},
        source("open"),
        source("filtered", documents=frozenset({"filtered d2"})),
        source("shut", documents=frozenset()),
        method=method,
    )
    assert sorted(one.passage.segment_id for one in found) == ["filtered d2", "open d1", "open d2"]


def test_retrieve_source_that_allows_no_document_is_not_asked(house: House) -> None:
    house.add("a", "red", 0.9)
    assert house.retrieve({}, source(documents=frozenset())) == []
    assert PlanarProvider.embedded == []


# Parallelism and failure


def test_retrieve_parts_run_side_by_side(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    meet = functools.partial(threading.Barrier(3).wait, 5)
    house.keywords = MemoryKeywords(before=meet)
    house.add("a", "red", 0.9)
    house.add("b", "red", 0.9, collection="narrow")
    monkeypatch.setattr(PlanarProvider, "before", staticmethod(meet))
    found = house.retrieve({}, source(), source("narrow", NARROW), method="hybrid_search")
    assert {one.passage.segment_id for one in found} == {"a", "b"}


def fail(error: Exception) -> Callable[[], object]:
    def act() -> object:
        raise error

    return act


@pytest.mark.parametrize("part", ["model", "vectors", "keywords"])
def test_retrieve_part_that_fails_fails_it_all(
    house: House, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    down = fail(Unavailable("The store is down."))
    match part:
        case "model":
            no_answer = fail(CompletionFailed("no answer"))
            monkeypatch.setattr(PlanarProvider, "before", staticmethod(no_answer))
        case "vectors":
            house.vectors = MemoryVectors(before=down)
        case _:
            house.keywords = MemoryKeywords(before=down)
    house.add("a", "red pump", 0.9)
    with pytest.raises(CompletionFailed if part == "model" else Unavailable):
        house.retrieve({}, method="hybrid_search")


def test_retrieve_model_that_cannot_embed_is_told(house: House) -> None:
    house.add("a", "red", 0.9)
    with pytest.raises(Exception, match="no model provider"):
        house.retrieve({}, source(embedding=ModelRef("nobody", "m")))


def test_retrieve_stopped_run_raises_cancelled(house: House) -> None:
    house.add("a", "red", 0.9)
    house.cancel.set()
    with pytest.raises(Cancelled):
        house.retrieve({})
    assert house.vectors.calls == []


# Threshold, top_k and the dead


def test_retrieve_cuts_at_top_k(house: House) -> None:
    for number in range(10):
        house.add(f"a{number}", "x", 1 - number / 10)
    assert [id_ for id_, _ in told(house.retrieve({"top_k": 3}))] == ["a0", "a1", "a2"]


def test_retrieve_nothing_below_the_threshold(house: House) -> None:
    for number in range(10):
        house.add(f"a{number}", "x", 1 - number / 10)
    found = told(house.retrieve({"top_k": 9, "score_threshold": 0.75}))
    assert found == [("a0", 1.0), ("a1", 0.9), ("a2", 0.8)]
    off = house.retrieve({"top_k": 9, "score_threshold": 0.75, "score_threshold_enabled": False})
    assert len(off) == 9


@pytest.mark.parametrize("dead", [1, 60, 900])
def test_retrieve_places_of_the_dead_are_filled(house: House, dead: int) -> None:
    for number in range(dead):
        house.add(f"dead {number}", "x", 0.9)
        house.reader.dead.add(f"dead {number}")
    for number in range(5):
        house.add(f"live {number}", "x", 0.8 - number / 10)
    found = house.retrieve({"top_k": 4})
    assert [id_ for id_, _ in told(found)] == ["live 0", "live 1", "live 2", "live 3"]
    assert len(PlanarProvider.embedded) == 1


def test_retrieve_stores_are_asked_again_only_while_they_have_more(house: House) -> None:
    for number in range(60):
        house.add(f"dead {number}", "x", 0.9)
        house.reader.dead.add(f"dead {number}")
    assert house.retrieve({}) == []
    assert [call[1] for call in house.vectors.calls] == [50, 200]


def test_retrieve_stores_are_not_asked_for_more_than_all_can_answer(house: House) -> None:
    house.vectors = MemoryVectors()
    for number in range(10_001):
        house.add(f"dead {number}", "x", 0.9)
        house.reader.dead.add(f"dead {number}")
    assert house.retrieve({}) == []
    assert [call[1] for call in house.vectors.calls] == [50, 200, 800, 3_200, 10_000]


def test_retrieve_low_threshold_hits_are_no_reason_to_ask_again(house: House) -> None:
    for number in range(300):
        house.add(f"a{number}", "x", 0.5)
    house.add("best", "x", 0.9)
    assert told(house.retrieve({"score_threshold": 0.8})) == [("best", 0.9)]
    assert len(house.vectors.calls) == 1
    assert len(house.reader.reads) == 1


def test_retrieve_reads_no_more_passages_than_it_needs(house: House) -> None:
    for number in range(50):
        house.add(f"a{number}", "x", 0.9 - number / 100)
    house.retrieve({"top_k": 4})
    assert [len(read) for read in house.reader.reads] == [8]


# Child chunks


def test_retrieve_children_lead_to_their_segment_with_the_best_score(house: House) -> None:
    house.add("x1", "one", 0.9, child_of="s")
    house.add("x2", "two", 0.6, child_of="s")
    house.add("y1", "three", 0.7, child_of="other")
    first, second = house.retrieve({})
    assert told([first, second]) == [("s", 0.9), ("other", 0.7)]
    assert [(child.chunk.text, round(child.score, 4)) for child in first.children] == [
        ("one", 0.9),
        ("two", 0.6),
    ]
    assert first.passage.text == "all of s"
    assert (first.collection, first.entry_id) == ("c", "x1")


def test_retrieve_dead_child_gives_its_segment_no_score(house: House) -> None:
    house.add("x1", "one", 0.9, child_of="s")
    house.add("x2", "two", 0.6, child_of="s")
    house.add("y1", "three", 0.7, child_of="other")
    house.reader.dead.add("x1")
    first, second = house.retrieve({})
    assert told([first, second]) == [("other", 0.7), ("s", 0.6)]
    assert [child.chunk.id for child in second.children] == ["x2"]


def test_retrieve_segment_that_loses_its_best_child_is_overtaken_by_one_not_yet_read(house: House) -> None:
    for number in range(8):
        house.add(f"dead {number}", "x", 0.9, child_of=f"s{number}")
        house.add(f"x{number}", "x", 0.1 + number / 100, child_of=f"s{number}")
        house.reader.dead.add(f"dead {number}")
    house.add("late", "x", 0.5)
    assert told(house.retrieve({"top_k": 2})) == [("late", 0.5), ("s7", 0.17)]


def test_retrieve_hybrid_joins_a_child_and_the_words_of_its_segment(house: House) -> None:
    house.add("s", "red pump")
    house.add("x1", "blue", 0.8, child_of="s")
    [found] = house.retrieve({}, method="hybrid_search")
    assert told([found]) == [("s", 0.77)]
    assert [child.chunk.id for child in found.children] == ["x1"]
    assert found.entry_id == "x1"


# Reranking


def test_retrieve_model_reranks_what_both_parts_found(house: House) -> None:
    house.add("near", "10 blue", 0.9)
    house.add("words", "80 red pump")
    found = house.retrieve(RERANKER, method="hybrid_search")
    assert told(found) == [("words", 0.8), ("near", 0.1)]
    assert [query for query, _, _ in PlanarProvider.reranked] == ["red pump"]


def test_retrieve_threshold_and_top_k_cut_what_the_model_ranked(house: House) -> None:
    for number in range(6):
        house.add(f"a{number}", f"{number * 10} x", 0.1)
    found = house.retrieve({**RERANKER, "top_k": 3, "score_threshold": 0.35})
    assert told(found) == [("a5", 0.5), ("a4", 0.4)]
    assert [top_n for _, _, top_n in PlanarProvider.reranked] == [3]


@pytest.mark.parametrize(("top_k", "count"), [(1, 20), (10, 40), (100, 100)])
def test_retrieve_model_is_asked_about_several_times_top_k(house: House, top_k: int, count: int) -> None:
    for number in range(200):
        house.add(f"a{number}", "50 x", 0.9 - number / 1000)
    assert len(house.retrieve({**RERANKER, "top_k": top_k})) == top_k
    [(_, texts, _)] = PlanarProvider.reranked
    assert len(texts) == count


def test_retrieve_model_reads_answers_and_children(house: House) -> None:
    house.add("q", "20 question", 0.9, answer="answer")
    house.add("x", "30 child", 0.8, child_of="s")
    [child, _] = house.retrieve(RERANKER)
    assert PlanarProvider.reranked[0][1] == ["20 question\nanswer", "30 child"]
    assert round(child.children[0].score, 4) == 0.8


def test_retrieve_nothing_found_asks_no_rerank_model(house: House) -> None:
    assert house.retrieve(RERANKER) == []
    assert PlanarProvider.reranked == []


def test_retrieve_rerank_failure_fails_it_all(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.add("a", "10 red", 0.9)
    monkeypatch.setattr(PlanarProvider, "before", staticmethod(fail(ModelUnavailable("no such reranker"))))
    with pytest.raises(ModelUnavailable, match="no such reranker"):
        house.retrieve(RERANKER, method="full_text_search")


# The picture


def plot(house: House, method: str, where: Source | None = None, query: str = "red") -> tuple[set[str], bool]:
    settings = load_retrieval_model({"search_method": method, "top_k": 10})
    found = retrieve_plotted(query, where or source(), settings, house.deps)
    assert {one.passage.segment_id for one in found.found} >= set(found.points)
    return set(found.points), found.query is not None


def test_plot_hits_with_vectors_get_points(house: House) -> None:
    for number in range(3):
        house.add(f"a{number}", "red", 0.9 - number / 10)
    house.add("words", "red")
    assert plot(house, "semantic_search") == ({"a0", "a1", "a2"}, True)
    assert plot(house, "hybrid_search") == ({"a0", "a1", "a2"}, True)
    assert plot(house, "full_text_search") == ({"a0", "a1", "a2"}, False)


def test_plot_too_few_vectors_give_no_points(house: House) -> None:
    house.add("a", "red", 0.9)
    house.add("b", "red", 0.8)
    house.add("words", "red")
    assert plot(house, "hybrid_search") == (set(), False)
    assert plot(house, "semantic_search", query=" ") == (set(), False)
    assert plot(house, "semantic_search", source(embedding=None)) == (set(), False)
    house.add("c", "red", 0.7)
    assert plot(house, "full_text_search", source(embedding=None)) == ({"a", "b", "c"}, False)
