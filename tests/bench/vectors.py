"""``python -m tests.bench.vectors``: what VECTORS=local costs in one process, on SQLite.

Prints the wall time of searches by number of vectors, of a search over 14
collections beside one of as many vectors, of reading a collection into memory
and of noticing what was written. Nothing is asserted.
"""

import argparse
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
import numpy as np
from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from api.backends.database import create_database, session_factory
from api.backends.offload import Backend as Offload
from api.backends.vectors import local, local_tables
from api.core.rag.chunk import VectorEntry
from tests.bench import measure
from tests.conftest import make_settings

DIMENSION = 384
BATCH = 1_000
CACHE_BYTES = 1024 * 1024 * 1024


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(prog="python -m tests.bench.vectors", description=__doc__)
    arguments.add_argument("--vectors", type=int, default=100_000, help="in the large collection")
    arguments.add_argument("--searches", type=int, default=200)
    arguments.add_argument("--database-url", default="", help="a PostgreSQL, emptied of vectors afterwards")
    given = arguments.parse_args()
    random = np.random.default_rng(7)
    with _sessions(given.database_url) as sessions:
        store = local.Backend(sessions, Offload(), CACHE_BYTES)
        small, large = [_fill(store, random, 2_000)], [_fill(store, random, given.vectors)]
        many = [_fill(store, random, given.vectors // 14) for _ in range(14)]
        for title, collections in (("2,000", small), (f"{given.vectors:,}", large)):
            before_mb = measure.pss_mb([os.getpid()])
            first_s = _searches(store, random, collections, 1)[0]
            grown_mb = measure.pss_mb([os.getpid()]) - before_mb
            _say(f"{title}: first search, reads them", [first_s], f"{grown_mb:.0f} MB")
        _say("2,000: search", _searches(store, random, small, given.searches))
        store.search(many, _vector(random), top_k=10)
        for _ in range(2):  # by turns, because the machine is not always as fast
            _say(f"{given.vectors:,}: search", _searches(store, random, large, given.searches))
            _say(
                f"{given.vectors:,} in 14 collections: search", _searches(store, random, many, given.searches)
            )
        writes = [_time(lambda: store.upsert(large[0], [_entry(random)])) for _ in range(20)]
        _say(f"{given.vectors:,}: write one", writes)
        seen = []
        for _ in range(20):
            store.upsert(large[0], [_entry(random)])
            seen.append(_time(lambda: store.search(large, _vector(random), top_k=10)))
        _say(f"{given.vectors:,}: search after one was written", seen)
        store.delete(large[0], document_id=str(uuid.uuid4()))
        _say(
            f"{given.vectors:,}: search after a deletion",
            [_time(lambda: store.search(large, _vector(random), top_k=10))],
        )
        for collection in [*small, *large, *many]:
            store.drop(collection)


@contextmanager
def _sessions(database_url: str) -> Iterator[sessionmaker[Session]]:
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as directory:
        app = Flask("bench")
        settings = make_settings(Path(directory), database_url=database_url)
        sessions = session_factory(app, create_database(app, settings, local_tables.METADATA))
        engine = sessions.kw["bind"]
        assert isinstance(engine, Engine)
        local_tables.METADATA.create_all(engine)
        yield sessions
        engine.dispose()


def _fill(store: local.Backend, random: np.random.Generator, count: int) -> str:
    collection = str(uuid.uuid4())
    for start in range(0, count, BATCH):
        store.upsert(collection, [_entry(random) for _ in range(min(BATCH, count - start))])
    return collection


def _entry(random: np.random.Generator) -> VectorEntry:
    entry_id = str(uuid.uuid4())
    return VectorEntry(
        id=entry_id, segment_id=entry_id, document_id=str(uuid.uuid4()), vector=_vector(random)
    )


def _vector(random: np.random.Generator) -> list[float]:
    vector: list[float] = random.standard_normal(DIMENSION).tolist()
    return vector


def _searches(
    store: local.Backend, random: np.random.Generator, collections: list[str], count: int
) -> list[float]:
    queries = [_vector(random) for _ in range(count)]
    return [_time(partial(store.search, collections, query, top_k=10)) for query in queries]


def _time(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _say(title: str, seconds: list[float], more: str = "") -> None:
    ms = np.percentile(np.array(seconds) * 1000, [50, 95])
    click.echo(f"{title:45} p50 {ms[0]:8.2f} ms   p95 {ms[1]:8.2f} ms   {more}")


if __name__ == "__main__":
    main()
