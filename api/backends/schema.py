"""Which schema a database has, and which one this program works with.

Without Alembic, whose 10 MB and 0.3 s a start does without where there is nothing to migrate.
"""

from pathlib import Path

from flask import Flask
from sqlalchemy import Engine, inspect, text

import api

VERSIONS = Path(api.__file__).parents[1] / "migrations" / "versions"
TABLE = "alembic_version"


def is_newest(flask: Flask) -> bool:
    """Tell whether the database of a program has the schema it works with."""
    with flask.app_context():
        engine: Engine = flask.extensions["sqlalchemy"].engine
    return current_revision(engine) == newest_revision()


def current_revision(engine: Engine) -> str | None:
    """Return the schema a database has; None for one that has none."""
    if not inspect(engine).has_table(TABLE):
        return None
    with engine.connect() as connection:
        revision: str | None = connection.scalar(text(f"SELECT version_num FROM {TABLE}"))  # noqa: S608 - ours
    return revision


def newest_revision() -> str:
    """Return the schema this program works with; the name of a migration begins with its four digits."""
    return max(path.name[:4] for path in VERSIONS.glob("[0-9]*.py"))
