"""The public API's doors, under two mounts: ``seed`` at /api and ``dify`` at /v1.

One set of namespaces serves both; the blueprint's name is the dialect. (A
blueprint that carries a flask-restx Api can be registered once only, hence two.)
"""

from flask import Blueprint

from api import __version__
from api.controllers.http.swagger import AUTHORIZATIONS
from api.controllers.service_api import (
    annotations,
    audio,
    chat,
    completion,
    conversation_variables,
    conversations,
    datasets,
    documents,
    files,
    guest_messages,
    guests,
    human_input,
    info,
    messages,
    metadata,
    models,
    retrieval,
    segments,
    spec,
    tags,
    workflows,
)

NAMESPACES = (
    chat.ns,
    completion.ns,
    conversations.ns,
    conversation_variables.ns,
    messages.ns,
    files.ns,
    audio.ns,
    info.ns,
    annotations.ns,
    datasets.ns,
    documents.ns,
    retrieval.ns,
    segments.ns,
    tags.ns,
    metadata.ns,
    models.ns,
    spec.ns,
    workflows.ns,
    human_input.ns,
)

GUESTS_NAMESPACES = (guests.ns, guest_messages.ns)

GUESTS_MOUNT = "seed"
"""Where browsers look for the API of apps' pages."""


def create_blueprint(dialect: str, mount: str) -> Blueprint:
    """Return the public API under ``mount``, speaking ``dialect`` (``seed`` or ``dify``)."""
    blueprint = Blueprint(dialect, __name__, url_prefix=mount)
    api = spec.PublicApi(
        blueprint,
        title="Slipway service API",
        version=__version__,
        description="What an app's API key opens: messages, conversations, files, the app itself.",
        doc=False,
        authorizations=AUTHORIZATIONS,
        security="bearer",
    )
    for namespace in (*NAMESPACES, *(GUESTS_NAMESPACES if dialect == GUESTS_MOUNT else ())):
        api.add_namespace(namespace)
    return blueprint
