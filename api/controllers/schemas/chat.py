"""What a caller of a chat or completion app sends, and the shape of the answer.

The answer itself is rendered in controllers/http/sse.py, from the events of the run.
"""

from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import (
    UUID,
    Boolean,
    Choice,
    Items,
    Object,
    Text,
    json_field,
    parser,
    user_name,
)
from api.core.ports import JSONObject

MODES = Choice(("streaming", "blocking"))
ON_DISCONNECT = Choice(("continue", "cancel"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionIn:
    """One request to a completion app. ``on_disconnect`` says what becomes of the run of a lost client."""

    user: str
    query: str = ""
    inputs: JSONObject | None = None
    response_mode: str = "blocking"
    files: tuple[JSONObject, ...] | None = None
    on_disconnect: str = "continue"
    read_aloud: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTurnIn:
    """One message to a chat app."""

    query: str
    user: str
    inputs: JSONObject | None = None
    response_mode: str = "blocking"
    conversation_id: str | None = None
    workflow_id: str | None = None
    files: tuple[JSONObject, ...] | None = None
    auto_generate_name: bool = True
    on_disconnect: str = "continue"
    read_aloud: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class UserIn:
    """A request that only says who asks."""

    user: str


SHARED = (
    json_field("user", user_name, required=True, help="End user, as the caller names it."),
    json_field("inputs", Object(takes_empty_list=True), nullable=True, help="Values of the app's variables."),
    json_field("response_mode", MODES, help="blocking when absent."),
    json_field("files", Items(item=Object(), max_items=100), nullable=True, help="Files of this message."),
    json_field("on_disconnect", ON_DISCONNECT, help="cancel stops the run when a streaming client leaves."),
    json_field("read_aloud", Boolean(), help="false: nothing is spoken, whatever the app is set to."),
)
CHAT = parser(
    json_field("query", Text(needs_content=True), required=True, help="The user's message."),
    *SHARED,
    json_field("conversation_id", UUID(may_be_blank=True), nullable=True, help="Blank starts a new one."),
    json_field(
        "workflow_id", Text(), nullable=True, help="Of a chatflow: the published version that answers."
    ),
    json_field("auto_generate_name", Boolean(), help="Whether a model names a new conversation afterwards."),
)
COMPLETION = parser(json_field("query", Text(), help="Text for {{query}}."), *SHARED)
USER = parser(json_field("user", user_name, required=True, help="End user, as the caller names it."))

USAGE = Model(
    "Usage",
    {
        "prompt_tokens": fields.Integer,
        "prompt_unit_price": fields.String(description="All prices are decimal strings.", example="0.15"),
        "prompt_price_unit": fields.String(description="The unit price is for one token over this."),
        "prompt_price": fields.String,
        "completion_tokens": fields.Integer,
        "completion_unit_price": fields.String,
        "completion_price_unit": fields.String,
        "completion_price": fields.String,
        "total_tokens": fields.Integer,
        "total_price": fields.String,
        "currency": fields.String(example="USD"),
        "latency": fields.Float(description="Seconds from the call of the model to its last word."),
        "time_to_first_token": fields.Float(nullable=True, description="Seconds."),
        "time_to_generate": fields.Float(nullable=True, description="Seconds after the first token."),
    },
)
RETRIEVER_RESOURCE = Model(
    "RetrieverResource",
    {
        "position": fields.Integer(description="From 1."),
        "dataset_id": fields.String,
        "dataset_name": fields.String,
        "document_id": fields.String,
        "document_name": fields.String,
        "data_source_type": fields.String,
        "segment_id": fields.String,
        "retriever_from": fields.String,
        "score": fields.Float(description="0 to 1, higher is nearer."),
        "content": fields.String,
        "segment_position": fields.Integer(nullable=True),
        "word_count": fields.Integer(nullable=True),
        "hit_count": fields.Integer(nullable=True),
        "index_node_hash": fields.String(nullable=True),
        "summary": fields.String(nullable=True),
        "doc_metadata": fields.Raw(
            nullable=True, description="What another service tells of a passage it keeps."
        ),
    },
)
METADATA = Model(
    "Metadata",
    {
        "annotation_reply": fields.Raw(nullable=True),
        "retriever_resources": fields.List(fields.Nested(RETRIEVER_RESOURCE)),
        "usage": fields.Nested(USAGE),
    },
)
COMPLETION_ANSWER = Model(
    "CompletionAnswer",
    {
        "event": fields.String(example="message"),
        "task_id": fields.String(description="Names the run, for stop and events."),
        "id": fields.String(description="The same as message_id."),
        "message_id": fields.String,
        "mode": fields.String(description="The mode of the app."),
        "answer": fields.String,
        "metadata": fields.Nested(METADATA),
        "created_at": fields.Integer(description="Unix seconds."),
    },
)
ANSWERED = "The answer, or its events as they come. That of an agent also has its rounds: agent_thoughts."
CHAT_ANSWER = COMPLETION_ANSWER.clone(
    "ChatAnswer", {"conversation_id": fields.String(description="Send it with the next message.")}
)
