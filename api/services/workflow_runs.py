"""Runs of workflows as they were: found again, shown, listed, counted."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import CTE, ColumnElement, Select, and_, func, select, tuple_
from sqlalchemy.orm import Session, defer, object_session

from api.core.apps.spec import FLOW_MODES, AppMode, AppSpec
from api.core.events import Event, EventLog, RunHeader, RunStarted, from_json
from api.core.ports import JSONObject
from api.errors import InvalidRequest, NotFound
from api.models.account import Account, TenantMember
from api.models.app import App, EndUser
from api.models.base import utc_now
from api.models.types import position_of, unindexed
from api.models.workflow import NO_TEST, NodeExecution, Workflow, WorkflowRun, WorkflowSnapshot
from api.principal import Principal
from api.runtime import Runtime
from api.services.access import AppNotFound, access_app, is_id, owned_by
from api.services.idempotency import StillRunning
from api.services.log_pages import Listed, Place, Slice, load
from api.services.log_search import RunSearch
from api.services.messages import StoredLog

HEAVY = (
    WorkflowRun.outcome,
    WorkflowRun.system,
    WorkflowRun.searchable,
    WorkflowRun.inputs,
    WorkflowRun.outputs,
)
"""Columns that may hold much, which a list does not tell; the last two are a run's values."""
STATUSES = ("running", "succeeded", "failed", "stopped", "partial-succeeded", "paused")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAuthor:
    """Who started a run."""

    account: Account | None
    end_user: EndUser | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunItem:
    """A run in a list."""

    run: WorkflowRun
    author: RunAuthor


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail:
    """A run with the graph it ran."""

    run: WorkflowRun
    author: RunAuthor
    graph: JSONObject


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which runs a log shows.

    ``keyword`` is part of inputs or outputs, the beginning of an end user's
    name, or the whole of an id.
    """

    keyword: str = ""
    status: str | None = None
    before: datetime | None = None
    after: datetime | None = None
    session_id: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPlace:
    """Which page of a log: the one of a number, or the one after the last run the caller holds.

    ``has_values`` asks for inputs and outputs too.
    """

    page: int = 1
    limit: int = 20
    last_id: str | None = None
    has_values: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """A page of a log. ``total`` ends at log_pages.COUNTED; ``has_more`` is always right."""

    items: Sequence[RunItem]
    total: int
    has_more: bool
    has_values: bool


NO_LOGS = LogPage(items=(), total=0, has_more=False, has_values=False)


def access_run(session: Session, tenant_id: str, app_id: str, run_id: str) -> WorkflowRun:
    """Return a run of an app; raises NotFound."""
    row = None
    if is_id(run_id):
        row = session.scalars(
            select(WorkflowRun).where(
                WorkflowRun.tenant_id == tenant_id,
                WorkflowRun.app_id == app_id,
                WorkflowRun.id == run_id.lower(),
            )
        ).one_or_none()
    if row is None:
        raise NotFound("Workflow run not found.")
    return row


def get_run_of_app(runtime: Runtime, app: AppSpec, run_id: str) -> WorkflowRun:
    """Return a run of the app a key opens; raises NotFound."""
    with runtime.reading() as session:
        return access_run(session, app.tenant_id, app.id, run_id)


def task_of(runtime: Runtime, principal: Principal, app: AppSpec, run_id: str) -> str:
    """Return the task of a run the caller itself started; raises NotFound."""
    found = None
    if is_id(run_id):
        query = select(WorkflowRun.task_id).where(
            WorkflowRun.tenant_id == app.tenant_id,
            WorkflowRun.app_id == app.id,
            WorkflowRun.id == run_id.lower(),
            owned_by(WorkflowRun, principal),
        )
        with runtime.reading() as session:
            found = session.scalars(query).one_or_none()
    if found is None:
        raise NotFound("Workflow run not found")
    return found


def first_run(runtime: Runtime, app: AppSpec, principal: Principal, run_id: str) -> EventLog:
    """Return the log of a run, for a repeated request; raises StillRunning."""
    run = get_run_of_app(runtime, app, run_id)
    if run.status == "running":
        raise StillRunning("The first request with this Idempotency-Key is still running.", retry_after_s=1)
    header = to_header(run, principal)
    begun: Event = RunStarted(inputs=run.inputs, created_at=header.created_at)
    return runtime.channel.find(run.task_id) or StoredLog(
        header=header, events=(begun, from_json(run.outcome or {}))
    )


def to_header(run: WorkflowRun, principal: Principal) -> RunHeader:
    """Return the header of a run whose log is told from its row."""
    return RunHeader(
        task_id=run.task_id,
        tenant_id=run.tenant_id,
        app_id=run.app_id,
        mode="workflow" if run.type == "workflow" else "advanced-chat",
        principal_id=principal.id,
        created_at=int(run.created_at.timestamp()),
        total_s=0.0,
        conversation_id=run.conversation_id,
        message_id=run.message_id,
        workflow_run_id=run.id,
        workflow_id=run.workflow_id,
        created_by={"id": principal.id, "user": principal.user},
    )


def get_detail(session: Session, principal: Principal, app_id: str, run_id: str) -> RunDetail:
    """Return a run of an app with its graph; raises NotFound."""
    run = access_run(session, principal.tenant_id, app_id, run_id)
    query: Select[Any] = select(Workflow.graph).where(
        Workflow.tenant_id == run.tenant_id, Workflow.id == run.workflow_id
    )
    if run.graph_hash is not None:
        query = select(WorkflowSnapshot.graph).where(
            WorkflowSnapshot.tenant_id == run.tenant_id,
            WorkflowSnapshot.app_id == run.app_id,
            WorkflowSnapshot.hash == run.graph_hash,
        )
    return RunDetail(run=run, author=_author(session, run), graph=session.scalar(query) or {})


def load_runs(
    session: Session,
    principal: Principal,
    app_id: str,
    *,
    last_id: str | None,
    limit: int,
    status: str | None,
    triggered_from: str,
) -> tuple[list[RunItem], bool]:
    """Return a page of an app's runs after ``last_id``, newest first, and whether more follow."""
    where = [
        WorkflowRun.tenant_id == principal.tenant_id,
        WorkflowRun.app_id == app_id,
        WorkflowRun.triggered_from == triggered_from,
    ]
    if status:
        where.append(WorkflowRun.status == status)
    if last_id:
        last = access_run(session, principal.tenant_id, app_id, last_id)
        place = position_of(last.created_at, last.id)
        where.append(_place() < place)
    query = _with_authors(*where).order_by(WorkflowRun.created_at.desc(), WorkflowRun.id.desc())
    rows = session.execute(query.limit(limit + 1)).all()
    return [_item(row) for row in rows[:limit]], len(rows) > limit


