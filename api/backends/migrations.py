"""Migrations of the database by Flask-Migrate, and whether it needs any; who serves never loads them."""

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import Migrate, downgrade, revision, upgrade
from sqlalchemy import URL, Engine
from sqlalchemy.exc import DatabaseError

from api.settings import SettingsError

__all__ = [
    "check_database",
    "check_schema",
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


def newest_revision() -> str:
    """Return the schema this program works with."""
    return str(ScriptDirectory(DIRECTORY).get_current_head())


def current_revision(engine: Engine) -> str | None:
    """Return the schema a database has; None for one that has none."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def check_database(engine: Engine) -> None:
    """Raise SettingsError unless the database opens, and where a later version of the program has used it.

    The message names the place and never the password.
    """
    try:
        revision = current_revision(engine)
    except DatabaseError as exc:
        reason = str(exc.orig).partition("\n")[0]
        raise SettingsError(
            f"DATABASE_URL: the database at {_place(engine.url)} cannot be opened: {reason}."
        ) from None
    if revision is not None and not _is_known(revision):
        raise SettingsError(
            f"The database at {_place(engine.url)} was last used by a later version of this program (schema "
            f"{revision}). Run that one; to go back, have it `migrate --down-to {newest_revision()}`, "
            "or restore a backup."
        )


def check_schema(engine: Engine) -> str:
    """Return the schema of a database; raises SettingsError unless it is this program's."""
    revision = current_revision(engine)
    place = _place(engine.url)
    if revision is None:
        asked = "are DATABASE_URL and DATA_DIR those of the server?"
        raise SettingsError(
            f"The database at {place} is empty: {asked} A new one is begun by `start` or `migrate`."
        )
    if revision != newest_revision():
        raise SettingsError(f"The database at {place} has an older schema than this program: migrate first.")
    return revision


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


def _is_known(revision: str) -> bool:
    return any(script.revision == revision for script in ScriptDirectory(DIRECTORY).walk_revisions())


def _place(url: URL) -> str:
    """Return host and port of a database server, or the file of an embedded one."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return f"{url.host or 'localhost'}:{url.port or 5432}"
