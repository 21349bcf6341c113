"""Vectors in the database: what is kept in memory, for how long, and what a search costs."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from api.backends.database import count_statements, create_database, session_factory
from api.backends.offload import Backend as Offload
from api.backends.vectors import local, local_tables
from api.errors import Unavailable
from tests.conftest import make_settings
from tests.offloads import BusyOffload
from tests.vectors import DIMENSION, found, make_entries, make_vector, nearest, new_id

MB = 1024 * 1024
ROW_BYTES = 4 * DIMENSION + 300


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[sessionmaker[Session]]:
    app = Flask("test")
    made = session_factory(app, create_database(app, make_settings(tmp_path), local_tables.METADATA))
    local_tables.METADATA.create_all(engine_of(made))
    yield made
    engine_of(made).dispose()


def engine_of(sessions: sessionmaker[Session]) -> Engine:
    engine = sessions.kw["bind"]
    assert isinstance(engine, Engine)
    return engine


def make_store(sessions: sessionmaker[Session], cache_bytes: int = 64 * MB) -> local.Backend:
    return local.Backend(sessions, Offload(), cache_bytes)


def test_search_of_unchanged_collections_is_one_statement(sessions: sessionmaker[Session]) -> None:
    store, collections = make_store(sessions), [new_id() for _ in range(14)]
    for collection in collections:
        store.upsert(collection, make_entries(3))
    store.search(collections, make_vector("query"), top_k=5)
    with count_statements(engine_of(sessions)) as statements:
        store.search(collections, make_vector("query"), top_k=5)
    assert len(statements) == 1


def test_collection_too_large_for_memory_is_searched_all_the_same(sessions: sessionmaker[Session]) -> None:
    entries, query, collection = make_entries(2_500), make_vector("query"), new_id()
    store = make_store(sessions, cache_bytes=2_000 * ROW_BYTES)
    store.upsert(collection, entries)
    for _ in range(2):
        assert found(store.search([collection], query, top_k=10)) == nearest(entries, query, 10)


def test_collections_beyond_the_memory_give_way_to_those_searched_last(
    sessions: sessionmaker[Session],
) -> None:
    query, collections = make_vector("query"), [new_id() for _ in range(3)]
    store = make_store(sessions, cache_bytes=250 * ROW_BYTES)
    entries = [make_entries(100) for _ in collections]
    for collection, some in zip(collections, entries, strict=True):
        store.upsert(collection, some)
    everything = [entry for some in entries for entry in some]
    assert found(store.search(collections, query, top_k=9)) == nearest(everything, query, 9)
    for collection in collections:
        store.search([collection], query, top_k=1)
    with count_statements(engine_of(sessions)) as statements:
        store.search(collections[2:], query, top_k=1)
        store.search(collections[1:2], query, top_k=1)
    assert len(statements) == 2, "the last two are in memory"
    with count_statements(engine_of(sessions)) as statements:
        store.search(collections[:1], query, top_k=1)
    assert len(statements) > 1, "the first had to go"


def test_entries_replaced_again_and_again_take_no_more_memory(sessions: sessionmaker[Session]) -> None:
    store, query, collection = make_store(sessions), make_vector("query"), new_id()
    entries = make_entries(100)
    for _ in range(12):
        store.upsert(collection, entries)
        assert found(store.search([collection], query, top_k=5)) == nearest(entries, query, 5)
    (mark,) = read_marks(sessions, collection)
    snapshot = store._snapshots().get(mark)
    assert snapshot is not None
    assert snapshot.count <= 300


def read_marks(sessions: sessionmaker[Session], collection: str) -> list[local_tables.Mark]:
    with sessions() as session:
        return local_tables.read_marks(session, [collection])


def test_collection_stale_for_many_searches_at_once_is_read_once(sessions: sessionmaker[Session]) -> None:
    store, query, collection = make_store(sessions), make_vector("query"), new_id()
    store.upsert(collection, make_entries(3_000))
    with count_statements(engine_of(sessions)) as statements:
        searches = [
            threading.Thread(target=store.search, args=([collection], query), kwargs={"top_k": 5})
            for _ in range(6)
        ]
        for search in searches:
            search.start()
        for search in searches:
            search.join(30)
    reads = [statement for statement in statements if "vector_entries.vector " in statement]
    assert len(reads) == 1


def test_database_out_of_reach_is_unavailable(sessions: sessionmaker[Session]) -> None:
    store, collection = make_store(sessions), new_id()
    with engine_of(sessions).begin() as connection:
        connection.execute(text("DROP TABLE vector_collections"))
    for call in (
        lambda: store.search([collection], make_vector("query"), top_k=1),
        lambda: store.upsert(collection, make_entries(1)),
        lambda: list(store.collections()),
    ):
        with pytest.raises(Unavailable, match="store of vectors"):
            call()


def test_search_with_all_native_threads_busy_is_unavailable_but_for_a_few(
    sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, collection = make_store(sessions), new_id()
    store.upsert(collection, make_entries(2))
    store.search([collection], make_vector("query"), top_k=1)
    store._offload = BusyOffload()
    assert len(store.search([collection], make_vector("query"), top_k=1)) == 1
    monkeypatch.setattr(local, "FEW_NUMBERS", 1)
    with pytest.raises(Unavailable, match="overloaded"):
        store.search([collection], make_vector("query"), top_k=1)
