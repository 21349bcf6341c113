"""The log of an app's conversations: what is asked for, and the shapes of the answers."""

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import UUID, Choice, Field, Text, parser, query_field
from api.controllers.schemas.app_message import (
    ANNOTATION_OF_MESSAGE,
    MESSAGE_DETAIL,
    PUBLIC,
    render_annotation,
    render_detail,
)
from api.controllers.schemas.conversation import SORTS
from api.controllers.schemas.fields import Link, page_fields, to_unix
from api.core.ports import JSONObject, JSONValue
from api.services.app_messages import MessageDetail
from api.services.conversation_logs import LoggedConversation, LogPage, LogQuery

_TIME_HELP = "YYYY-MM-DD HH:MM in the time zone of the account."
_FIELDS = (
    *page_fields(),
    query_field("last_id", UUID(may_be_blank=True), help="Last item the caller holds; instead of page."),
    query_field("keyword", Text(max_length=200), help="Part of a message, beginning of a user, or an id."),
    query_field("start", Text(max_length=16), help=_TIME_HELP),
    query_field("end", Text(max_length=16), help=f"{_TIME_HELP} That minute is included."),
    query_field("annotation_status", Choice(("all", "annotated", "not_annotated")), help="all when absent."),
)
CHAT_LOG = parser(
    *_FIELDS, Field("sort_by", type=SORTS, location="args", default="-updated_at", help="- is latest first.")
)
COMPLETION_LOG = parser(*_FIELDS)

FEEDBACK_STATS = Model("FeedbackStats", {"like": fields.Integer, "dislike": fields.Integer})
STATUS_COUNT = Model(
    "StatusCount",
    {"success": fields.Integer, "failed": fields.Integer, "partial_success": fields.Integer},
)
CONFIG_OF_LOG = Model(
    "LoggedModelConfig",
    {
        "model": fields.Raw(nullable=True, description="null for chatflows."),
        "pre_prompt": fields.String(nullable=True),
    },
)
_SHARED = {
    "id": fields.String,
    "status": fields.String(example="normal"),
    "from_source": fields.String(enum=["api", "console"]),
    "from_end_user_id": fields.String(nullable=True),
    "from_account_id": fields.String(nullable=True),
    "read_at": fields.Integer(nullable=True, description="When the team looked at it last."),
    "created_at": fields.Integer(description="Unix seconds."),
    "updated_at": fields.Integer(description="Unix seconds."),
    "annotated": fields.Boolean,
    "model_config": fields.Nested(CONFIG_OF_LOG),
    "message_count": fields.Integer,
    "user_feedback_stats": fields.Nested(FEEDBACK_STATS),
    "admin_feedback_stats": fields.Nested(FEEDBACK_STATS),
}
_HOLDER = {
    "from_end_user_session_id": fields.String(nullable=True),
    "from_account_name": fields.String(nullable=True),
}
LOGGED_CHAT = Model(
    "LoggedChat",
    {
        **_SHARED,
        **_HOLDER,
        "name": fields.String,
        "summary": fields.String(description="What was asked first."),
        "status_count": fields.Nested(STATUS_COUNT),
    },
)
SHORT_MESSAGE = Model(
    "LoggedMessage",
    {
        "inputs": fields.Raw,
        "query": fields.String,
        "message": fields.List(fields.Raw, description="The question as a list of one message."),
        "answer": fields.String,
    },
)
LOGGED_COMPLETION = Model(
    "LoggedCompletion",
    {
        **_SHARED,
        **_HOLDER,
        "message": fields.Nested(SHORT_MESSAGE, nullable=True, description="null before it is written."),
        "annotation": fields.Nested(ANNOTATION_OF_MESSAGE, nullable=True),
    },
)
CHAT_DETAIL = Model("LoggedChatDetail", {**_SHARED, "introduction": fields.String})
COMPLETION_DETAIL = Model(
    "LoggedCompletionDetail",
    {**_SHARED, "introduction": fields.String, "message": fields.Nested(MESSAGE_DETAIL, nullable=True)},
)
_PAGE = {
    "total": fields.Integer(description="50,000 where there are more."),
    "page": fields.Integer,
    "limit": fields.Integer,
    "has_more": fields.Boolean,
}
CHAT_PAGE = Model("LoggedChatPage", {**_PAGE, "data": fields.List(fields.Nested(LOGGED_CHAT))})
COMPLETION_PAGE = Model(
    "LoggedCompletionPage", {**_PAGE, "data": fields.List(fields.Nested(LOGGED_COMPLETION))}
)
MODELS = (
    FEEDBACK_STATS,
    STATUS_COUNT,
    CONFIG_OF_LOG,
    LOGGED_CHAT,
    SHORT_MESSAGE,
    LOGGED_COMPLETION,
    CHAT_DETAIL,
    COMPLETION_DETAIL,
    CHAT_PAGE,
    COMPLETION_PAGE,
)


