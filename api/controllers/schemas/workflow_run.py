"""Runs of workflows: what callers send, and what they get."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import (
    UUID,
    Boolean,
    Choice,
    Items,
    Object,
    Text,
    json_field,
    parser,
    query_field,
    user_name,
)
from api.controllers.schemas.chat import MODES, ON_DISCONNECT
from api.controllers.schemas.fields import AnyValue, page_fields, to_unix
from api.core.ports import JSONObject, JSONValue
from api.errors import InvalidRequest
from api.services.workflow_runs import STATUSES, LogFilter, LogPage, LogPlace, RunAuthor, RunItem

MAX_FILES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RunIn:
    """One run of a workflow."""

    user: str
    inputs: JSONObject | None = None
    response_mode: str = "blocking"
    files: tuple[JSONObject, ...] | None = None
    on_disconnect: str = "continue"
    read_aloud: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsQuery:
    """Whose run is read, and whether the reader waits where it pauses."""

    user: str | None = None
    continue_on_pause: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsQuery:
    """Which runs a log is asked for."""

    page: int
    limit: int
    keyword: str = ""
    status: str | None = None
    created_at__before: str | None = None
    created_at__after: str | None = None
    created_by_end_user_session_id: str | None = None
    created_by_account: str | None = None
    last_id: str | None = None
    detail: bool = False

    def to_place(self) -> LogPlace:
        """Return which page is asked for."""
        return LogPlace(page=self.page, limit=self.limit, last_id=self.last_id, has_values=self.detail)

    def to_filter(self) -> LogFilter:
        """Return what to look for. Raises InvalidRequest for a time that is none."""
        return LogFilter(
            keyword=self.keyword,
            status=self.status,
            before=_instant(self.created_at__before, "created_at__before"),
            after=_instant(self.created_at__after, "created_at__after"),
            session_id=self.created_by_end_user_session_id,
            email=self.created_by_account,
        )


RUN = parser(
    json_field("user", user_name, required=True, help="End user, as the caller names it."),
    json_field("inputs", Object(takes_empty_list=True), nullable=True, help="Values of the start's form."),
    json_field("response_mode", MODES, help="blocking when absent."),
    json_field("files", Items(item=Object(), max_items=MAX_FILES), nullable=True, help="They are sys.files."),
    json_field("on_disconnect", ON_DISCONNECT, help="cancel stops the run when a streaming client leaves."),
    json_field("read_aloud", Boolean(), help="false: nothing is spoken, whatever the app is set to."),
)
EVENTS_QUERY = parser(
    query_field("user", user_name, help="The end user who started the run."),
    query_field(
        "continue_on_pause", Boolean(is_text=True), help="Go on reading where the run waits for a person."
    ),
)
LOGS_QUERY = parser(
    *page_fields(),
    query_field(
        "keyword", Text(max_length=200), help="Part of inputs or outputs, beginning of a user; or a run's id."
    ),
    query_field("status", Choice(STATUSES)),
    query_field("created_at__before", Text(max_length=64), help="ISO 8601."),
    query_field("created_at__after", Text(max_length=64), help="ISO 8601."),
    query_field("created_by_end_user_session_id", Text(max_length=255)),
    query_field("created_by_account", Text(max_length=255), help="Email of a member."),
    query_field("last_id", UUID(may_be_blank=True), help="Last run the caller holds; instead of page."),
    query_field("detail", Boolean(is_text=True), help="Tell inputs and outputs too."),
)

RUN_DATA = Model(
    "WorkflowRunData",
    {
        "id": fields.String,
        "workflow_id": fields.String,
        "status": fields.String(example="succeeded"),
        "outputs": fields.Raw(nullable=True),
        "error": fields.String(nullable=True),
        "elapsed_time": fields.Float(description="Seconds."),
        "total_tokens": fields.Integer,
        "total_steps": fields.Integer,
        "created_at": fields.Integer,
        "finished_at": fields.Integer(nullable=True),
        "created_by": fields.Raw(nullable=True),
        "exceptions_count": fields.Integer,
        "files": fields.List(fields.Raw),
    },
)
RUN_ANSWER = Model(
    "WorkflowRunAnswer",
    {"task_id": fields.String, "workflow_run_id": fields.String, "data": fields.Nested(RUN_DATA)},
)
RUN_DETAIL = Model(
    "WorkflowRunDetail",
    {
        "id": fields.String,
        "workflow_id": fields.String,
        "status": fields.String,
        "inputs": AnyValue(description="An object; on /v1 its JSON text."),
        "outputs": fields.Raw(nullable=True),
        "error": fields.String(nullable=True),
        "total_steps": fields.Integer,
        "total_tokens": fields.Integer,
        "created_at": fields.Integer,
        "finished_at": fields.Integer(nullable=True),
        "elapsed_time": fields.Float,
    },
)
LOG_RUN = Model(
    "WorkflowLogRun",
    {
        "id": fields.String,
        "version": fields.String,
        "status": fields.String,
        "triggered_from": fields.String,
        "error": fields.String(nullable=True),
        "elapsed_time": fields.Float,
        "total_tokens": fields.Integer,
        "total_steps": fields.Integer,
        "created_at": fields.Integer,
        "finished_at": fields.Integer(nullable=True),
        "exceptions_count": fields.Integer,
    },
)
LOG = Model(
    "WorkflowLog",
    {
        "id": fields.String,
        "workflow_run": fields.Nested(LOG_RUN),
        "created_from": fields.String(example="service-api"),
        "created_by_role": fields.String(example="end_user"),
        "created_by_account": fields.Raw(nullable=True),
        "created_by_end_user": fields.Raw(nullable=True),
        "details": fields.Raw(nullable=True),
        "created_at": fields.Integer,
    },
)
LOGS = Model(
    "WorkflowLogs",
    {
        "page": fields.Integer,
        "limit": fields.Integer,
        "total": fields.Integer,
        "has_more": fields.Boolean,
        "data": fields.List(fields.Nested(LOG)),
    },
)


def render_public_run(run: Any, dialect: str) -> JSONObject:
    """Return a run as the public API shows it; Dify's clients read the inputs as JSON text."""
    inputs = orjson.dumps(run.inputs).decode() if dialect == "dify" else run.inputs
    return {
        "id": run.id,
        "workflow_id": run.workflow_id,
        "status": run.status,
        "inputs": inputs,
        "outputs": run.outputs or {},
        "error": run.error,
        "total_steps": run.total_steps,
        "total_tokens": run.total_tokens,
        "created_at": to_unix(run.created_at),
        "finished_at": to_unix(run.finished_at) if run.finished_at else None,
        "elapsed_time": run.elapsed_s,
    }


