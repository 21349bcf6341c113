"""Workflows offered as tools: a published version of an app, its form as parameters.

A tool stays at the version it was made or last updated with; ``is_synced`` tells
whether that is the one the app's API runs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

import orjson
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.core.apps.config import FormItem
from api.core.apps.flow import FlowSpec
from api.core.apps.spec import AppMode, AppSpec
from api.core.ports import JSONObject, JSONValue
from api.core.tools.tool import Form, ParameterType, ToolParameter, ToolSchema, Words
from api.errors import Duplicate, InvalidRequest, NotFound
from api.models.app import App
from api.models.base import new_id
from api.models.tool import ToolProvider
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_specs, flows, own_tools, tool_secrets
from api.services.access import access_app, is_id
from api.services.constraints import is_duplicate, is_orphan
from api.services.own_tools import WORKFLOW

TYPES: dict[str, ParameterType] = {
    "number": "number",
    "checkbox": "boolean",
    "select": "select",
    "file": "file",
    "file-list": "files",
    "json_object": "object",
}
OUTPUT_TYPES = {"number": "number", "boolean": "boolean", "object": "object", "string": "string"}


class Details(TypedDict):
    """How a workflow's tool is shown."""

    label: str
    description: str
    icon: JSONObject
    privacy_policy: str
    labels: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterChoice:
    """Who fills in a parameter, and what they are told."""

    name: str
    description: str = ""
    form: Form = "llm"


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenTool:
    """A workflow's tool as it is given."""

    name: str
    parameters: Sequence[ParameterChoice]
    details: Details


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowToolView:
    """A workflow's tool as it is shown. Without a schema it was not asked for."""

    id: str
    app_id: str
    name: str
    details: Details
    is_synced: bool
    schema: ToolSchema | None = None


def load_tools(runtime: Runtime, principal: Principal, *, with_tools: bool = False) -> Sequence[FlowToolView]:
    """Return the workflows that are tools of a workspace, oldest first, with their schemas where asked."""
    with runtime.reading() as session:
        query = own_tools.of_kind(principal.tenant_id, WORKFLOW)
        rows = session.scalars(query).all()
        apps = select(App.id, App.workflow_id).where(
            App.tenant_id == principal.tenant_id, App.id.in_([row.app_id for row in rows])
        )
        current = {found.id: found.workflow_id for found in session.execute(apps)} if rows else {}
    return [_to_view(runtime, row, current.get(row.app_id or ""), with_schema=with_tools) for row in rows]


def get_tool(
    runtime: Runtime, principal: Principal, *, tool_id: str | None = None, app_id: str | None = None
) -> FlowToolView:
    """Return the tool of an id, or that of an app. Raises InvalidRequest where neither is named, NotFound."""
    with runtime.reading() as session:
        row = _access(session, principal, tool_id=tool_id, app_id=app_id)
        current = session.scalar(select(App.workflow_id).where(App.id == row.app_id))
    return _to_view(runtime, row, current, with_schema=True)


def create_tool(runtime: Runtime, principal: Principal, app_id: str, given: GivenTool) -> None:
    """Offer the published version of an app as a tool.

    Raises AppNotFound, WorkflowNotPublished, InvalidRequest for parameters it
    has not, Duplicate for a name that is taken and an app that is a tool already.
    """
    app = _workflow_app(runtime, principal, app_id)
    flow = flows.published_flow(runtime, app)
    document = _written(flow, given.parameters)
    row_id = new_id()
    with runtime.transaction() as session:
        own_tools.check_room(session, principal, WORKFLOW)
        session.add(
            ToolProvider(
                id=row_id,
                tenant_id=principal.tenant_id,
                kind=WORKFLOW,
                name=given.name,
                document=document,
                details=orjson.dumps(given.details),
                sealed=tool_secrets.seal(runtime, session, principal.tenant_id, row_id, {}),
                app_id=app.id,
                workflow_id=flow.workflow_id,
                created_by=principal.id,
            )
        )
        _flush(session)


