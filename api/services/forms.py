"""Forms that people answer while a run waits: kept, shown, closed by an answer or by their time.

What must stay true: a form is closed once, and with it, in the same transaction,
goes a job that lets its run go on (services/flow_resumption.py).
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api.core.apps.config import FormItem
from api.core.apps.spec import AppSpec
from api.core.events import FormAsked, FormClosed, from_json, to_json
from api.core.ports import JSONObject
from api.core.workflow.deps import FlowFacts
from api.core.workflow.forms import TIMEOUT, FormEnd, answered, name_of, timed_out
from api.errors import AppError, InvalidRequest, NotFound
from api.models.base import new_id, utc_now
from api.models.workflow import HumanInputForm, WorkflowRun
from api.principal import Principal
from api.runtime import Runtime
from api.services import end_users, flow_files, form_mails, jobs, tenants
from api.services.files import FILE_KINDS
from api.services.jobs import Job

TOKEN_BYTES = 32
FORMS_PER_TICK = 100


class FormSubmitted(AppError):
    """Somebody has answered the form already."""

    code = "human_input_form_submitted"
    http_status = 412


class FormExpired(AppError):
    """The form's time is over, or its run has ended without it."""

    code = "human_input_form_expired"
    http_status = 412


@dataclass(frozen=True, slots=True)
class KeptForms:
    """Implements Forms: each form is a row."""

    runtime: Runtime

    def ask(self, asked: FormAsked, facts: FlowFacts) -> FormAsked:
        """Keep a form, have it mailed, and return it with its id and token. Raises Unavailable."""
        form = replace(asked, form_id=new_id(), token=secrets.token_urlsafe(TOKEN_BYTES))
        row = HumanInputForm(
            id=form.form_id,
            tenant_id=facts.tenant_id,
            app_id=facts.app_id,
            workflow_run_id=facts.run_id,
            node_id=form.node_id,
            token=form.token,
            asked=to_json(form),
            expires_at=datetime.fromtimestamp(form.expires_at, UTC),
        )
        with self.runtime.transaction() as session:
            session.add(row)
            form_mails.request_mails(self.runtime, session, facts, form)
        return form


def get_form(runtime: Runtime, app: AppSpec, token: str) -> FormAsked:
    """Return a form that waits for its answer. Raises NotFound, FormSubmitted, FormExpired."""
    with runtime.reading() as session:
        return to_asked(_access_open(session, app, token))


def answer_form(
    runtime: Runtime, app: AppSpec, principal: Principal, token: str, *, action: str, inputs: JSONObject
) -> None:
    """Close a form with an answer, and let its run go on.

    Raises NotFound, FormSubmitted, FormExpired, and InvalidRequest naming the
    field for an answer that does not fit; then the form stays open.
    """
    with runtime.transaction() as session:
        row = _access_open(session, app, token)
        asked = to_asked(row)
        values = flow_files.attach_values(runtime, session, principal, _file_fields(asked), inputs)
        end = answered(asked, action, values)
        closed = FormClosed(
            node_id=asked.node_id,
            title=asked.title,
            action_id=end.edge,
            action_text=str(end.outputs["__action_value"] or ""),
            content=end.content,
        )
        end_users.remember_end_user(runtime, session, principal)
        if not _close(runtime, session, row, end, closed, answered_by=principal.id):
            raise FormSubmitted("The form has been answered already.")


def check_takes_files(asked: FormAsked) -> None:
    """Raise InvalidRequest unless a form has a field for files."""
    if not _file_fields(asked):
        raise InvalidRequest("The form takes no files.", field="file")


def close_overdue(runtime: Runtime) -> int:
    """Close the forms whose time is over, and let their runs go on; return how many there were.

    Those of a workspace that is suspended wait until it is open again: nothing runs there.
    """
    with runtime.transaction() as session:
        due = session.scalars(
            select(HumanInputForm)
            .where(
                HumanInputForm.closed_at.is_(None),
                HumanInputForm.expires_at <= utc_now(),
                tenants.is_open(HumanInputForm.tenant_id),
            )
            .order_by(HumanInputForm.expires_at)
            .limit(FORMS_PER_TICK)
        ).all()
        for row in due:
            asked = to_asked(row)
            closed = FormClosed(
                node_id=asked.node_id, title=asked.title, action_id=None, expires_at=asked.expires_at
            )
            _close(runtime, session, row, timed_out(asked), closed)
    return len(due)


def load_unresumed(session: Session, run_id: str) -> Sequence[HumanInputForm]:
    """Return the forms of a run that it has not gone on with, closed ones in the order of their ends."""
    return session.scalars(
        select(HumanInputForm)
        .where(HumanInputForm.workflow_run_id == run_id, HumanInputForm.resumed_at.is_(None))
        .order_by(HumanInputForm.closed_at, HumanInputForm.node_id)
    ).all()


def to_asked(row: HumanInputForm) -> FormAsked:
    """Return a form as it was asked."""
    return cast("FormAsked", from_json(row.asked))


def _access_open(session: Session, app: AppSpec, token: str) -> HumanInputForm:
    found = session.execute(
        select(HumanInputForm, WorkflowRun.status)
        .join(WorkflowRun, WorkflowRun.id == HumanInputForm.workflow_run_id)
        .where(
            HumanInputForm.tenant_id == app.tenant_id,
            HumanInputForm.app_id == app.id,
            HumanInputForm.token == token,
        )
    ).one_or_none()
    if found is None:
        raise NotFound("Form not found")
    row: HumanInputForm = found[0]
    if row.closed_at is not None and row.edge != TIMEOUT:
        raise FormSubmitted("The form has been answered already.")
    is_over = row.closed_at is not None or row.expires_at <= utc_now()
    if is_over or found.status not in ("running", "paused"):
        raise FormExpired("The time to answer the form is over.")
    return row


def _file_fields(asked: FormAsked) -> tuple[FormItem, ...]:
    """Return those of a form's fields that take files."""
    return tuple(
        FormItem.model_validate(
            {"kind": item["type"], "variable": name_of(item), "label": name_of(item), "required": False}
        )
        for item in asked.fields
        if item["type"] in FILE_KINDS
    )


def _close(
    runtime: Runtime,
    session: Session,
    row: HumanInputForm,
    end: FormEnd,
    told: FormClosed,
    *,
    answered_by: str | None = None,
) -> bool:
    """Close a form unless somebody was faster; tell whether it was this call."""
    closed = session.execute(
        update(HumanInputForm)
        .where(HumanInputForm.id == row.id, HumanInputForm.closed_at.is_(None))
        .values(
            closed_at=utc_now(),
            answered_by=answered_by,
            edge=end.edge,
            outputs=end.outputs,
            told=to_json(told),
        )
        .returning(HumanInputForm.id)
    ).one_or_none()
    if closed is not None:
        payload = {"run_id": row.workflow_run_id}
        jobs.enqueue_on_commit(runtime, session, Job.RESUME_RUN, payload, tenant_id=row.tenant_id)
    return closed is not None
