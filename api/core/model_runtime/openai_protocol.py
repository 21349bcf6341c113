"""The OpenAI wire that most vendors imitate: bodies to send, streams and vectors to read.

Boundary: bytes and values only; calls nobody. What a vendor refuses in the
middle of a stream is raised as Refused, so it is used inside ``upstream()``.
Wire: OpenAI's API reference, "Create chat completion" and "Create embeddings".
"""

import base64
import math
import struct
from array import array
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import orjson

from api.core.model_runtime.thinking import ThinkSplitter
from api.core.model_runtime.types import (
    SILENCE,
    CallPiece,
    ChatChunk,
    ChatRequest,
    Embeddings,
    ImagePart,
    Message,
    Role,
    TextPart,
    TokenCount,
    ToolCall,
    ToolSpec,
)
from api.core.model_runtime.upstream import CALL_CHARS, FRAMING_LINES, Refused, read_error
from api.core.model_runtime.whole_answers import read_usage, reading
from api.core.ports import JSONObject, JSONValue
from api.errors import CompletionFailed, InvalidRequest

MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_EMBEDDINGS_BYTES = 64 * 1024 * 1024

SENT_PARAMETERS = frozenset(
    {
        "enable_thinking",
        "frequency_penalty",
        "logit_bias",
        "max_completion_tokens",
        "max_tokens",
        "min_p",
        "presence_penalty",
        "reasoning_effort",
        "repetition_penalty",
        "seed",
        "temperature",
        "top_k",
        "top_p",
        "verbosity",
    }
)
NO_COMPLETION = "The provider's stream holds something that is not a chat completion."
SSE_FIELDS = (b":", b"event:", b"id:", b"retry:")
UNIT_TOLERANCE = 1e-4


def api_root(url: str) -> str:
    """Return the root of an API for its address: ``/v1`` where only a host is named, never a chat path."""
    root = url.strip().rstrip("/").removesuffix("/chat/completions").rstrip("/")
    return root if "/" in root.partition("://")[2] else f"{root}/v1"


