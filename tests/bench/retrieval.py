"""``python -m tests.bench.retrieval``: prints how well searches find known passages; asserts nothing.

Full text on each database that answers; with ``--embed`` also semantic search by
the built-in embedding, whose vectors are kept between runs, and both together.
"""

import argparse
import hashlib
import json
import tempfile
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from api.core.model_runtime.local_embedding import DIMENSIONS, embed_text
from api.core.model_runtime.types import EmbedKind
from api.core.rag.chunk import TextEntry
from api.core.rag.vector_store import KeywordIndex
from api.runtime import Runtime
from tests.bench import databases
from tests.bench.corpora import BASELINES, Corpus, Quality, is_here, load_corpus, measure
from tests.conftest import make_house, make_settings, stop_house

CACHE = Path(tempfile.gettempdir()) / "slipway-bench-vectors"
BATCH = 200
DEPTH = 100
VECTOR_WEIGHT = 0.7
RANK_CONSTANT = 60

Scores = Mapping[str, float]
"""What one search says of a question: scores 0..1 by passage, best first."""

Search = Callable[[str], Scores]
Fusion = Callable[[Scores, Scores], Scores]


def main() -> None:
    """Measure the sets the arguments name."""
    arguments = argparse.ArgumentParser(prog="python -m tests.bench.retrieval", description=__doc__)
    arguments.add_argument("--sets", nargs="+", choices=BASELINES, default=list(BASELINES))
    arguments.add_argument("--embed", action="store_true", help="semantic and hybrid search too (minutes)")
    arguments.add_argument("--every", type=int, default=1, help="ask only every n-th question")
    given = arguments.parse_args()
    click.echo(f"{'set':20} {'search':22} {'nDCG@10':>8} {'recall@10':>9}   BM25 elsewhere")
    with ExitStack() as stack:
        kinds = databases.reachable("both")
        indexes = {kind: stack.enter_context(keyword_index(kind)) for kind in kinds}
        for name in filter(is_here, given.sets):
            corpus = load_corpus(name)
            for title, search in _searches(corpus, indexes, is_embedding=given.embed, every=given.every):
                quality = measure(corpus, _ids_of(search), every=given.every)
                click.echo(_line(name, title, quality))


def _ids_of(search: Search) -> Callable[[str], list[str]]:
    return lambda question: list(search(question))


def _line(name: str, title: str, quality: Quality) -> str:
    return f"{name:20} {title:22} {quality.ndcg:8.4f} {quality.recall:9.4f}   {BASELINES[name]:.3f}"


def _searches(
    corpus: Corpus, indexes: Mapping[str, KeywordIndex], *, is_embedding: bool, every: int
) -> Iterator[tuple[str, Search]]:
    full_text = {kind: full_text_search(index, corpus) for kind, index in indexes.items()}
    for kind, search in full_text.items():
        yield f"full text, {kind}", search
    if not is_embedding:
        return
    semantic = semantic_search(corpus, every=every)
    yield "semantic", semantic
    keyword = next(iter(full_text.values()))
    for title, fuse in FUSIONS.items():
        yield title, _fused(fuse, semantic, keyword)


def _fused(fuse: Fusion, semantic: Search, keyword: Search) -> Search:
    return lambda question: fuse(semantic(question), keyword(question))


def weighted(semantic: Scores, keyword: Scores) -> Scores:
    """Fuse by scores, as they are, 0.7 to 0.3."""
    return _best_first(
        {
            passage: VECTOR_WEIGHT * semantic.get(passage, 0.0)
            + (1 - VECTOR_WEIGHT) * keyword.get(passage, 0.0)
            for passage in semantic.keys() | keyword.keys()
        }
    )


def reciprocal_ranks(semantic: Scores, keyword: Scores) -> Scores:
    """Fuse by places alone."""
    fused: dict[str, float] = {}
    for found in (semantic, keyword):
        for place, passage in enumerate(found, 1):
            fused[passage] = fused.get(passage, 0.0) + 1 / (RANK_CONSTANT + place)
    return _best_first(fused)


FUSIONS: Mapping[str, Fusion] = {"hybrid, weighted": weighted, "hybrid, ranks": reciprocal_ranks}


def _best_first(scores: Scores) -> Scores:
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))


@contextmanager
def keyword_index(kind: str) -> Iterator[KeywordIndex]:
    """Yield the full-text index of a fresh database."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slipway-bench-")))
        database = stack.enter_context(databases.fresh(kind, directory))
        house = make_house(make_settings(directory, database_url=database.env["DATABASE_URL"]))
        stack.callback(stop_house, house)
        runtime: Runtime = house.extensions["runtime"]
        yield runtime.keywords


def full_text_search(index: KeywordIndex, corpus: Corpus) -> Search:
    """Index the passages, and return how to search them."""
    entries = [
        TextEntry(id=passage, segment_id=passage, document_id=corpus.name, text=text)
        for passage, text in corpus.passages.items()
    ]
    for start in range(0, len(entries), BATCH):
        index.upsert(corpus.name, entries[start : start + BATCH])
    return lambda question: {
        hit.id: hit.score for hit in index.search([corpus.name], corpus.questions[question], top_k=DEPTH)
    }


def semantic_search(corpus: Corpus, *, every: int) -> Search:
    """Embed passages and questions, and return how to search the nearest by cosine."""
    import numpy as np  # only the benches that embed need it

    names = list(corpus.passages)
    asked = list(corpus.questions)[::every]
    passages = _embed([corpus.passages[name] for name in names], EmbedKind.PASSAGE)
    questions = _embed([corpus.questions[question] for question in asked], EmbedKind.QUERY)
    matrix = np.array(passages, dtype=np.float32)
    cosines = dict(zip(asked, np.array(questions, dtype=np.float32) @ matrix.T, strict=True))

    def search(question: str) -> Scores:
        nearest = np.argsort(-cosines[question])[:DEPTH]
        return {names[place]: max(0.0, float(cosines[question][place])) for place in nearest}

    return search


def _embed(texts: Sequence[str], kind: EmbedKind) -> "list[array[float]]":
    """Return a vector for each text, from the file of an earlier run where there is one."""
    digest = hashlib.sha256(json.dumps([kind.value, *texts]).encode()).hexdigest()
    path = CACHE / f"{digest[:16]}.f32"
    if path.exists():
        stored = array("f", path.read_bytes())
    else:
        stored = array("f")
        click.echo(f"embedding {len(texts)} texts", err=True)
        for text in texts:
            stored.extend(embed_text(text, kind).vector)
        CACHE.mkdir(exist_ok=True)
        path.write_bytes(stored.tobytes())
    return [stored[start : start + DIMENSIONS] for start in range(0, len(stored), DIMENSIONS)]


if __name__ == "__main__":
    main()
