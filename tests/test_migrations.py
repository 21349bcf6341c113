"""The migrations make the tables the program is written for, and take them away again."""

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import check, downgrade, upgrade
from sqlalchemy import Engine, inspect, text

from api.app_factory import create_app
from api.backends.migrations import install_migrations, keep_copy, newest_revision
from tests.conftest import make_settings, stop_house


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    """The program on a database without tables."""
    urls: dict[str, str] = {}
    if request.param == "postgresql":
        base = request.getfixturevalue("postgres_url")
        urls["database_url"] = f"{base}?options=-csearch_path%3Dmigrations"
    app = create_app(make_settings(tmp_path, **urls))
    engine = app.extensions["runtime"].session_factory.kw["bind"]
    if urls:
        with engine.begin() as connection:
            connection.execute(text("CREATE SCHEMA migrations"))
    install_migrations(app)
    with app.app_context():
        yield app
    if urls:
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA migrations CASCADE"))
    stop_house(app)


def test_migrations_go_up_down_and_up_again(empty: Flask) -> None:
    engine = empty.extensions["runtime"].session_factory.kw["bind"]
    upgrade()
    made = sorted(inspect(engine).get_table_names())
    check()  # exits where the models say otherwise
    downgrade(revision="base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    upgrade(revision="0013")
    add_defaults(engine)
    upgrade()
    assert sorted(inspect(engine).get_table_names()) == made
    with engine.begin() as connection:
        kept = connection.execute(text("SELECT name FROM tool_credentials WHERE is_default ORDER BY name"))
        assert kept.scalars().all() == ["first", "other"]


def add_defaults(engine: Engine) -> None:
    """Give a workspace two default credentials of one provider, and one of another."""
    ids = [str(uuid.uuid4()) for _ in range(4)]
    times = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
    tenant = {"id": ids[0], "at": times[0]}
    rows = [
        {"id": ids[1], "tenant": ids[0], "provider": "a", "name": "second", "at": times[1]},
        {"id": ids[2], "tenant": ids[0], "provider": "a", "name": "first", "at": times[0]},
        {"id": ids[3], "tenant": ids[0], "provider": "b", "name": "other", "at": times[2]},
    ]
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO tenants (id, name, plan, status, providers_version, created_at, updated_at)"
                " VALUES (:id, 'x', 'sandbox', 'normal', 1, :at, :at)"
            ),
            tenant,
        )
        connection.execute(
            text(
                "INSERT INTO tool_credentials"
                " (id, tenant_id, provider, name, sealed, is_default, created_at, updated_at)"
                " VALUES (:id, :tenant, :provider, :name, '', true, :at, :at)"
            ),
            rows,
        )


def test_embedded_database_is_copied_before_it_is_migrated(empty: Flask, tmp_path: Path) -> None:
    engine = empty.extensions["runtime"].session_factory.kw["bind"]
    copies = tmp_path / "copies"
    assert keep_copy(engine, copies) is None  # nothing is lost with a database that is empty

    upgrade(revision="0019")
    kept = [keep_copy(engine, copies) for _ in range(2)]
    upgrade()

    assert keep_copy(engine, copies) is None
    if engine.dialect.name != "sqlite":
        assert kept == [None, None]
        return
    assert kept[0] == kept[1] == copies / f"before-{newest_revision()}-of-0019.db"
    assert kept[0].stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(kept[0])) as copy:
        assert copy.execute("SELECT version_num FROM alembic_version").fetchall() == [("0019",)]
    assert [path.name for path in copies.iterdir()] == [kept[0].name]
