"""Workflows as tools on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import UUID, Choice, Items, Object, Text, json_field, parser, query_field
from api.controllers.schemas.tool import TOOL_MODEL, Icon, render_own, render_tool
from api.core.ports import JSONObject, JSONValue
from api.core.tools.tool import Words
from api.errors import InvalidRequest
from api.services.workflow_tools import Details, FlowToolView, GivenTool, ParameterChoice

MAX_PARAMETERS = 200
FORMS = ("llm", "form")


class Parameter:
    """A variable of the workflow, what is told of it, and who fills it in."""

    __schema__ = {"type": "object"}  # noqa: RUF012  # restx reads it off the instance

    def __call__(self, value: object) -> ParameterChoice:
        given = Object()(value)
        name = Text(min_length=1, max_length=100)(given.get("name"))
        description = Text(max_length=2000)(given.get("description") or "")
        form = Choice(FORMS)(given.get("form") or "llm")
        return ParameterChoice(name=name, description=description, form="form" if form == "form" else "llm")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowToolIn:
    """A workflow's tool; either the app to make it of, or the tool that is to be so, is named."""

    name: str
    label: str
    description: str
    icon: JSONObject = field(default_factory=dict)
    parameters: Sequence[ParameterChoice] = ()
    privacy_policy: str | None = None
    labels: Sequence[str] | None = None
    workflow_app_id: str = ""
    workflow_tool_id: str = ""

    def to_tool(self) -> GivenTool:
        """Return what is to be kept. Raises InvalidRequest for a parameter that is named twice."""
        names = [parameter.name for parameter in self.parameters]
        if len(set(names)) < len(names):
            raise InvalidRequest("parameters must be named once", field="parameters", fault="duplicate")
        details = Details(
            label=self.label,
            description=self.description,
            icon=self.icon,
            privacy_policy=self.privacy_policy or "",
            labels=[*(self.labels or ())],
        )
        return GivenTool(name=self.name, parameters=self.parameters, details=details)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowToolQuery:
    """Which tool is meant: by its own id, or by that of its app."""

    workflow_tool_id: str | None = None
    workflow_app_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowToolIdIn:
    """Which tool is meant."""

    workflow_tool_id: str


NAME = Text(
    min_length=1,
    max_length=64,
    is_trimmed=True,
    pattern=r"[a-z A-Z0-9_]+",
    hint="letters, digits, blanks and _",
)
FIELDS = (
    json_field("name", NAME, required=True, help="What models call it by; once in a workspace."),
    json_field("label", Text(min_length=1, max_length=100, is_trimmed=True), required=True),
    json_field("description", Text(max_length=2000), required=True),
    json_field("icon", Icon(), help="{background, content}, up to 4 KB."),
    json_field("parameters", Items(item=Parameter(), max_items=MAX_PARAMETERS)),
    json_field("privacy_policy", Text(max_length=5000), nullable=True),
    json_field("labels", Items(item=Text(max_length=50), max_items=20), nullable=True),
)
TOOL_ID = json_field("workflow_tool_id", UUID(), required=True)
NEW_FLOW_TOOL = parser(*FIELDS, json_field("workflow_app_id", UUID(), required=True))
FLOW_TOOL_CHANGE = parser(*FIELDS, TOOL_ID)
FLOW_TOOL_CHOICE = parser(TOOL_ID)
FLOW_TOOL_QUERY = parser(query_field("workflow_tool_id", UUID()), query_field("workflow_app_id", UUID()))

FLOW_TOOL_MODEL = Model(
    "WorkflowTool",
    {
        "name": fields.String,
        "label": fields.String,
        "workflow_tool_id": fields.String,
        "workflow_app_id": fields.String,
        "icon": fields.Raw,
        "description": fields.String,
        "parameters": fields.List(fields.Raw),
        "tool": fields.Nested(TOOL_MODEL),
        "synced": fields.Boolean(description="Whether the tool is at the version the app's API runs."),
        "privacy_policy": fields.String,
    },
)
MODELS = (FLOW_TOOL_MODEL,)


def render_flow_tool(view: FlowToolView) -> JSONObject:
    """Return a workflow's tool as it is set up."""
    assert view.schema is not None
    parameters: list[JSONValue] = [
        {
            "name": each.name,
            "description": each.llm_description,
            "form": each.form,
            "type": each.type,
            "required": each.is_required,
        }
        for each in view.schema.parameters
    ]
    return {
        "name": view.name,
        "label": view.details["label"],
        "workflow_tool_id": view.id,
        "workflow_app_id": view.app_id,
        "icon": view.details["icon"],
        "description": view.details["description"],
        "parameters": parameters,
        "tool": render_tool(view.schema, view.details["labels"], author=""),
        "synced": view.is_synced,
        "privacy_policy": view.details["privacy_policy"],
    }


def render_flow_provider(view: FlowToolView) -> JSONObject:
    """Return a workflow's tool as a provider, with the tool where it was asked for."""
    details = view.details
    tools: list[JSONValue] = []
    if view.schema is not None:
        tools = [render_tool(view.schema, details["labels"], author="")]
    return {
        **render_own(view.id, view.name, "workflow", details["icon"]),
        "label": Words(details["label"]).to_json(),
        "description": Words(details["description"]).to_json(),
        "tools": tools,
        "labels": [*details["labels"]],
    }
