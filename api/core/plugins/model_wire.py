"""How a chat model is asked over the lines of a plugin, and how its answer is read.

Boundary: JSON and values only; calls nobody. The words are those of Dify's
plugins: prompt messages out, chunks with a delta back.
"""

import base64
from collections.abc import Iterable, Iterator
from typing import Any

from api.core.model_runtime.openai_protocol import read_frames
from api.core.model_runtime.types import ChatChunk, ChatRequest, ImagePart, Message, Role, TextPart
from api.core.plugins.runner import CALLED_BACK
from api.core.ports import JSONObject, JSONValue
from api.errors import CompletionFailed


def to_question(request: ChatRequest) -> JSONObject:
    """Return what a plugin is asked for a call of a chat model."""
    return {
        "action": "invoke_llm",
        "model_type": "llm",
        "model": request.model,
        "prompt_messages": [_to_message(message) for message in request.messages],
        "model_parameters": {**request.parameters},
        "stop": [*request.stop],
        "tools": [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in request.tools
        ],
        "stream": True,
    }


def read_chat(told: Iterable[JSONObject]) -> Iterator[ChatChunk]:
    """Yield the chunks of an answer; what adds nothing to it as SILENCE.

    Raises CompletionFailed for what is no answer, or one that ends before its end.
    """
    return read_frames(map(_to_frame, told))


def _to_message(message: Message) -> JSONObject:
    told: JSONObject = {"role": message.role.value, "content": _to_content(message)}
    if message.tool_calls:
        told["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    if message.role is Role.TOOL:
        told["tool_call_id"] = message.tool_call_id
    return told


def _to_content(message: Message) -> JSONValue:
    """Return a text where there is nothing else, a list of parts where there is."""
    if not any(isinstance(part, ImagePart) for part in message.parts):
        return message.text
    return [_to_part(part) for part in message.parts]


def _to_part(part: TextPart | ImagePart) -> JSONObject:
    if isinstance(part, TextPart):
        return {"type": "text", "data": part.text}
    return {
        "type": "image",
        "format": part.mime_type.rpartition("/")[2],
        "mime_type": part.mime_type,
        "base64_data": base64.b64encode(part.data).decode() if part.data is not None else "",
        "url": part.url or "",
        "detail": part.detail,
    }


def _to_frame(message: JSONObject) -> JSONObject:
    """Return a message of a plugin as a frame of a completion, which it is but for where things are."""
    match message:
        case {"delta": {"message": dict(said), **rest}}:
            delta: JSONObject = {**said, "content": _to_text(said.get("content"))}
            finish_reason: Any = rest.get("finish_reason")
            usage: Any = rest.get("usage")
            return {"choices": [{"delta": delta, "finish_reason": finish_reason}], "usage": usage}
    if message == CALLED_BACK:
        return message
    raise CompletionFailed("The plugin's answer is malformed.")


def _to_text(content: JSONValue) -> JSONValue:
    """Return the text of a message's content, which may be in parts."""
    if not isinstance(content, list):
        return content
    parts = (part for part in content if isinstance(part, dict) and part.get("type") == "text")
    return "".join(str(part.get("data") or "") for part in parts)
