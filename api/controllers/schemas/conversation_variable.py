"""Variables of a conversation: what callers send, and what they get."""

from dataclasses import dataclass

import orjson
from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import UUID, Text, json_field, parser, query_field, user_name
from api.controllers.schemas.conversation import PAGE_LIMIT
from api.controllers.schemas.fields import to_unix
from api.core.ports import JSONObject, JSONValue
from api.services.conversation_variables import VariableItem


@dataclass(frozen=True, slots=True, kw_only=True)
class VariablesIn:
    """Which variables of a conversation are asked for."""

    user: str | None = None
    last_id: str | None = None
    limit: int = 20
    variable_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableIn:
    """What a variable is to hold."""

    value: JSONValue
    user: str | None = None


def any_value(value: JSONValue) -> JSONValue:
    """Take a value of any JSON type; the variable's own type decides."""
    return value


any_value.__schema__ = {}  # type: ignore[attr-defined]  # restx documents the field by it

VARIABLES = parser(
    query_field("user", user_name, help="End user, as the caller names it."),
    query_field("last_id", UUID(may_be_blank=True), help="Last variable the caller holds."),
    query_field("limit", PAGE_LIMIT, help="Items a page, 20 when absent."),
    query_field(
        "variable_name",
        Text(min_length=1, max_length=255, pattern=r"[\w.-]+", hint="a variable's name"),
        help="Only the variable of this name.",
    ),
)
VARIABLE_SET = parser(
    json_field("value", any_value, required=True, nullable=True, help="A value of the variable's type."),
    json_field("user", user_name, nullable=True, help="End user, as the caller names it."),
)
VARIABLE = Model(
    "ConversationVariable",
    {
        "id": fields.String,
        "name": fields.String,
        "value_type": fields.String(example="string"),
        "value": fields.String(description="The text of a string; the JSON text of any other value."),
        "description": fields.String,
        "created_at": fields.Integer(description="Unix seconds."),
        "updated_at": fields.Integer(description="Unix seconds."),
    },
)
VARIABLE_PAGE = Model(
    "ConversationVariablePage",
    {
        "limit": fields.Integer,
        "has_more": fields.Boolean,
        "data": fields.List(fields.Nested(VARIABLE)),
    },
)


TEAM_VARIABLES = parser(query_field("conversation_id", UUID(), required=True, help="Whose variables."))
TEAM_VARIABLE_PAGE = Model(
    "TeamVariablePage",
    {
        "limit": fields.Integer,
        "page": fields.Integer,
        "total": fields.Integer,
        "has_more": fields.Boolean,
        "data": fields.List(fields.Nested(VARIABLE)),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamVariablesIn:
    """Of which conversation the variables are asked for."""

    conversation_id: str


def render_variable(item: VariableItem) -> JSONObject:
    """Return a variable as JSON."""
    value = item.value
    return {
        "id": item.id,
        "name": item.name,
        "value_type": str(item.value_type),
        "value": value if isinstance(value, str) else orjson.dumps(value).decode(),
        "description": item.description,
        "created_at": to_unix(item.created_at),
        "updated_at": to_unix(item.updated_at),
    }
