"""Members of a workspace, how they are invited, and how its owner changes."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Choice, Items, Text, json_field, parser
from api.controllers.schemas.account import LANGUAGE
from api.controllers.schemas.fields import to_unix
from api.core.ports import JSONObject, JSONValue
from api.principal import Role
from api.runtime import Runtime
from api.services.accounts import avatar_url
from api.services.invitations import Invited, to_link
from api.services.members import Member

ROLE = Choice(tuple(role.wire for role in sorted(Role, reverse=True)))
TOKEN_MAX = 256

INVITE = parser(
    json_field("emails", Items(item=Text(max_length=254), min_items=1, max_items=50), required=True),
    json_field("role", ROLE, required=True),
    json_field("language", LANGUAGE, nullable=True),
)
MEMBER_ROLE = parser(json_field("role", ROLE, required=True))
CODE_CHECK = parser(
    json_field("code", Text(min_length=1, max_length=16), required=True),
    json_field("token", Text(min_length=1, max_length=TOKEN_MAX), required=True),
)
TRANSFER = parser(
    json_field("token", Text(max_length=TOKEN_MAX), nullable=True),
    json_field("password", Text(max_length=256), nullable=True),
)

MEMBER = Model(
    "Member",
    {
        "id": fields.String(description="The account's; of a pending member the invitation's."),
        "name": fields.String,
        "email": fields.String,
        "avatar": fields.String(nullable=True),
        "avatar_url": fields.String(nullable=True),
        "last_login_at": fields.Integer(description="Unix seconds.", nullable=True),
        "last_active_at": fields.Integer(description="Unix seconds.", nullable=True),
        "created_at": fields.Integer(description="Unix seconds."),
        "role": fields.String(enum=list(ROLE.words)),
        "status": fields.String(enum=["active", "pending", "banned", "closed"]),
    },
)
MEMBERS = Model("Members", {"accounts": fields.List(fields.Nested(MEMBER))})
INVITATION_RESULT = Model(
    "InvitationResult",
    {
        "status": fields.String(enum=["success", "failed"]),
        "email": fields.String,
        "url": fields.String(description="The link to join by, where no mail is sent.", nullable=True),
        "message": fields.String(description="Why not.", nullable=True),
    },
)
INVITED = Model(
    "Invited",
    {
        "result": fields.String(example="success"),
        "invitation_results": fields.List(fields.Nested(INVITATION_RESULT)),
        "tenant_id": fields.String,
    },
)
REMOVED = Model("RemovedMember", {"result": fields.String(example="success"), "tenant_id": fields.String})
SENT_CODE = Model(
    "SentCode",
    {"result": fields.String(example="success"), "data": fields.String(description="Goes with the code.")},
)
CHECKED_CODE = Model(
    "CheckedCode",
    {
        "is_valid": fields.Boolean,
        "email": fields.String,
        "token": fields.String(description="For the next step."),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteIn:
    """Who is invited, and as what."""

    emails: tuple[str, ...]
    role: str
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRoleIn:
    """The role a member is to have."""

    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeCheckIn:
    """The code that was sent, and the token it goes with."""

    code: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferIn:
    """How the owner proves to mean it: by a confirmed code, or their password."""

    token: str | None = None
    password: str | None = None


def render_members(runtime: Runtime, members: Sequence[Member]) -> JSONObject:
    """Return members as the others see them."""
    return {"accounts": [_render_member(runtime, member) for member in members]}


def _render_member(runtime: Runtime, member: Member) -> JSONObject:
    return {
        "id": member.id,
        "name": member.name,
        "email": member.email,
        "avatar": member.avatar,
        "avatar_url": avatar_url(runtime, member.avatar),
        "last_login_at": to_unix(member.last_login_at),
        "last_active_at": to_unix(member.last_active_at),
        "created_at": to_unix(member.created_at),
        "role": member.role,
        "status": member.status,
    }


def render_invited(runtime: Runtime, base_url: str, tenant_id: str, invited: Sequence[Invited]) -> JSONObject:
    """Return what became of each address."""
    results: list[JSONValue] = [_render_result(runtime, base_url, item) for item in invited]
    return {"result": "success", "invitation_results": results, "tenant_id": tenant_id}


def _render_result(runtime: Runtime, base_url: str, item: Invited) -> JSONObject:
    return {
        "status": "success" if item.fault is None else "failed",
        "email": item.email,
        "url": None if item.token is None else to_link(runtime, base_url, item.email, item.token),
        "message": item.fault,
    }


def render_sent_code(token: str) -> JSONObject:
    """Return the token that goes with a code which was sent."""
    return {"result": "success", "data": token}


def render_checked_code(token: str, email: str) -> JSONObject:
    """Return that a code was right, and the token of the next step."""
    return {"is_valid": True, "email": email, "token": token}
