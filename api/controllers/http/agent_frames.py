"""What agent apps tell besides their text: their rounds, and the files their tools made.

Wire: docs/wire/streaming.md#agents.
"""

from collections.abc import Mapping

import orjson

from api.core.events import AgentThought, Event, FileMade, RunHeader
from api.core.ports import JSONObject, JSONValue


def agent_payload(event: Event, envelope: JSONObject, *, is_flat: bool) -> JSONObject | None:
    """Return the JSON of an event of agents; None for an event that is none."""
    match event:
        case AgentThought():
            return _thought(event, envelope, is_flat=is_flat)
        case FileMade():
            file: JSONObject = {"id": event.id, "type": event.kind, "url": event.url}
            return {"event": "message_file", **envelope, **file, "belongs_to": "assistant"}
    return None


def _thought(event: AgentThought, envelope: JSONObject, *, is_flat: bool) -> JSONObject:
    return {
        "event": "agent_thought",
        **envelope,
        "id": event.id,
        "position": event.position,
        "thought": event.thought,
        "observation": event.observation,
        "tool": event.tool,
        "tool_labels": event.tool_labels or {},
        **_tool_input(event, is_flat=is_flat),
        "message_files": file_ids(event),
    }


def told_thoughts(
    thoughts: Mapping[str, AgentThought], header: RunHeader, *, is_flat: bool
) -> list[JSONValue]:
    """Return the rounds of a blocking answer."""
    return [
        {**thought_item(one, header.message_id), **_tool_input(one, is_flat=is_flat)}
        for one in thoughts.values()
    ]


def thought_item(thought: AgentThought, message_id: str | None) -> JSONObject:
    """Return a round as messages show it."""
    return {
        "id": thought.id,
        "chain_id": None,
        "message_id": message_id,
        "position": thought.position,
        "thought": thought.thought,
        "tool": thought.tool,
        "tool_labels": thought.tool_labels or {},
        "tool_input": thought.tool_input,
        "observation": thought.observation,
        "files": file_ids(thought),
        "created_at": thought.created_at,
    }


def file_ids(thought: AgentThought) -> list[JSONValue]:
    """Return the ids of the files a round's tools made."""
    return [file["id"] for file in thought.files]


def _tool_input(thought: AgentThought, *, is_flat: bool) -> JSONObject:
    """Return what tools were given: the seed's dialect has the object itself, and its text beside it."""
    if not is_flat:
        return {"tool_input": thought.tool_input}
    given = orjson.loads(thought.tool_input) if thought.tool_input else ""
    return {"tool_input": given, "tool_input_raw": thought.tool_input}
