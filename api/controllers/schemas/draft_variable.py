"""Variables beside a draft: what the console sends, and what it gets."""

from dataclasses import dataclass
from typing import cast

import orjson
from flask import Request, request
from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Text, json_body, parser
from api.controllers.schemas.fields import AnyJSON, page_fields
from api.controllers.schemas.flow_run import cut
from api.core.ports import JSONObject, JSONValue
from api.services.draft_variables import Variable

MAX_NAME_CHARS = 255
VARIABLE_ITEM = Model(
    "DraftVariableItem",
    {
        "id": fields.String,
        "type": fields.String(enum=["node", "sys", "conversation", "env"]),
        "name": fields.String,
        "description": fields.String,
        "selector": fields.List(fields.String),
        "value_type": fields.String(example="string"),
        "edited": fields.Boolean,
        "visible": fields.Boolean,
        "is_truncated": fields.Boolean(description="Whether value is only its beginning."),
    },
)
VARIABLE = VARIABLE_ITEM.clone(
    "DraftVariable",
    {
        "value": AnyJSON(description="Of the variable's type."),
        "full_content": fields.Raw(nullable=True, description="How large it is, where value is cut."),
    },
)
VARIABLES = Model("DraftVariables", {"items": fields.List(fields.Nested(VARIABLE))})
VARIABLE_PAGE = Model(
    "DraftVariablePage", {"items": fields.List(fields.Nested(VARIABLE_ITEM)), "total": fields.Integer}
)
VARIABLE_CHANGE = Model(
    "DraftVariableChange",
    {"name": fields.String, "value": AnyJSON(description="Of the variable's type; files as FileInput.")},
)
PAGE = parser(*page_fields())
NAME = Text(min_length=1, max_length=MAX_NAME_CHARS, pattern=r"[^.#\s]+", hint="a name without . and #")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageIn:
    """Which page is asked for."""

    page: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeIn:
    """What becomes of a variable; None leaves what is there."""

    name: str | None
    value: JSONValue


def parse_change(req: Request = request) -> ChangeIn:
    """Return the change of a variable. Raises InvalidRequest."""
    body = json_body(req)
    name = body.get("name")
    return ChangeIn(name=None if name is None else NAME(name), value=body.get("value"))


def render_item(variable: Variable) -> JSONObject:
    """Return a variable without its value."""
    return _shown(variable, is_cut=cut(variable.value)[1])


def render_variable(variable: Variable) -> JSONObject:
    """Return a variable; of a value too long to be looked at, the beginning."""
    value, is_cut = cut(variable.value)
    whole = _size(variable) if is_cut else None
    return {**_shown(variable, is_cut=is_cut), "value": value, "full_content": whole}


def _shown(variable: Variable, *, is_cut: bool) -> JSONObject:
    return {
        "id": variable.id,
        "type": variable.kind,
        "name": variable.name,
        "description": variable.description,
        "selector": [variable.node_id, variable.name],
        "value_type": variable.value_type,
        "edited": variable.is_edited,
        "visible": True,
        "is_truncated": is_cut,
    }


def _size(variable: Variable) -> JSONObject:
    return {
        "size_bytes": len(orjson.dumps(variable.value)),
        "value_type": variable.value_type,
        "length": len(cast("str | list[JSONValue] | JSONObject", variable.value)),
        "download_url": None,
    }
