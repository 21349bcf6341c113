"""Migrations of the database by Flask-Migrate; who serves never loads them (10 MB)."""

import sqlite3
from contextlib import closing
from pathlib import Path

from flask import Flask
from flask_migrate import Migrate, downgrade, revision, upgrade
from sqlalchemy import Engine

from api.backends.schema import current_revision, newest_revision

__all__ = [
    "current_revision",
    "downgrade",
    "install_migrations",
    "keep_copy",
    "newest_revision",
    "revision",
    "upgrade",
]

DIRECTORY = "migrations"
COPIES = 2
"""How many copies of an embedded database are kept."""


def install_migrations(flask: Flask) -> None:
    """Let the functions of this module work in a context of ``flask``."""
    Migrate(flask, flask.extensions["sqlalchemy"], directory=DIRECTORY, render_as_batch=True)


def keep_copy(engine: Engine, directory: Path) -> Path | None:
    """Copy an embedded database that is about to be migrated, whole, and return where to; else None.

    Copies of other migrations are removed, but for the newest. A PostgreSQL is its operator's to back up.
    """
    before = current_revision(engine)
    if engine.dialect.name != "sqlite" or before in (None, newest_revision()):
        return None
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"before-{newest_revision()}-of-{before}.db"
    draft = path.with_suffix(".incoming")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    with (
        closing(sqlite3.connect(str(engine.url.database))) as source,
        closing(sqlite3.connect(draft)) as copy,
    ):
        source.backup(copy)
    draft.replace(path)
    copies = sorted(directory.glob("before-*.db"), key=lambda copy: copy.stat().st_mtime)
    for old in copies[:-COPIES]:
        old.unlink()
    return path
