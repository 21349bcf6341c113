"""The console's doors, under /console/api, with their Swagger UI."""

from flask import Blueprint

from api import __version__
from api.controllers.console import (
    account,
    api_keys,
    app_config,
    apps,
    auth,
    custom_models,
    provider_credentials,
    providers,
    setup,
    system,
    workspaces,
)
from api.controllers.http.swagger import AUTHORIZATIONS, DescribedApi, SwaggerDocument

NAME = "console"
"""Of the blueprint."""

NAMESPACES = (
    setup.ns,
    auth.ns,
    system.ns,
    account.ns,
    workspaces.ns,
    apps.ns,
    app_config.ns,
    api_keys.ns,
    providers.ns,
    provider_credentials.ns,
    custom_models.ns,
)


def create_blueprint() -> Blueprint:
    """Return the console API; its Swagger UI lies at /console/api/spec."""
    blueprint = Blueprint(NAME, __name__, url_prefix="/console/api")
    api = DescribedApi(
        blueprint,
        title="Slipway console API",
        version=__version__,
        doc="/spec",
        authorizations=AUTHORIZATIONS,
        security="bearer",
    )
    api.add_resource(SwaggerDocument, "/spec/swagger.json", route_doc=False)
    for namespace in NAMESPACES:
        api.add_namespace(namespace)
    return blueprint
