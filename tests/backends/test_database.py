"""The engine on SQLite and PostgreSQL: who waits for whom, for how long, and what is counted."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import psycopg
import pytest
from flask import Flask
from sqlalchemy import Engine, MetaData, QueuePool, String, exc, literal, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from api.backends import database
from api.backends.database import count_checkouts, count_statements, create_database, session_factory
from api.models.types import Json
from api.settings import Settings, SettingsError
from tests.conftest import make_settings
from tests.ports import free_port
from tests.waiting import assert_quick, wait_until

ROOT = Path(__file__).parents[2]
POOL_SIZE = 4

Sessions: TypeAlias = sessionmaker[Session]


class Base(DeclarativeBase):
    """Tables of this file alone."""


class Note(Base):
    """A row with a JSON value."""

    __tablename__ = "notes_of_test_database"

    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[object] = mapped_column(Json)


def make_sessions(settings: Settings) -> Sessions:
    app = Flask("test")
    sessions = session_factory(app, create_database(app, settings, Base.metadata))
    Base.metadata.create_all(engine_of(sessions))
    return sessions


def engine_of(sessions: Sessions) -> Engine:
    engine = sessions.kw["bind"]
    assert isinstance(engine, Engine)
    return engine


def dispose(sessions: Sessions) -> None:
    Base.metadata.drop_all(engine_of(sessions))
    engine_of(sessions).dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Sessions]:
    """Sessions on an SQLite file."""
    made = make_sessions(make_settings(tmp_path, database_pool_size=POOL_SIZE))
    yield made
    dispose(made)


@pytest.fixture
def postgres(tmp_path: Path, postgres_url: str) -> Iterator[Sessions]:
    """Sessions on PostgreSQL."""
    settings = make_settings(tmp_path, database_url=postgres_url, database_pool_size=POOL_SIZE)
    made = make_sessions(settings)
    yield made
    dispose(made)


@pytest.fixture(params=["sqlite", "postgres"])
def sessions(request: pytest.FixtureRequest) -> Sessions:
    """Sessions on either database."""
    made: Sessions = request.getfixturevalue(request.param)
    return made


def write(session: Session, body: object = "x") -> None:
    session.add(Note(body=body))
    session.flush()


def count_notes(sessions: Sessions) -> int:
    with sessions() as session:
        return len(session.scalars(select(Note.id)).all())


@pytest.mark.parametrize(
    "value", [{"text": "词 \u2028", "list": [1, 2.5, None, True], "empty": {}}, [], "12", 12, 0.5, False]
)
def test_database_json_value_reads_back_equal(sessions: Sessions, value: object) -> None:
    with sessions() as session:
        write(session, value)
        session.commit()
    with sessions() as session:
        assert session.scalars(select(Note.body)).all() == [value]


def test_postgres_keeps_a_text_without_the_nul_it_cannot_keep(postgres: Sessions) -> None:
    with postgres() as session:
        assert session.scalar(select(literal("a\0b", String))) == "ab"


def test_database_committed_row_stays_readable_outside_its_session(sessions: Sessions) -> None:
    with sessions() as session:
        note = Note(body=1)
        session.add(note)
        session.commit()
    assert note.body == 1


def test_database_block_that_raises_leaves_nothing(sessions: Sessions) -> None:
    def fail() -> None:
        with sessions() as session:
            write(session)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert count_notes(sessions) == 0


def test_database_savepoint_rolled_back_leaves_the_rest(sessions: Sessions) -> None:
    with sessions() as session:
        savepoint = session.begin_nested()
        write(session, "inner")
        savepoint.rollback()
        write(session, "outer")
        session.commit()
    with sessions() as session:
        assert session.scalars(select(Note.body)).all() == ["outer"]


def test_database_failed_schema_change_leaves_nothing(sessions: Sessions) -> None:
    engine = engine_of(sessions)
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE half_done (id INTEGER)"))
        with pytest.raises(exc.DBAPIError):
            connection.execute(text("ALTER TABLE no_such_table ADD COLUMN x INTEGER"))
    with pytest.raises(exc.DBAPIError), engine.connect() as connection:
        connection.execute(text("SELECT * FROM half_done"))


def test_database_pool_exhausted_waits_no_longer_than_told(sessions: Sessions) -> None:
    pool = engine_of(sessions).pool
    assert isinstance(pool, QueuePool)
    assert pool._timeout == 10.0
    pool._timeout = 0.1
    held = [engine_of(sessions).connect() for _ in range(POOL_SIZE)]
    started = time.monotonic()
    with pytest.raises(exc.TimeoutError):
        engine_of(sessions).connect()
    assert_quick(time.monotonic() - started, 5)
    held.pop().close()
    engine_of(sessions).connect().close()
    for connection in held:
        connection.close()


def test_count_statements_counts_each_statement_of_any_thread_meanwhile(sessions: Sessions) -> None:
    count_notes(sessions)
    with count_statements(engine_of(sessions)) as statements:
        count_notes(sessions)
        other = threading.Thread(target=count_notes, args=(sessions,))
        other.start()
        other.join()
        with sessions() as session:
            write(session)
    count_notes(sessions)
    assert [statement.split()[0] for statement in statements] == ["SELECT", "SELECT", "INSERT"]


def test_count_checkouts_follows_the_pool(sessions: Sessions) -> None:
    engine = engine_of(sessions)
    with engine.connect() as first, count_checkouts(engine) as figures:
        assert (figures.now, figures.most, figures.total) == (1, 1, 0)
        with engine.connect():
            assert (figures.now, figures.most, figures.total) == (2, 2, 1)
        count_notes(sessions)
        first.close()
        assert (figures.now, figures.most, figures.total) == (0, 2, 2)


# SQLite


@pytest.mark.timeout(200)
@pytest.mark.parametrize("kind", ["plain", "patched"])
def test_sqlite_three_processes_of_ten_writers_lose_nothing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "shared.db"
    processes, threads, count = 3, 10, 5
    app = Flask("test")
    settings = make_settings(tmp_path, database_url=f"sqlite:///{path}")
    shared = session_factory(app, create_database(app, settings, MetaData()))
    with engine_of(shared).begin() as connection:
        connection.execute(text("CREATE TABLE counters (n INTEGER)"))
        connection.execute(text("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)"))
        connection.execute(text("INSERT INTO counters VALUES (0)"))
    script = str(ROOT / "tests/backends/many_writers.py")
    command = [sys.executable, script, str(path), *map(str, (processes, threads, count)), kind]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kept_waiting_s = [float(line) for line in done.stdout.split()]
    assert len(kept_waiting_s) == processes
    assert_quick(max(kept_waiting_s), 1)  # writers hold up no other thread
    with shared() as session:
        wanted = processes * threads * count
        assert session.execute(text("SELECT n FROM counters")).scalar() == wanted
        assert session.execute(text("SELECT count(*) FROM notes")).scalar() == wanted
    engine_of(shared).dispose()


def test_sqlite_reader_is_not_kept_waiting_by_a_writer(sqlite: Sessions) -> None:
    with sqlite() as session:
        write(session)
        session.commit()
        write(session)
        started = time.monotonic()
        assert count_notes(sqlite) == 1, "what is not committed is not seen"
        assert_quick(time.monotonic() - started, 1)
        session.commit()
    assert count_notes(sqlite) == 2


def test_sqlite_reader_takes_no_turn_from_writers(sqlite: Sessions) -> None:
    with sqlite() as reader:
        reader.scalars(select(Note.id)).all()
        started = time.monotonic()
        with sqlite() as writer:
            write(writer)
            writer.commit()
        assert_quick(time.monotonic() - started, 1)


def test_sqlite_writers_write_in_the_order_they_came(
    sqlite: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = POOL_SIZE - 1
    turns: list[Any] = []
    begin = database._begin_if_write

    def begin_and_note(turn: Any, *args: Any) -> None:
        turns.append(turn)
        begin(turn, *args)

    monkeypatch.setattr(database, "_begin_if_write", begin_and_note)
    with sqlite() as first:
        write(first, "first")
        writers = []
        for number in range(count):
            writers.append(threading.Thread(target=write_and_commit, args=(sqlite, number)))
            writers[-1].start()
            wait_until(lambda number=number: len(turns[0]._waiting) == number + 1)  # type: ignore[misc]
        first.commit()
        for writer in writers:
            writer.join(30)
    with sqlite() as session:
        bodies = session.scalars(select(Note.body).order_by(Note.id)).all()
    assert bodies == ["first", *range(count)]


def write_and_commit(sessions: Sessions, body: object) -> None:
    with sessions() as session:
        write(session, body)
        session.commit()


@pytest.mark.parametrize("end", ["rollback", "close", "raise", "invalidate"])
def test_sqlite_turn_is_given_back_however_a_writer_ends(sqlite: Sessions, end: str) -> None:
    connection = engine_of(sqlite).connect()
    connection.execute(text("INSERT INTO notes_of_test_database (body) VALUES ('1')"))
    match end:
        case "rollback":
            connection.rollback()
        case "raise":
            with pytest.raises(exc.OperationalError):
                connection.execute(text("INSERT INTO no_such_table VALUES (1)"))
        case "invalidate":
            connection.invalidate()
    connection.close()
    started = time.monotonic()
    write_and_commit(sqlite, "next")
    assert_quick(time.monotonic() - started, 1)
    assert count_notes(sqlite) == 1


def test_sqlite_connection_writes_again_after_its_commit(sqlite: Sessions) -> None:
    with engine_of(sqlite).connect() as connection:
        for _ in range(2):
            connection.execute(text("INSERT INTO notes_of_test_database (body) VALUES ('1')"))
            connection.commit()
    assert count_notes(sqlite) == 2


def test_sqlite_insert_behind_a_common_table_expression_is_rolled_back(sqlite: Sessions) -> None:
    statement = text(
        "WITH one AS (SELECT '1' AS body) INSERT INTO notes_of_test_database (body) SELECT body FROM one"
    )
    with sqlite() as session:
        session.execute(statement)
        session.rollback()
    assert count_notes(sqlite) == 0


def test_sqlite_foreign_keys_are_enforced_in_write_ahead_mode(sqlite: Sessions) -> None:
    with engine_of(sqlite).connect() as connection:
        pragmas = [
            connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("foreign_keys", "journal_mode", "synchronous")
        ]
    assert pragmas == [1, "wal", 1]


def test_sqlite_file_is_its_owners_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    database = create_database(app := Flask("test"), make_settings(tmp_path), MetaData())
    with app.app_context(), database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE one (id INTEGER)"))
        modes = [path.stat().st_mode & 0o777 for path in tmp_path.glob("slipway.db*")]

    assert modes == [0o600] * 3


def test_sqlite_file_that_cannot_be_made_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = make_settings(tmp_path, database_url=f"sqlite:///{tmp_path / 'file' / 'rows.db'}")
    with pytest.raises(SettingsError, match="cannot be used: "):
        make_sessions(settings)


def test_sqlite_in_memory_is_refused_with_a_sentence(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, database_url="sqlite:///:memory:")
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        create_database(Flask("test"), settings, MetaData())


# PostgreSQL


def test_postgres_connections_ended_by_the_server_cost_no_error(
    postgres: Sessions, postgres_url: str
) -> None:
    victims = both_pids(postgres)
    with psycopg.connect(postgres_url) as killer:
        for pid in victims:
            assert killer.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,)).fetchone() == (True,)
    assert not victims & both_pids(postgres)


def both_pids(sessions: Sessions) -> set[int]:
    with sessions() as one, sessions() as two:
        return {session.execute(text("SELECT pg_backend_pid()")).scalar_one() for session in (one, two)}


def test_postgres_forgotten_transaction_and_endless_statement_are_bounded(postgres: Sessions) -> None:
    with postgres() as session:
        limits = [
            session.execute(text(f"SHOW {name}")).scalar()
            for name in ("statement_timeout", "idle_in_transaction_session_timeout")
        ]
    assert limits == ["30s", "30s"]


def test_postgres_out_of_reach_fails_at_once_with_an_operational_error(tmp_path: Path) -> None:
    unused_port = free_port()
    app = Flask("test")
    settings = make_settings(tmp_path, database_url=f"postgresql://nobody@127.0.0.1:{unused_port}/none")
    unreachable = session_factory(app, create_database(app, settings, MetaData()))
    started = time.monotonic()
    with pytest.raises(exc.OperationalError), unreachable() as session:
        session.execute(text("SELECT 1"))
    assert_quick(time.monotonic() - started, 2)


def test_postgres_that_keeps_no_utf8_is_refused_with_a_sentence(tmp_path: Path, postgres_url: str) -> None:
    name = f"slipway_test_ascii_{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'".encode()
        )
        try:
            url = urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
            app = Flask("test")
            database = create_database(app, make_settings(tmp_path, database_url=url), MetaData())
            sessions = session_factory(app, database)
            with pytest.raises(SettingsError, match="encoding is SQL_ASCII"), sessions() as session:
                session.execute(text("SELECT 1"))
            sessions.kw["bind"].dispose()
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
