"""The composition root: puts doors on the foundation, which has settings, backends and jobs together."""

from typing import cast

import orjson
from flask import Flask
from flask.json.provider import JSONProvider
from werkzeug.middleware.proxy_fix import ProxyFix

from api.controllers import register_doors
from api.controllers.http.refusals import refusal
from api.controllers.http.uploads import HouseRequest
from api.foundation import create_foundation
from api.queue_factory import start_queue
from api.runtime import Runtime
from api.services.shutdown import Shutdown
from api.settings import Settings, load_settings


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


def create_app(settings: Settings | None = None) -> Flask:
    """Return the program, ready to serve; starts no thread and touches no table.

    Raises SettingsError where the configuration cannot be used.
    """
    settings = settings or load_settings()
    flask = create_foundation(settings)
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
    register_doors(
        flask, console_origins=settings.console_cors_origins, api_origins=settings.api_cors_origins
    )
    return flask


def start_worker(flask: Flask) -> None:
    """Start the queue's part of a serving process, and give it what its server needs; called once."""
    runtime = cast("Runtime", flask.extensions["runtime"])
    flask.extensions["refusal"] = refusal
    flask.extensions["shutdown"] = Shutdown(runtime)
    start_queue(runtime)
