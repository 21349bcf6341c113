"""What OpenAI's models can do and cost, as data; shared by the vendors that serve them.

Prices are OpenAI's list prices for short prompts, November 2026; above 272,000
tokens of prompt the GPT-5.6 and GPT-6 models cost more.
"""

import re
from dataclasses import replace
from decimal import Decimal

from api.core.model_runtime.types import ModelSchema, ModelType, ParameterRule, Price
from api.core.ports import JSONObject

FEATURES = frozenset(
    {"agent-thought", "multi-tool-call", "stream-tool-call", "structured-output", "tool-call", "vision"}
)
DEFAULT_CONTEXT_TOKENS = 128_000
MAX_EMBEDDED_TEXTS = 64

# o1, o3-mini, gpt-5.4, gpt-6-sol …; the "-chat" snapshots of GPT-5 do not reason.
REASONING_MODELS = re.compile(r"(o\d|gpt-([5-9]|\d\d))(?!.*-chat)")
FOREIGN_PARAMETERS = ("enable_thinking", "min_p", "repetition_penalty", "top_k")
ONLY_FOR_REASONING = ("reasoning_effort", "verbosity")
NOT_FOR_REASONING = ("frequency_penalty", "logit_bias", "presence_penalty", "stop", "temperature", "top_p")


def adapt_to_model(body: JSONObject, model: str) -> JSONObject:
    """Return a chat body without what OpenAI's ``model`` refuses, with the names it wants."""
    is_reasoning = REASONING_MODELS.match(model) is not None
    refused = (*FOREIGN_PARAMETERS, *(NOT_FOR_REASONING if is_reasoning else ONLY_FOR_REASONING))
    adapted = {name: value for name, value in body.items() if name not in refused}
    if is_reasoning and "max_tokens" in adapted:
        adapted["max_completion_tokens"] = adapted.pop("max_tokens")
    return adapted


def describe_model(model: str, *, like: str | None = None) -> ModelSchema:
    """Return what is known of ``model``, or of the model it is ``like``; a guess for unknown ones."""
    for known in (*OPENAI_MODELS, *OPENAI_SPEECH_MODELS):
        if known.model == (like or model):
            return replace(known, model=model, label=known.label if like is None else model)
    if "embedding" in (like or model):
        return _embedding(model, Decimal(0))
    if kind := speech_type(like or model):
        return _speech(model, kind)
    return ModelSchema(
        model=model,
        type=ModelType.LLM,
        label=model,
        context_tokens=DEFAULT_CONTEXT_TOKENS,
        features=FEATURES,
    )


def speech_type(model: str) -> ModelType | None:
    """Return what a model of a name has to do with speech most likely: it writes, it speaks, or nothing."""
    name = model.lower()
    if "whisper" in name or "transcribe" in name:
        return ModelType.SPEECH2TEXT
    return ModelType.TTS if "tts" in name else None


def _chat(
    model: str, label: str, context_tokens: int, max_output_tokens: int, prices: tuple[str, str]
) -> ModelSchema:
    """Return the schema of a chat model; prices are USD per million tokens, in and out."""
    return ModelSchema(
        model=model,
        type=ModelType.LLM,
        label=label,
        context_tokens=context_tokens,
        max_output_tokens=max_output_tokens,
        features=FEATURES,
        price=Price(input=Decimal(prices[0]), output=Decimal(prices[1])),
    )


def _embedding(model: str, price_usd: Decimal) -> ModelSchema:
    return ModelSchema(
        model=model,
        type=ModelType.TEXT_EMBEDDING,
        label=model,
        context_tokens=8_191,
        price=Price(input=price_usd, output=Decimal(0)),
        max_chunks=MAX_EMBEDDED_TEXTS,
    )


def _speech(model: str, kind: ModelType, *, label: str = "", voices: str = "") -> ModelSchema:
    """Return the schema of a model that hears or speaks; they are paid by the minute or character."""
    return ModelSchema(
        model=model, type=kind, label=label or model, context_tokens=0, voices=tuple(voices.split())
    )


