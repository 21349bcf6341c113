"""Runs that triggers begin: by the clock, by a request to a webhook, or tried out in the console."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import ValidationError
from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from api.core.apps.flow import FlowSpec
from api.core.apps.spec import AppSpec
from api.core.events import EventLog
from api.core.ports import JSONObject
from api.core.workflow.variables import FILE_IDENTITY, FILE_MARK
from api.core.workflow.webhooks import WebhookCall, WebhookConfig, outputs_of
from api.errors import BadRequest, InvalidRequest, NotFound, RateLimited
from api.models.base import new_id, utc_now
from api.models.workflow import WorkflowRun, WorkflowTrigger
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_specs, end_users, flow_runs, flows, jobs, limits, tenants, triggers
from api.services.asks import Ask
from api.services.flow_call import DEBUGGER, FlowCall
from api.services.flow_files import FlowFiles
from api.services.jobs import Job, Lease, Postpone
from api.services.workflows import DraftNotFound, access_flow_app

TRIGGER = "trigger"
BUSY_S = 5.0
TRIGGERS_PER_TICK = 100
STAND_IN: JSONObject = {FILE_MARK: FILE_IDENTITY}
_IS_OPEN = tenants.is_open(WorkflowTrigger.tenant_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentFile:
    """A file of a request, whole."""

    name: str
    mime_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request to a webhook; the call's own ``files`` are still to be kept."""

    call: WebhookCall
    files: Mapping[str, Sequence[SentFile]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A webhook that may be called, and what a call of it runs."""

    app: AppSpec
    flow: FlowSpec
    node_id: str
    config: WebhookConfig
    is_draft: bool


def find_webhook(runtime: Runtime, webhook_id: str, *, is_draft: bool) -> Webhook:
    """Return a webhook by its address, as it was published or as it is drawn.

    Raises NotFound where there is none, or it is switched off; InvalidRequest
    for one that is drawn half.
    """
    row, app, draft = _find(runtime, webhook_id, is_draft=is_draft)
    flow = draft or flows.published_flow(runtime, app)
    node = flow.graph.nodes.get(row.node_id)
    if node is None or node.type != triggers.WEBHOOK:
        raise NotFound("There is no such webhook.")
    try:
        config = WebhookConfig.model_validate(node.data)
    except ValidationError as exc:
        raise InvalidRequest("The webhook is not set up.", field="graph.nodes") from exc
    return Webhook(app=app, flow=flow, node_id=node.id, config=config, is_draft=is_draft)


def call_webhook(runtime: Runtime, webhook: Webhook, received: Received) -> None:
    """Start the run that a request asks for; files are kept once nothing speaks against it.

    Raises InvalidRequest for a request the webhook does not take, RateLimited.
    """
    call = received.call
    stand_ins = {name: [STAND_IN] * len(files) for name, files in received.files.items()}
    outputs_of(webhook.config, replace(call, files=stand_ins))
    principal = end_users.trigger_principal(webhook.app.tenant_id, webhook.app.id)
    slots = limits.take_slots(runtime, webhook.app, None)
    try:
        store = FlowFiles(runtime, principal, webhook.app.id)
        kept = {
            name: [store.save(file.name, file.mime_type, file.content) for file in files]
            for name, files in received.files.items()
        }
        inputs = outputs_of(webhook.config, replace(call, files=kept))
    except BaseException:
        limits.free_slots(runtime, slots)
        raise
    flow_call = FlowCall(
        runtime=runtime,
        app=webhook.app,
        flow=webhook.flow,
        principal=principal,
        ask=Ask(query="", inputs=inputs, invoke_from=DEBUGGER if webhook.is_draft else TRIGGER),
        trigger_id=webhook.node_id,
    )
    flow_runs.begin_flow(flow_call, slots)


def fire_due(runtime: Runtime) -> int:
    """Have a run begun for each schedule that is due; return how many there were.

    What was missed while nobody looked, or the workspace was suspended, comes once. A firing is claimed by
    compare-and-set of its time, together with the job that begins its run.
    """
    due_at = WorkflowTrigger.next_at
    with runtime.reading() as session:
        due = session.scalars(
            select(WorkflowTrigger)
            .where(due_at <= utc_now(), _IS_OPEN)
            .order_by(due_at)
            .limit(TRIGGERS_PER_TICK)
        ).all()
    return sum(_fire(runtime, row) for row in due)


def run_schedule(runtime: Runtime, lease: Lease) -> None:
    """Begin the run of one firing, unless that was done, or the trigger was switched off meanwhile.

    Raises Postpone while the app has no free slot.
    """
    trigger_id, run_id = str(lease.payload["trigger_id"]), str(lease.payload["run_id"])
    with runtime.reading() as session:
        row = session.scalars(
            select(WorkflowTrigger).where(
                WorkflowTrigger.tenant_id == lease.tenant_id,
                WorkflowTrigger.id == trigger_id,
                WorkflowTrigger.is_enabled,
                WorkflowTrigger.data.is_not(None),
            )
        ).one_or_none()
        if row is None or session.get(WorkflowRun, run_id) is not None:
            return
        app = app_specs.load_spec(runtime, session, row.tenant_id, row.app_id)
    call = FlowCall(
        runtime=runtime,
        app=app,
        flow=flows.published_flow(runtime, app),
        principal=end_users.trigger_principal(app.tenant_id, app.id),
        ask=Ask(query="", inputs={}, invoke_from=TRIGGER),
        trigger_id=row.node_id,
        run_id=run_id,
    )
    try:
        flow_runs.generate_flow(call)
    except RateLimited as exc:
        raise Postpone(BUSY_S, exc.message) from exc


def run_drawn(runtime: Runtime, principal: Principal, app_id: str, node_id: str) -> EventLog:
    """Test a draft from one of its triggers on: a webhook with the request it last got.

    Raises AppNotFound, DraftNotFound, AppUnavailable where the draft has no such
    trigger, BadRequest for a webhook that was never called.
    """
    with runtime.transaction() as session:
        app = access_flow_app(session, principal, app_id)
        spec = app_specs.load_spec(runtime, session, principal.tenant_id, app.id)
        flow = flows.draft_flow(runtime, session, principal.tenant_id, app.id)
        if flow is None:
            raise DraftNotFound("Draft workflow need to be initialized.")
        inputs = None
        if flow.root(node_id).type == triggers.WEBHOOK:
            inputs = _last_inputs(session, spec, node_id)
            if inputs is None:
                raise BadRequest("The webhook has not been called yet; call its debug address first.")
    ask = Ask(query="", inputs=inputs or {}, invoke_from=DEBUGGER)
    return flow_runs.generate_flow(
        FlowCall(runtime=runtime, app=spec, flow=flow, principal=principal, ask=ask, trigger_id=node_id)
    )


def _find(
    runtime: Runtime, webhook_id: str, *, is_draft: bool
) -> tuple[WorkflowTrigger, AppSpec, FlowSpec | None]:
    """Return a webhook's row, its app, and the draft where that is to run.

    Raises NotFound, also while the workspace is suspended.
    """
    where: list[ColumnElement[bool]] = [WorkflowTrigger.webhook_id == webhook_id, _IS_OPEN]
    if not is_draft:
        where += [WorkflowTrigger.is_enabled.is_(True), WorkflowTrigger.data.is_not(None)]
    with runtime.transaction() as session:
        row = session.scalars(select(WorkflowTrigger).where(*where)).one_or_none()
        if row is None:
            raise NotFound("There is no such webhook.")
        app = app_specs.load_spec(runtime, session, row.tenant_id, row.app_id)
        draft = flows.draft_flow(runtime, session, row.tenant_id, row.app_id) if is_draft else None
    return row, app, draft


def _fire(runtime: Runtime, row: WorkflowTrigger) -> bool:
    """Claim one firing; tell whether it was this call that did."""
    next_at = triggers.going_on(row)
    with runtime.transaction() as session:
        claimed = session.execute(
            update(WorkflowTrigger)
            .where(WorkflowTrigger.id == row.id, WorkflowTrigger.next_at == row.next_at)
            .values(next_at=next_at)
            .returning(WorkflowTrigger.id)
        ).one_or_none()
        if claimed is not None:
            payload = {"trigger_id": row.id, "run_id": new_id()}
            jobs.enqueue_on_commit(runtime, session, Job.RUN_TRIGGER, payload, tenant_id=row.tenant_id)
    return claimed is not None


def _last_inputs(session: Session, app: AppSpec, node_id: str) -> JSONObject | None:
    """Return what a webhook gave the last time it was called, for real or not."""
    return session.scalars(
        select(WorkflowRun.inputs)
        .where(
            WorkflowRun.tenant_id == app.tenant_id, WorkflowRun.app_id == app.id, WorkflowRun.root == node_id
        )
        .order_by(WorkflowRun.created_at.desc(), WorkflowRun.id.desc())
        .limit(1)
    ).one_or_none()
