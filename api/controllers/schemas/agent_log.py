"""The log of an agent's message: which one is asked for, and the shape of the answer."""

from dataclasses import dataclass
from datetime import UTC, datetime

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import UUID, parser, query_field
from api.controllers.schemas.agent import render_made_files
from api.controllers.schemas.fields import AnyValue, Link, to_iso
from api.core.events import AgentThought
from api.core.ports import JSONObject
from api.services.agent_logs import AgentLog
from api.services.app_icons import builtin_icon


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLogIn:
    """Which message's log is asked for."""

    message_id: str
    conversation_id: str


AGENT_LOG_QUERY = parser(
    query_field("message_id", UUID(), required=True, help="The message the agent answered."),
    query_field("conversation_id", UUID(), required=True, help="The conversation it is of."),
)
AGENT_CALL = Model(
    "AgentToolCall",
    {
        "status": fields.String(enum=["success", "error"]),
        "error": fields.String(nullable=True),
        "time_cost": fields.Float(description="Seconds."),
        "tool_name": fields.String,
        "tool_label": fields.Raw(description="By language."),
        "tool_input": AnyValue(description="The arguments as an object; the text where they are none."),
        "tool_output": fields.String,
        "tool_parameters": fields.Raw(description="What the tool's author has set, without secrets."),
        "tool_icon": fields.String(description="An address, empty where there is no icon."),
    },
)
AGENT_ITERATION = Model(
    "AgentIteration",
    {
        "tokens": fields.Integer,
        "tool_calls": fields.List(fields.Nested(AGENT_CALL)),
        "tool_raw": fields.Raw(description="inputs and outputs as text."),
        "thought": fields.String,
        "created_at": fields.String(description="ISO 8601."),
        "files": fields.List(fields.Raw),
    },
)
AGENT_LOG = Model(
    "AgentLog",
    {
        "meta": fields.Raw(
            description="status, executor, start_time, elapsed_time, total_tokens, agent_mode, iterations."
        ),
        "iterations": fields.List(fields.Nested(AGENT_ITERATION)),
        "files": fields.List(fields.Raw),
    },
)


def render_log(log: AgentLog, link: Link, base_url: str) -> JSONObject:
    """Return the log as JSON; ``link`` gives the address of a file, ``base_url`` that of this server."""
    message = log.message
    return {
        "meta": {
            "status": "error" if message.status == "error" else "success",
            "executor": log.executor,
            "start_time": to_iso(message.created_at),
            "elapsed_time": message.latency_s,
            "total_tokens": message.message_tokens + message.answer_tokens,
            "agent_mode": log.strategy,
            "iterations": len(log.rounds),
        },
        "iterations": [_render_round(one, link, base_url) for one in log.rounds],
        "files": render_made_files(log.rounds, link),
    }


def _render_round(told: AgentThought, link: Link, base_url: str) -> JSONObject:
    return {
        "tokens": told.tokens,
        "tool_calls": [_render_call(call, base_url) for call in told.calls],
        "tool_raw": {"inputs": told.tool_input, "outputs": told.observation},
        "thought": told.thought,
        "created_at": to_iso(datetime.fromtimestamp(told.created_at, UTC)),
        "files": render_made_files([told], link),
    }


def _render_call(call: JSONObject, base_url: str) -> JSONObject:
    provider = call.get("provider")
    output = call["output"]
    return {
        "status": "error" if call["is_error"] else "success",
        "error": output or "It was stopped." if call["is_error"] else None,
        "time_cost": call["elapsed_s"],
        "tool_name": call["name"],
        "tool_label": call["label"],
        "tool_input": call["input"],
        "tool_output": output,
        "tool_parameters": call.get("parameters") or {},
        "tool_icon": builtin_icon(base_url, str(provider)) if provider else "",
    }
