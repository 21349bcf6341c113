"""Which schema a database has, and which one this program works with.

Without Alembic, whose 10 MB and 0.3 s a start does without where there is nothing to migrate.
"""

from pathlib import Path

from flask import Flask
from sqlalchemy import URL, Engine, inspect, text
from sqlalchemy.exc import DatabaseError

import api
from api.settings import SettingsError

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
    return max(_revisions())


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
    if revision is not None and revision not in _revisions():
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


def _revisions() -> set[str]:
    return {path.name[:4] for path in VERSIONS.glob("[0-9]*.py")}


def _place(url: URL) -> str:
    """Return host and port of a database server, or the file of an embedded one."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return f"{url.host or 'localhost'}:{url.port or 5432}"