def render_logs(found: LogPage, *, page: int, limit: int) -> JSONObject:
    """Return a page of a log."""
    return {
        "page": page,
        "limit": limit,
        "total": found.total,
        "has_more": found.has_more,
        "data": [_render_log(item, has_values=found.has_values) for item in found.items],
    }


def render_account(author: RunAuthor) -> JSONObject | None:
    """Return the member who started a run."""
    account = author.account
    return None if account is None else {"id": account.id, "name": account.name, "email": account.email}


def render_end_user(author: RunAuthor) -> JSONObject | None:
    """Return the end user who started a run."""
    user = author.end_user
    if user is None:
        return None
    return {
        "id": user.id,
        "type": user.type,
        "is_anonymous": user.is_anonymous,
        "session_id": user.session_id,
    }


def _render_log(item: RunItem, *, has_values: bool) -> JSONValue:
    run = item.run
    return {
        "id": run.id,
        "workflow_run": {
            "id": run.id,
            "version": run.version,
            "status": run.status,
            "triggered_from": run.triggered_from,
            "error": run.error,
            "elapsed_time": run.elapsed_s,
            "total_tokens": run.total_tokens,
            "total_steps": run.total_steps,
            "created_at": to_unix(run.created_at),
            "finished_at": to_unix(run.finished_at) if run.finished_at else None,
            "exceptions_count": run.exceptions_count,
        },
        "created_from": run.invoke_from,
        "created_by_role": "account" if run.from_account_id else "end_user",
        "created_by_account": render_account(item.author),
        "created_by_end_user": render_end_user(item.author),
        "details": {"inputs": run.inputs, "outputs": run.outputs} if has_values else None,
        "created_at": to_unix(run.created_at),
    }


def _instant(text: str | None, field: str) -> datetime | None:
    """Return a time as an instant, in UTC where it names no zone."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # not of that form, beyond the years there are
        raise InvalidRequest(
            f"{field} must be a time in ISO 8601", field=field, fault="invalid_format"
        ) from None
