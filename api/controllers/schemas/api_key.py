"""API keys on the wire: shown whole once, when they are made, and masked ever after."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from flask import request
from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import UUID, Choice, Items, Text, json_field, parse, parser
from api.controllers.schemas.fields import to_unix
from api.core.ports import JSONObject
from api.errors import InvalidRequest
from api.services.tokens import DEFAULT_SCOPES, SCOPES


class Key(Protocol):
    """What is told of a stored key."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def masked(self) -> str: ...
    @property
    def permissions(self) -> list[str]: ...
    @property
    def app_id(self) -> str | None: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def last_used_at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AppKeyIn:
    """A new key of an app; real clients send no body."""

    name: str = ""
    permissions: tuple[str, ...] = DEFAULT_SCOPES


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyIn:
    """A new key of an app, or of the whole workspace where none is named."""

    name: str
    permissions: tuple[str, ...]
    app_id: str | None = None


def _scopes(value: object) -> tuple[object, ...]:
    """Return the scopes asked for, each once, in the order asked."""
    scopes = Items(item=Choice(SCOPES))(value)
    if not scopes:
        raise InvalidRequest("The value must name at least one permission", fault="too_short")
    return tuple(dict.fromkeys(scopes))


_scopes.__schema__ = {"type": "array", "items": Choice(SCOPES).__schema__}  # type: ignore[attr-defined]  # read by restx

NAME = Text(min_length=1, max_length=50, is_trimmed=True)
APP_KEY = parser(
    json_field("name", NAME, help="1 to 50 characters."),
    json_field(
        "permissions", _scopes, help="What the key may be used for; chat, completion, workflow when absent."
    ),
)
KEY = parser(
    json_field("name", NAME, required=True, help="1 to 50 characters."),
    json_field("permissions", _scopes, required=True, help="What the key may be used for."),
    json_field("app_id", UUID(), nullable=True, help="The app it opens; all apps when absent."),
)
KEY_MODEL = Model(
    "APIKey",
    {
        "id": fields.String,
        "type": fields.String,
        "token": fields.String(description="Whole in the answer that makes the key, masked in lists."),
        "name": fields.String,
        "permissions": fields.List(fields.String(enum=SCOPES)),
        "app_id": fields.String(nullable=True),
        "created_at": fields.Integer,
        "last_used_at": fields.Integer(nullable=True),
    },
)
KEY_LIST_MODEL = Model("APIKeys", {"data": fields.List(fields.Nested(KEY_MODEL))})


def parse_app_key() -> AppKeyIn:
    """Return the new key the present request asks for; without a body, one with every default."""
    return parse(APP_KEY, AppKeyIn) if request.get_data() else AppKeyIn()


def render_key(key: Key, token: str | None = None) -> JSONObject:
    """Return a key; ``token`` is the key itself, which only its maker is shown."""
    return {
        "id": key.id,
        "type": key.kind,
        "token": token or key.masked,
        "name": key.name,
        "permissions": list(key.permissions),
        "app_id": key.app_id,
        "created_at": to_unix(key.created_at),
        "last_used_at": to_unix(key.last_used_at),
    }
