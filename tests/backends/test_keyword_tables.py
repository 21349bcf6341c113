"""The full-text index's migration, there and back with entries in it."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from flask_migrate import downgrade, upgrade
from sqlalchemy import inspect

from api.core.rag.chunk import TextEntry
from tests.conftest import make_house, make_settings, stop_house

BEFORE = "0002"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database that no other test uses."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'migrated.db'}"
        return
    server = request.getfixturevalue("postgres_url")
    name = f"slipway_test_keywords_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_keyword_tables_are_unmade_with_all_they_hold_and_made_again(
    database_url: str, tmp_path: Path
) -> None:
    house = make_house(make_settings(tmp_path, database_url=database_url))
    runtime = house.extensions["runtime"]
    entry = TextEntry(id="a", segment_id="a", document_id="d", text="A robot.")
    runtime.keywords.upsert("collection", [entry])
    assert len(runtime.keywords.search(["collection"], "robot", top_k=1)) == 1

    with house.app_context():
        downgrade(revision=BEFORE)
        left = inspect(runtime.session_factory.kw["bind"]).get_table_names()
        upgrade()

    assert [name for name in left if name.startswith("keyword")] == []
    assert list(runtime.keywords.collections()) == []
    runtime.keywords.upsert("collection", [entry])
    assert len(runtime.keywords.search(["collection"], "robot", top_k=1)) == 1
    stop_house(house)
