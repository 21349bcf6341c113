"""One node of a draft, run alone: with what tests have left to the account, and what the request gives."""

from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.apps.flow import FlowSpec
from api.core.apps.inputs import check_inputs
from api.core.apps.spec import AppMode
from api.core.events import EventLog, RunHeader
from api.core.ports import JSONObject
from api.core.workflow.alone import put_at, selector_of
from api.core.workflow.graph import CONTAINER_STARTS, NodeSpec, is_root
from api.core.workflow.variables import ENVIRONMENT, SYSTEM
from api.errors import InvalidRequest, NotFound
from api.models.workflow import NodeExecution
from api.principal import Principal
from api.runtime import Runtime
from api.services import (
    app_specs,
    draft_variables,
    files,
    flow_files,
    flow_runs,
    flows,
    limits,
    workflow_runs,
)
from api.services.asks import Ask
from api.services.flow_call import Begun, FlowCall
from api.services.workflows import DraftNotFound, access_flow_app


def run_alone(
    runtime: Runtime, principal: Principal, app_id: str, node_id: str, ask: Ask, *, kind: str | None = None
) -> EventLog:
    """Start one node of an app's draft, with what is inside it; of one ``kind``, where that is given.

    Raises AppNotFound, DraftNotFound, NotFound for a node that is not there,
    InvalidRequest for bad inputs or files, and what runs are refused for.
    """
    with runtime.transaction() as session:
        app = access_flow_app(session, principal, app_id)
        spec = app_specs.load_spec(runtime, session, principal.tenant_id, app.id)
        flow = flows.draft_flow(runtime, session, principal.tenant_id, app.id)
        if flow is None:
            raise DraftNotFound("Draft workflow need to be initialized.")
        # A node alone is no message of a conversation, so there is a workflow of it also in a chatflow.
        as_workflow = replace(spec, mode=AppMode.WORKFLOW)
        call = FlowCall(runtime=runtime, app=as_workflow, flow=flow, principal=principal, ask=ask)
        begun = _begin(call, session, _access_node(flow, node_id, kind))
    part = replace(call, flow=replace(flow, graph=flow.graph.part({node_id})))
    slots = limits.take_slots(runtime, spec, None)
    try:
        return flow_runs.launch(part, begun, slots)
    except BaseException:
        limits.free_slots(runtime, slots)
        raise


def last_execution(
    runtime: Runtime,
    principal: Principal,
    app_id: str,
    node_id: str,
    *,
    execution_id: str | None = None,
) -> NodeExecution:
    """Return what a node did when the account last ran it, or in one execution. Raises AppNotFound, NotFound.

    Alone or in a test, whichever was later.
    """
    with runtime.reading() as session:
        app = access_flow_app(session, principal, app_id)
        query = select(NodeExecution).where(
            NodeExecution.tenant_id == principal.tenant_id,
            NodeExecution.app_id == app.id,
            NodeExecution.node_id == node_id,
            NodeExecution.from_account_id == principal.id,
        )
        if execution_id is not None:
            query = query.where(NodeExecution.id == execution_id)
        latest = query.order_by(NodeExecution.created_at.desc(), NodeExecution.finished_order.desc())
        row = session.scalars(latest.limit(1)).one_or_none()
    if row is None:
        raise NotFound("The node has not been run yet.")
    return workflow_runs.with_values(runtime, row)


def _access_node(flow: FlowSpec, node_id: str, kind: str | None) -> NodeSpec:
    node = flow.graph.nodes.get(node_id)
    if node is None or (kind is not None and node.type != kind):
        raise NotFound(f"The draft has no {kind or 'node'} of id {node_id[:100]!r}.")
    if node.type in CONTAINER_STARTS:
        raise InvalidRequest(f"Nodes of type {node.type!r} are not run alone.", field="node_id")
    return node


def _begin(call: FlowCall, session: Session, node: NodeSpec) -> Begun:
    """Gather what a node is given: what tests left, over it what the request says."""
    runtime, principal, ask = call.runtime, call.principal, call.ask
    header = flow_runs.new_header(session.connection(), call)
    pool = draft_variables.load_pool(session, principal, call.app.id)
    attached = files.attach(session, principal, flow_runs.file_policy(call), ask.files)
    pool[SYSTEM] = _system(call, header, attached, pool.get(SYSTEM, {}))
    if is_root(node.type):
        form = call.flow.form if node.type == "start" else ()
        filled = check_inputs(form, ask.inputs) if form else ask.inputs
        pool[node.id] = flow_files.attach_values(runtime, session, principal, form, filled)
    else:
        for key, given in ask.inputs.items():
            selector = selector_of(call.flow.graph, node, key)
            if selector is not None:
                put_at(pool, selector, flow_files.from_client(runtime, session, principal, given))
    pool[ENVIRONMENT] = call.flow.environment
    return Begun(header=header, pool=pool, shown=ask.inputs, alone=node)


def _system(
    call: FlowCall, header: RunHeader, attached: tuple[files.AttachedFile, ...], left: JSONObject
) -> JSONObject:
    """Return the system variables: those the last test left, and those of this run."""
    fresh = flow_runs.system_variables(call, header, None, attached)
    asked: JSONObject = {"workflow_run_id": header.workflow_run_id}
    if call.ask.query:
        asked["query"] = call.ask.query
    if attached:
        asked["files"] = fresh["files"]
    return {**fresh, **left, **asked}
