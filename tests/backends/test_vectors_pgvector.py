"""Vectors in PostgreSQL: indexes built aside, and a server without the extension."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import MetaData, text
from sqlalchemy.orm import Session, sessionmaker

from api.backends.database import create_database, session_factory
from api.backends.vectors import pgvector
from api.errors import Unavailable
from tests.conftest import make_settings
from tests.vectors import found, make_entries, make_vector, nearest, new_id
from tests.waiting import wait_until

INDEXES = """
SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
WHERE i.indrelid = to_regclass(:table) AND i.indisvalid AND m.amname = 'hnsw'
"""


def table_of(collection: str) -> str:
    return f"vectors_{collection.replace('-', '')}"


def count_indexes(sessions: sessionmaker[Session], collection: str) -> int:
    with sessions() as session:
        counted: int = session.execute(text(INDEXES), {"table": table_of(collection)}).scalar_one()
        return counted


@pytest.mark.parametrize("dimension", [32, 2100])
def test_collection_that_grows_large_gets_one_index_and_finds_the_same(
    pgvector_sessions: sessionmaker[Session], dimension: int
) -> None:
    store, collection = pgvector.Backend(pgvector_sessions, exact_below=150), new_id()
    entries, query = make_entries(200, dimension=dimension), make_vector("query", dimension)
    store.upsert(collection, entries[:100])
    assert count_indexes(pgvector_sessions, collection) == 0
    store.upsert(collection, entries[100:150])
    wait_until(lambda: count_indexes(pgvector_sessions, collection) == 1)
    store.upsert(collection, entries[150:])
    assert found(store.search([collection], query, top_k=10)) == nearest(entries, query, 10)
    one_document = entries[7].document_id
    hits = store.search([collection], query, top_k=10, documents=[one_document])
    assert found(hits) == nearest([entries[7]], query, 10)
    store.delete(collection, ids=[entry.id for entry in entries[:50]])
    assert found(store.search([collection], query, top_k=10)) == nearest(entries[50:], query, 10)
    assert count_indexes(pgvector_sessions, collection) == 1
    store.drop(collection)


@pytest.mark.parametrize("dimension", [32, 2100])
def test_search_of_a_large_collection_may_go_by_its_index(
    pgvector_sessions: sessionmaker[Session], dimension: int
) -> None:
    store, collection = pgvector.Backend(pgvector_sessions, exact_below=50), new_id()
    store.upsert(collection, make_entries(50, dimension=dimension))
    wait_until(lambda: count_indexes(pgvector_sessions, collection) == 1)
    with index_preferred(pgvector_sessions):
        store.search([collection], make_vector("query", dimension), top_k=5)
        wait_until(lambda: count_scans(pgvector_sessions, collection) > 0)
    store.drop(collection)


@contextmanager
def index_preferred(sessions: sessionmaker[Session]) -> Iterator[None]:
    """Have the planner use an index wherever one fits, though so few rows are read faster without."""
    with sessions() as session:  # the pool gives the same connection to whoever asks next
        session.execute(text("SET enable_seqscan = off"))
        session.commit()
    yield
    with sessions() as session:
        session.execute(text("RESET enable_seqscan"))
        session.commit()


def count_scans(sessions: sessionmaker[Session], collection: str) -> int:
    scans = text("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = :index")
    with sessions() as session:
        session.execute(text("SELECT pg_stat_force_next_flush()"))
        session.commit()
        counted: int = session.execute(scans, {"index": f"{table_of(collection)}_hnsw"}).scalar_one()
        return counted


def test_rolled_back_growth_builds_no_index(pgvector_sessions: sessionmaker[Session]) -> None:
    store, collection = pgvector.Backend(pgvector_sessions, exact_below=20), new_id()
    with pgvector_sessions() as unit:
        store.upsert(collection, make_entries(30), unit=unit)
        unit.rollback()
    assert store._index_builder._building == set()
    assert list(store.ids(collection)) == []


def test_server_without_the_extension_says_what_to_do(postgres_url: str, tmp_path: Path) -> None:
    app = Flask("test")
    settings = make_settings(tmp_path, database_url=postgres_url)
    sessions = session_factory(app, create_database(app, settings, MetaData()))
    with sessions() as session:
        named = text("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'")
        if session.execute(named).first() is not None:
            pytest.skip("this PostgreSQL has pgvector")
    store = pgvector.Backend(sessions)
    with pytest.raises(
        Unavailable, match="install it, and have an administrator run CREATE EXTENSION vector"
    ):
        store.upsert(new_id(), make_entries(1))
    assert store.search([new_id()], make_vector("query"), top_k=1) == []
    sessions.kw["bind"].dispose()


def test_collection_that_is_no_uuid_never_reaches_the_server(
    pgvector_sessions: sessionmaker[Session],
) -> None:
    with pytest.raises(ValueError, match="badly formed"):
        pgvector.Backend(pgvector_sessions).drop("x; DROP TABLE accounts")
