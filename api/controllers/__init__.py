"""All doors: HTTP in, HTTP out, nothing else."""

from flask import Blueprint, Flask
from flask_cors import CORS

from api.controllers import console, service_api
from api.controllers.files import previews
from api.controllers.http.auth import install_login
from api.controllers.http.door import check_guards
from api.controllers.http.errors import install_error_handlers
from api.controllers.http.limits import install_limits
from api.controllers.http.observe import install_observation
from api.controllers.operate import health

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


def register_doors(app: Flask, *, console_origins: tuple[str, ...], api_origins: tuple[str, ...]) -> None:
    """Register every door and what all of them share; refuses a route that declares no guard."""
    install_error_handlers(app)
    install_observation(app)
    install_login(app)
    install_limits(app)
    app.register_blueprint(_console(console_origins))
    for dialect, mount in (("seed", "/api"), ("dify", "/v1")):
        app.register_blueprint(_service_api(dialect, mount, api_origins))
    app.register_blueprint(previews.blueprint)
    app.register_blueprint(health.blueprint)
    check_guards(app)


def _console(origins: tuple[str, ...]) -> Blueprint:
    """Return the console; only the origins named exactly may call it with credentials."""
    blueprint = console.create_blueprint()
    if origins:
        CORS(
            blueprint,
            origins=list(origins),
            supports_credentials=True,
            methods=METHODS,
            allow_headers=["Content-Type", "Authorization", "X-CSRF-Token", "Idempotency-Key"],
            expose_headers=EXPOSED,
            vary_header=True,
        )
    return blueprint


def _service_api(dialect: str, mount: str, origins: tuple[str, ...]) -> Blueprint:
    """Return the public API of a dialect; browsers may call it without credentials."""
    blueprint = service_api.create_blueprint(dialect, mount)
    CORS(
        blueprint,
        origins=list(origins),
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
    )
    return blueprint
