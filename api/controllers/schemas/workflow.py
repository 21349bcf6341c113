"""Workflows in the console: what a canvas sends, and what it gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from flask import Request, request
from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import (
    UUID,
    Boolean,
    Choice,
    Integer,
    Items,
    Object,
    Text,
    json_body,
    json_field,
    parser,
    query_field,
)
from api.controllers.schemas.fields import to_unix
from api.core.ports import JSONObject, JSONValue
from api.errors import InvalidRequest
from api.services.asks import Ask
from api.services.flow_call import TRIGGERED_FROM
from api.services.workflow_runs import STATUSES
from api.services.workflows import MAX_COMMENT_CHARS, MAX_NAME_CHARS, DraftChanges, WorkflowView

VALIDATE = ("strict", "lenient")
ACCOUNT = Model("SimpleAccount", {"id": fields.String, "name": fields.String, "email": fields.String})
WORKFLOW = Model(
    "Workflow",
    {
        "id": fields.String,
        "graph": fields.Raw(example={"nodes": [], "edges": []}),
        "features": fields.Raw,
        "hash": fields.String,
        "version": fields.String(example="v1.0.0"),
        "marked_name": fields.String,
        "marked_comment": fields.String,
        "created_by": fields.Nested(ACCOUNT, nullable=True),
        "created_at": fields.Integer,
        "updated_by": fields.Nested(ACCOUNT, nullable=True),
        "updated_at": fields.Integer,
        "tool_published": fields.Boolean,
        "environment_variables": fields.List(fields.Raw),
        "conversation_variables": fields.List(fields.Raw),
        "rag_pipeline_variables": fields.List(fields.Raw),
    },
)
DRAFT = Model(
    "DraftWorkflow",
    {
        "graph": fields.Raw(required=True, example={"nodes": [], "edges": []}),
        "features": fields.Raw,
        "environment_variables": fields.List(fields.Raw),
        "conversation_variables": fields.List(fields.Raw),
        "hash": fields.String(description="That of the draft this one was made from."),
    },
)
SAVED = Model(
    "SavedDraft",
    {"result": fields.String(example="success"), "hash": fields.String, "updated_at": fields.Integer},
)
PUBLISHED = Model(
    "PublishedWorkflow",
    {
        "result": fields.String(example="success"),
        "version": fields.String(example="v1.0.0"),
        "published_at": fields.Integer,
        "created_at": fields.Integer,
        "workflow_id": fields.String,
    },
)
SCHEMA_DEFINITION = Model(
    "SchemaDefinition", {"name": fields.String, "label": fields.String, "schema": fields.Raw}
)
BLOCK_DEFAULT = Model(
    "BlockDefault",
    {
        "type": fields.String(example="code"),
        "config": fields.Raw(description="What the data of a new node begins with."),
    },
)
WORKFLOWS = Model(
    "Workflows",
    {
        "items": fields.List(fields.Nested(WORKFLOW)),
        "page": fields.Integer,
        "limit": fields.Integer,
        "has_more": fields.Boolean,
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarksIn:
    """A version's name and what it is for."""

    marked_name: str | None = None
    marked_comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionsIn:
    """Which page of an app's workflows is asked for."""

    page: int = 1
    limit: int = 10
    user_id: str | None = None
    named_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRunIn:
    """A test of a draft."""

    inputs: JSONObject | None = None
    files: tuple[JSONObject, ...] | None = None
    query: str = ""
    conversation_id: str | None = None
    until_node_id: str | None = None

    def to_ask(self) -> Ask:
        """Return what is asked of the app."""
        return Ask(
            query=self.query or "",
            inputs=self.inputs or {},
            files=self.files or (),
            conversation_id=self.conversation_id,
            invoke_from="debugger",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsIn:
    """Which page of an app's runs is asked for."""

    limit: int = 20
    last_id: str | None = None
    status: str | None = None
    triggered_from: str = "debugging"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCountsIn:
    """Which of an app's runs are counted."""

    status: str | None = None
    time_range: str | None = None
    triggered_from: str = "debugging"


MARKS = parser(
    json_field("marked_name", Text(max_length=MAX_NAME_CHARS), nullable=True),
    json_field("marked_comment", Text(max_length=MAX_COMMENT_CHARS), nullable=True),
)
VERSIONS = parser(
    query_field("page", Integer(minimum=1, maximum=99_999, is_text=True), default=1),
    query_field("limit", Integer(minimum=1, maximum=100, is_text=True), default=10),
    query_field("user_id", UUID(may_be_blank=True)),
    query_field("named_only", Boolean(is_text=True), default=False),
)
_GIVEN = (
    json_field("inputs", Object(takes_empty_list=True), nullable=True),
    json_field("files", Items(item=Object(), max_items=100), nullable=True),
    json_field("query", Text(), nullable=True),
)
FLOW_RUN = parser(
    *_GIVEN,
    json_field("conversation_id", UUID(may_be_blank=True), nullable=True),
    json_field("until_node_id", Text(max_length=255), nullable=True, help="The run ends with this node."),
)
NODE_RUN = parser(*_GIVEN)
RUNS = parser(
    query_field("last_id", UUID(may_be_blank=True)),
    query_field("limit", Integer(minimum=1, maximum=100, is_text=True), default=20),
    query_field("status", Choice(STATUSES)),
    query_field("triggered_from", Choice(TRIGGERED_FROM)),
)
RUN_COUNTS = parser(
    query_field("status", Choice(STATUSES)),
    query_field("time_range", Text(max_length=10), help="For example 7d, 4h, 30m, 30s."),
    query_field("triggered_from", Choice(TRIGGERED_FROM)),
)


def parse_draft(req: Request = request) -> DraftChanges:
    """Return the save of a draft. Raises InvalidRequest for a body of another shape.

    Canvases save half-built graphs, again and again; whoever sends no ``hash``
    and no ``conversation_variables`` saves a whole one, and has it checked.
    Wire: docs/wire/workflows.md#drafts.
    """
    body = json_body(req, may_be_text=True)
    mode = req.args.get("validate")
    if mode is not None and mode not in VALIDATE:
        raise InvalidRequest("validate must be strict or lenient", field="validate", fault="invalid_choice")
    known = body.get("hash")
    if known is not None and not isinstance(known, str):
        raise InvalidRequest("hash must be a text", field="hash", fault="invalid_type")
    if "graph" not in body:
        raise InvalidRequest("graph is required", field="graph", fault="required")
    is_canvas = known is not None or "conversation_variables" in body or req.mimetype == "text/plain"
    return DraftChanges(
        graph=body["graph"],
        features=body.get("features"),
        environment_variables=body.get("environment_variables"),
        conversation_variables=body.get("conversation_variables"),
        hash=known or None,
        is_strict=mode == "strict" if mode else not is_canvas,
    )


def parse_marks(req: Request = request) -> MarksIn:
    """Return name and comment of a publication; a request without a body gives none."""
    if not req.get_data():
        return MarksIn()
    return MarksIn(**cast("Mapping[str, str | None]", MARKS.parse_args()))


def render_workflow(view: WorkflowView) -> JSONObject:
    """Return a workflow as the console shows it."""
    row = view.row
    return {
        "id": row.id,
        "graph": row.graph,
        "features": row.features,
        "hash": row.hash,
        "version": row.version,
        "marked_name": row.marked_name,
        "marked_comment": row.marked_comment,
        "created_by": _account(view.created_by),
        "created_at": to_unix(row.created_at),
        "updated_by": _account(view.updated_by),
        "updated_at": to_unix(row.updated_at),
        "tool_published": view.is_tool,
        "environment_variables": cast("list[JSONValue]", list(view.environment_variables)),
        "conversation_variables": cast("list[JSONValue]", list(view.conversation_variables)),
        "rag_pipeline_variables": [],
    }


def _account(account: object) -> JSONObject | None:
    if account is None:
        return None
    return {name: getattr(account, name) for name in ("id", "name", "email")}
