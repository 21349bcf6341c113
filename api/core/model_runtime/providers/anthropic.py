"""Anthropic through its SDK; the events of its stream are read raw, as OpenAI's are.

Wire: Anthropic's "Messages" API, version 2026-10-21, which refuses sampling
parameters such as temperature.
"""

import base64
import contextlib
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, ClassVar

import orjson

from api.core.http import Cancelled, HTTPResponse
from api.core.model_runtime.provider import ProviderContext, provider
from api.core.model_runtime.types import (
    SILENCE,
    CallPiece,
    ChatChunk,
    ChatRequest,
    CredentialField,
    ImagePart,
    Message,
    ModelSchema,
    ModelType,
    ParameterRule,
    Price,
    ProviderSchema,
    Role,
    TextPart,
    TokenCount,
    ToolCall,
)
from api.core.model_runtime.upstream import (
    CALL_CHARS,
    CHECK_TOTAL_S,
    FRAMING_LINES,
    Refused,
    check_features,
    credentials_check,
    load_sdk,
    read_error,
    sdk_faults,
    secrets_of,
    upstream,
)
from api.core.ports import Cancel, JSONObject, JSONValue
from api.errors import CompletionFailed

DEFAULT_URL = "https://api.anthropic.com"
DEFAULT_MAX_TOKENS = 8_192
FEATURES = frozenset({"agent-thought", "multi-tool-call", "stream-tool-call", "tool-call", "vision"})

FINISH_REASONS = {
    "end_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
}
ERROR_STATUSES = {"api_error": 500, "overloaded_error": 529, "rate_limit_error": 429, "timeout_error": 504}

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="6" '
    'fill="#b4532a"/><text x="12" y="16.5" font-family="sans-serif" font-size="12" font-weight="700" '
    'text-anchor="middle" fill="#fff">An</text></svg>'
)


def _model(model: str, label: str, prices: tuple[str, str], sizes: tuple[int, int]) -> ModelSchema:
    """Return the schema of a model; list prices of November 2026 in USD per million tokens, in and out."""
    return ModelSchema(
        model=model,
        type=ModelType.LLM,
        label=label,
        context_tokens=sizes[0],
        max_output_tokens=sizes[1],
        features=FEATURES,
        price=Price(input=Decimal(prices[0]), output=Decimal(prices[1])),
    )


