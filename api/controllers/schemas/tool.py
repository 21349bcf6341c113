"""Tools on the wire: providers, their tools, and the credentials of built-in ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import orjson
from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import UUID, Choice, Object, Text, json_field, parser, query_field
from api.controllers.schemas.fields import AnyValue
from api.core.model_runtime.types import CredentialField
from api.core.ports import JSONObject, JSONValue
from api.core.tools.openapi.operations import Operation
from api.core.tools.openapi.tools import to_tool
from api.core.tools.provider import ToolProvider
from api.core.tools.tool import ToolParameter, ToolSchema, Words
from api.errors import InvalidRequest
from api.services.custom_tools import CustomView
from api.services.tool_credentials import CredentialView

Kind = Literal["builtin", "api", "workflow", "mcp"]
KINDS = ("builtin", "api", "workflow", "mcp")
AUTHOR = "Slipway"
BUILTIN_PATH = "/console/api/workspaces/current/tool-provider/builtin"
MAX_ICON_BYTES = 4096
LABELS = (
    ("search", "搜索"),
    ("image", "图片"),
    ("videos", "视频"),
    ("weather", "天气"),
    ("finance", "金融"),
    ("design", "设计"),
    ("travel", "旅行"),
    ("social", "社交"),
    ("news", "新闻"),
    ("medical", "医疗"),
    ("productivity", "生产力"),
    ("education", "教育"),
    ("business", "商业"),
    ("entertainment", "娱乐"),
    ("utilities", "工具"),
    ("other", "其他"),
)


class Icon:
    """A picture's ``{background, content}``, of a bounded size."""

    __schema__ = {"type": "object"}  # noqa: RUF012  # restx reads it off the instance

    def __call__(self, value: object) -> JSONObject:
        icon = Object()(value)
        if len(orjson.dumps(icon)) > MAX_ICON_BYTES:
            raise InvalidRequest(f"The value must have at most {MAX_ICON_BYTES} bytes", fault="too_long")
        return icon


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderListIn:
    """Which kind of providers to list; None: all."""

    type: Kind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCredentialIn:
    """A filled-in form of a built-in provider."""

    credentials: JSONObject
    name: str | None = None
    type: str = "api-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialChangeIn:
    """What is to be otherwise of stored credentials."""

    credential_id: str
    credentials: JSONObject | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialIdIn:
    """Which credentials are meant."""

    credential_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultIn:
    """Which credentials are to be the default."""

    id: str


NAME = json_field("name", Text(max_length=30, is_trimmed=True), nullable=True, help="Up to 30 characters.")
ID = json_field("credential_id", UUID(), required=True)
FORM = "The form's fields; a masked secret keeps its stored value."
PROVIDER_LIST = parser(query_field("type", Choice(KINDS), help="Of all kinds when absent."))
NEW_CREDENTIAL = parser(
    json_field("credentials", Object(), required=True, help=FORM),
    NAME,
    json_field("type", Choice(("api-key",)), help="How the provider knows who asks."),
)
CREDENTIAL_CHANGE = parser(ID, json_field("credentials", Object(), nullable=True, help=FORM), NAME)
CREDENTIAL_CHOICE = parser(ID)
DEFAULT = parser(json_field("id", UUID(), required=True))

TOOL_MODEL = Model(
    "Tool",
    {
        "author": fields.String,
        "name": fields.String,
        "label": fields.Raw,
        "description": fields.Raw,
        "parameters": fields.List(fields.Raw),
        "labels": fields.List(fields.String),
        "output_schema": fields.Raw,
    },
)
PROVIDER_MODEL = Model(
    "ToolProvider",
    {
        "id": fields.String,
        "author": fields.String,
        "name": fields.String,
        "plugin_id": fields.String,
        "plugin_unique_identifier": fields.String,
        "description": fields.Raw,
        "icon": AnyValue(description="An address, or {background, content}."),
        "icon_dark": AnyValue,
        "label": fields.Raw,
        "type": fields.String(enum=KINDS),
        "team_credentials": fields.Raw(description="The credentials in use, secrets masked."),
        "is_team_authorization": fields.Boolean,
        "allow_delete": fields.Boolean,
        "tools": fields.List(fields.Nested(TOOL_MODEL)),
        "labels": fields.List(fields.String),
    },
)
CREDENTIAL_MODEL = Model(
    "ToolCredential",
    {
        "id": fields.String,
        "name": fields.String,
        "provider": fields.String,
        "credential_type": fields.String(enum=["api-key"]),
        "is_default": fields.Boolean,
        "credentials": fields.Raw(description="The form's fields, secrets masked."),
    },
)
LABEL_MODEL = Model("ToolLabel", {"name": fields.String, "label": fields.Raw, "icon": fields.String})
MODELS = (TOOL_MODEL, PROVIDER_MODEL, CREDENTIAL_MODEL, LABEL_MODEL)


