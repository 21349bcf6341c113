"""Runs that the console starts: tests of a draft, and failed runs once more from where they failed."""

from api.core.events import EventLog
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_specs, flow_runs, flows
from api.services.asks import Ask
from api.services.flow_runs import FlowCall
from api.services.workflows import DraftNotFound, access_flow_app


def run_draft(runtime: Runtime, principal: Principal, app_id: str, ask: Ask) -> EventLog:
    """Start a test of an app's draft. Raises AppNotFound, DraftNotFound, and what runs are refused for."""
    with runtime.transaction() as session:
        app = access_flow_app(session, principal, app_id)
        spec = app_specs.load_spec(runtime, session, principal.tenant_id, app.id)
        flow = flows.draft_flow(runtime, session, principal.tenant_id, app.id)
    if flow is None:
        raise DraftNotFound("Draft workflow need to be initialized.")
    call = FlowCall(runtime=runtime, app=spec, flow=flow, principal=principal, ask=ask)
    return flow_runs.generate_flow(call)
