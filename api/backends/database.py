"""The database engine: SQLite or PostgreSQL behind one SQLAlchemy engine.

Flask-SQLAlchemy owns engine and metadata, for Flask-Migrate; its scoped session
is not used. What must stay true: a wait for a connection or for SQLite's only
writer is bounded and lets other greenlets run; readers never wait for a writer.
"""

import re
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, Engine, MetaData, QueuePool, event, exc, make_url
from sqlalchemy.engine.interfaces import ExecutionContext
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from api.backends.pool import ConnectionPool
from api.settings import Settings, SettingsError

T = TypeVar("T")

POOL_WAIT_S = 10.0
WRITE_WAIT_S = 20.0
SHORTEST_PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.02

# Whatever opens a write transaction. A savepoint is one: opened outside a
# transaction it would begin a deferred one, whose later upgrade may fail.
WRITES = re.compile(
    r"\s*(?:(?:INSERT|UPDATE|DELETE|REPLACE|CREATE|ALTER|DROP|SAVEPOINT)\b"
    r"|WITH\b.*\b(?:INSERT|UPDATE|DELETE|REPLACE)\b)",
    re.IGNORECASE | re.DOTALL,
)
HOLDS_TURN = "holds_write_turn"

POSTGRES_CONNECT_ARGS = {
    "application_name": "slipway",
    "client_encoding": "utf8",
    "connect_timeout": 2,
    # A peer that vanished without a word is noticed after about 10 s.
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "options": "-c statement_timeout=30000 -c idle_in_transaction_session_timeout=30000",
}


def create_database(app: Flask, settings: Settings, metadata: MetaData) -> SQLAlchemy:
    """Make the engine of ``app``; opens no connection yet.

    The pool holds at most ``settings.database_pool_size`` connections; who waits
    longer than 10 s for one gets SQLAlchemy's TimeoutError.
    """
    url = _parse_url(settings.effective_database_url)
    is_sqlite = url.get_backend_name() == "sqlite"
    options: dict[str, Any] = {
        "url": _sqlite_file(url) if is_sqlite else url,
        "connect_args": {"timeout": 0} if is_sqlite else POSTGRES_CONNECT_ARGS,
        "poolclass": ConnectionPool,
        "pool_size": settings.database_pool_size,
        "max_overflow": 0,
        "pool_timeout": POOL_WAIT_S,
        "pool_use_lifo": True,
        "skip_autocommit_rollback": True,  # there is nothing to roll back
        "hide_parameters": True,  # what people wrote must not reach the log by way of an error
        "json_serializer": _to_json,
        "json_deserializer": _from_json,
    }
    database = SQLAlchemy(app, metadata=metadata, engine_options=options, add_models_to_shell=False)
    if is_sqlite:
        _listen_to_sqlite(_engine(app, database))
    else:
        from api.backends.postgres import listen_to_postgres  # brings the driver, 8 MB of no use on SQLite

        listen_to_postgres(_engine(app, database))
    return database


def session_factory(app: Flask, database: SQLAlchemy) -> sessionmaker[Session]:
    """Return the maker of sessions on the engine of ``app``; they need no request and no app context."""
    return sessionmaker(_engine(app, database), expire_on_commit=False)


@contextmanager
def count_statements(engine: Engine, by: Callable[[], bool] = lambda: True) -> Iterator[list[str]]:
    """Yield a list that grows by each statement sent meanwhile, by those threads of which ``by`` holds."""
    statements: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        if by():
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


@dataclass(slots=True)
class Checkouts:
    """Connections taken from the pool: held ``now``, the ``most`` at once, and ``total`` times."""

    now: int
    most: int
    total: int = 0


@contextmanager
def count_checkouts(engine: Engine) -> Iterator[Checkouts]:
    """Yield figures that follow the pool meanwhile, whichever thread uses it."""
    pool = engine.pool
    assert isinstance(pool, QueuePool)
    figures = Checkouts(now=pool.checkedout(), most=pool.checkedout())
    lock = threading.Lock()

    def take(*_args: object) -> None:
        with lock:
            figures.now += 1
            figures.total += 1
            figures.most = max(figures.most, figures.now)

    def give(*_args: object) -> None:
        with lock:
            figures.now -= 1

    event.listen(engine, "checkout", take)
    event.listen(engine, "checkin", give)
    try:
        yield figures
    finally:
        event.remove(engine, "checkout", take)
        event.remove(engine, "checkin", give)


def _engine(app: Flask, database: SQLAlchemy) -> Engine:
    with app.app_context():
        return database.engine


