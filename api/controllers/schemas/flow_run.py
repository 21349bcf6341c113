"""Runs of workflows in the console: lists, details, what the nodes did."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.schemas.fields import to_unix
from api.controllers.schemas.workflow_run import render_account, render_end_user
from api.core.ports import JSONObject, JSONValue
from api.errors import InvalidRequest
from api.services.workflow_runs import RunDetail, RunItem

MAX_TEXT_CHARS = 100_000
MAX_ITEMS = 1_000
UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
LONGEST = timedelta(days=36_500)
"""Of a time range: what is much longer begins before the years there are."""
COUNTS = ("running", "succeeded", "failed", "stopped", "partial-succeeded", "paused")

RUN_ITEM = Model(
    "FlowRunItem",
    {
        "id": fields.String,
        "version": fields.String,
        "status": fields.String,
        "elapsed_time": fields.Float,
        "total_tokens": fields.Integer,
        "total_steps": fields.Integer,
        "created_by_account": fields.Raw(nullable=True),
        "created_at": fields.Integer,
        "finished_at": fields.Integer(nullable=True),
        "exceptions_count": fields.Integer,
        "retry_index": fields.Integer,
        "conversation_id": fields.String(nullable=True),
        "message_id": fields.String(nullable=True),
    },
)
RUN_PAGE = Model(
    "FlowRunPage",
    {
        "limit": fields.Integer,
        "has_more": fields.Boolean,
        "data": fields.List(fields.Nested(RUN_ITEM)),
    },
)
RUN_COUNT = Model(
    "FlowRunCount",
    {
        "total": fields.Integer,
        "running": fields.Integer,
        "succeeded": fields.Integer,
        "failed": fields.Integer,
        "stopped": fields.Integer,
        "partial_succeeded": fields.Integer,
        "paused": fields.Integer,
    },
)
RUN = Model(
    "FlowRun",
    {
        "id": fields.String,
        "version": fields.String,
        "graph": fields.Raw,
        "inputs": fields.Raw,
        "status": fields.String,
        "outputs": fields.Raw,
        "error": fields.String(nullable=True),
        "elapsed_time": fields.Float(description="Seconds."),
        "total_tokens": fields.Integer,
        "total_steps": fields.Integer,
        "created_by_role": fields.String(enum=["account", "end_user"]),
        "created_by_account": fields.Raw(nullable=True),
        "created_by_end_user": fields.Raw(nullable=True),
        "created_at": fields.Integer,
        "finished_at": fields.Integer(nullable=True),
        "exceptions_count": fields.Integer,
    },
)
NODE_RUN = Model(
    "NodeRun",
    {
        "id": fields.String,
        "index": fields.Integer,
        "predecessor_node_id": fields.String(nullable=True),
        "node_id": fields.String,
        "node_type": fields.String,
        "title": fields.String,
        "inputs": fields.Raw(nullable=True),
        "process_data": fields.Raw(nullable=True),
        "outputs": fields.Raw(nullable=True),
        "status": fields.String,
        "error": fields.String(nullable=True),
        "elapsed_time": fields.Float,
        "execution_metadata": fields.Raw,
        "extras": fields.Raw,
        "created_at": fields.Integer,
        "created_by_role": fields.String,
        "created_by_account": fields.Raw(nullable=True),
        "created_by_end_user": fields.Raw(nullable=True),
        "finished_at": fields.Integer(nullable=True),
        "inputs_truncated": fields.Boolean,
        "outputs_truncated": fields.Boolean,
        "process_data_truncated": fields.Boolean,
    },
)
NODE_RUNS = Model("NodeRuns", {"data": fields.List(fields.Nested(NODE_RUN))})


def to_span(text: str | None) -> timedelta | None:
    """Return the time a range such as ``7d`` or ``30m`` stands for. Raises InvalidRequest."""
    if not text:
        return None
    found = re.fullmatch(r"([1-9]\d{0,6})([dhms])", text)
    if found is None:
        raise InvalidRequest("time_range must be a number and d, h, m or s", field="time_range")
    span = timedelta(**{UNITS[found[2]]: int(found[1])})
    if span > LONGEST:
        raise InvalidRequest(
            f"time_range must be at most {LONGEST.days}d", field="time_range", fault="out_of_range"
        )
    return span


def render_run_page(found: tuple[Sequence[RunItem], bool], limit: int, *, is_chat: bool) -> JSONObject:
    """Return a page of runs; those of chatflows name their message."""
    items, has_more = found
    return {"limit": limit, "has_more": has_more, "data": [_item(item, is_chat=is_chat) for item in items]}


def render_counts(counts: Mapping[str, int]) -> JSONObject:
    """Return how many runs there are of each status, and in all."""
    shown: JSONObject = {name.replace("-", "_"): counts.get(name, 0) for name in COUNTS}
    return {"total": sum(counts.values()), **shown}


def render_run(detail: RunDetail) -> JSONObject:
    """Return a run with the graph it ran."""
    run = detail.run
    return {
        "id": run.id,
        "version": run.version,
        "graph": detail.graph,
        "inputs": run.inputs,
        "status": run.status,
        "outputs": run.outputs or {},
        "error": run.error,
        "elapsed_time": run.elapsed_s,
        "total_tokens": run.total_tokens,
        "total_steps": run.total_steps,
        "created_by_role": "account" if run.from_account_id else "end_user",
        "created_by_account": render_account(detail.author),
        "created_by_end_user": render_end_user(detail.author),
        "created_at": to_unix(run.created_at),
        "finished_at": to_unix(run.finished_at),
        "exceptions_count": run.exceptions_count,
    }


def render_node_run(row: Any) -> JSONObject:
    """Return what a node did; values too long to be looked at are cut, and marked so."""
    shown: JSONObject = {}
    for name in ("inputs", "process_data", "outputs"):
        value, is_cut = cut(getattr(row, name))
        shown |= {name: value, f"{name}_truncated": is_cut}
    return {
        "id": row.id,
        "index": row.index,
        "predecessor_node_id": row.predecessor_node_id,
        "node_id": row.node_id,
        "node_type": row.node_type,
        "title": row.title,
        "status": row.status,
        "error": row.error,
        "elapsed_time": row.elapsed_s,
        "execution_metadata": row.execution_metadata,
        "extras": {},
        "created_at": to_unix(row.created_at),
        "created_by_role": "account" if row.from_account_id else "end_user",
        "created_by_account": {"id": row.from_account_id} if row.from_account_id else None,
        "created_by_end_user": {"id": row.from_end_user_id} if row.from_end_user_id else None,
        "finished_at": to_unix(row.finished_at),
        **shown,
    }


def cut(value: JSONValue) -> tuple[JSONValue, bool]:
    """Return a value without what is too long to be looked at, and whether anything went."""
    match value:
        case str() if len(value) > MAX_TEXT_CHARS:
            return value[:MAX_TEXT_CHARS] + "…", True
        case list():
            parts = [cut(item) for item in value[:MAX_ITEMS]]
            return [item for item, _ in parts], len(value) > MAX_ITEMS or any(was for _, was in parts)
        case dict():
            pairs = {key: cut(item) for key, item in value.items()}
            return {key: item for key, (item, _) in pairs.items()}, any(was for _, was in pairs.values())
    return value, False


def _item(item: RunItem, *, is_chat: bool) -> JSONValue:
    run = item.run
    more: JSONObject = {"conversation_id": run.conversation_id, "message_id": run.message_id}
    return {
        "id": run.id,
        "version": run.version,
        "status": run.status,
        "elapsed_time": run.elapsed_s,
        "total_tokens": run.total_tokens,
        "total_steps": run.total_steps,
        "created_by_account": render_account(item.author),
        "created_at": to_unix(run.created_at),
        "finished_at": to_unix(run.finished_at),
        "exceptions_count": run.exceptions_count,
        "retry_index": 0,
        **(more if is_chat else {}),
    }
