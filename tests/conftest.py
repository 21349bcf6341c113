"""Fixtures: the whole program, embedded and scaled out, and a fresh workspace for each test.

Every row belongs to a workspace, so a test isolates itself by making its own;
nothing is rolled back or truncated between tests.

``house`` is embedded (SQLite, everything in memory) or scaled out (PostgreSQL,
Redis). The rule: a test of doors or use cases runs on one of the two, which its
name draws, so that every area is seen on both; where it is marked BOTH, as all
that race, lock, purge or use SQL that is written twice are, it runs on both.
Jobs, backends and contracts run on both. ``make everywhere`` runs all on both.
Where PostgreSQL and Redis do not answer, all run embedded.
"""

import contextlib
import gc
import io
import os
import re
import socket
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, NoReturn
from urllib.parse import urlsplit
from zlib import crc32

import hypothesis
import psycopg
import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from werkzeug.routing import Rule

from api.app_factory import create_app
from api.backends.cache import redis as redis_cache
from api.backends.channel import redis as redis_channel
from api.backends.database import create_database
from api.backends.migrations import install_migrations, upgrade
from api.controllers.http import limits
from api.core.model_runtime.local_embedding import embed_text
from api.core.model_runtime.providers import builtin
from api.core.ports import Cancel
from api.core.rag.extract_child import read_document
from api.models.account import Setup
from api.models.base import Base
from api.runtime import Runtime
from api.services import passwords, remembered
from api.settings import Settings
from api.tasks.registry import run_job
from tests import s3_double
from tests.factories import ChatApp, Owner, make_chat_app, make_owner
from tests.letterbox import Letterbox
from tests.statements import as_job

pytest_plugins = ("tests.commands", "tests.tries", "tests.vector_stores")

DATABASE_URL = os.environ.get("TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/15")
RABBITMQ_URL = os.environ.get("TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//")
WORLDS = ("embedded", "scaled")
ANY_WORLD = re.compile("|".join(WORLDS))
IS_EVERYWHERE = bool(os.environ.get("TEST_EVERYWHERE"))
DRAWN = ("tests/clients/", "tests/controllers/", "tests/sdks/", "tests/services/")
"""Where the tests of doors and use cases are."""
PROGRAMS = (
    "tests/contracts/test_under_gevent.py",
    "tests/core/test_http_gevent.py",
    "tests/live/",
    "tests/conformance/",
    "tests/docker/",
    "tests/sdks/test_samples.py",  # before the pages, which make apps
    "tests/sdks/",
)
"""Where whole programs are started, and mostly waited for; the longest first."""
SECRET = SecretStr("a-secret-of-the-tests-0123456789-abcdef")
COSTLY = {"HASHER": passwords.HASHER, "NOBODY": passwords.NOBODY}
"""How the program hashes passwords."""
QUICK = {
    "HASHER": PasswordHasher(time_cost=1, memory_cost=16, parallelism=1),
    "NOBODY": f"$argon2id$v=19$m=16,t=1,p=1${'A' * 22}${'A' * 43}",
}
"""The same, at no cost."""


hypothesis.settings.register_profile(
    "suite",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=not IS_EVERYWHERE,
    database=None,
)
hypothesis.settings.load_profile("suite")
"""A busy machine is no fault of an example; each run tries the same ones, but for ``make everywhere``."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", "both: runs embedded and scaled out, whatever is drawn")
    config.addinivalue_line("markers", "once: runs where the others of its file run that have this mark")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave each test in the one world that is drawn for it, and begin with what waits longest.

    One of the parallel processes then has most of what starts programs, which
    share one that has read the modules (tests/commands.py), while the others
    keep the processors busy.
    """
    if not IS_EVERYWHERE:
        found = {item.nodeid for item in items}
        items[:] = [item for item in items if _is_at_home(item, found)]
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    turns = [number for number, place in enumerate(PROGRAMS) if item.nodeid.startswith(place)]
    names = getattr(item, "fixturenames", ())
    if "house" in names:  # which is made anew where tests of its two worlds alternate
        return len(PROGRAMS) + 1
    return turns[0] if turns else len(PROGRAMS) + ("commands" not in names)


