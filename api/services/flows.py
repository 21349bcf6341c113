"""Workflows as they are run: a row read, its secrets opened, kept in memory as long as it cannot change."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from api.core import vault
from api.core.apps.features import read_features
from api.core.apps.flow import ConversationDefault, FlowSpec, read_form
from api.core.apps.spec import AppSpec
from api.core.ports import JSONObject, JSONValue
from api.core.workflow.graph import read_graph
from api.core.workflow.variables import ValueType
from api.errors import BadRequest, InvalidRequest, NotFound
from api.models.workflow import DRAFT, Workflow, WorkflowSnapshot
from api.runtime import Runtime
from api.services import tenants
from api.services.access import is_id

SEALED = "sealed"
"""Set beside the value of a secret as it is stored."""


class WorkflowNotPublished(InvalidRequest):
    """The app has no published workflow, which is what its API runs."""


@dataclass(frozen=True, slots=True)
class FlowKey:
    """Key under which a process keeps a workflow as it is run; a published one never changes."""

    workflow_id: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """Key under which a process keeps the published workflow of an id."""

    workflow_id: str


def published_flow(runtime: Runtime, app: AppSpec) -> FlowSpec:
    """Return the workflow an app's API runs. Raises WorkflowNotPublished."""
    if app.workflow_id is None:
        raise WorkflowNotPublished("Workflow not published")
    return _published(runtime, app, app.workflow_id)


def asked_flow(runtime: Runtime, app: AppSpec, workflow_id: str | None) -> FlowSpec:
    """Return the version a caller names, the one in use where it names none. Raises as those two do."""
    return chosen_flow(runtime, app, workflow_id) if workflow_id else published_flow(runtime, app)


def chosen_flow(runtime: Runtime, app: AppSpec, workflow_id: str) -> FlowSpec:
    """Return a published version of an app's workflow. Raises NotFound; BadRequest for what is none.

    A version that is not in use may have been deleted, by any process, since it
    was last run; so it is looked for also where it is in memory.
    """
    if not is_id(workflow_id):
        raise BadRequest("Invalid workflow_id format", field="workflow_id", fault="invalid_format")
    chosen = workflow_id.lower()
    here = _of_app(app.tenant_id, app.id).where(Workflow.id == chosen)
    with runtime.reading() as session:
        if session.scalar(here.with_only_columns(Workflow.id)) is None:
            raise _not_found(chosen)
    return _published(runtime, app, chosen)


def draft_flow(runtime: Runtime, session: Session, tenant_id: str, app_id: str) -> FlowSpec | None:
    """Return an app's draft as it is now, None where it has none."""
    row = session.scalars(_of_app(tenant_id, app_id).where(Workflow.version == DRAFT)).one_or_none()
    if row is None:
        return None
    key = FlowKey(row.id, row.updated_at)
    known: FlowSpec | None = runtime.memory.get(key)
    if known is None:
        known = _compiled(runtime, session, row)
        runtime.memory.put(key, known)
    return known


def draft_as_it_was(
    runtime: Runtime, session: Session, tenant_id: str, app_id: str, graph_hash: str
) -> FlowSpec:
    """Return an app's draft with the graph a test of it ran. Raises NotFound where there is no draft."""
    draft = draft_flow(runtime, session, tenant_id, app_id)
    drawn = session.scalar(
        select(WorkflowSnapshot.graph).where(
            WorkflowSnapshot.tenant_id == tenant_id,
            WorkflowSnapshot.app_id == app_id,
            WorkflowSnapshot.hash == graph_hash,
        )
    )
    if draft is None or drawn is None:
        raise NotFound("The draft that was tested is gone.")
    if draft.hash == graph_hash:
        return draft
    graph = read_graph(drawn)
    return replace(draft, graph=graph, form=read_form(graph), hash=graph_hash, snapshot=drawn, configs={})


def _published(runtime: Runtime, app: AppSpec, workflow_id: str) -> FlowSpec:
    key = PublishedKey(workflow_id)
    known: tuple[str, FlowSpec] | None = runtime.memory.get(key)
    if known is not None and known[0] == app.id:
        return known[1]
    with runtime.reading() as session:
        row = session.scalars(_of_app(app.tenant_id, app.id).where(Workflow.id == workflow_id)).one_or_none()
        if row is None:
            raise _not_found(workflow_id)
        if row.version == DRAFT:
            raise BadRequest("Cannot use draft workflow version", field="workflow_id")
        flow = _compiled(runtime, session, row)
    runtime.memory.put(key, (app.id, flow))
    return flow


def _not_found(workflow_id: str) -> NotFound:
    return NotFound(f"Workflow not found with id: {workflow_id}")


def _of_app(tenant_id: str, app_id: str) -> Select[Workflow]:
    return select(Workflow).where(Workflow.tenant_id == tenant_id, Workflow.app_id == app_id)


def _compiled(runtime: Runtime, session: Session, row: Workflow) -> FlowSpec:
    graph = read_graph(row.graph)
    clear = open_secrets(runtime, session, row.tenant_id, row.environment_variables)
    return FlowSpec(
        workflow_id=row.id,
        version=row.version,
        graph=graph,
        form=read_form(graph),
        features=read_features(row.features),
        environment={str(item["name"]): item.get("value") for item in clear},
        secrets=tuple(str(item["value"]) for item in clear if item.get("value_type") == "secret"),
        conversation_variables=tuple(
            ConversationDefault(
                name=str(item["name"]),
                value_type=ValueType(str(item.get("value_type", "string"))),
                value=item.get("value"),
                description=str(item.get("description") or ""),
            )
            for item in row.conversation_variables
        ),
        hash=row.hash,
        snapshot=row.graph if row.version == DRAFT else None,
    )


def open_secrets(
    runtime: Runtime, session: Session, tenant_id: str, stored: Sequence[Mapping[str, JSONValue]]
) -> list[JSONObject]:
    """Return environment variables with their secrets in clear; no statement where there is none."""
    if not any(item.get(SEALED) for item in stored):
        return [dict(item) for item in stored]
    _, keys = tenants.load_data_keys(runtime, session, tenant_id)
    opened: list[JSONObject] = []
    for item in stored:
        clear = {key: value for key, value in item.items() if key != SEALED}
        if item.get(SEALED):
            sealed = base64.b64decode(str(item["value"]))
            clear["value"] = vault.unseal(keys, sealed, _context(tenant_id)).decode()
        opened.append(clear)
    return opened


def seal_secrets(
    runtime: Runtime, session: Session, tenant_id: str, variables: Sequence[JSONObject]
) -> list[JSONObject]:
    """Return environment variables as they are stored: secrets sealed."""
    if not any(item.get("value_type") == "secret" for item in variables):
        return list(variables)
    key, _ = tenants.load_data_keys(runtime, session, tenant_id)
    return [
        {
            **item,
            "value": base64.b64encode(
                vault.seal(key, str(item.get("value") or "").encode(), _context(tenant_id))
            ).decode(),
            SEALED: True,
        }
        if item.get("value_type") == "secret"
        else item
        for item in variables
    ]


def _context(tenant_id: str) -> str:
    return f"workflow-environment\x00{tenant_id}"
