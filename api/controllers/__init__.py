"""All doors: HTTP in, HTTP out, nothing else."""

from http import HTTPStatus

from flask import Flask, Response, request
from flask_cors import CORS

from api.controllers import console, service_api
from api.controllers.files import previews
from api.controllers.http.auth import install_login
from api.controllers.http.door import check_guards, runtime
from api.controllers.http.entrance import install_entrance
from api.controllers.http.errors import install_error_handlers
from api.controllers.http.limits import install_limits
from api.controllers.http.observe import install_observation
from api.controllers.operate import health, metrics
from api.controllers.triggers import webhooks
from api.controllers.web import activation, forms, pages
from api.services import remembered

EXPOSED = [
    "X-Version",
    "X-Env",
    "X-Trace-Id",
    "X-Request-Id",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "Retry-After",
]
METHODS = ["GET", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"]
CONSOLE = "/console/api/"
PUBLIC_APIS = {"seed": "/api", "dify": "/v1"}
"""Mounts of the public API by the dialect spoken there."""


def register_doors(app: Flask, *, console_origins: tuple[str, ...], api_origins: tuple[str, ...]) -> None:
    """Register every door and what all of them share; refuses a route that declares no guard."""
    install_error_handlers(app)
    install_observation(app)
    install_login(app)
    install_limits(app)
    install_entrance(app, app.config["WORKER_CONNECTIONS"])
    app.after_request(_drop_type_of_nothing)
    if console_origins:
        _open_console(app, console_origins)
    _open_public_apis(app, api_origins)
    own_console = console.create_blueprint()
    own_console.after_request(_note_change)
    app.register_blueprint(own_console)
    for dialect, mount in PUBLIC_APIS.items():
        app.register_blueprint(service_api.create_blueprint(dialect, mount))
    app.register_blueprint(previews.blueprint)
    app.register_blueprint(webhooks.blueprint)
    app.register_blueprint(pages.blueprint)
    app.register_blueprint(activation.blueprint)
    app.register_blueprint(forms.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(metrics.blueprint)
    check_guards(app)


def _drop_type_of_nothing(response: Response) -> Response:
    if response.status_code == HTTPStatus.NO_CONTENT:
        response.headers.pop("Content-Type", None)
    return response


def _open_console(app: Flask, origins: tuple[str, ...]) -> None:
    """Let the origins named exactly, and no others, call the console with credentials (RL-04)."""
    CORS(
        app,
        resources={f"{CONSOLE}.*": {"origins": list(origins)}},
        supports_credentials=True,
        methods=METHODS,
        allow_headers=["Content-Type", "Authorization", "X-CSRF-Token", "Idempotency-Key"],
        expose_headers=EXPOSED,
        always_send=False,
        vary_header=False,  # it would be left out where one origin is named
        intercept_exceptions=False,
    )
    app.after_request(_vary_by_origin)


def _note_change(response: Response) -> Response:
    """Have callers looked up anew once the console has changed anything."""
    if request.method != "GET":
        remembered.forget(runtime())
    return response


def _vary_by_origin(response: Response) -> Response:
    if request.path.startswith(CONSOLE):
        response.vary.add("Origin")
    return response


def _open_public_apis(app: Flask, origins: tuple[str, ...]) -> None:
    """Let browsers call the public API without credentials; unknown paths there answer them as well."""
    CORS(
        app,
        resources={f"{mount}/.*": {"origins": list(origins)} for mount in PUBLIC_APIS.values()},
        supports_credentials=False,
        methods=METHODS,
        allow_headers=[
            "Content-Type",
            "Authorization",
            "X-App-Code",
            "X-App-Passport",
            "X-App-Id",
            "X-Stream-Ids",
            "Last-Event-ID",
            "Idempotency-Key",
        ],
        expose_headers=EXPOSED,
        send_wildcard=True,
        always_send=False,  # who names no origin is no browser
        intercept_exceptions=False,
    )
