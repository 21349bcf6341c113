"""Workspaces as a member sees them."""

from collections.abc import Sequence

from flask_restx import Model, fields

from api.controllers.schemas.fields import to_unix
from api.core.ports import JSONObject
from api.services.tenants import TRIAL, Workspace

_COMMON = {
    "id": fields.String,
    "name": fields.String,
    "plan": fields.String(enum=["sandbox", "professional", "team", "enterprise"]),
    "status": fields.String(enum=["normal", "trial", "suspended"]),
    "created_at": fields.Integer(description="Unix seconds."),
}
WORKSPACE = Model(
    "Workspace",
    {
        **_COMMON,
        "role": fields.String(enum=["owner", "admin", "editor", "normal", "dataset_operator"]),
        "in_trial": fields.Boolean,
        "trial_end_at": fields.Integer(nullable=True, description="Unix seconds, or null."),
        "trial_end_reason": fields.String(nullable=True),
        "custom_config": fields.Raw(nullable=True, description="Branding of the workspace, or null."),
    },
)
WORKSPACE_ITEM = Model("WorkspaceItem", {**_COMMON, "current": fields.Boolean})
WORKSPACES = Model("Workspaces", {"workspaces": fields.List(fields.Nested(WORKSPACE_ITEM))})


def render_workspace(workspace: Workspace) -> JSONObject:
    """Return the workspace the caller is in."""
    return {
        **_render_common(workspace),
        "role": workspace.role,
        "in_trial": workspace.status == TRIAL,
        "trial_end_at": to_unix(workspace.trial_end_at),
        "trial_end_reason": None,
        "custom_config": None,
    }


def render_workspaces(workspaces: Sequence[Workspace]) -> JSONObject:
    """Return the workspaces the caller has joined."""
    return {"workspaces": [{**_render_common(item), "current": item.is_current} for item in workspaces]}


def _render_common(workspace: Workspace) -> JSONObject:
    return {
        "id": workspace.id,
        "name": workspace.name,
        "plan": workspace.plan,
        "status": workspace.status,
        "created_at": to_unix(workspace.created_at),
    }