@provider
class AnthropicProvider:
    """Claude models, also by names newer than the list."""

    schema: ClassVar[ProviderSchema] = ProviderSchema(
        id="anthropic",
        sdk="anthropic",
        plugin_id="langgenius/anthropic",
        label="Anthropic",
        label_zh="Anthropic",
        description="Claude models of Anthropic, such as Claude Opus 5.5 and Claude Haiku 5.5.",
        description_zh="Anthropic 的 Claude 模型，例如 Claude Opus 5.5 和 Claude Haiku 5.5。",
        background="#F0EDE6",
        icon_svg=_ICON,
        models=(
            _model("claude-fable-5-1", "Claude Fable 5.1", ("10", "50"), (1_000_000, 128_000)),
            _model("claude-opus-5-5", "Claude Opus 5.5", ("4", "20"), (1_000_000, 128_000)),
            _model("claude-opus-5", "Claude Opus 5", ("5", "25"), (1_000_000, 128_000)),
            _model("claude-sonnet-5-5", "Claude Sonnet 5.5", ("2", "10"), (1_000_000, 128_000)),
            _model("claude-sonnet-5", "Claude Sonnet 5", ("2", "10"), (1_000_000, 128_000)),
            _model("claude-haiku-5-5", "Claude Haiku 5.5", ("0.10", "0.50"), (1_000_000, 128_000)),
            _model("claude-haiku-4-5", "Claude Haiku 4.5", ("1", "5"), (200_000, 64_000)),
        ),
        credential_fields=(
            CredentialField(
                variable="anthropic_api_key",
                label="API key",
                label_zh="API 密钥",
                type="secret-input",
                is_required=True,
                placeholder="sk-ant-…",
            ),
            CredentialField(
                variable="anthropic_api_url",
                is_address=True,
                label="API address",
                label_zh="API 地址",
                placeholder=DEFAULT_URL,
            ),
        ),
        parameter_rules=(
            ParameterRule(
                name="max_tokens",
                label="Max tokens",
                label_zh="最大标记数",
                type="int",
                default=DEFAULT_MAX_TOKENS,
                min=1,
                max=128_000,
            ),
            ParameterRule(
                name="effort",
                label="Effort",
                label_zh="推理强度",
                type="string",
                options=("low", "medium", "high", "max"),
            ),
        ),
        custom_model_types=frozenset({ModelType.LLM}),
        help_url="https://platform.claude.com/settings/keys",
    )

    def __init__(self, context: ProviderContext) -> None:
        self._context = context
        self._secrets = secrets_of(self.schema.credential_fields, context.credentials)

    def check_credentials(self) -> None:
        """Prove the key by listing one of the models it may use."""
        with (
            credentials_check(),
            self._calling(Cancel(CHECK_TOTAL_S)) as client,
            client.models.with_streaming_response.list(limit=1),
        ):
            pass  # the status has told

    def model_schema(self, model: str) -> ModelSchema:
        """Return what is known of a model, a careful guess for one that is not on the list."""
        listed = (known for known in self.schema.models if known.model == model)
        return next(listed, _model(model, model, ("0", "0"), (200_000, 0)))

    def chat(self, request: ChatRequest, cancel: Cancel) -> Iterator[ChatChunk]:
        """Yield the answer as it comes."""
        check_features(self.model_schema(request.model), request)
        body = _to_body(request)
        with contextlib.suppress(Cancelled), self._calling(cancel) as client:
            # As extra_body, messages are not walked and copied again.
            create = client.messages.with_streaming_response.create
            with create(
                model=request.model, messages=[], max_tokens=1, stream=True, extra_body=body
            ) as response:
                yield from _read_chat(HTTPResponse(response.http_response).iter_lines())

    @contextlib.contextmanager
    def _calling(self, cancel: Cancel) -> Iterator[Any]:
        """Give an SDK client for one call, whose faults become ours."""
        credentials = self._context.credentials
        url = (credentials.get("anthropic_api_url") or DEFAULT_URL).strip().rstrip("/").removesuffix("/v1")
        with upstream(self._secrets):
            sdk = load_sdk("anthropic", self._context.offload.call)
            client = sdk.Anthropic(
                api_key=credentials["anthropic_api_key"].strip(),
                base_url=url,
                max_retries=0,
                http_client=self._context.http.sdk_client(cancel),
                open_telemetry=False,
            )
            with sdk_faults(sdk):
                yield client


def _to_body(request: ChatRequest) -> JSONObject:
    """Return the body of a streamed call; tuning knobs the API refuses are left out."""
    system = "\n\n".join(m.text for m in request.messages if m.role is Role.SYSTEM and m.text)
    turns = [_to_turn(message) for message in request.messages if message.role is not Role.SYSTEM]
    if system and not any(turn["content"] for turn in turns):
        # The API wants a turn of the user's; prompts of workflows often have instructions only.
        turns, system = [_to_turn(Message.of(Role.USER, system))], ""
    body: JSONObject = {
        "messages": [turn for turn in turns if turn["content"]],
        "max_tokens": request.parameters.get("max_tokens") or DEFAULT_MAX_TOKENS,
    }
    if system:
        body["system"] = system
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if effort := request.parameters.get("effort"):
        body["output_config"] = {"effort": effort}
    if request.tools:
        body["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
            for tool in request.tools
        ]
    elif called := {call.name for message in request.messages for call in message.tool_calls}:
        # The API wants the tools of earlier turns named, also where no more of them are to be called.
        body["tools"] = [{"name": name, "input_schema": {"type": "object"}} for name in sorted(called)]
        body["tool_choice"] = {"type": "none"}
    if request.user:
        body["metadata"] = {"user_id": request.user}
    return body


def _to_turn(message: Message) -> JSONObject:
    """Return a message as content blocks; empty texts are left out, because the API refuses them."""
    if message.role is Role.TOOL:
        result: JSONObject = {
            "type": "tool_result",
            "tool_use_id": message.tool_call_id,
            "content": message.text,
        }
        return {"role": "user", "content": [result]}
    blocks: list[JSONValue] = [
        _to_block(part) for part in message.parts if isinstance(part, ImagePart) or part.text.strip()
    ]
    blocks += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": _to_input(call)}
        for call in message.tool_calls
    ]
    return {"role": message.role.value, "content": blocks}


def _to_block(part: TextPart | ImagePart) -> JSONObject:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if part.data is None:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    data = base64.b64encode(part.data).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": part.mime_type, "data": data}}


