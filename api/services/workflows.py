"""Workflows as they are drawn: the draft of an app, and the versions it was published as.

A draft is saved as often as a canvas likes; publishing checks all of it and
copies it into a row that never changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import orjson
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.core.apps.features import read_features
from api.core.apps.flow import read_form
from api.core.apps.spec import FLOW_MODES, AppMode
from api.core.ports import JSONObject, JSONValue
from api.core.workflow import block_defaults
from api.core.workflow.declared import (
    DeclaredVariable,
    read_conversation,
    read_environment,
    secrets_of,
    show_conversation,
    show_environment,
    types_of,
)
from api.core.workflow.draft import draft_hash
from api.core.workflow.graph import read_graph
from api.core.workflow.validation import FlowMode, check_graph, check_shape
from api.core.workflow.variables import ENVIRONMENT
from api.errors import BadRequest, Conflict, InvalidRequest, NotFound
from api.models.account import Account
from api.models.app import App
from api.models.base import new_id, utc_now
from api.models.tool import ToolProvider
from api.models.workflow import DRAFT, Workflow
from api.principal import Principal
from api.runtime import Runtime
from api.services import flows, triggers
from api.services.access import AppNotFound, access_app, is_id
from api.services.constraints import is_duplicate

MAX_NAME_CHARS = 20
MAX_COMMENT_CHARS = 100


class DraftNotFound(NotFound):
    """The app has no draft yet."""

    code = "draft_workflow_not_exist"


class DraftOutOfDate(Conflict):
    """Someone else saved the draft meanwhile."""

    code = "draft_workflow_not_sync"


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftChanges:
    """What a save of a draft sets; None leaves what is stored. ``hash`` is that of the draft it began as."""

    graph: JSONValue
    features: JSONValue = None
    environment_variables: JSONValue = None
    conversation_variables: JSONValue = None
    hash: str | None = None
    is_strict: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowView:
    """A workflow as the console shows it: secrets are masks. ``is_tool`` tells that its app is a tool."""

    row: Workflow
    environment_variables: Sequence[JSONObject]
    conversation_variables: Sequence[JSONObject]
    created_by: Account | None
    updated_by: Account | None
    is_tool: bool = False


def access_flow_app(session: Session, principal: Principal, app_id: str) -> App:
    """Return an app that has workflows; raises AppNotFound for any other."""
    app = access_app(session, principal, app_id)
    if AppMode(app.mode) not in FLOW_MODES:
        raise AppNotFound("App not found.")
    return app


def get_draft(runtime: Runtime, session: Session, principal: Principal, app_id: str) -> WorkflowView:
    """Return an app's draft; raises AppNotFound, DraftNotFound."""
    app = access_flow_app(session, principal, app_id)
    return _view(runtime, session, access_draft(session, app), is_tool=_is_tool(session, app))


def access_draft(session: Session, app: App) -> Workflow:
    """Return the row of an app's draft; raises DraftNotFound."""
    row = _find_draft(session, app)
    if row is None:
        raise DraftNotFound("Draft workflow need to be initialized.")
    return row


def save_draft(
    runtime: Runtime, session: Session, principal: Principal, app_id: str, changes: DraftChanges
) -> Workflow:
    """Save an app's draft, made where there is none; return its row.

    Raises InvalidRequest naming the node and the rule, DraftOutOfDate where
    ``hash`` is not that of the stored draft.
    """
    app = access_flow_app(session, principal, app_id)
    row = _hold_draft(session, principal, app)
    if row is not None and changes.hash is not None and changes.hash != row.hash:
        raise DraftOutOfDate("The draft was changed meanwhile; load it again.")
    graph = check_shape(changes.graph)
    features = _given(changes.features, row.features if row else {})
    read_features(features)
    stored = flows.open_secrets(runtime, session, app.tenant_id, row.environment_variables if row else ())
    known = read_environment(cast("JSONValue", stored))
    environment = known
    if changes.environment_variables is not None:
        environment = read_environment(changes.environment_variables, secrets_of(known))
    conversation = read_conversation(
        _given(changes.conversation_variables, row.conversation_variables if row else [])
    )
    if changes.is_strict:
        check_graph(
            graph,
            mode=cast("FlowMode", app.mode),
            environment=types_of(environment),
            conversation=types_of(conversation),
            max_loop_rounds=runtime.limits.flow.max_loop_rounds,
        )
    if row is None:
        row = _new_draft(session, principal, app)
    row.graph = graph
    row.features = cast("JSONObject", features)
    row.environment_variables = _sealed(runtime, session, app.tenant_id, environment)
    row.conversation_variables = show_conversation(conversation)
    row.hash = draft_hash(graph, cast("JSONObject", features))
    row.updated_by, row.updated_at = principal.id, _after(row.updated_at)
    triggers.keep_drawn(session, app, graph)
    session.flush()
    return row


