"""The migrations make the tables the program is written for, and take them away again."""

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import check, downgrade, upgrade
from sqlalchemy import Connection, Engine, MetaData, inspect, text

from api.app_factory import create_app
from api.backends.migrations import install_migrations, keep_copy, newest_revision
from api.backends.schema import is_newest
from tests.conftest import make_settings, stop_house
from tests.live.conftest import empty_database


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    """The program on a database without tables."""
    with ExitStack() as databases:
        urls = {}
        if request.param == "postgresql":
            urls["database_url"] = databases.enter_context(empty_database())
        app = create_app(make_settings(tmp_path, **urls))
        install_migrations(app)
        with app.app_context():
            yield app
        stop_house(app)


def test_migrations_go_up_down_and_up_again(empty: Flask) -> None:
    engine = empty.extensions["runtime"].session_factory.kw["bind"]
    assert not is_newest(empty)
    upgrade()
    assert is_newest(empty)
    made = sorted(inspect(engine).get_table_names())
    check()  # exits where the models say otherwise
    downgrade(revision="base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    upgrade(revision="0013")
    assert not is_newest(empty)
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


def test_chats_that_are_agents_become_apps_of_that_mode(empty: Flask) -> None:
    engine = empty.extensions["runtime"].session_factory.kw["bind"]
    upgrade(revision="0020")
    modes = {
        "agent": {"enabled": True, "strategy": "react"},
        "plain": {"enabled": False, "strategy": "function_call"},
        "router": {"enabled": True, "strategy": "router"},
        "none": None,
    }
    at = {"created_at": datetime(2026, 1, 1, tzinfo=UTC), "updated_at": datetime(2026, 1, 1, tzinfo=UTC)}
    tenant_id = str(uuid.uuid4())
    meta = MetaData()
    meta.reflect(engine, only=["tenants", "apps", "app_model_configs"])
    with engine.begin() as connection:
        put(connection, meta, "tenants", id=tenant_id, name="x", plan="sandbox", **at)
        for name, mode in modes.items():
            app_id, config_id = str(uuid.uuid4()), str(uuid.uuid4())
            put(connection, meta, "apps", id=app_id, tenant_id=tenant_id, name=name, mode="chat", **at)
            config = {"id": config_id, "app_id": app_id, "tenant_id": tenant_id}
            put(connection, meta, "app_model_configs", config={"agent_mode": mode}, **config, **at)
            connection.execute(
                meta.tables["apps"].update().where(meta.tables["apps"].c.id == app_id),
                {"app_model_config_id": config_id},
            )
    upgrade()

    with engine.connect() as connection:
        found = connection.execute(text("SELECT name, mode FROM apps")).all()
    assert {row.name: row.mode for row in found} == {
        "agent": "agent-chat",
        "plain": "chat",
        "router": "chat",
        "none": "chat",
    }


def put(connection: Connection, meta: MetaData, table: str, **values: object) -> None:
    """Write a row, with something in each column that must have a value."""
    columns = meta.tables[table].c
    needed = {
        column.name: {"VARCHAR": "x", "TEXT": "x"}.get(str(column.type), 0)
        for column in columns
        if not column.nullable and column.server_default is None
    }
    connection.execute(meta.tables[table].insert(), {**needed, **values})