def update_tool(runtime: Runtime, principal: Principal, tool_id: str, given: GivenTool) -> None:
    """Replace what is told of a tool, and bring it to the version its app's API runs. Raises as creating."""
    with runtime.reading() as session:
        row = _access(session, principal, tool_id=tool_id)
        app_id = str(row.app_id)
    flow = flows.published_flow(runtime, _workflow_app(runtime, principal, app_id))
    document = _written(flow, given.parameters)
    with runtime.transaction() as session:
        row = _access(session, principal, tool_id=tool_id)
        row.name, row.document = given.name, document
        row.details = orjson.dumps(given.details)
        row.workflow_id = flow.workflow_id
        _flush(session)


def delete_tool(session: Session, principal: Principal, tool_id: str) -> None:
    """Offer a workflow as a tool no more. Raises NotFound."""
    session.delete(_access(session, principal, tool_id=tool_id))
    session.flush()


def _workflow_app(runtime: Runtime, principal: Principal, app_id: str) -> AppSpec:
    with runtime.reading() as session:
        app = access_app(session, principal, app_id)
        spec = app_specs.load_spec(runtime, session, principal.tenant_id, app.id)
    if spec.mode is not AppMode.WORKFLOW:
        raise InvalidRequest(
            "Only workflow apps can be tools", field="workflow_app_id", fault="invalid_choice"
        )
    return spec


def _access(
    session: Session, principal: Principal, *, tool_id: str | None = None, app_id: str | None = None
) -> ToolProvider:
    asked = tool_id or app_id
    if not asked:
        raise InvalidRequest(
            "workflow_tool_id or workflow_app_id is required", field="workflow_tool_id", fault="required"
        )
    row = None
    if is_id(asked):
        column = ToolProvider.id if tool_id else ToolProvider.app_id
        query = own_tools.of_kind(principal.tenant_id, WORKFLOW).where(column == asked.lower())
        row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("Workflow tool not found.")
    return row


def _flush(session: Session) -> None:
    try:
        own_tools.flush_name(session, "name")
    except IntegrityError as exc:
        if is_duplicate(exc, "tool_providers", "app_id"):
            raise Duplicate("The app is a tool already.", field="workflow_app_id") from exc
        if is_orphan(exc, "tool_providers", "app_id"):
            raise NotFound("App not found.") from exc
        raise


def _written(flow: FlowSpec, choices: Sequence[ParameterChoice]) -> str:
    """Return the document of a tool: the form of its workflow as parameters, and what it gives."""
    chosen = {choice.name: choice for choice in choices}
    unknown = chosen.keys() - {item.variable for item in flow.form}
    if unknown:
        raise InvalidRequest(
            f"The workflow has no variable {min(unknown)[:100]!r}", field="parameters", fault="invalid_choice"
        )
    parameters = [_parameter(item, chosen.get(item.variable)) for item in flow.form]
    properties: JSONObject = dict(_outputs(flow))
    return own_tools.write_parameters(parameters, {"type": "object", "properties": properties})


def _parameter(item: FormItem, choice: ParameterChoice | None) -> ToolParameter:
    words = choice.description if choice else ""
    kind = TYPES.get(item.kind, "string")
    return ToolParameter(
        name=item.variable,
        label=Words(item.label or item.variable),
        human_description=Words(words),
        llm_description=words,
        type=kind,
        form=choice.form if choice else "llm",
        is_required=item.required,
        default=None if item.default == "" else item.default,
        options=tuple((word, Words(word)) for word in item.options) if kind == "select" else (),
    )


def _outputs(flow: FlowSpec) -> Iterator[tuple[str, JSONValue]]:
    """Yield what the workflow gives at its ends, with its type where that is drawn."""
    for node in flow.graph.of_type("end"):
        listed = node.data.get("outputs")
        for output in listed if isinstance(listed, list) else []:
            if isinstance(output, dict) and isinstance(output.get("variable"), str):
                drawn = str(output.get("value_type") or "string")
                kind = "array" if drawn.startswith("array") else OUTPUT_TYPES.get(drawn, "string")
                yield str(output["variable"]), {"type": kind, "description": ""}


def _to_view(runtime: Runtime, row: ToolProvider, current: str | None, *, with_schema: bool) -> FlowToolView:
    return FlowToolView(
        id=row.id,
        app_id=str(row.app_id),
        name=row.name,
        details=cast("Details", orjson.loads(row.details)),
        is_synced=row.workflow_id == current,
        schema=own_tools.load_schemas(runtime, row)[0] if with_schema else None,
    )
