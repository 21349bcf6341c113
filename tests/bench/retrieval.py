"""``python -m tests.bench.retrieval``: prints how well searches find known passages; asserts nothing.

The searches are the program's own, with its own defaults: full text, semantic
by the built-in embedding, and both together. Only the vectors come from a file
where an earlier run made them, which takes minutes.
"""

import argparse
import hashlib
import json
import tempfile
import uuid
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import get_args

import click

from api.core.model_runtime.local_embedding import DIMENSIONS, embed_text
from api.core.model_runtime.providers.builtin import EMBEDDING_MODEL, BuiltinProvider
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import Embeddings, EmbedKind, ModelRef, ModelSchema, TokenCount
from api.core.ports import Cancel
from api.core.rag.chunk import Hit, TextEntry, VectorEntry
from api.core.rag.passage import Passage, Source
from api.core.rag.retrieval_model import RetrievalModel, SearchMethod
from api.core.rag.retrieval_service import retrieve
from api.core.rag.search import Deps
from api.runtime import Runtime
from tests.bench import databases
from tests.bench.corpora import BASELINES, Corpus, Quality, is_here, load_corpus, measure
from tests.conftest import make_house, make_settings, stop_house

CACHE = Path(tempfile.gettempdir()) / "slipway-bench-vectors"
BATCH = 200
MODEL = ModelRef("builtin", EMBEDDING_MODEL)
METHODS: tuple[SearchMethod, ...] = ("full_text_search", "semantic_search", "hybrid_search")

Vectors = Mapping[str, Sequence[float]]


def main() -> None:
    """Measure the sets the arguments name."""
    arguments = argparse.ArgumentParser(prog="python -m tests.bench.retrieval", description=__doc__)
    arguments.add_argument("--sets", nargs="+", choices=BASELINES, default=list(BASELINES))
    arguments.add_argument("--methods", nargs="+", choices=get_args(SearchMethod), default=METHODS)
    arguments.add_argument("--every", type=int, default=1, help="ask only every n-th question")
    given = arguments.parse_args()
    click.echo(f"{'set':20} {'database':10} {'search':18} {'nDCG@10':>8} {'recall@10':>9}   BM25 elsewhere")
    for kind in databases.reachable("both"):
        for name, method, quality in measure_sets(kind, given.sets, given.methods, every=given.every):
            figures = f"{quality.ndcg:8.4f} {quality.recall:9.4f}   {BASELINES[name]:.3f}"
            click.echo(f"{name:20} {kind:10} {method:18} {figures}")


def sets_here() -> list[str]:
    """Return the names of the sets that are on this machine."""
    return list(filter(is_here, BASELINES))


def measure_sets(
    kind: str, sets: Sequence[str], methods: Sequence[SearchMethod] = METHODS, *, every: int = 1
) -> Iterator[tuple[str, SearchMethod, Quality]]:
    """Yield for each set and method how well the questions are answered, on a fresh database of a kind."""
    with _program(kind) as runtime:
        for name in filter(is_here, sets):
            corpus = load_corpus(name)
            is_embedding = set(methods) != {"full_text_search"}
            deps, source, passage_of = _fill(runtime, corpus, is_embedding=is_embedding, every=every)
            for method in methods:
                search = _search(corpus, source, passage_of, deps, method)
                yield name, method, measure(corpus, search, every=every)
            runtime.vectors.drop(source.collection)
            runtime.keywords.drop(source.collection)


class Known(ModelRuntime):
    """Stands in for the models of a workspace: the questions' vectors are there."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def embed(
        self, tenant_id: str, ref: ModelRef, texts: Sequence[str], kind: EmbedKind, cancel: Cancel
    ) -> Embeddings:
        """Return the vector of each text."""
        del tenant_id, ref, kind, cancel
        return Embeddings([self._vectors[text] for text in texts], TokenCount(prompt_tokens=len(texts)))

    def schema(self, tenant_id: str, ref: ModelRef) -> ModelSchema:
        """Return what is known of the built-in model."""
        del tenant_id
        return next(known for known in BuiltinProvider.schema.models if known.model == ref.model)


class Live:
    """Implements ChunkReader: everything found is live."""

    def load(self, hits: Sequence[Hit]) -> Mapping[str, Passage]:
        """Return a passage for each hit."""
        return {
            hit.id: Passage(segment_id=hit.id, document_id=hit.document_id, dataset_id="", text="")
            for hit in hits
        }


def _fill(
    runtime: Runtime, corpus: Corpus, *, is_embedding: bool, every: int
) -> tuple[Deps, Source, Mapping[str, str]]:
    """Put the passages into the stores; return how to search them, and which passage an entry is."""
    collection = _to_id(corpus.name)
    passage_of = {_to_id(f"{corpus.name} {passage}"): passage for passage in corpus.passages}
    entries = [
        TextEntry(id=entry, segment_id=entry, document_id=collection, text=corpus.passages[passage])
        for entry, passage in passage_of.items()
    ]
    for start in range(0, len(entries), BATCH):
        runtime.keywords.upsert(collection, entries[start : start + BATCH])
    questions: Vectors = {}
    if is_embedding:
        vectors = _embed([entry.text for entry in entries], EmbedKind.PASSAGE)
        for start in range(0, len(entries), BATCH):
            some = entries[start : start + BATCH]
            runtime.vectors.upsert(
                collection,
                [
                    VectorEntry(
                        id=entry.id, segment_id=entry.id, document_id=collection, vector=vectors[entry.text]
                    )
                    for entry in some
                ],
            )
        questions = _embed(list(corpus.questions.values())[::every], EmbedKind.QUERY)
    deps = Deps(
        models=Known(questions),
        vectors=runtime.vectors,
        keywords=runtime.keywords,
        reader=Live(),
        cancel=Cancel(),
    )
    return deps, Source(tenant_id="bench", collection=collection, embedding=MODEL), passage_of


def _search(
    corpus: Corpus, source: Source, passage_of: Mapping[str, str], deps: Deps, method: SearchMethod
) -> Callable[[str], list[str]]:
    settings = RetrievalModel(search_method=method, top_k=10)

    def search(question: str) -> list[str]:
        found = retrieve(corpus.questions[question].strip(), [source], settings, deps)
        return [passage_of[one.passage.segment_id] for one in found]

    return search


@contextmanager
def _program(kind: str) -> Iterator[Runtime]:
    """Yield the backends of the program on a fresh database."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slipway-bench-")))
        database = stack.enter_context(databases.fresh(kind, directory))
        house = make_house(make_settings(directory, database_url=database.env["DATABASE_URL"]))
        stack.callback(stop_house, house)
        runtime: Runtime = house.extensions["runtime"]
        yield runtime


def _to_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def _embed(texts: Sequence[str], kind: EmbedKind) -> Vectors:
    """Return the vector of each text, from the file of an earlier run where there is one."""
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
    places = range(0, len(stored), DIMENSIONS)
    return {text: stored[start : start + DIMENSIONS] for text, start in zip(texts, places, strict=True)}


if __name__ == "__main__":
    main()
