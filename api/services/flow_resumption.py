"""Lets a run that waited for people go on, exactly once for each thing that happened, or ends it.

Whatever may let a run go on (an answer, the end of a form's time, a pause with
forms answered meanwhile) leaves a job; the job that finds the run paused and a
form closed takes the run, by compare-and-set, together with those forms.
"""

import logging
from dataclasses import replace
from datetime import datetime
from typing import cast

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.orm import Session

from api.core.apps.flow import FlowSpec
from api.core.apps.spec import AppSpec
from api.core.events import (
    ErrorOccurred,
    Event,
    FormClosed,
    MessageEnd,
    RunFinished,
    RunHeader,
    RunPaused,
    from_json,
    to_json,
)
from api.core.model_runtime.types import PastTurn
from api.core.ports import JSONObject
from api.core.workflow.engine import STOPPED, DoneNode
from api.core.workflow.graph import SOURCE
from api.errors import NotFound, RateLimited
from api.models.base import utc_now
from api.models.conversation import Message
from api.models.workflow import HumanInputForm, NodeExecution, WorkflowRun
from api.principal import ActorKind, Principal
from api.runtime import Runtime
from api.services import app_specs, conversations, flow_rows, flow_runs, flows, forms, limits
from api.services.access import is_id, owned_by
from api.services.asks import Ask
from api.services.flow_call import Begun, Behind, FlowCall
from api.services.jobs import Lease, Postpone

logger = logging.getLogger(__name__)

BUSY_S = 2.0


def resume(runtime: Runtime, lease: Lease) -> None:
    """Let a paused run go on with the forms that were closed; nothing where there is nothing to go on with.

    Raises Postpone while the app has no free slot.
    """
    run_id = str(lease.payload["run_id"])
    with runtime.reading() as session:
        run = _find_answered(session, lease.tenant_id, run_id)
    if run is None:
        return
    try:
        call = _to_call(runtime, run)
        slots = limits.take_slots(runtime, call.app, None)
        try:
            begun = _begin_again(call, run)
            if begun is None:
                limits.free_slots(runtime, slots)
            else:
                flow_runs.launch(call, begun, slots)
        except BaseException:
            limits.free_slots(runtime, slots)
            raise
    except RateLimited as exc:
        raise Postpone(BUSY_S, exc.message) from exc
    except NotFound as exc:
        logger.warning("run cannot go on", extra={"workflow_run_id": run_id})
        with runtime.transaction() as session:
            _end(session, run, "failed", exc.message)


def stop_paused(runtime: Runtime, principal: Principal, app_id: str, task_id: str) -> None:
    """End a run of the caller's own, or for a member one of the app's, that waits; nothing for any other."""
    if not is_id(task_id):
        return
    where = [
        WorkflowRun.tenant_id == principal.tenant_id,
        WorkflowRun.app_id == app_id,
        WorkflowRun.task_id == task_id.lower(),
        WorkflowRun.status == "paused",
    ]
    if principal.kind is not ActorKind.ACCOUNT:
        where.append(owned_by(WorkflowRun, principal))
    with runtime.transaction() as session:
        run = session.scalars(select(WorkflowRun).where(*where)).one_or_none()
        if run is not None:
            _end(session, run, "stopped", STOPPED)


def _find_answered(session: Session, tenant_id: str, run_id: str) -> WorkflowRun | None:
    is_answered = (
        select(HumanInputForm.id)
        .where(
            HumanInputForm.workflow_run_id == WorkflowRun.id,
            HumanInputForm.closed_at.is_not(None),
            HumanInputForm.resumed_at.is_(None),
        )
        .exists()
    )
    return session.scalars(
        select(WorkflowRun).where(
            WorkflowRun.tenant_id == tenant_id,
            WorkflowRun.id == run_id,
            WorkflowRun.status == "paused",
            is_answered,
        )
    ).one_or_none()


def _to_call(runtime: Runtime, run: WorkflowRun) -> FlowCall:
    """Return what the run was asked for with. Raises NotFound where its app or workflow is gone."""
    with runtime.transaction() as session:
        app = app_specs.load_spec(runtime, session, run.tenant_id, run.app_id)
        draft = None
        if run.graph_hash is not None:
            draft = flows.draft_as_it_was(runtime, session, run.tenant_id, run.app_id, run.graph_hash)
    return _call(runtime, run, app, draft or flows.chosen_flow(runtime, app, run.workflow_id))


def _call(runtime: Runtime, run: WorkflowRun, app: AppSpec, flow: FlowSpec) -> FlowCall:
    is_account = run.from_account_id is not None
    return FlowCall(
        runtime=runtime,
        app=app,
        flow=flow,
        principal=Principal(
            tenant_id=run.tenant_id,
            kind=ActorKind.ACCOUNT if is_account else ActorKind.END_USER,
            id=str(run.from_account_id or run.from_end_user_id),
            app_id=None if is_account else run.app_id,
            user=None if is_account else str(run.system["user_id"]),
        ),
        ask=Ask(
            query=str(run.system.get("query") or ""),
            inputs=run.inputs,
            conversation_id=run.conversation_id,
            invoke_from=run.invoke_from,
        ),
        trigger_id=run.root,
        run_id=run.id,
    )


