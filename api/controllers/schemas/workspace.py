"""Workspaces as a member sees them."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Text, json_field, parser
from api.controllers.schemas.fields import PageIn, page_fields, render_page, to_unix
from api.core.ports import JSONObject, JSONValue
from api.principal import Principal, Role
from api.services.tenants import NAME_MAX, TRIAL, Workspace
from api.services.workspace_control import Listed

WORKSPACE_NAME = parser(
    json_field("name", Text(min_length=1, max_length=NAME_MAX, is_trimmed=True), required=True)
)
SWITCH = parser(json_field("tenant_id", Text(min_length=1, max_length=64), required=True))

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
        "trial_end_at": fields.Integer(description="Unix seconds.", nullable=True),
        "trial_end_reason": fields.String(nullable=True),
        "custom_config": fields.Raw(description="Branding of the workspace.", nullable=True),
    },
)
SWITCHED = Model(
    "SwitchedWorkspace", {"result": fields.String(example="success"), "new_tenant": fields.Nested(WORKSPACE)}
)
CHANGED_WORKSPACE = Model(
    "ChangedWorkspace", {"result": fields.String(example="success"), "tenant": fields.Nested(WORKSPACE)}
)
WORKSPACE_PERMISSION = Model(
    "WorkspacePermission",
    {
        "workspace_id": fields.String,
        "allow_member_invite": fields.Boolean(description="Whether the caller may invite members."),
        "allow_owner_transfer": fields.Boolean(description="Whether the caller may hand the workspace over."),
    },
)
ALL_WORKSPACES = parser(*page_fields())
WORKSPACE_LISTED = Model(
    "WorkspaceListed", {name: _COMMON[name] for name in ("id", "name", "status", "created_at")}
)
WORKSPACE_PAGE = Model(
    "WorkspacePage",
    {
        "data": fields.List(fields.Nested(WORKSPACE_LISTED)),
        "total": fields.Integer,
        "page": fields.Integer,
        "limit": fields.Integer,
        "has_more": fields.Boolean,
    },
)
WORKSPACE_ITEM = Model("WorkspaceItem", {**_COMMON, "current": fields.Boolean})
WORKSPACES = Model("Workspaces", {"workspaces": fields.List(fields.Nested(WORKSPACE_ITEM))})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceNameIn:
    """What a workspace is called."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchIn:
    """The workspace to go to."""

    tenant_id: str


def render_permission(principal: Principal) -> JSONObject:
    """Return what the caller's role lets them do with the workspace itself."""
    return {
        "workspace_id": principal.tenant_id,
        "allow_member_invite": principal.role >= Role.ADMIN,
        "allow_owner_transfer": principal.role is Role.OWNER,
    }


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


def render_all(listed: Sequence[Listed], total: int, page: PageIn) -> JSONObject:
    """Return a page of the workspaces of the installation."""
    data: list[JSONValue] = [
        {"id": item.id, "name": item.name, "status": item.status, "created_at": to_unix(item.created_at)}
        for item in listed
    ]
    return render_page(data, total, page)


def _render_common(workspace: Workspace) -> JSONObject:
    return {
        "id": workspace.id,
        "name": workspace.name,
        "plan": workspace.plan,
        "status": workspace.status,
        "created_at": to_unix(workspace.created_at),
    }
