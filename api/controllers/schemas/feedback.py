"""What people think of an app's messages: what callers send, and what they get."""

from dataclasses import asdict, dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Choice, Integer, Text, json_field, parser, query_field, user_name
from api.controllers.schemas.fields import MAX_PAGE, PageIn, to_iso
from api.core.ports import JSONObject
from api.services.messages import FeedbackItem

MAX_FEEDBACKS = 101
"""Dify's largest page of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackIn:
    """What an end user thinks of a message; a null rating takes it back."""

    user: str
    rating: str | None = None
    content: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbacksIn(PageIn):
    """Which page of all feedback is asked for."""

    page: int = 1
    limit: int = 20


FEEDBACK = parser(
    json_field("rating", Choice(("like", "dislike")), nullable=True, help="null takes the rating back."),
    json_field("content", Text(max_length=10_000), nullable=True, help="In the end user's words."),
    json_field("user", user_name, required=True, help="End user, as the caller names it."),
)
FEEDBACKS = parser(
    query_field("page", Integer(minimum=1, maximum=MAX_PAGE, is_text=True), help="1 when absent."),
    query_field(
        "limit", Integer(minimum=1, maximum=MAX_FEEDBACKS, is_text=True), help="Items a page, 20 when absent."
    ),
)
FEEDBACK_ITEM = Model(
    "FeedbackItem",
    {
        "id": fields.String,
        "app_id": fields.String,
        "conversation_id": fields.String,
        "message_id": fields.String,
        "rating": fields.String(enum=["like", "dislike"]),
        "content": fields.String(nullable=True),
        "from_source": fields.String(enum=["user", "admin"]),
        "from_end_user_id": fields.String(nullable=True),
        "from_account_id": fields.String(nullable=True),
        "created_at": fields.DateTime,
        "updated_at": fields.DateTime,
    },
)
FEEDBACK_LIST = Model("FeedbackList", {"data": fields.List(fields.Nested(FEEDBACK_ITEM))})


def render_feedback(item: FeedbackItem) -> JSONObject:
    """Return a judgement as JSON."""
    return {**asdict(item), "created_at": to_iso(item.created_at), "updated_at": to_iso(item.updated_at)}