def render_labels() -> list[JSONValue]:
    """Return the words tools are sorted by."""
    return [
        {"name": name, "label": Words(name.capitalize(), zh).to_json(), "icon": ""} for name, zh in LABELS
    ]


def render_builtin(
    provider: ToolProvider, credentials: Sequence[CredentialView], base_url: str, *, with_tools: bool
) -> JSONObject:
    """Return a built-in provider; ``base_url`` is where its icon is fetched."""
    schema = provider.schema
    current = next((each for each in credentials if each.is_default), None)
    icon_path = schema.icon_path or f"{BUILTIN_PATH}/{schema.id}/icon"
    return {
        "id": schema.id,
        "author": schema.author,
        "name": schema.id,
        "plugin_id": schema.plugin_id,
        "plugin_unique_identifier": schema.plugin_identifier,
        "description": schema.description.to_json(),
        "icon": base_url + icon_path if schema.icon_svg or schema.icon_path else "",
        "icon_dark": "",
        "label": schema.label.to_json(),
        "type": "builtin",
        "team_credentials": current.fields if current else {},
        "is_team_authorization": current is not None
        or not any(field.is_required for field in schema.credential_fields),
        "allow_delete": bool(schema.credential_fields),
        "tools": render_tools(provider) if with_tools else [],
        "labels": [*schema.labels],
    }


def render_tools(provider: ToolProvider) -> list[JSONValue]:
    """Return the tools of a provider that is built in, or a plugin's."""
    schema = provider.schema
    return [render_tool(tool.schema, schema.labels, author=schema.author) for tool in provider.tools.values()]


def render_custom(view: CustomView) -> JSONObject:
    """Return an own provider."""
    return {
        **render_own(view.id, view.name, "api", view.details["icon"]),
        "team_credentials": view.credentials,
        "tools": render_operations(view.operations or (), view.details["labels"]),
        "labels": [*view.details["labels"]],
    }


def render_own(provider_id: str, name: str, kind: Kind, icon: JSONValue) -> JSONObject:
    """Return what providers a workspace made have in common, whatever they are made of."""
    return {
        "id": provider_id,
        "author": "",
        "name": name,
        "plugin_id": "",
        "plugin_unique_identifier": "",
        "description": Words(name).to_json(),
        "icon": icon,
        "icon_dark": "",
        "label": Words(name).to_json(),
        "type": kind,
        "team_credentials": {},
        "is_team_authorization": True,
        "allow_delete": True,
        "tools": [],
        "labels": [],
    }


def render_operations(operations: Sequence[Operation], labels: Sequence[str]) -> list[JSONValue]:
    """Return operations as the tools they are."""
    return [render_tool(to_tool(operation).schema, labels, author="") for operation in operations]


def render_tool(schema: ToolSchema, labels: Sequence[str], *, author: str = AUTHOR) -> JSONObject:
    """Return one tool."""
    return {
        "author": author,
        "name": schema.name,
        "label": schema.label.to_json(),
        "description": schema.description.to_json(),
        "parameters": [render_parameter(parameter) for parameter in schema.parameters],
        "labels": [*labels],
        "output_schema": schema.output_schema,
    }


def render_parameter(parameter: ToolParameter) -> JSONObject:
    """Return one parameter of a tool."""
    return {
        "name": parameter.name,
        "label": parameter.label.to_json(),
        "human_description": parameter.human_description.to_json(),
        "placeholder": None,
        "type": parameter.type,
        "form": parameter.form,
        "llm_description": parameter.llm_description,
        "required": parameter.is_required,
        "default": parameter.default,
        "min": parameter.minimum,
        "max": parameter.maximum,
        "options": [{"value": word, "label": label.to_json()} for word, label in parameter.options],
    }


def render_credential(view: CredentialView) -> JSONObject:
    """Return stored credentials, secrets masked."""
    return {
        "id": view.id,
        "name": view.name,
        "provider": view.provider,
        "credential_type": "api-key",
        "is_default": view.is_default,
        "credentials": view.fields,
    }


def render_form(form: Sequence[CredentialField]) -> list[JSONValue]:
    """Return the fields of a form of credentials."""
    return [
        {
            "name": field.variable,
            "label": Words(field.label, field.label_zh).to_json(),
            "type": field.type,
            "required": field.is_required,
            "default": field.default,
            "options": [{"value": word, "label": Words(word).to_json()} for word in field.options],
            "placeholder": Words(field.placeholder).to_json() if field.placeholder else None,
            "help": None,
            "url": None,
        }
        for field in form
    ]