def count_runs(
    session: Session,
    principal: Principal,
    app_id: str,
    *,
    status: str | None,
    triggered_from: str,
    within: timedelta | None,
) -> dict[str, int]:
    """Return how many of an app's runs there are of each status."""
    where = [
        WorkflowRun.tenant_id == principal.tenant_id,
        WorkflowRun.app_id == app_id,
        WorkflowRun.triggered_from == triggered_from,
    ]
    if status:
        where.append(WorkflowRun.status == status)
    if within is not None:
        where.append(WorkflowRun.created_at >= utc_now() - within)
    rows = session.execute(
        select(WorkflowRun.status, func.count()).where(*where).group_by(WorkflowRun.status)
    ).all()
    return {name: count for name, count in rows}  # noqa: C416  # rows are no pairs to mypy


def load_executions(
    session: Session, principal: Principal, app_id: str, run_id: str
) -> Sequence[NodeExecution]:
    """Return what the nodes of a run did, the latest begun first, without values kept elsewhere.

    Raises NotFound.
    """
    run = access_run(session, principal.tenant_id, app_id, run_id)
    query = (
        select(NodeExecution)
        .where(NodeExecution.workflow_run_id == run.id)
        .order_by(NodeExecution.index.desc(), NodeExecution.finished_order.desc())
    )
    return session.scalars(query).all()


def with_values(runtime: Runtime, row: NodeExecution) -> NodeExecution:
    """Return an execution with its values, from wherever they are kept.

    May wait for the storage, so the session it came from is over. Raises Unavailable.
    """
    assert object_session(row) is None, "a session was held while the storage is waited for"
    if row.kept_at is not None:
        with runtime.storage.open(row.kept_at) as kept:
            values: JSONObject = orjson.loads(zlib.decompress(kept.read()))
        for name, value in values.items():
            if getattr(row, name) is None:  # what a form's end gave is in the row
                setattr(row, name, value)
    return row


def load_app_logs(
    session: Session, principal: Principal, app_id: str, chosen: LogFilter, place: LogPlace
) -> LogPage:
    """Return a page of the runs of an app with workflows; AppNotFound, InvalidRequest, NotFound."""
    app = access_app(session, principal, app_id)
    if AppMode(app.mode) not in FLOW_MODES:
        raise AppNotFound("App not found.")
    return load_logs(session, app, chosen, place)


