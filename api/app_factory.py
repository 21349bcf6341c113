"""The composition root: puts settings, backends, doors and jobs together."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import orjson
from flask import Flask
from flask.json.provider import JSONProvider
from werkzeug.middleware.proxy_fix import ProxyFix

from api.backends import build_runtime
from api.backends.broker import Broker
from api.backends.database import create_database, session_factory
from api.backends.secret import check_secret, exchanged, keep_secret, root_secret
from api.controllers import register_doors
from api.controllers.http.uploads import HouseRequest
from api.core.model_runtime import providers
from api.core.workflow import nodes
from api.logs import configure_logging
from api.models import account, app, conversation, dataset, document, file, job, provider, usage, workflow
from api.models.base import Base
from api.runtime import Runtime
from api.settings import Settings, SettingsError, load_settings
from api.tasks import MODULES
from api.tasks.registry import run_woken
from api.tasks.schedule import to_ticks

if TYPE_CHECKING:
    from celery import Celery

__all__ = [
    "check_secret",
    "create_app",
    "create_worker",
    "exchanged",
    "keep_secret",
    "root_secret",
    "start_queue",
    "start_worker",
]

PLUG_INS = (providers, nodes, MODULES)
"""Importing these fills the registries of providers, nodes and tasks."""
TABLES = (account, app, conversation, dataset, document, file, job, provider, usage, workflow)
"""Importing these fills the metadata."""


class OrjsonProvider(JSONProvider):
    """Flask's JSON through orjson."""

    def dumps(self, obj: object, **kwargs: object) -> str:
        """Return JSON text."""
        del kwargs
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **kwargs: object) -> object:
        """Return the value of JSON text."""
        del kwargs
        return orjson.loads(s)


class House(Flask):
    """Flask, whose handlers are all plain functions here: it need not look for coroutines on each call."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is."""
        return func


def create_app(settings: Settings | None = None) -> Flask:
    """Return the program, ready to serve; starts no thread and touches no table.

    Raises SettingsError where the configuration cannot be used.
    """
    settings = settings or load_settings()
    configure_logging(settings.log_level, settings.log_format)
    flask = House(__name__, static_folder=None)
    flask.request_class = HouseRequest
    flask.json = OrjsonProvider(flask)
    flask.config.update(
        RESTX_ERROR_404_HELP=False,
        RESTX_MASK_SWAGGER=False,
        SWAGGER_UI_DOC_EXPANSION="list",
        RATELIMIT_STORAGE_URI=settings.redis_url if settings.effective_cache == "redis" else "memory://",
        ERROR_INCLUDE_MESSAGE=False,
        WORKER_CONNECTIONS=settings.worker_connections,
    )
    if settings.proxies:
        flask.wsgi_app = ProxyFix(  # type: ignore[method-assign]  # Flask's own way to wrap a program
            flask.wsgi_app, x_for=settings.proxies, x_proto=settings.proxies, x_host=settings.proxies
        )
    database = create_database(flask, settings, Base.metadata)
    flask.extensions["runtime"] = build_runtime(settings, session_factory(flask, database))
    register_doors(
        flask, console_origins=settings.console_cors_origins, api_origins=settings.api_cors_origins
    )
    return flask


def start_worker(flask: Flask) -> None:
    """Start the queue's part of a serving process; called once, and only there."""
    start_queue(cast("Runtime", flask.extensions["runtime"]))


def start_queue(runtime: Runtime) -> None:
    """Start what a process does again and again, and its jobs where the queue has them run there."""
    runtime.queue.start(partial(run_woken, runtime), to_ticks(runtime))


def create_worker(settings: Settings | None = None) -> "tuple[Celery, Runtime]":
    """Return the Celery app of a process that works but does not serve, and what it works with.

    Raises SettingsError where jobs run in the serving process.
    """
    from api.backends.celery_app import create_celery  # Celery is heavy; a serving process may do without

    settings = settings or load_settings()
    if settings.queue != "celery":
        raise SettingsError(f"QUEUE={settings.queue} runs jobs in the serving process; set QUEUE=celery.")
    runtime = cast("Runtime", create_app(settings).extensions["runtime"])
    celery = create_celery(
        Broker.from_settings(settings),
        lambda job_id, _message_id: run_woken(runtime, job_id),
        to_ticks(runtime),
    )
    return celery, runtime
