"""Measures searches over many chunks: the services in this process, patched as the server's is.

Prints one JSON object of figures. The query's vector is there already, so that
no embedding call is part of what is measured; the rows are written by the
services' own functions, without the time of a real indexing run.
"""

from api import gevent_boot as gevent_boot  # noqa: PLC0414  # patches before anything else is imported

# isort: split

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from flask import Flask
from sqlalchemy import update
from sqlalchemy.orm import Session

from api.core.indexing_runner import NewSegment
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import Embeddings, EmbedKind, ModelRef, ModelSchema, ModelType, TokenCount
from api.core.ports import Cancel
from api.core.rag.chunk import TextEntry, VectorEntry
from api.core.rag.retrieval_model import load_retrieval_model
from api.core.text.segment_hash import content_hash, segment_id
from api.models.base import utc_now
from api.models.dataset import Dataset
from api.models.document import Document, Segment
from api.runtime import Runtime
from api.services import index_rows, retrieval
from tests.bench.library import HYBRID, choose_embedding, make_dataset
from tests.bench.load import quantile
from tests.bench.statements import client_call, program
from tests.bench.texts import make_passages, make_query
from tests.bench.upstream import DIMENSIONS
from tests.bench.workspace import set_up

SMALL = 2_000
PARTS = 14
BATCH = 500
WARM_UP = 20
TIMEOUT_S = 60.0
SETTINGS = load_retrieval_model(HYBRID)

Figures = dict[str, float]
Ask = Callable[[int], object]


class Ready(ModelRuntime):
    """Stands in for the models of a workspace: each query has a vector at once."""

    def __init__(self) -> None:
        random = np.random.default_rng(11)
        self._vectors: list[list[float]] = random.standard_normal((64, DIMENSIONS)).tolist()

    def embed(
        self, tenant_id: str, ref: ModelRef, texts: Sequence[str], kind: EmbedKind, cancel: Cancel
    ) -> Embeddings:
        """Return a vector for each text."""
        del tenant_id, ref, kind, cancel
        vectors = [self._vectors[len(text) % len(self._vectors)] for text in texts]
        return Embeddings(vectors, TokenCount(prompt_tokens=len(texts)))

    def schema(self, tenant_id: str, ref: ModelRef) -> ModelSchema:
        """Return a schema that stretches no scores."""
        del tenant_id
        return ModelSchema(
            model=ref.model, type=ModelType.TEXT_EMBEDDING, label=ref.model, context_tokens=8_191
        )


