"""Messages of an app as its team sees them: what is asked for, and the shape of the answer."""

from dataclasses import dataclass
from typing import cast

from flask_restx import fields

from api.controllers.http.agent_frames import thought_item
from api.controllers.http.model import Model
from api.controllers.http.parsing import UUID, Choice, Text, json_field, parser, query_field
from api.controllers.schemas.agent import AGENT_THOUGHT, render_made_files
from api.controllers.schemas.conversation import MESSAGE_FILE, PAGE_LIMIT, render_message_file
from api.controllers.schemas.fields import Link, to_unix
from api.controllers.schemas.workflow import ACCOUNT
from api.core.ports import JSONObject, JSONValue
from api.services.app_messages import AnnotationDetail, FeedbackDetail, MessageDetail

PUBLIC = ("service-api", "trigger", "web-app")
"""Where messages of end users come in; all others are of accounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppMessagesIn:
    """Which page of a conversation is asked for."""

    conversation_id: str
    first_id: str | None = None
    limit: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamFeedbackIn:
    """What the app's team thinks of a message; a null rating takes it back."""

    message_id: str
    rating: str | None = None
    content: str | None = None


APP_MESSAGES = parser(
    query_field("conversation_id", UUID(), required=True, help="Whose messages."),
    query_field("first_id", UUID(may_be_blank=True), help="Oldest message the caller holds."),
    query_field("limit", PAGE_LIMIT, help="Items a page, 20 when absent."),
)
TEAM_FEEDBACK = parser(
    json_field("message_id", UUID(), required=True),
    json_field("rating", Choice(("like", "dislike")), nullable=True, help="null takes the rating back."),
    json_field("content", Text(max_length=10_000), nullable=True, help="In words."),
)

FEEDBACK_DETAIL = Model(
    "FeedbackDetail",
    {
        "rating": fields.String(enum=["like", "dislike"]),
        "content": fields.String(nullable=True),
        "from_source": fields.String(enum=["user", "admin"]),
        "from_end_user_id": fields.String(nullable=True),
        "from_account": fields.Nested(ACCOUNT, nullable=True),
    },
)
ANNOTATION_OF_MESSAGE = Model(
    "MessageAnnotation",
    {
        "id": fields.String,
        "question": fields.String,
        "content": fields.String(description="The answer."),
        "account": fields.Nested(ACCOUNT, nullable=True),
        "created_at": fields.Integer(description="Unix seconds."),
    },
)
ANNOTATION_HIT = Model(
    "MessageAnnotationHit",
    {
        "annotation_id": fields.String,
        "annotation_create_account": fields.Nested(ACCOUNT, nullable=True),
        "created_at": fields.Integer(description="Unix seconds."),
    },
)
MESSAGE_DETAIL = Model(
    "MessageDetail",
    {
        "id": fields.String,
        "conversation_id": fields.String,
        "inputs": fields.Raw,
        "query": fields.String,
        "message": fields.List(fields.Raw, description="The question as a list of one message."),
        "message_tokens": fields.Integer,
        "answer": fields.String,
        "answer_tokens": fields.Integer,
        "provider_response_latency": fields.Float(description="Seconds."),
        "from_source": fields.String(enum=["api", "console"]),
        "from_end_user_id": fields.String(nullable=True),
        "from_account_id": fields.String(nullable=True),
        "feedbacks": fields.List(fields.Nested(FEEDBACK_DETAIL)),
        "workflow_run_id": fields.String(nullable=True),
        "annotation": fields.Nested(ANNOTATION_OF_MESSAGE, nullable=True),
        "annotation_hit_history": fields.Nested(ANNOTATION_HIT, nullable=True),
        "created_at": fields.Integer(description="Unix seconds."),
        "agent_thoughts": fields.List(fields.Nested(AGENT_THOUGHT)),
        "message_files": fields.List(fields.Nested(MESSAGE_FILE)),
        "metadata": fields.Raw(description="Citations, and what the answer took."),
        "status": fields.String(enum=["normal", "error", "paused"]),
        "error": fields.String(nullable=True),
        "parent_message_id": fields.String(nullable=True),
        "generation_detail": fields.Raw(nullable=True),
    },
)
MESSAGE_DETAIL_PAGE = Model(
    "MessageDetailPage",
    {
        "limit": fields.Integer,
        "has_more": fields.Boolean,
        "data": fields.List(fields.Nested(MESSAGE_DETAIL)),
    },
)


def render_detail(detail: MessageDetail, link: Link) -> JSONObject:
    """Return a message with all that is known of it; ``link`` gives the address of an upload."""
    row = detail.message
    return {
        "id": row.id,
        "conversation_id": row.conversation_id,
        "inputs": row.inputs,
        "query": row.query,
        "message": [{"role": "user", "text": row.query}],
        "message_tokens": row.message_tokens,
        "answer": row.answer,
        "answer_tokens": row.answer_tokens,
        "provider_response_latency": row.latency_s,
        "from_source": "api" if row.invoke_from in PUBLIC else "console",
        "from_end_user_id": row.from_end_user_id,
        "from_account_id": row.from_account_id,
        "feedbacks": [_render_feedback(feedback) for feedback in detail.feedbacks],
        "workflow_run_id": row.workflow_run_id,
        "annotation": render_annotation(detail.annotation),
        "annotation_hit_history": _render_hit(detail.hit) if detail.hit else None,
        "created_at": to_unix(row.created_at),
        "agent_thoughts": [thought_item(one, row.id) for one in detail.thoughts],
        "message_files": [
            *(render_message_file(file, link) for file in row.files or []),
            *render_made_files(detail.thoughts, link),
        ],
        "metadata": _metadata(row.outcome or {}),
        "status": row.status if row.status in ("error", "paused") else "normal",
        "error": row.error,
        "parent_message_id": row.parent_message_id,
        "generation_detail": None,
    }


def _metadata(outcome: JSONObject) -> JSONObject:
    """Return citations and usage of a run's end, as far as it has any."""
    resources = cast("list[JSONValue]", outcome.get("retriever_resources") or [])
    return {"retriever_resources": resources, "usage": outcome.get("usage")}


def _render_feedback(detail: FeedbackDetail) -> JSONObject:
    feedback = detail.feedback
    return {
        "rating": feedback.rating,
        "content": feedback.content,
        "from_source": feedback.from_source,
        "from_end_user_id": feedback.from_end_user_id,
        "from_account": _render_account(detail),
    }


def render_annotation(detail: AnnotationDetail | None) -> JSONObject | None:
    """Return the annotation that was made of a message."""
    if detail is None:
        return None
    return {
        "id": detail.annotation.id,
        "question": detail.annotation.question,
        "content": detail.annotation.answer,
        "account": _render_account(detail),
        "created_at": to_unix(detail.at),
    }


def _render_hit(detail: AnnotationDetail) -> JSONObject:
    return {
        "annotation_id": detail.annotation.id,
        "annotation_create_account": _render_account(detail),
        "created_at": to_unix(detail.at),
    }


def _render_account(detail: FeedbackDetail | AnnotationDetail) -> JSONObject | None:
    account = detail.account
    if account is None:
        return None
    return {"id": account.id, "name": account.name, "email": account.email}
