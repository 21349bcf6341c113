"""Signing in, staying signed in, signing out."""

from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Boolean, Text, json_field, parser
from api.core.ports import JSONObject
from api.services.session_tokens import Tokens

EMAIL = Text(
    min_length=3, max_length=254, is_trimmed=True, pattern=r"[^@\s]+@[^@\s]+", hint="an e-mail address"
)

LOGIN = parser(
    json_field("email", EMAIL, required=True),
    json_field("password", Text(min_length=1, max_length=1024), required=True),
    json_field("remember_me", Boolean(), nullable=True),
    json_field("invite_token", Text(max_length=1024), nullable=True),
)
REFRESH = parser(json_field("refresh_token", Text(max_length=1024), nullable=True))
LOGOUT = parser(json_field("all", Boolean(), dest="is_everywhere"))

TOKENS = Model(
    "Tokens",
    {
        "access_token": fields.String(description="Send it as Authorization: Bearer."),
        "refresh_token": fields.String(description="Good for one POST /refresh-token."),
        "expires_in": fields.Integer(description="Life of the access token in seconds."),
    },
)
SIGNED_IN = Model("SignedIn", {"result": fields.String(example="success"), "data": fields.Nested(TOKENS)})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginIn:
    """Who signs in. ``remember_me`` is known and changes nothing."""

    email: str
    password: str
    remember_me: bool | None = None
    invite_token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshIn:
    """The refresh token of a client without cookies."""

    refresh_token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutIn:
    """Whether all sessions of the account end, not only this one."""

    is_everywhere: bool = False


def render_tokens(tokens: Tokens, ttl_s: int) -> JSONObject:
    """Return the tokens of a client that signed in or refreshed; ``ttl_s`` is the access token's life."""
    data: JSONObject = {
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "expires_in": ttl_s,
    }
    return {"result": "success", "data": data}


def render_no_workspace() -> JSONObject:
    """Return what a right password gets that opens no workspace: a 200 that is no success."""
    return {
        "result": "fail",
        "data": "workspace not found, please contact system admin to invite you to join in a workspace",
    }
