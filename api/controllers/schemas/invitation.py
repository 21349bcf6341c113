"""Taking up an invitation, and setting a new password by a code."""

from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Text, json_field, parser, query_field
from api.controllers.schemas.account import LANGUAGE, PERSON_NAME_MAX
from api.core.ports import JSONObject
from api.services.invitations import Offer

TOKEN = Text(min_length=1, max_length=256)
ID = Text(max_length=64)
ADDRESS = Text(max_length=254, is_trimmed=True)

OFFER_QUERY = parser(
    query_field("token", TOKEN, required=True),
    query_field("workspace_id", ID),
    query_field("email", ADDRESS),
)
ACTIVATE = parser(
    json_field("token", TOKEN, required=True),
    json_field("workspace_id", ID, nullable=True),
    json_field("email", ADDRESS, nullable=True),
    json_field("name", Text(min_length=1, max_length=PERSON_NAME_MAX, is_trimmed=True), required=True),
    json_field("interface_language", LANGUAGE, required=True),
    json_field("timezone", Text(min_length=1, max_length=64), required=True),
    json_field("password", Text(max_length=256), nullable=True),
)

OFFERED = Model(
    "OfferedWorkspace",
    {"workspace_name": fields.String, "workspace_id": fields.String, "email": fields.String},
)
OFFER = Model(
    "Offer",
    {
        "is_valid": fields.Boolean,
        "data": fields.Nested(OFFERED, nullable=True, description="Null where it is not valid."),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferIn:
    """The token of an invitation, and whom it is said to be for."""

    token: str
    workspace_id: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivateIn:
    """An invitation, and what someone who has no account yet says of themselves."""

    token: str
    name: str
    interface_language: str
    timezone: str
    workspace_id: str | None = None
    email: str | None = None
    password: str | None = None


def render_offer(offer: Offer | None) -> JSONObject:
    """Return what an invitation offers, or that it is no longer good."""
    if offer is None:
        return {"is_valid": False, "data": None}
    data: JSONObject = {
        "workspace_name": offer.tenant_name,
        "workspace_id": offer.tenant_id,
        "email": offer.email,
    }
    return {"is_valid": True, "data": data}
