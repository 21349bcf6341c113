"""Guests of apps' pages: what their browsers ask for, and what is kept from them."""

from dataclasses import dataclass
from typing import cast

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Text, parser, query_field
from api.controllers.http.sse import SHOWN_OF_RESOURCE, cut_resource
from api.controllers.schemas.chat import COMPLETION_ANSWER
from api.controllers.schemas.conversation import render_message
from api.controllers.schemas.fields import Link
from api.core.ports import JSONObject
from api.services.messages import MessageItem
from api.services.tokens import KeyCaller

KEPT_OF_MESSAGE = frozenset(
    {
        "message_tokens",
        "answer_tokens",
        "total_tokens",
        "provider_response_latency",
        "total_price",
        "currency",
    }
)
"""What guests are not told of a message: what it cost whoever runs the app."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassportIn:
    """Whom a passport is for; None is a new guest."""

    user_id: str | None = None


PASSPORT_QUERY = parser(
    query_field("user_id", Text(max_length=255), help="The embedding page's name for its user.")
)
PASSPORT_HEADERS = {
    "X-App-Code": {"in": "header", "description": "The site's code.", "required": True},
}
PASSPORT = Model("Passport", {"access_token": fields.String(description="Send it as X-App-Passport.")})
ACCESS_MODE = Model("AccessMode", {"accessMode": fields.String(enum=["public"])})
PERMISSION = Model("WebAppPermission", {"result": fields.Boolean})
LOGIN_STATUS = Model("LoginStatus", {"logged_in": fields.Boolean, "app_logged_in": fields.Boolean})

GUEST_RESOURCE = Model("GuestResource", dict.fromkeys(SHOWN_OF_RESOURCE, fields.Raw))
GUEST_METADATA = Model("GuestMetadata", {"retriever_resources": fields.List(fields.Nested(GUEST_RESOURCE))})
GUEST_COMPLETION = COMPLETION_ANSWER.clone("GuestCompletion", {"metadata": fields.Nested(GUEST_METADATA)})


def render_guest_site(site: JSONObject, caller: KeyCaller) -> JSONObject:
    """Return what a guest is told of the page it is on; ``site`` is what a key's owner is told."""
    return {
        **site,
        "app_id": caller.app.id,
        "end_user_id": caller.end_user(None).id,
        "mode": caller.app.mode.value,
        "enable_site": True,
        "site": site,
        "model_config": None,
        "plan": caller.app.plan,
        "can_replace_logo": False,
        "custom_config": None,
    }


def for_guest(message: JSONObject) -> JSONObject:
    """Return a message as its guest sees it: without what it took, its citations cut to what is shown."""
    resources = cast("list[JSONObject]", message["retriever_resources"])
    shown = {key: value for key, value in message.items() if key not in KEPT_OF_MESSAGE}
    return {**shown, "retriever_resources": [cut_resource(item) for item in resources]}


def render_message_for(caller: KeyCaller, item: MessageItem, link: Link) -> JSONObject:
    """Return a message as whoever asks is shown it."""
    message = render_message(item, link)
    return message if caller.guest is None else for_guest(message)
