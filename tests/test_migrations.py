"""The migrations make the tables the program is written for, and take them away again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import check, downgrade, upgrade
from sqlalchemy import inspect, text

from api.app_factory import create_app
from api.backends.migrations import install_migrations
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
    upgrade()
    assert sorted(inspect(engine).get_table_names()) == made
