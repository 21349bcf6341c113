"""API-based extensions on the wire."""

from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Choice, Text, json_field, parser, query_field
from api.controllers.schemas.fields import to_unix
from api.core.ports import JSONObject
from api.services.api_extensions import MASK, ExtensionView

MIN_KEY_CHARS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionIn:
    """An extension: where it answers, and the key it knows us by."""

    name: str
    api_endpoint: str
    api_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleIn:
    """What code extends."""

    module: str


EXTENSION = parser(
    json_field("name", Text(min_length=1, max_length=255, is_trimmed=True), required=True),
    json_field(
        "api_endpoint", Text(min_length=1, max_length=2000), required=True, help="http(s)://host/path"
    ),
    json_field(
        "api_key",
        Text(min_length=MIN_KEY_CHARS, max_length=1000, is_trimmed=True),
        required=True,
        help="As shown where it is to stay.",
    ),
)
MODULE = parser(query_field("module", Choice(("moderation", "external_data_tool")), required=True))
EXTENSION_MODEL = Model(
    "APIBasedExtension",
    {
        "id": fields.String,
        "name": fields.String,
        "api_endpoint": fields.String,
        "api_key": fields.String(description="Masked."),
        "created_at": fields.Integer(description="Unix seconds."),
    },
)
MODULE_MODEL = Model("CodeBasedExtension", {"module": fields.String, "data": fields.List(fields.Raw)})


def render_extension(view: ExtensionView) -> JSONObject:
    """Return an extension as JSON; its key is masked."""
    return {
        "id": view.id,
        "name": view.name,
        "api_endpoint": view.endpoint,
        "api_key": MASK,
        "created_at": to_unix(view.created_at),
    }