def _parse_url(text: str) -> URL:
    try:
        return make_url(text)
    except (ValueError, exc.ArgumentError):  # their messages may quote the password
        raise SettingsError(
            "DATABASE_URL must have the form postgresql://user:password@host:port/name."
        ) from None


def _to_json(value: object) -> str:
    return orjson.dumps(value).decode()


def _from_json(stored: "str | bytes | float") -> Any:
    """Read a JSON column; SQLite hands out a bare number as the number it is."""
    return orjson.loads(stored) if isinstance(stored, str | bytes) else stored


def _sqlite_file(url: URL) -> URL:
    """Return the URL with the absolute path of a file, which only its owner reads where it had to be made.

    Its directory likewise; and SQLite gives the files beside it the rights it has.
    """
    if url.database in {None, "", ":memory:"}:
        raise SettingsError("DATABASE_URL must name a file, because threads cannot share SQLite in memory.")
    path = Path(str(url.database)).absolute()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as exc:
        raise SettingsError(f"DATABASE_URL: the file {path} cannot be used: {exc.strerror}.") from exc
    return url.set(database=str(path))


class _WriteTurn:
    """The right to write, handed over in order of arrival, within this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_taken = False
        self._waiting: deque[threading.Event] = deque()

    def take(self, timeout_s: float) -> bool:
        """Wait for the turn; False when the time is up."""
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return True
            mine = threading.Event()
            self._waiting.append(mine)
        if mine.wait(timeout_s):
            return True
        with self._lock:
            if mine.is_set():  # handed over just now
                return True
            self._waiting.remove(mine)
            return False

    def give(self) -> None:
        """Pass the turn to who waits longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._is_taken = False


def _listen_to_sqlite(engine: Engine) -> None:
    """Order this process's writers and wait for others' locks without blocking the event loop.

    SQLite's own busy wait sleeps in C: a greenlet that waited for a lock held by
    another greenlet of its process would freeze both. So its time-out is 0, a
    connection takes the turn before its first write and gives it back when it
    returns to the pool, after commit or rollback; a lock held by another process
    is asked for again and again between cooperative sleeps.
    """
    turn = _WriteTurn()

    def execute(cursor: sqlite3.Cursor, statement: str, parameters: Any, context: ExecutionContext) -> bool:
        _begin_if_write(turn, cursor.connection, statement, context)
        _patiently(cursor.execute, statement, parameters)
        return True

    def executemany(
        cursor: sqlite3.Cursor, statement: str, parameters: Any, context: ExecutionContext
    ) -> bool:
        _begin_if_write(turn, cursor.connection, statement, context)
        _patiently(cursor.executemany, statement, parameters)
        return True

    def execute_no_params(cursor: sqlite3.Cursor, statement: str, context: ExecutionContext) -> bool:
        return execute(cursor, statement, (), context)

    def give_back(_connection: object, entry: ConnectionPoolEntry) -> None:
        if entry.info.pop(HOLDS_TURN, False):
            turn.give()

    event.listen(engine, "connect", _prepare_connection)
    event.listen(engine, "do_execute", execute)
    event.listen(engine, "do_executemany", executemany)
    event.listen(engine, "do_execute_no_params", execute_no_params)
    event.listen(engine, "checkin", give_back)


def _prepare_connection(connection: sqlite3.Connection, _entry: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        _patiently(connection.execute, f"PRAGMA {pragma}")


def _begin_if_write(
    turn: _WriteTurn, connection: sqlite3.Connection, statement: str, context: ExecutionContext
) -> None:
    """Open an immediate transaction before the first write of a connection.

    Immediate, and by ourselves: the driver's own implicit BEGIN leaves DDL and
    ``WITH … INSERT`` outside any transaction.
    """
    if connection.in_transaction or not WRITES.match(statement):
        return
    info = context.root_connection.connection.info
    if HOLDS_TURN not in info:
        if not turn.take(WRITE_WAIT_S):
            raise sqlite3.OperationalError("database is locked")
        info[HOLDS_TURN] = True
    if connection.isolation_level is not None:  # None: the caller asked for autocommit
        _patiently(connection.execute, "BEGIN IMMEDIATE")


def _patiently(execute: Callable[..., T], *args: Any) -> T:
    """Return ``execute(*args)``, asking again for up to 20 s while the database is locked."""
    deadline = time.monotonic() + WRITE_WAIT_S
    pause_s = SHORTEST_PAUSE_S
    while True:
        try:
            return execute(*args)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