def _is_at_home(item: pytest.Item, found: set[str]) -> bool:
    places = [ANY_WORLD.sub(world, item.nodeid) for world in WORLDS]
    is_drawn = item.nodeid.startswith(DRAWN) and item.get_closest_marker("both") is None
    if not is_drawn or not found.issuperset(places):
        return True
    name = item.nodeid.partition("::")[0] if item.get_closest_marker("once") else item.nodeid
    drawn = crc32(ANY_WORLD.sub("", name).encode()) % 2 if _is_scaled_possible() else 0
    return item.nodeid == places[drawn]


@cache
def _is_scaled_possible() -> bool:
    return answers(DATABASE_URL) and answers(REDIS_URL)


def pytest_collection() -> None:
    """Look for no garbage while tests are found: all of it stays."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Keep what stays to the end out of every collection of garbage, and collect as rarely as the program."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Hash passwords at no cost; what they cost is seen by those that ask for ``costly_passwords``."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUICK.items():
            patch.setattr(passwords, name, value)
        yield


@pytest.fixture
def costly_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords as the program does."""
    for name, value in COSTLY.items():
        monkeypatch.setattr(passwords, name, value)


@pytest.fixture(scope="session", autouse=True)
def long_memory() -> Iterator[None]:
    """Remember who is calling for longer than any test takes, so that no second's end comes in between.

    That it is forgotten after a second is seen by tests/controllers/service_api/test_callers.py.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remembered, "REMEMBER_S", 600.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def remembered_embeddings() -> Iterator[None]:
    """Let the built-in model embed a text once for all tests, which share a few: it gives the same each time.

    The model itself is seen by tests/core/model_runtime/test_local_embedding.py.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtin, "embed_text", cache(embed_text))
        yield