def load_logs(session: Session, app: AppSpec | App, chosen: LogFilter, place: LogPlace) -> LogPage:
    """Return a page of the runs of an app that were not tests, newest first; InvalidRequest, NotFound."""
    # The app's id alone is one workspace's. Whose runs are asked for is known by an index of their author's.
    by_others = [unindexed(WorkflowRun.app_id) == app.id, NO_TEST]
    is_of_one = chosen.session_id or chosen.email
    listed = Listed(
        at=WorkflowRun.created_at,
        row_id=WorkflowRun.id,
        in_order=by_others if is_of_one else [WorkflowRun.app_id == app.id, NO_TEST],
        by_id=by_others,
        where=_log_filter(session, app, chosen),
    )
    wanted = Slice(limit=place.limit, page=place.page, after=_place_of(session, app, place.last_id))
    search = None
    if chosen.keyword:
        search = RunSearch(session, app, chosen.keyword, since=chosen.after, until=chosen.before)
    unread = [defer(column, raiseload=True) for column in (HEAVY[:3] if place.has_values else HEAVY)]

    def describe(page: CTE) -> Select[Any]:
        is_there = and_(WorkflowRun.id == page.c.id, WorkflowRun.tenant_id == app.tenant_id)
        runs = select(WorkflowRun, Account, EndUser).select_from(page).outerjoin(WorkflowRun, is_there)
        order = wanted.order(WorkflowRun.created_at, WorkflowRun.id)
        return _authored(runs).options(*unread).add_columns(page.c.total).order_by(*order)

    page = load(session, listed, wanted, describe, search)
    return LogPage(
        items=[_item(row) for row in page.rows],
        total=page.total,
        has_more=page.has_more,
        has_values=place.has_values,
    )


def _place_of(session: Session, app: AppSpec | App, last_id: str | None) -> Place | None:
    """Return where the last run the caller holds stands; raises NotFound."""
    if last_id is None:
        return None
    last = access_run(session, app.tenant_id, app.id, last_id)
    return last.created_at, last.id


def _log_filter(session: Session, app: AppSpec | App, chosen: LogFilter) -> list[Any]:
    """Return what the runs asked for have in common."""
    where: list[ColumnElement[bool]] = []
    if chosen.status:
        where.append(WorkflowRun.status == chosen.status)
    if chosen.before:
        where.append(WorkflowRun.created_at <= chosen.before)
    if chosen.after:
        where.append(WorkflowRun.created_at >= chosen.after)
    if chosen.session_id:
        users = select(EndUser.id).where(EndUser.app_id == app.id, EndUser.session_id == chosen.session_id)
        where.append(WorkflowRun.from_end_user_id.in_(users))
    if chosen.email:
        where.append(WorkflowRun.from_account_id == _access_member(session, app.tenant_id, chosen.email))
    return where


def _access_member(session: Session, tenant_id: str, email: str) -> str:
    """Return the account of a member of a workspace; raises InvalidRequest."""
    account_id = session.scalar(
        select(Account.id)
        .join(TenantMember, TenantMember.account_id == Account.id)
        .where(TenantMember.tenant_id == tenant_id, Account.email == email)
    )
    if account_id is None:
        raise InvalidRequest(f"Account not found: {email}", field="created_by_account")
    return account_id


def _with_authors(*where: ColumnElement[bool]) -> Select[WorkflowRun, Account, EndUser]:
    return _authored(select(WorkflowRun, Account, EndUser).where(*where))


def _authored(runs: Select[WorkflowRun, Account, EndUser]) -> Select[WorkflowRun, Account, EndUser]:
    return runs.outerjoin(Account, Account.id == WorkflowRun.from_account_id).outerjoin(
        EndUser, and_(EndUser.id == WorkflowRun.from_end_user_id, EndUser.tenant_id == WorkflowRun.tenant_id)
    )


def _place() -> Any:
    return tuple_(WorkflowRun.created_at, WorkflowRun.id)


def _item(row: Any) -> RunItem:
    return RunItem(run=row[0], author=RunAuthor(account=row[1], end_user=row[2]))


def _author(session: Session, run: WorkflowRun) -> RunAuthor:
    account = session.get(Account, run.from_account_id) if run.from_account_id else None
    end_user = session.get(EndUser, run.from_end_user_id) if run.from_end_user_id else None
    return RunAuthor(account=account, end_user=end_user)