def render_chats(found: LogPage, asked: LogQuery) -> JSONObject:
    """Return a page of chats."""
    return _render_page([_render_chat(item) for item in found.items], found, asked)


def render_completions(found: LogPage, asked: LogQuery) -> JSONObject:
    """Return a page of completions."""
    return _render_page([_render_completion(item) for item in found.items], found, asked)


def render_chat_detail(item: LoggedConversation) -> JSONObject:
    """Return one chat; its messages are a list of their own."""
    return {**_shared(item), "introduction": item.row.introduction}


def render_completion_detail(
    item: LoggedConversation, detail: MessageDetail | None, link: Link
) -> JSONObject:
    """Return one completion with its message; ``link`` gives the address of an upload."""
    message = None if detail is None else render_detail(detail, link)
    return {**render_chat_detail(item), "message": message}


def _render_page(data: list[JSONValue], found: LogPage, asked: LogQuery) -> JSONObject:
    return {
        "data": data,
        "total": found.total,
        "page": asked.page,
        "limit": asked.limit,
        "has_more": found.has_more,
    }


def _render_chat(item: LoggedConversation) -> JSONValue:
    failed, partial = item.failed, item.partial
    return {
        **_shared(item),
        **_holder(item),
        "name": item.row.name,
        "summary": item.first.query if item.first else item.row.name,
        "status_count": {
            "success": item.messages - failed - partial,
            "failed": failed,
            "partial_success": partial,
        },
    }


def _render_completion(item: LoggedConversation) -> JSONValue:
    first = item.first
    message: JSONObject | None = None
    if first is not None:
        asked: JSONValue = [{"role": "user", "text": first.query}]
        message = {"inputs": first.inputs, "query": first.query, "message": asked, "answer": first.answer}
    return {
        **_shared(item),
        **_holder(item),
        "message": message,
        "annotation": render_annotation(item.annotation),
    }


def _holder(item: LoggedConversation) -> JSONObject:
    return {"from_end_user_session_id": item.session_id, "from_account_name": item.account_name}


def _shared(item: LoggedConversation) -> JSONObject:
    row, config = item.row, item.config or {}
    return {
        "id": row.id,
        "status": row.status,
        "from_source": "api" if row.invoke_from in PUBLIC else "console",
        "from_end_user_id": row.from_end_user_id,
        "from_account_id": row.from_account_id,
        "read_at": to_unix(row.read_at),
        "created_at": to_unix(row.created_at),
        "updated_at": to_unix(row.updated_at),
        "annotated": item.annotations > 0,
        "model_config": {
            "model": config.get("model"),
            "pre_prompt": config.get("pre_prompt"),
        },
        "message_count": item.messages,
        "user_feedback_stats": {"like": item.user_likes, "dislike": item.user_dislikes},
        "admin_feedback_stats": {"like": item.admin_likes, "dislike": item.admin_dislikes},
    }
