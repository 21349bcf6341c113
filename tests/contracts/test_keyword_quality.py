"""Full text finds known passages as well as BM25 does elsewhere, on both databases, in both languages."""

import pytest

from api.core.rag.chunk import TextEntry
from api.runtime import Runtime
from tests.bench.corpora import BASELINES, is_here, load_corpus, measure

TOLERANCE = 0.01


@pytest.mark.parametrize(("name", "every"), [("xquad-en", 5), ("xquad-zh", 5), ("drcd-dev", 20)])
def test_keywords_find_known_passages_as_well_as_bm25_elsewhere(
    runtime: Runtime, name: str, every: int
) -> None:
    if not is_here(name):
        pytest.skip(f"the retrieval set {name} is not on this machine")
    corpus = load_corpus(name)
    runtime.keywords.upsert(
        name,
        [
            TextEntry(id=passage, segment_id=passage, document_id=name, text=text)
            for passage, text in corpus.passages.items()
        ],
    )

    def find(question: str) -> list[str]:
        return [hit.id for hit in runtime.keywords.search([name], corpus.questions[question], top_k=10)]

    quality = measure(corpus, find, every=every)
    runtime.keywords.drop(name)

    assert quality.ndcg >= BASELINES[name] - TOLERANCE
