"""What comes before serving: a database of the newest schema, and a word to who starts a demo."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import click
from flask import Flask
from sqlalchemy import Engine

from api.foundation import check_database, create_foundation, is_newest
from api.settings import Settings, SettingsError


def prepare(settings: Settings) -> int:
    """Migrate and greet, in a process of its own; return its exit status.

    The server's workers are then forked from a process that has opened nothing:
    no connection, no thread.
    """
    try:
        flask = create_foundation(settings)
        _bring_up(flask, settings)
        if settings.demo:
            # What makes a demo is the better part of the program, which only a demo waits for here.
            importlib.import_module("api.greeting").greet(settings, flask.extensions["runtime"])
    except SettingsError as exc:
        click.echo(f"Error: {exc}", err=True)
        return 1
    sys.stdout.flush()
    return 0


def _bring_up(flask: Flask, settings: Settings) -> None:
    """Bring the database to the newest schema; what migrates is loaded only where one is needed."""
    check_database(engine_of(flask))
    if is_newest(flask):
        return
    with migrations_of(flask) as migrations:
        copy = migrations.keep_copy(flask.extensions["sqlalchemy"].engine, settings.data_dir / "backups")
        if copy is not None:
            click.echo(f"The database is migrated; as it was before, it is kept in {copy}.")
        migrations.upgrade()


@contextmanager
def migrations_of(flask: Flask) -> Iterator[ModuleType]:
    """Give what migrates, in a context of ``flask``.

    Raises SettingsError unless the database opens, and for one that a later version has used.
    Loaded here and not above: most starts have nothing to migrate.
    """
    check_database(engine_of(flask))
    migrations = importlib.import_module("api.backends.migrations")
    migrations.install_migrations(flask)
    with flask.app_context():
        yield migrations


def engine_of(flask: Flask) -> Engine:
    """Return the database of a program."""
    with flask.app_context():
        engine: Engine = flask.extensions["sqlalchemy"].engine
    return engine