def _begin_again(call: FlowCall, run: WorkflowRun) -> Begun | None:
    """Take the run with the forms closed by now; None where somebody else has. Raises NotFound."""
    done = flow_rows.load_done_nodes(call.runtime, run)
    with call.runtime.transaction() as session:
        header = _header(session, call, run)
        taken = session.execute(
            update(WorkflowRun)
            .where(_is_still_paused(run))
            .values(status="running", task_id=header.task_id, owner=call.runtime.owner)
            .returning(WorkflowRun.id)
        ).one_or_none()
        if taken is None:
            return None
        behind, answered = _take_forms(session, run)
        history, kept, answer = _take_message(call, session, header)
    return Begun(
        header=header,
        pool=flow_runs.pool(call, run.inputs, run.system, kept),
        shown=flow_runs.shown(run.inputs, run.system),
        history=history,
        is_new=False,
        done=done + answered,
        behind=replace(behind, answer=answer),
    )


def _header(session: Session, call: FlowCall, run: WorkflowRun) -> RunHeader:
    """Return the header of the part that begins: a task of its own, of the same run and message."""
    return replace(
        flow_runs.new_header(session.connection(), call),
        created_at=int(run.created_at.timestamp()),
        conversation_id=run.conversation_id,
        message_id=run.message_id,
        told_events=run.told_events,
    )


def _is_still_paused(run: WorkflowRun) -> ColumnElement[bool]:
    return and_(WorkflowRun.id == run.id, WorkflowRun.status == "paused", WorkflowRun.task_id == run.task_id)


def _take_forms(session: Session, run: WorkflowRun) -> tuple[Behind, tuple[DoneNode, ...]]:
    """Write down the ends of nodes whose forms are closed; return what the run has behind it, and these."""
    rows = forms.load_unresumed(session, run.id)
    closed = [row for row in rows if row.closed_at is not None]
    order = session.scalar(
        select(func.max(NodeExecution.finished_order)).where(NodeExecution.workflow_run_id == run.id)
    )
    now = utc_now()
    for number, row in enumerate(closed, (order or 0) + 1):
        row.resumed_at = now
        _end_node(session, row, number, now)
    behind = Behind(
        paused=cast("RunPaused", from_json(run.outcome or {})),
        told_chars=run.told_chars,
        order=(order or 0) + len(closed),
        price=run.total_price,
        currency=run.currency,
        closed=tuple(cast("FormClosed", from_json(row.told or {})) for row in closed),
        waiting=tuple(forms.to_asked(row) for row in rows if row.closed_at is None),
    )
    return behind, tuple(
        DoneNode(node_id=row.node_id, outputs=row.outputs or {}, edge=row.edge or SOURCE) for row in closed
    )


def _end_node(session: Session, form: HumanInputForm, order: int, now: datetime) -> None:
    session.execute(
        update(NodeExecution)
        .where(
            NodeExecution.workflow_run_id == form.workflow_run_id,
            NodeExecution.node_id == form.node_id,
            NodeExecution.status == "paused",
        )
        .values(
            status="succeeded", outputs=form.outputs, edge=form.edge, finished_order=order, finished_at=now
        )
    )


def _take_message(
    call: FlowCall, session: Session, header: RunHeader
) -> tuple[tuple[PastTurn, ...], JSONObject, str]:
    """Let a chatflow's message run again; return its conversation, that one's variables, and the answer."""
    if header.message_id is None or header.conversation_id is None:
        return (), {}, ""
    connection = session.connection()
    recalled = conversations.recall(connection, call.principal, call.app.id, header.conversation_id)
    answer = session.scalars(
        update(Message)
        .where(Message.id == header.message_id, Message.status == "paused")
        .values(status="running", task_id=header.task_id, owner=call.runtime.owner)
        .returning(Message.answer)
    ).one_or_none()
    if answer is None:
        raise NotFound("The message that waited is gone.")
    kept = flow_rows.load_conversation_variables(connection, call.app.tenant_id, header.conversation_id)
    return recalled.turns, kept, answer


def _end(session: Session, run: WorkflowRun, status: str, error: str) -> None:
    """End a run that still waits, and the message it answers."""
    paused = cast("RunPaused", from_json(run.outcome or {}))
    is_stopped, now = status == "stopped", utc_now()
    finished = RunFinished(
        status="stopped" if is_stopped else "failed",
        outputs=paused.outputs,
        created_at=paused.created_at,
        finished_at=int(now.timestamp()),
        elapsed_s=paused.elapsed_s,
        total_tokens=paused.total_tokens,
        total_steps=paused.total_steps,
        error=error,
    )
    ended = session.execute(
        update(WorkflowRun)
        .where(_is_still_paused(run))
        .values(status=status, error=error, outcome=to_json(finished), finished_at=now)
        .returning(WorkflowRun.id)
    ).one_or_none()
    if ended is None or run.message_id is None:
        return
    last: Event = MessageEnd(usage=paused.usage, outcome="stopped")
    if not is_stopped:
        last = ErrorOccurred(status=400, code="invalid_param", message=f"Run failed: {error}")
    values = {"status": "stopped"} if is_stopped else {"status": "error", "error": error}
    session.execute(
        update(Message)
        .where(Message.id == run.message_id, Message.status == "paused")
        .values(**values, outcome=to_json(last), finished_at=now)
    )
