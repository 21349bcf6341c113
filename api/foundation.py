"""Settings and backends put together: the ground that the rest of the program stands on.

A start that finds nothing to migrate needs no more; jobs come with
api/queue_factory.py, doors with api/app_factory.py.
"""

from collections.abc import Callable
from typing import Any

from flask import Flask

from api.backends import build_runtime, make_data_dir
from api.backends.database import create_database, session_factory
from api.backends.schema import check_database, check_schema, is_newest
from api.backends.secret import check_secret, exchanged, keep_secret, root_secret
from api.logs import configure_logging
from api.models.base import Base
from api.settings import Settings

__all__ = [
    "check_database",
    "check_schema",
    "check_secret",
    "create_foundation",
    "exchanged",
    "is_newest",
    "keep_secret",
    "root_secret",
]


class House(Flask):
    """Flask, whose handlers are all plain functions here: it need not look for coroutines on each call."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is."""
        return func


def create_foundation(settings: Settings) -> Flask:
    """Return a program that answers nobody; starts no thread and touches no table.

    Raises SettingsError where the configuration cannot be used.
    """
    configure_logging(settings.log_level, settings.log_format)
    flask = House(__name__, static_folder=None)
    make_data_dir(settings)
    database = create_database(flask, settings, Base.metadata)
    flask.extensions["runtime"] = build_runtime(settings, session_factory(flask, database))
    return flask