def _to_input(call: ToolCall) -> JSONObject:
    """Return a call's arguments as the object the API wants; what the model wrote may be none."""
    try:
        arguments = orjson.loads(call.arguments)
    except orjson.JSONDecodeError:
        arguments = None
    return arguments if isinstance(arguments, dict) else {"arguments": call.arguments}


def _read_chat(lines: Iterable[bytes]) -> Iterator[ChatChunk]:
    """Yield the chunks of a streamed answer, SILENCE for what adds none.

    Raises Refused or CompletionFailed.
    """
    answer = _Answer()
    framing = 0
    for line in lines:
        if line.startswith(b"data:"):
            framing = 0
            yield answer.add(line[5:])
            if answer.is_done:
                break
        else:
            framing += 1
            if framing > FRAMING_LINES:
                yield SILENCE
    yield answer.last()


class _Answer:
    """What a stream has told so far."""

    def __init__(self) -> None:
        self.is_done = False
        self._has_spoken = False
        self._finish_reason: str | None = None
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._calls: dict[int, dict[str, str]] = {}

    def add(self, data: bytes) -> ChatChunk:
        """Take in one event; return what it adds."""
        try:
            event = orjson.loads(data)
            return self._add_event(event, event["type"])
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise CompletionFailed("The provider's stream holds something that is not a message.") from exc

    def last(self) -> ChatChunk:
        """Return the chunk that ends the answer; raises CompletionFailed when it has no end."""
        if not self.is_done and self._finish_reason is None:
            raise CompletionFailed("The provider's stream ended before the answer did.")
        tokens = self._tokens()
        return ChatChunk(
            tool_calls=tuple(
                ToolCall(id=call["id"], name=call["name"], arguments=call["arguments"] or "{}")
                for call in self._calls.values()
            ),
            tokens=tokens if tokens.prompt_tokens or tokens.completion_tokens else None,
            finish_reason=self._finish_reason or "stop",
        )

    def _add_event(self, event: dict[str, Any], kind: str) -> ChatChunk:
        match kind:
            case "content_block_delta":
                return self._add_delta(event["index"], event["delta"])
            case "content_block_start" if event["content_block"]["type"] == "tool_use":
                block = event["content_block"]
                self._calls[event["index"]] = {"id": block["id"], "name": block["name"], "arguments": ""}
                return CallPiece(chars=CALL_CHARS + len(block["id"]))
            case "message_start":
                return self._count(event["message"].get("usage") or {}, is_estimate=True)
            case "message_delta":
                reason = event["delta"].get("stop_reason")
                self._finish_reason = FINISH_REASONS.get(reason, reason) or self._finish_reason
                return self._count(event.get("usage") or {})
            case "message_stop":
                self.is_done = True
            case "error":
                raise self._refused(event)
        return SILENCE

    def _add_delta(self, index: int, delta: dict[str, Any]) -> ChatChunk:
        match delta["type"]:
            case "text_delta":
                chunk = ChatChunk(text=delta["text"])
            case "thinking_delta":
                chunk = ChatChunk(reasoning=delta["thinking"])
            case "input_json_delta":
                self._calls[index]["arguments"] += delta["partial_json"]
                return CallPiece(chars=len(delta["partial_json"]))
            case _:
                return SILENCE
        self._has_spoken = True
        return chunk

    def _count(self, usage: dict[str, Any], *, is_estimate: bool = False) -> ChatChunk:
        """Take in running totals; cached tokens of the prompt are counted apart from the others.

        At the beginning those of the answer mean nothing yet.
        """
        if not usage:
            return SILENCE
        kinds = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        if usage.get("input_tokens") is not None:
            self._prompt_tokens = sum(int(usage.get(kind) or 0) for kind in kinds)
        self._completion_tokens = int(usage.get("output_tokens") or self._completion_tokens)
        return ChatChunk(tokens=self._tokens(is_estimate=is_estimate))

    def _tokens(self, *, is_estimate: bool = False) -> TokenCount:
        return TokenCount(
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
            is_estimate=is_estimate,
        )

    def _refused(self, event: dict[str, Any]) -> Refused:
        message, codes = read_error(event)
        status = next((ERROR_STATUSES[code] for code in codes if code in ERROR_STATUSES), 400)
        message = message or "The provider broke its answer off."
        return Refused(message, status=status, codes=codes, is_midway=self._has_spoken)
