"""Keys to sources of documents on the wire, in both forms consoles know: API keys and bindings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Text, json_field, parser
from api.controllers.schemas.fields import to_unix
from api.controllers.schemas.shapes import Shape
from api.core.ports import JSONObject
from api.services.data_sources import KeyView

CRAWLER: JSONObject = {
    "id": "slipway",
    "category": "website",
    "provider": "firecrawl",
    "disabled": False,
    "is_built_in": True,
    "credentials": None,
    "created_at": None,
    "updated_at": None,
}
"""Our own crawler, by a name under which consoles look for one; it needs no key and cannot be deleted."""

WORD = Text(max_length=50)
SECRET = Text(is_trimmed=True, needs_content=True, max_length=1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyIn:
    """A key and what it opens; ``category`` says nothing more."""

    provider: str
    credentials: dict[str, Any]
    category: str = ""

    @property
    def api_key(self) -> str:
        """The key."""
        return str(self.credentials["config"]["api_key"])


KEY = parser(
    json_field("category", WORD, help="notion."),
    json_field("provider", WORD, required=True, help="notion."),
    json_field(
        "credentials",
        Shape(required={"config": Shape(required={"api_key": SECRET})}, optional={"auth_type": WORD}),
        required=True,
    ),
)
KEYS = Model("DataSourceKeys", {"sources": fields.List(fields.Raw)})
BINDINGS = Model("DataSourceBindings", {"data": fields.List(fields.Raw)})
MODELS = (KEYS, BINDINGS)


def render_keys(views: Sequence[KeyView]) -> JSONObject:
    """Return the keys, masked, after the crawler that is there without one."""
    return {"sources": [CRAWLER, *map(_render_key, views)]}


def _render_key(view: KeyView) -> JSONObject:
    row = view.row
    return {
        "id": row.id,
        "category": row.provider,
        "provider": row.provider,
        "disabled": row.is_disabled,
        "is_built_in": False,
        "credentials": {"auth_type": "bearer", "config": {"api_key": view.masked_key}},
        "created_at": to_unix(row.created_at),
        "updated_at": to_unix(row.created_at),
    }


def render_bindings(views: Sequence[KeyView]) -> JSONObject:
    """Return what the keys open."""
    return {"data": [_render_binding(view) for view in views]}


def _render_binding(view: KeyView) -> JSONObject:
    row = view.row
    return {
        "id": row.id,
        "provider": row.provider,
        "created_at": to_unix(row.created_at),
        "is_bound": True,
        "disabled": row.is_disabled,
        "link": "",
        "source_info": row.source_info,
    }