@pytest.fixture(scope="session", autouse=True)
def remembered_routes() -> Iterator[None]:
    """Compile once for all programs what builds the address of a route: nine tenths of making a program.

    It follows from the text of the route alone, and is given the route when it is called.
    """
    known: dict[tuple[object, ...], Callable[..., tuple[str, str]]] = {}
    compile_builder = Rule._compile_builder

    def remembered(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        if rule.defaults:
            return compile_builder(rule, append_unknown)
        key = (rule.rule, tuple(rule._trace), append_unknown)
        if key not in known:
            known[key] = compile_builder(rule, append_unknown)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", remembered)
        yield


class ReadsHere:
    """Implements Extractor in this process: a child for each document takes a tenth of a second.

    Children are seen by tests/contracts/test_extraction.py, and as the program starts
    them by tests/services/test_reading.py.
    """

    def extract(self, content: BinaryIO, extension: str, *, cancel: Cancel) -> str:
        if cancel.failure is not None:
            raise cancel.failure
        return read_document(io.BytesIO(content.read()), extension)


def answers(url: str) -> bool:
    """Tell whether something listens where a URL points."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=1).close()
    except OSError:
        return False
    return True


def do_without(reason: str) -> NoReturn:
    """Skip a test for want of a server; where all is to be seen, fail it."""
    if IS_EVERYWHERE:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A database of this test process alone."""
    if not answers(DATABASE_URL):
        do_without(f"no PostgreSQL answers at {urlsplit(DATABASE_URL).netloc}")
    name = f"slipway_test_{os.getpid()}"
    with psycopg.connect(DATABASE_URL, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {name}".encode())
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())  # lost with it
        yield urlsplit(DATABASE_URL)._replace(path=f"/{name}").geturl()
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def redis_url() -> str:
    """A Redis that answers."""
    if not answers(REDIS_URL):
        do_without(f"no Redis answers at {urlsplit(REDIS_URL).netloc}")
    return REDIS_URL


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    """A RabbitMQ that answers."""
    if not answers(RABBITMQ_URL):
        pytest.skip(f"no RabbitMQ answers at {urlsplit(RABBITMQ_URL).hostname}")
    return RABBITMQ_URL


@pytest.fixture(scope="session")
def s3_values() -> Iterator[dict[str, str]]:
    """The settings of a bucket."""
    with s3_double.serving() as double:
        yield {
            "storage": "s3",
            "s3_bucket": "files",
            "s3_prefix": "ours",
            "s3_endpoint_url": double.url,
            "s3_region": "eu-central-1",
            "s3_access_key_id": "the-key",
            "s3_secret_access_key": "the-secret",
        }


def make_settings(data_dir: Path, **values: object) -> Settings:
    """Return settings for a test: quiet, and with nothing from the environment's ``.env``."""
    defaults = {"data_dir": data_dir, "secret_key": SECRET, "log_level": "ERROR", "ping_interval_s": 0.5}
    return Settings.model_validate({**defaults, **values})


def make_house(settings: Settings, *, has_owner: bool = True) -> Flask:
    """Return the program on a migrated database, in testing mode."""
    file = settings.data_dir / "slipway.db"
    is_new = not settings.database_url and not file.exists()
    if is_new:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(migrated())
    app = create_app(settings)
    app.testing = True
    install_migrations(app)
    if not is_new:
        with app.app_context():
            upgrade()
    if has_owner:
        with app.extensions["runtime"].transaction() as session:
            session.merge(Setup(id=1))
    return app


@cache
def migrated() -> bytes:
    """Return an embedded database as the migrations make it, for every program that begins with one."""
    with TemporaryDirectory() as folder:
        app = Flask("migrated")
        database = create_database(app, make_settings(Path(folder)), Base.metadata)
        install_migrations(app)
        with app.app_context():
            upgrade()
            database.engine.dispose()
        with contextlib.closing(sqlite3.connect(Path(folder, "slipway.db"))) as made:
            return made.serialize()


@pytest.fixture(scope="session", params=WORLDS)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The program with its worker: embedded (SQLite, memory) and scaled (PostgreSQL, Redis)."""
    urls = {}
    if request.param == "scaled":
        urls = {
            "database_url": request.getfixturevalue("postgres_url"),
            "redis_url": request.getfixturevalue("redis_url"),
        }
    with patient_with_redis():
        app = make_house(make_settings(tmp_path_factory.mktemp(request.param), **urls))
    made: Runtime = replace(app.extensions["runtime"], extractor=ReadsHere())
    app.extensions["runtime"] = made
    made.queue.start(
        as_job(partial(run_job, made)), ()
    )  # without the schedule, whose statements tests would count
    yield app
    stop_house(app)


@contextlib.contextmanager
def patient_with_redis() -> Iterator[None]:
    """Have a program that is made wait for a Redis that is slow, as on a busy machine.

    The program itself soon goes on without it: counts no calls, holds no slots.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("socket_connect_timeout", "socket_timeout"):
            patch.setitem(limits.STORAGE_OPTIONS, name, 20.0)
        patch.setattr(redis_cache, "TIMEOUT_S", 20.0)
        patch.setattr(redis_channel, "CONNECT_TIMEOUT_S", 20.0)
        patch.setattr(redis_channel, "READ_TIMEOUT_S", 20.0)
        yield


BOTH = pytest.mark.both
"""For what a database or a cache does in its own way: locks, races, SQL that is written twice."""

ONCE = pytest.mark.once
"""For those of a file that share what takes long to make ready: all of them run in one world."""


def stop_house(app: Flask) -> None:
    """Stop the threads of a program and give its connections back."""
    runtime: Runtime = app.extensions["runtime"]
    runtime.queue.stop(30.0)
    runtime.sandbox.stop()
    runtime.plugins.stop()
    runtime.channel.stop()
    runtime.session_factory.kw["bind"].dispose()


@pytest.fixture
def runtime(house: Flask) -> Runtime:
    """The backends of the program."""
    made: Runtime = house.extensions["runtime"]
    return made


@pytest.fixture
def client(house: Flask) -> FlaskClient:
    """A client of the program, without cookies of other tests."""
    return house.test_client()


@pytest.fixture
def owner(runtime: Runtime) -> Owner:
    """The owner of a fresh workspace, signed in."""
    return make_owner(runtime)


@pytest.fixture
def letterbox(runtime: Runtime) -> Iterator[Letterbox]:
    """Let the program send mail, into a box."""
    box = Letterbox()
    object.__setattr__(runtime, "mailer", box)  # of this very runtime: the queue's worker holds it
    yield box
    object.__setattr__(runtime, "mailer", None)


@pytest.fixture
def chat_app(runtime: Runtime, owner: Owner) -> ChatApp:
    """A chat app on the built-in model, with a key."""
    return make_chat_app(runtime, owner)


@pytest.fixture
def fresh_client(tmp_path: Path) -> Iterator[FlaskClient]:
    """A client of an embedded program that has no owner yet."""
    app = make_house(make_settings(tmp_path), has_owner=False)
    yield app.test_client()
    stop_house(app)