def measure_searches(flask: Flask, upstream_url: str, *, large: int, searches: int) -> Figures:
    """Fill datasets and return what searching them costs, by what is searched."""
    runtime: Runtime = flask.extensions["runtime"]
    call = client_call(flask)
    token = set_up(call, upstream_url, messages=0).console_token
    choose_embedding(call, token)

    def fill(name: str, chunks: int) -> str:
        dataset_id = make_dataset(call, token, name)
        _fill(runtime, dataset_id, chunks, seed=len(name) + chunks)
        return dataset_id

    def parts(chunks: int) -> list[str]:
        return [fill(f"Part {number} of {chunks}", chunks // PARTS) for number in range(PARTS)]

    asked = {
        "small": [fill("Small", SMALL)],
        "small_parts": parts(SMALL),
        "large": [fill("Large", large)],
        "large_parts": parts(large),
    }
    asks = {name: _ask(runtime, ids) for name, ids in asked.items()}
    figures: Figures = {"small_chunks": SMALL, "large_chunks": large}
    for whole in ("small", "large"):
        one, several = asks[whole], asks[f"{whole}_parts"]
        _time(one, WARM_UP), _time(several, WARM_UP)
        # By turns, because the machine is not always as fast.
        turns = [(_time(one, searches // 4), _time(several, searches // 4)) for _ in range(4)]
        figures |= _figures(whole, [turn[0] for turn in turns])
        figures |= _figures(f"{whole}_parts", [turn[1] for turn in turns])
        figures[f"{whole}_parts_x"] = figures[f"{whole}_parts_p50_ms"] / figures[f"{whole}_p50_ms"]
    return figures


def _fill(runtime: Runtime, dataset_id: str, chunks: int, *, seed: int) -> None:
    """Write a document of so many segments as an indexing job leaves it."""
    random = np.random.default_rng(seed)
    texts = make_passages(chunks, seed=seed)
    with runtime.transaction() as session:
        work = _begin(session, dataset_id)
    position = 0
    for some in iter(lambda: list(islice(texts, BATCH)), []):
        segments = [
            _to_segment(work.document_id, position + number, text) for number, text in enumerate(some, 1)
        ]
        position += len(some)
        vectors = random.standard_normal((len(some), DIMENSIONS)).astype(np.float32)
        owns = [{"id": one.id, "segment_id": one.id, "document_id": work.document_id} for one in segments]
        with runtime.transaction() as session:
            index_rows.write_segments(session, work, segments)
            runtime.vectors.upsert(
                work.collection,
                [
                    VectorEntry(**own, vector=vector)
                    for own, vector in zip(owns, vectors.tolist(), strict=True)
                ],
                unit=session,
            )
            runtime.keywords.upsert(
                work.collection,
                [TextEntry(**own, text=text) for own, text in zip(owns, some, strict=True)],
                unit=session,
            )
    with runtime.transaction() as session:
        session.execute(
            update(Segment).where(Segment.document_id == work.document_id).values(status="completed")
        )


def _begin(session: Session, dataset_id: str) -> index_rows.Work:
    dataset = session.get_one(Dataset, dataset_id)
    document = Document(
        tenant_id=dataset.tenant_id,
        dataset_id=dataset_id,
        position=1,
        data_source_type="upload_file",
        source={},
        batch="bench",
        name="bench.txt",
        created_from="api",
        indexing_status="completed",
        completed_at=utc_now(),
    )
    session.add(document)
    session.flush()
    work = index_rows.load_work(session, dataset.tenant_id, document.id)
    assert work is not None
    return work


def _to_segment(document_id: str, position: int, text: str) -> NewSegment:
    digest = content_hash(text)
    return NewSegment(
        id=segment_id(document_id, 1, position, digest),
        position=position,
        text=text,
        answer=None,
        tokens=len(text) // 4,
        hash=digest,
        children=(),
    )


def _ask(runtime: Runtime, dataset_ids: list[str]) -> Ask:
    models = Ready()
    with runtime.reading() as session:
        searched = [retrieval.to_searched(session.get_one(Dataset, each)) for each in dataset_ids]

    def ask(number: int) -> object:
        found = retrieval.search(runtime, models, searched, make_query(number), SETTINGS, Cancel(TIMEOUT_S))
        assert found
        return found

    return ask


def _time(ask: Ask, count: int) -> tuple[list[float], float]:
    """Return the seconds of each of some searches, and the CPU seconds of all."""
    taken = []
    cpu = time.process_time()
    for number in range(count):
        started = time.perf_counter()
        ask(number)
        taken.append(time.perf_counter() - started)
    return taken, time.process_time() - cpu


def _figures(name: str, turns: Sequence[tuple[list[float], float]]) -> Figures:
    taken = [second for seconds, _ in turns for second in seconds]
    return {
        f"{name}_p50_ms": quantile(taken, 0.5) * 1e3,
        f"{name}_p95_ms": quantile(taken, 0.95) * 1e3,
        f"{name}_cpu_ms": sum(cpu for _, cpu in turns) / len(taken) * 1e3,
    }


def main() -> None:
    """Measure on the database named by the arguments, and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--upstream", required=True)
    arguments.add_argument("--data-dir", type=Path, required=True)
    arguments.add_argument("--database-url", default="")
    arguments.add_argument("--vectors", default="local")
    arguments.add_argument("--large", type=int, default=100_000)
    arguments.add_argument("--searches", type=int, default=200)
    given = arguments.parse_args()
    with program(given.data_dir, given.database_url, vectors=given.vectors, vectors_cache_mb=1024) as flask:
        figures = measure_searches(flask, given.upstream, large=given.large, searches=given.searches)
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    main()