def chat_body(request: ChatRequest) -> JSONObject:
    """Return the body of a streamed chat call; unknown and empty parameters are left out.

    Raises InvalidRequest for a ``json_schema`` that is not JSON.
    """
    body: JSONObject = {
        "model": request.model,
        "messages": [_to_message(message) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    for name, value in request.parameters.items():
        if name in SENT_PARAMETERS and value not in (None, ""):
            body[name] = value
    if response_format := _response_format(request):
        body["response_format"] = response_format
    if request.stop:
        body["stop"] = list(request.stop)
    if request.tools:
        body["tools"] = [_to_tool(tool) for tool in request.tools]
    if request.user:
        body["user"] = request.user
    return body


def embeddings_body(model: str, texts: Sequence[str]) -> JSONObject:
    """Return the body of an embedding call."""
    return {"model": model, "input": list(texts)}


def read_chat(groups: Iterable[Sequence[bytes]], *, joins: bool = False) -> Iterator[ChatChunk]:
    """Yield the chunks of a streamed answer, or of a whole one from a server that does not stream.

    The lines of a group came together; with ``joins`` what they add is yielded as
    one. What adds nothing to the answer is yielded as SILENCE. Raises Refused for
    an error in the stream, CompletionFailed when the stream is not JSON or ends
    before the answer does.
    """
    answer = _Answer()
    groups = iter(groups)
    for lines in groups:
        has_frames = False
        try:
            for is_frame in answer.read(lines, groups):
                if is_frame and joins:
                    has_frames = True
                else:
                    yield answer.told()
        except Exception:  # of the stream or of the connection: what came before it comes first
            if (told := answer.told()) is not SILENCE:
                yield told
            raise
        if has_frames:
            yield answer.told()
        if answer.is_done:
            break
    yield answer.last()


def read_frames(frames: Iterable[JSONObject]) -> Iterator[ChatChunk]:
    """Yield the chunks of an answer whose frames others have read; otherwise as ``read_chat``."""
    answer = _Answer()
    for frame in frames:
        answer.take(frame)
        yield answer.told()
    yield answer.last()


def read_moderation(content: bytes) -> bool:
    """Tell whether a text was flagged. Raises CompletionFailed for an answer that is malformed."""
    try:
        flags = [result["flagged"] for result in orjson.loads(content)["results"]]
    except (ValueError, TypeError, KeyError) as exc:
        raise CompletionFailed("The provider's moderation is malformed.") from exc
    if not flags or not all(isinstance(flag, bool) for flag in flags):
        raise CompletionFailed("The provider's moderation is malformed.")
    return any(flags)


def read_embeddings(content: bytes, count: int) -> Embeddings:
    """Return the ``count`` vectors of an answer, in order and of unit length, given as numbers or base64.

    Raises CompletionFailed, or Unusable.
    """
    with reading("list of embeddings") as answer:
        body = answer.read(content)
        rows = [row["embedding"] for row in sorted(body["data"], key=lambda row: row["index"])]
        return to_embeddings(rows, answer.tokens, count)


def to_embeddings(rows: Any, tokens: TokenCount, count: int) -> Embeddings:
    """Return the ``count`` vectors a provider sent as ``rows`` of numbers or base64, of unit length.

    Raises CompletionFailed where they are more or fewer, ValueError or the like where they are none.
    """
    vectors = [_to_vector(row) for row in rows]
    if len(vectors) != count:
        raise CompletionFailed(f"The provider sent {len(vectors)} embeddings for {count} texts.")
    return Embeddings(vectors, tokens)


class _Answer:
    """What a stream has told so far, and what of it nobody has been told yet."""

    def __init__(self) -> None:
        self.is_done = False
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._call_chars = 0
        self._has_usage = False
        self._has_spoken = False
        self._framing = 0
        self._finish_reason: str | None = None
        self._tokens: TokenCount | None = None
        self._calls: list[dict[str, str]] = []
        self._call_at: dict[object, dict[str, str]] = {}
        self._thinking = ThinkSplitter()

    def read(self, lines: Sequence[bytes], rest: Iterator[Sequence[bytes]]) -> Iterator[bool]:
        """Take in lines of a stream; yield True after each frame, False where too many lines are none.

        A whole answer goes on in the ``rest``.
        """
        for place, line in enumerate(lines, 1):
            if line.startswith(b"data:"):
                self._framing = 0
                data = line[5:].strip()
                if data == b"[DONE]":
                    self.is_done = True
                    break
                self._take(data)
                yield True
            elif line and not line.startswith(SSE_FIELDS) and not line.isspace():
                body = yield from _join(line, chain(lines[place:], chain.from_iterable(rest)))
                self._take(body)
                self.is_done = True
                yield True
                break
            else:
                self._framing += 1
                if self._framing > FRAMING_LINES:
                    yield False

    def _take(self, data: bytes) -> None:
        try:
            frame = orjson.loads(data)
        except ValueError as exc:
            raise CompletionFailed(NO_COMPLETION) from exc
        self.take(frame)

    def take(self, frame: Any) -> None:
        """Take in one frame. Raises Refused for an error, CompletionFailed for what is no completion."""
        try:
            if frame.get("error"):
                raise self._refused(frame)
            if usage := frame.get("usage"):
                self._tokens = read_usage(usage) or self._tokens
                self._has_usage = True
            if choices := frame.get("choices"):
                choice = choices[0]
                self._finish_reason = choice.get("finish_reason") or self._finish_reason
                self._add(choice.get("delta") or choice.get("message") or {})
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise CompletionFailed(NO_COMPLETION) from exc

    def told(self) -> ChatChunk:
        """Return what has been added since the last time; SILENCE where that is nothing."""
        texts, thoughts, chars = self._texts, self._thoughts, self._call_chars
        if not (texts or thoughts or chars or self._has_usage):
            return SILENCE
        tokens = self._tokens if self._has_usage else None
        self._texts, self._thoughts, self._call_chars, self._has_usage = [], [], 0, False
        text, reasoning = "".join(texts), "".join(thoughts)
        if chars:
            return CallPiece(text=text, reasoning=reasoning, tokens=tokens, chars=chars)
        return ChatChunk(text=text, reasoning=reasoning, tokens=tokens)

    def last(self) -> ChatChunk:
        """Return the chunk that ends the answer; raises CompletionFailed when it has no end."""
        if not self.is_done and self._finish_reason is None:
            raise CompletionFailed("The provider's stream ended before the answer did.")
        text, reasoning = self._thinking.rest()
        calls = tuple(
            ToolCall(id=call["id"] or f"call_{place}", name=call["name"], arguments=call["arguments"] or "{}")
            for place, call in enumerate(self._calls)
        )
        return ChatChunk(
            text=text,
            reasoning=reasoning,
            tool_calls=calls,
            tokens=self._tokens,
            finish_reason=self._finish_reason or ("tool_calls" if calls else "stop"),
        )

    def _add(self, delta: dict[str, Any]) -> None:
        if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
            self._thoughts.append("" + reasoning)  # a TypeError where it is no text
            self._has_spoken = True
        if content := delta.get("content"):
            if not isinstance(content, str):
                content = "".join(part.get("text") or "" for part in content)
            text, thought = self._thinking.feed(content)
            if text:
                self._texts.append(text)
            if thought:
                self._thoughts.append(thought)
            self._has_spoken = self._has_spoken or bool(text or thought)
        if calls := delta.get("tool_calls"):
            self._call_chars += sum(self._add_call(call) for call in calls)

    def _add_call(self, delta: dict[str, Any]) -> int:
        """Take in a piece of a tool call; return the characters it counts for.

        A new id starts a new call, whatever index some servers repeat.
        """
        index, call_id = delta.get("index"), delta.get("id") or ""
        call = self._call_at.get(index)
        chars = len(call_id)
        if call is None or (call_id and call["id"] not in ("", call_id)):
            call = self._call_at[index] = {"id": "", "name": "", "arguments": ""}
            self._calls.append(call)
            chars += CALL_CHARS
        function = delta.get("function") or {}
        arguments = function.get("arguments") or ""
        call["id"] = call["id"] or call_id
        call["name"] = call["name"] or function.get("name") or ""
        arguments = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
        call["arguments"] += arguments
        return chars + len(arguments)

    def _refused(self, frame: dict[str, Any]) -> Refused:
        message, codes = read_error(frame)
        status = next((int(code) for code in codes if code.isdigit() and 400 <= int(code) < 600), 400)
        message = message or "The provider broke its answer off."
        return Refused(message, status=status, codes=codes, is_midway=self._has_spoken)


def _join(line: bytes, rest: Iterator[bytes]) -> Generator[bool, None, bytes]:
    """Return the lines as one; yield False while they come."""
    pieces, size_bytes = [line], len(line)
    for piece in rest:
        pieces.append(piece)
        size_bytes += len(piece)
        if size_bytes > MAX_ANSWER_BYTES:
            raise CompletionFailed(f"The provider's answer is larger than {MAX_ANSWER_BYTES} bytes.")
        yield False
    return b"\n".join(pieces)


def _to_message(message: Message) -> JSONObject:
    text = message.text
    found: JSONObject = {"role": message.role.value, "content": text}
    if any(isinstance(part, ImagePart) for part in message.parts):
        found["content"] = [_to_part(part) for part in message.parts]
    if message.role is Role.TOOL:
        found["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        found["content"] = text or None
        found["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return found


def _to_part(part: TextPart | ImagePart) -> JSONObject:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    url = part.url
    if part.data is not None:
        url = f"data:{part.mime_type};base64,{base64.b64encode(part.data).decode()}"
    return {"type": "image_url", "image_url": {"url": url, "detail": part.detail}}


def _to_tool(tool: ToolSpec) -> JSONObject:
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }


def _response_format(request: ChatRequest) -> JSONValue:
    """Return the wire's response format for the console's word for it, None for plain text."""
    wanted = request.parameters.get("response_format")
    if wanted in (None, "", "text"):
        return None
    if wanted != "json_schema":
        return wanted if isinstance(wanted, dict) else {"type": wanted}
    schema = request.parameters.get("json_schema")
    try:
        return {
            "type": "json_schema",
            "json_schema": orjson.loads(schema) if isinstance(schema, str) else schema,
        }
    except orjson.JSONDecodeError as exc:
        raise InvalidRequest(
            f"json_schema is not JSON: {exc}", field="json_schema", fault="invalid_format"
        ) from exc


def _to_vector(found: Any) -> "array[float]":
    if isinstance(found, str):
        packed = base64.b64decode(found, validate=True)
        found = struct.unpack(f"<{len(packed) // 4}f", packed)
    vector = array("f", found)
    length = math.hypot(*vector)
    if not 0.0 < length < math.inf:
        raise ValueError(length)
    if abs(length - 1.0) <= UNIT_TOLERANCE:
        return vector
    return array("f", [value / length for value in vector])