OPENAI_MODELS = (
    _chat("gpt-6.2-astra", "GPT-6.2 Astra", 1_050_000, 128_000, ("8", "40")),
    _chat("gpt-6.2-sol", "GPT-6.2 Sol", 1_050_000, 128_000, ("2", "10")),
    _chat("gpt-6.1-sol", "GPT-6.1 Sol", 1_050_000, 128_000, ("2", "10")),
    _chat("gpt-6.1-terra", "GPT-6.1 Terra", 1_050_000, 128_000, ("1", "5")),
    _chat("gpt-6-luna", "GPT-6 Luna", 1_050_000, 128_000, ("0.10", "0.50")),
    _chat("gpt-4.1", "GPT-4.1", 1_047_576, 32_768, ("2", "8")),
    _chat("gpt-4.1-mini", "GPT-4.1 mini", 1_047_576, 32_768, ("0.40", "1.60")),
    _chat("gpt-4o", "GPT-4o", 128_000, 16_384, ("2.50", "10")),
    _chat("gpt-4o-mini", "GPT-4o mini", 128_000, 16_384, ("0.15", "0.60")),
    _embedding("text-embedding-3-small", Decimal("0.02")),
    _embedding("text-embedding-3-large", Decimal("0.13")),
    _embedding("text-embedding-ada-002", Decimal("0.10")),
)

_VOICES = "alloy ash coral echo fable nova onyx sage shimmer"
OPENAI_SPEECH_MODELS = (
    _speech("gpt-4o-mini-transcribe", ModelType.SPEECH2TEXT, label="GPT-4o mini Transcribe"),
    _speech("gpt-4o-transcribe", ModelType.SPEECH2TEXT, label="GPT-4o Transcribe"),
    _speech("whisper-1", ModelType.SPEECH2TEXT, label="Whisper"),
    _speech(
        "gpt-4o-mini-tts",
        ModelType.TTS,
        label="GPT-4o mini TTS",
        voices=f"{_VOICES} ballad cedar marin verse",
    ),
    _speech("tts-1", ModelType.TTS, label="TTS-1", voices=_VOICES),
    _speech("tts-1-hd", ModelType.TTS, label="TTS-1 HD", voices=_VOICES),
)
"""Of OpenAI itself; the vendors that serve its other models have them under other addresses."""

CHAT_PARAMETERS = (
    ParameterRule(
        name="temperature",
        label="Temperature",
        label_zh="温度",
        type="float",
        default=1.0,
        min=0,
        max=2,
        precision=2,
    ),
    ParameterRule(
        name="top_p", label="Top P", label_zh="Top P", type="float", default=1.0, min=0, max=1, precision=2
    ),
    ParameterRule(
        name="presence_penalty",
        label="Presence penalty",
        label_zh="存在惩罚",
        type="float",
        default=0,
        min=-2,
        max=2,
        precision=2,
    ),
    ParameterRule(
        name="frequency_penalty",
        label="Frequency penalty",
        label_zh="频率惩罚",
        type="float",
        default=0,
        min=-2,
        max=2,
        precision=2,
    ),
    ParameterRule(
        name="max_tokens", label="Max tokens", label_zh="最大标记数", type="int", default=4_096, min=1
    ),
    ParameterRule(name="seed", label="Seed", label_zh="种子", type="int", min=0),
    ParameterRule(
        name="response_format",
        label="Response format",
        label_zh="回复格式",
        type="string",
        options=("text", "json_object", "json_schema"),
    ),
    ParameterRule(name="json_schema", label="JSON schema", label_zh="JSON 模式", type="text"),
    ParameterRule(
        name="reasoning_effort",
        label="Reasoning effort",
        label_zh="推理强度",
        type="string",
        options=("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    ),
)
