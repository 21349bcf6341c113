"""Runs that the console starts: tests of a draft, and failed runs once more from where they failed."""

from dataclasses import replace

from api.core.apps.flow import FlowSpec
from api.core.apps.spec import AppMode
from api.core.events import EventLog
from api.core.ports import JSONObject, JSONValue
from api.core.workflow.draft import draft_hash
from api.core.workflow.engine import DoneNode
from api.core.workflow.graph import Graph, read_graph
from api.errors import BadRequest, InvalidRequest
from api.models.workflow import WorkflowRun
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_specs, flow_rows, flow_runs, flows, generation, limits, workflow_runs
from api.services.access import access_app
from api.services.asks import Ask
from api.services.flow_call import Begun, FlowCall
from api.services.workflows import DraftNotFound, access_flow_app

UNTIL = "until_node_id"
"""Where the drawing of a part says which node it leads to, so that it is run again no further."""


def run_draft(
    runtime: Runtime, principal: Principal, app_id: str, ask: Ask, *, until: str | None = None
) -> EventLog:
    """Start a test of an app's draft, or of what leads to the node ``until`` and of that.

    Raises AppNotFound, DraftNotFound, and what runs are refused for.
    """
    with runtime.transaction() as session:
        app = access_flow_app(session, principal, app_id)
        spec = app_specs.load_spec(runtime, session, principal.tenant_id, app.id)
        flow = flows.draft_flow(runtime, session, principal.tenant_id, app.id)
    if flow is None:
        raise DraftNotFound("Draft workflow need to be initialized.")
    if until is not None:
        flow = _up_to(flow, until)
    call = FlowCall(runtime=runtime, app=spec, flow=flow, principal=principal, ask=ask)
    return flow_runs.generate_flow(call)


def _up_to(flow: FlowSpec, node_id: str) -> FlowSpec:
    """Return a workflow that ends with a node. Raises InvalidRequest for one that no run comes to."""
    before = flow.graph.before(node_id)
    if flow.root().id not in before:
        raise InvalidRequest(
            f"until_node_id: no run of the draft comes to {node_id[:100]!r}", field="until_node_id"
        )
    part = flow.graph.part(before)
    drawn = {**_drawn_part(flow.snapshot or {}, part), UNTIL: node_id}
    # The part is what was run: with it the run is shown, and goes on after a pause.
    return replace(flow, graph=part, snapshot=drawn, hash=draft_hash(drawn, {}))


def _drawn_part(drawn: JSONObject, part: Graph) -> JSONObject:
    """Return a drawn graph with the nodes of a part alone, and the edges between them."""
    nodes: list[JSONValue] = [node for node in _items(drawn, "nodes") if str(node.get("id")) in part.nodes]
    edges: list[JSONValue] = [
        edge
        for edge in _items(drawn, "edges")
        if str(edge.get("source")) in part.nodes and str(edge.get("target")) in part.nodes
    ]
    return {**drawn, "nodes": nodes, "edges": edges}


def _items(drawn: JSONObject, name: str) -> list[JSONObject]:
    listed = drawn.get(name)
    return [item for item in (listed if isinstance(listed, list) else []) if isinstance(item, dict)]


def stop(runtime: Runtime, principal: Principal, app_id: str, task_id: str) -> None:
    """Stop a run of an app; nothing happens where there is none. Raises AppNotFound."""
    with runtime.reading() as session:
        app = access_app(session, principal, app_id)
    generation.stop(runtime, principal, app.id, task_id)


def rerun(runtime: Runtime, principal: Principal, app_id: str, run_id: str) -> EventLog:
    """Run a failed workflow again from where it failed; what is done, and drawn as it was, is not done again.

    A test goes on with the draft as it is now, so that a mended node can be
    tried; one to a single node ends with it again. Raises AppNotFound, NotFound,
    BadRequest for a run that did not fail, InvalidRequest where no run comes to
    that node any more.
    """
    with runtime.transaction() as session:
        app = access_flow_app(session, principal, app_id)
        earlier = workflow_runs.get_detail(session, principal, app.id, run_id)
        if earlier.run.status not in ("failed", "stopped"):
            raise BadRequest("Only a run that failed or was stopped can be run again.")
        if app.mode != AppMode.WORKFLOW:
            raise BadRequest("A chatflow is run again by asking again.")
        spec = app_specs.load_spec(runtime, session, principal.tenant_id, app.id)
        draft = None
        if earlier.run.graph_hash is not None:
            draft = flows.draft_flow(runtime, session, principal.tenant_id, app.id)
    until = earlier.graph.get(UNTIL)
    if draft is not None and until is not None:
        draft = _up_to(draft, str(until))
    flow = draft or flows.chosen_flow(runtime, spec, earlier.run.workflow_id)
    done = flow_rows.load_done_nodes(runtime, earlier.run)
    ask = Ask(query="", inputs=earlier.run.inputs, invoke_from="debugger")
    call = FlowCall(
        runtime=runtime,
        app=spec,
        flow=flow,
        principal=principal,
        ask=ask,
        trigger_id=earlier.run.root,
    )
    slots = limits.take_slots(runtime, spec, None)
    try:
        begun = _begin_again(call, earlier.run, _still_valid(done, earlier.graph, flow))
        return flow_runs.launch(call, begun, slots)
    except BaseException:
        limits.free_slots(runtime, slots)
        raise


def _begin_again(call: FlowCall, earlier: WorkflowRun, done: tuple[DoneNode, ...]) -> Begun:
    """Write the row of a run that goes on from an earlier one."""
    with call.runtime.transaction() as session:
        header = flow_runs.new_header(session.connection(), call)
        system: JSONObject = {**earlier.system, "workflow_run_id": header.workflow_run_id}
        columns = flow_runs.columns(call, earlier.inputs, system) | {"resumes": earlier.id}
        flow_rows.keep_snapshot(call.runtime, session, call.app, call.flow)
        flow_rows.insert_run(session.connection(), call, header, columns)
    return Begun(
        header=header,
        pool=flow_runs.pool(call, earlier.inputs, system, {}),
        shown=flow_runs.shown(earlier.inputs, system),
        done=done,
    )


def _still_valid(done: tuple[DoneNode, ...], graph: JSONObject, flow: FlowSpec) -> tuple[DoneNode, ...]:
    """Return what was done by nodes that are drawn now as they were then."""
    then = read_graph(graph).nodes
    now = flow.graph.nodes
    return tuple(
        node
        for node in done
        if node.node_id in now and node.node_id in then and now[node.node_id].data == then[node.node_id].data
    )
