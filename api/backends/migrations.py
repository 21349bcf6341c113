"""Migrations of the database by Flask-Migrate; who serves never loads them (10 MB)."""

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import Migrate, downgrade, revision, upgrade
from sqlalchemy import Engine

__all__ = ["current_revision", "downgrade", "install_migrations", "newest_revision", "revision", "upgrade"]

DIRECTORY = "migrations"


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