def publish(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    app_id: str,
    *,
    name: str = "",
    comment: str = "",
) -> Workflow:
    """Publish an app's draft as its next version; return the row.

    Raises DraftNotFound, and InvalidRequest with every problem of the graph;
    then nothing is written.
    """
    app = access_flow_app(session, principal, app_id)
    # Publishers of an app take turns at its row, so that each gets a number of its own.
    session.execute(update(App).where(App.id == app.id).values(updated_at=utc_now()))
    draft = access_draft(session, app)
    _check_whole(runtime, session, app, draft)
    last = session.scalar(select(func.max(Workflow.number)).where(Workflow.app_id == app.id)) or 0
    now = utc_now()
    row = Workflow(
        id=new_id(),
        tenant_id=app.tenant_id,
        app_id=app.id,
        type=draft.type,
        version=f"v1.0.{last}",
        number=last + 1,
        graph=draft.graph,
        features=draft.features,
        environment_variables=draft.environment_variables,
        conversation_variables=draft.conversation_variables,
        hash=draft.hash,
        marked_name=name,
        marked_comment=comment,
        created_by=principal.id,
        updated_by=principal.id,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    session.flush()
    app.workflow_id = row.id
    triggers.publish(session, app, row.graph)
    session.flush()
    return row


def get_published(
    runtime: Runtime, session: Session, principal: Principal, app_id: str
) -> WorkflowView | None:
    """Return the version an app's API runs; None where none was published. Raises AppNotFound."""
    app = access_flow_app(session, principal, app_id)
    row = session.get(Workflow, app.workflow_id) if app.workflow_id else None
    if row is None:
        return None
    return _view(runtime, session, row, is_tool=_is_tool(session, app))


def load_versions(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    app_id: str,
    *,
    page: int,
    limit: int,
    is_named_only: bool = False,
    user_id: str | None = None,
) -> tuple[list[WorkflowView], bool]:
    """Return a page of an app's workflows: the draft, then versions, latest first; and whether more follow.

    Nothing at all before the first is published.
    """
    app = access_flow_app(session, principal, app_id)
    if app.workflow_id is None:
        return [], False
    query = select(Workflow).where(Workflow.tenant_id == app.tenant_id, Workflow.app_id == app.id)
    if is_named_only:
        query = query.where(Workflow.marked_name != "")
    if user_id:
        query = query.where(Workflow.created_by == user_id)
    latest_first = query.order_by((Workflow.number != 0), Workflow.number.desc())
    rows = session.scalars(latest_first.offset((page - 1) * limit).limit(limit + 1)).all()
    is_tool = _is_tool(session, app)
    return [_view(runtime, session, row, is_tool=is_tool) for row in rows[:limit]], len(rows) > limit


def mark_version(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    app_id: str,
    workflow_id: str,
    *,
    name: str | None,
    comment: str | None,
) -> WorkflowView:
    """Name a published version, or say what it is for; None leaves what is there. Raises NotFound."""
    app = access_flow_app(session, principal, app_id)
    row = _access_version(session, app, workflow_id)
    if name is not None:
        row.marked_name = name
    if comment is not None:
        row.marked_comment = comment
    row.updated_by = principal.id
    session.flush()
    return _view(runtime, session, row, is_tool=_is_tool(session, app))


def delete_version(session: Session, principal: Principal, app_id: str, workflow_id: str) -> None:
    """Remove a published version. Raises BadRequest for the draft and for one that is in use, NotFound."""
    app = access_flow_app(session, principal, app_id)
    row = _access_version(session, app, workflow_id)
    if row.version == DRAFT:
        raise BadRequest("The draft cannot be deleted.")
    if row.id == app.workflow_id:
        raise BadRequest("The version that is in use cannot be deleted.")
    tool = select(ToolProvider.id).where(
        ToolProvider.tenant_id == app.tenant_id, ToolProvider.workflow_id == row.id
    )
    if session.scalar(tool) is not None:
        raise BadRequest("The version is offered as a tool and cannot be deleted.")
    session.delete(row)
    session.flush()


def restore_version(session: Session, principal: Principal, app_id: str, workflow_id: str) -> Workflow:
    """Make the draft what a published version is; return its row. Raises NotFound."""
    app = access_flow_app(session, principal, app_id)
    row = _access_version(session, app, workflow_id)
    draft = _hold_draft(session, principal, app) or _new_draft(session, principal, app)
    draft.graph, draft.features, draft.hash = row.graph, row.features, row.hash
    draft.environment_variables = row.environment_variables
    draft.conversation_variables = row.conversation_variables
    draft.updated_by, draft.updated_at = principal.id, _after(draft.updated_at)
    triggers.keep_drawn(session, app, row.graph)
    session.flush()
    return draft


def _access_version(session: Session, app: App, workflow_id: str) -> Workflow:
    row = None
    if is_id(workflow_id):
        row = session.scalars(
            select(Workflow).where(
                Workflow.tenant_id == app.tenant_id,
                Workflow.app_id == app.id,
                Workflow.id == workflow_id.lower(),
            )
        ).one_or_none()
    if row is None:
        raise NotFound("Workflow not found.")
    return row


def _find_draft(session: Session, app: App) -> Workflow | None:
    return session.scalars(
        select(Workflow).where(
            Workflow.tenant_id == app.tenant_id, Workflow.app_id == app.id, Workflow.number == 0
        )
    ).one_or_none()


def _hold_draft(session: Session, principal: Principal, app: App) -> Workflow | None:
    """Return the row of an app's draft, None where it has none; whoever else saves it waits.

    Held by a write, for SQLite knows no other way: of two saves that began as
    one draft, the second sees what the first made of it.
    """
    return session.scalars(
        update(Workflow)
        .where(Workflow.tenant_id == app.tenant_id, Workflow.app_id == app.id, Workflow.number == 0)
        .values(updated_by=principal.id)
        .returning(Workflow),
        execution_options={"populate_existing": True},
    ).one_or_none()


def _after(updated_at: datetime) -> datetime:
    """Return the present, but later than a draft's last change: runs tell its states apart by that time."""
    return max(utc_now(), updated_at + timedelta(microseconds=1))


def _new_draft(session: Session, principal: Principal, app: App) -> Workflow:
    """Return the row of an app's first draft; another request may have just made it."""
    now = utc_now()
    row = Workflow(
        id=new_id(),
        tenant_id=app.tenant_id,
        app_id=app.id,
        type="chat" if app.mode == AppMode.ADVANCED_CHAT else "workflow",
        version=DRAFT,
        number=0,
        graph={"nodes": [], "edges": []},
        features={},
        environment_variables=[],
        conversation_variables=[],
        hash="",
        created_by=principal.id,
        created_at=now,
        updated_at=now,
    )
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError as exc:
        if not is_duplicate(exc, "workflows", "app_id", "number"):
            raise
        raise DraftOutOfDate("The draft was just made by another request; load it.") from exc
    return row


def _check_whole(runtime: Runtime, session: Session, app: App, draft: Workflow) -> None:
    """Raise InvalidRequest unless a draft can be run as it is."""
    environment = read_environment(
        cast("JSONValue", flows.open_secrets(runtime, session, app.tenant_id, draft.environment_variables))
    )
    check_graph(
        draft.graph,
        mode=cast("FlowMode", app.mode),
        environment=types_of(environment),
        conversation=types_of(read_conversation(cast("JSONValue", draft.conversation_variables))),
        max_loop_rounds=runtime.limits.flow.max_loop_rounds,
    )
    read_form(read_graph(draft.graph))


def _sealed(
    runtime: Runtime, session: Session, tenant_id: str, variables: Sequence[DeclaredVariable]
) -> list[JSONObject]:
    return flows.seal_secrets(runtime, session, tenant_id, [item.to_json(ENVIRONMENT) for item in variables])


def _view(runtime: Runtime, session: Session, row: Workflow, *, is_tool: bool) -> WorkflowView:
    opened = flows.open_secrets(runtime, session, row.tenant_id, row.environment_variables)
    return WorkflowView(
        row=row,
        environment_variables=show_environment(read_environment(cast("JSONValue", opened))),
        conversation_variables=row.conversation_variables,
        created_by=session.get(Account, row.created_by) if row.created_by else None,
        updated_by=session.get(Account, row.updated_by) if row.updated_by else None,
        is_tool=is_tool,
    )


def _is_tool(session: Session, app: App) -> bool:
    """Tell whether an app's workflow is offered as a tool."""
    tool = select(ToolProvider.id).where(
        ToolProvider.tenant_id == app.tenant_id, ToolProvider.app_id == app.id
    )
    return session.scalar(tool) is not None


def _given(value: JSONValue, stored: object) -> JSONValue:
    """Return what a save sets, or what is stored where it does not say."""
    return cast("JSONValue", stored) if value is None else value


def block_default(node_type: str, query: str | None) -> JSONObject:
    """Return the settings a new node begins with; ``query`` is JSON that may name the language of code.

    Raises InvalidRequest, NotFound.
    """
    try:
        asked = orjson.loads(query) if query else {}
    except orjson.JSONDecodeError:
        asked = None
    if not isinstance(asked, dict):
        raise InvalidRequest("q must be a JSON object", field="q", fault="invalid_format")
    language = asked.get("code_language")
    found = block_defaults.defaults_of(node_type, language if isinstance(language, str) else None)
    if found is None:
        raise NotFound(f"New nodes of type {node_type[:100]!r} begin with nothing.")
    return found
