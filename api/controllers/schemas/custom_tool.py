"""Custom tools on the wire: providers made of OpenAPI documents."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Choice, Items, Object, Text, json_field, parser, query_field
from api.controllers.schemas.tool import Icon, render_form, render_operations, render_parameter
from api.core.ports import JSONObject
from api.core.tools.openapi.operations import Operation
from api.core.tools.openapi.tools import AUTH_FIELDS, to_tool
from api.services.custom_tools import CustomProvider, CustomView, Details, Trial, warning_of

SCHEMA_TYPES = ("openapi", "swagger", "openai_plugin", "openai_actions")


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomIn:
    """A provider of custom tools; ``original_provider`` is the name it has had."""

    provider: str
    credentials: JSONObject
    schema: str
    schema_type: str = "openapi"
    icon: JSONObject = field(default_factory=dict)
    privacy_policy: str | None = None
    custom_disclaimer: str | None = None
    labels: Sequence[str] | None = None
    original_provider: str = ""

    def to_provider(self) -> CustomProvider:
        """Return what is to be kept."""
        details = Details(
            icon=self.icon,
            schema_type=self.schema_type,
            privacy_policy=self.privacy_policy or "",
            custom_disclaimer=self.custom_disclaimer or "",
            labels=[*(self.labels or ())],
        )
        return CustomProvider(
            name=self.provider, document=self.schema, credentials=self.credentials, details=details
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomNameIn:
    """Which provider of custom tools is meant."""

    provider: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaIn:
    """A document to read."""

    schema: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteIn:
    """Where a document is."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialIn:
    """A call of a tool of a document, to see whether it works."""

    tool_name: str
    credentials: JSONObject
    parameters: JSONObject
    schema: str
    schema_type: str = "openapi"
    provider_name: str | None = None

    def to_trial(self) -> Trial:
        """Return the call to make."""
        return Trial(
            tool_name=self.tool_name,
            document=self.schema,
            credentials=self.credentials,
            parameters=self.parameters,
            provider=self.provider_name or None,
        )


NAME = Text(min_length=1, max_length=100, is_trimmed=True)
NOTE = Text(max_length=5000)
SCHEMA = json_field("schema", Text(min_length=1), required=True, help="OpenAPI 3 or Swagger 2, JSON or YAML.")
SCHEMA_TYPE = json_field("schema_type", Choice(SCHEMA_TYPES), help="What the document is said to be.")
CREDENTIALS = json_field(
    "credentials",
    Object(),
    required=True,
    help="How the server knows who asks; a masked key keeps its value.",
)
FIELDS = (
    json_field("provider", NAME, required=True, help="The name, once in a workspace."),
    CREDENTIALS,
    SCHEMA,
    SCHEMA_TYPE,
    json_field("icon", Icon(), help="{background, content}, up to 4 KB."),
    json_field("privacy_policy", NOTE, nullable=True),
    json_field("custom_disclaimer", NOTE, nullable=True),
    json_field("labels", Items(item=Text(max_length=50), max_items=20), nullable=True),
)
NEW_CUSTOM = parser(*FIELDS)
CUSTOM_CHANGE = parser(
    *FIELDS, json_field("original_provider", NAME, required=True, help="The name it has had.")
)
CUSTOM_NAME = parser(json_field("provider", NAME, required=True))
CUSTOM_QUERY = parser(query_field("provider", NAME, required=True))
SCHEMA_CHECK = parser(SCHEMA)
REMOTE = parser(query_field("url", Text(min_length=1, max_length=2000, is_trimmed=True), required=True))
TRIAL = parser(
    json_field("tool_name", Text(min_length=1, max_length=500), required=True),
    json_field("provider_name", Text(max_length=100, is_trimmed=True), nullable=True),
    CREDENTIALS,
    json_field("parameters", Object(), required=True),
    SCHEMA,
    SCHEMA_TYPE,
)

CUSTOM_MODEL = Model(
    "CustomToolProvider",
    {
        "provider": fields.String,
        "schema_type": fields.String(enum=SCHEMA_TYPES),
        "schema": fields.String,
        "tools": fields.List(fields.Raw),
        "icon": fields.Raw,
        "description": fields.String,
        "credentials": fields.Raw(description="Secrets masked."),
        "privacy_policy": fields.String,
        "custom_disclaimer": fields.String,
        "labels": fields.List(fields.String),
    },
)
PARSED_MODEL = Model(
    "ParsedToolSchema",
    {
        "schema_type": fields.String(enum=["openapi", "swagger"]),
        "parameters_schema": fields.List(fields.Raw),
        "credentials_schema": fields.List(fields.Raw),
        "warning": fields.Raw,
    },
)
TRIAL_MODEL = Model("ToolTrial", {"result": fields.String, "error": fields.String})
DOCUMENT_MODEL = Model("RemoteToolSchema", {"schema": fields.String})
MODELS = (CUSTOM_MODEL, PARSED_MODEL, TRIAL_MODEL, DOCUMENT_MODEL)


def render_custom_provider(view: CustomView) -> JSONObject:
    """Return an own provider with its document."""
    details = view.details
    return {
        "provider": view.name,
        "schema_type": details["schema_type"],
        "schema": view.document,
        "tools": [_render_operation(operation) for operation in view.operations or ()],
        "icon": details["icon"],
        "description": "",
        "credentials": view.credentials,
        "privacy_policy": details["privacy_policy"],
        "custom_disclaimer": details["custom_disclaimer"],
        "labels": [*details["labels"]],
    }


def render_tools(view: CustomView) -> list[object]:
    """Return the tools of an own provider."""
    return [*render_operations(view.operations or (), view.details["labels"])]


def render_parsed(kind: str, operations: Sequence[Operation]) -> JSONObject:
    """Return what was read of a document."""
    warning = warning_of(operations)
    return {
        "schema_type": kind,
        "parameters_schema": [_render_operation(operation) for operation in operations],
        "credentials_schema": render_form(AUTH_FIELDS),
        "warning": {"servers": warning} if warning else {},
    }


def _render_operation(operation: Operation) -> JSONObject:
    return {
        "operation_id": operation.name,
        "summary": operation.summary,
        "server_url": operation.server_url + operation.path,
        "method": operation.method,
        "author": "",
        "parameters": [render_parameter(each) for each in to_tool(operation).schema.parameters],
        "openapi": operation.source,
    }
