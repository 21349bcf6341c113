"""What an agent did before it answered: the shape of its rounds, and the files its tools made."""

from collections.abc import Sequence

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.schemas.fields import Link
from api.core.events import AgentThought
from api.core.ports import JSONObject, JSONValue

AGENT_THOUGHT = Model(
    "AgentThought",
    {
        "id": fields.String,
        "chain_id": fields.String(nullable=True, description="null."),
        "message_id": fields.String,
        "position": fields.Integer(description="From 1."),
        "thought": fields.String,
        "tool": fields.String(description="Names of the tools it called, joined by `;`."),
        "tool_labels": fields.Raw(description="Labels by tool and language."),
        "tool_input": fields.String(
            description="What the tools were given: an object by their names, as JSON text."
        ),
        "observation": fields.String(description="What the tools gave."),
        "files": fields.List(fields.String, description="Ids of the files the tools made."),
        "created_at": fields.Integer(description="Unix seconds."),
    },
)


def render_made_files(thoughts: Sequence[AgentThought], link: Link) -> list[JSONValue]:
    """Return the files an agent's tools made, as files of its message."""
    return [_render_made(file, link) for thought in thoughts for file in thought.files]


def _render_made(file: JSONObject, link: Link) -> JSONObject:
    upload_file_id = file["related_id"]
    return {
        "id": file["id"],
        "filename": file["filename"],
        "type": file["type"],
        "url": link(str(upload_file_id)) if upload_file_id else file["url"],
        "mime_type": file["mime_type"],
        "size": file["size"],
        "transfer_method": file["transfer_method"],
        "belongs_to": "assistant",
        "upload_file_id": upload_file_id,
    }
