"""Triggers of workflows in the console."""

from dataclasses import dataclass
from typing import Any

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import UUID, Boolean, Text, json_field, parser, query_field
from api.controllers.schemas.fields import to_unix
from api.core.ports import JSONObject


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableIn:
    """Which trigger is switched, and how."""

    trigger_id: str
    enable_trigger: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeIn:
    """A node of a workflow."""

    node_id: str


ENABLE = parser(
    json_field("trigger_id", UUID(), required=True), json_field("enable_trigger", Boolean(), required=True)
)
TRIGGER_RUN = parser(json_field("node_id", Text(min_length=1, max_length=255), required=True))
WEBHOOK_QUERY = parser(query_field("node_id", Text(min_length=1, max_length=255), required=True))
TRIGGER = Model(
    "WorkflowTrigger",
    {
        "id": fields.String,
        "trigger_type": fields.String(enum=["trigger-webhook", "trigger-schedule"]),
        "title": fields.String,
        "node_id": fields.String,
        "provider_name": fields.String,
        "icon": fields.String,
        "status": fields.String(enum=["enabled", "disabled"]),
        "next_at": fields.Integer(nullable=True, description="When a schedule fires next, Unix seconds."),
        "created_at": fields.Integer,
        "updated_at": fields.Integer,
    },
)
TRIGGERS = Model("WorkflowTriggers", {"data": fields.List(fields.Nested(TRIGGER))})
WEBHOOK = Model(
    "WorkflowWebhook",
    {
        "id": fields.String,
        "webhook_id": fields.String,
        "webhook_url": fields.String,
        "webhook_debug_url": fields.String,
        "node_id": fields.String,
        "created_at": fields.Integer,
    },
)


def render_trigger(row: Any) -> JSONObject:
    """Return a trigger as the console shows it."""
    return {
        "id": row.id,
        "trigger_type": row.type,
        "title": row.title,
        "node_id": row.node_id,
        "provider_name": "",
        "icon": "",
        "status": "enabled" if row.is_enabled else "disabled",
        "next_at": to_unix(row.next_at) if row.next_at else None,
        "created_at": to_unix(row.created_at),
        "updated_at": to_unix(row.updated_at),
    }


def render_webhook(row: Any, base_url: str) -> JSONObject:
    """Return a webhook with its addresses."""
    return {
        "id": row.id,
        "webhook_id": row.webhook_id,
        "webhook_url": f"{base_url}/triggers/webhook/{row.webhook_id}",
        "webhook_debug_url": f"{base_url}/triggers/webhook-debug/{row.webhook_id}",
        "node_id": row.node_id,
        "created_at": to_unix(row.created_at),
    }
