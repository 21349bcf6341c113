"""Any server that speaks the OpenAI wire: vLLM, Ollama, DeepSeek and many more."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from api.core.model_runtime.openai_endpoint import OpenAIEndpoint
from api.core.model_runtime.openai_models import CHAT_PARAMETERS, speech_type
from api.core.model_runtime.openai_protocol import api_root, chat_body, embeddings_body
from api.core.model_runtime.openai_speech import speech_body
from api.core.model_runtime.provider import ProviderContext, provider
from api.core.model_runtime.rerank_protocol import rerank_body, tei_rerank_body
from api.core.model_runtime.types import (
    Audio,
    ChatChunk,
    ChatRequest,
    CredentialField,
    Embeddings,
    EmbedKind,
    ModelSchema,
    ModelType,
    ProviderSchema,
    Ranking,
    Transcript,
)
from api.core.model_runtime.upstream import check_features, secrets_of
from api.core.ports import Cancel
from api.errors import InvalidRequest

DEFAULT_CONTEXT_TOKENS = 4_096
DEFAULT_MAX_CHUNKS = 10

# Not every server lists its models; that it answers at all proves the address.
ACCEPTED_BY_CHECK = frozenset({200, 404, 405})
WHOLE = re.compile(r"\d{1,9}")

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="6" '
    'fill="#475467"/><text x="12" y="16.5" font-family="sans-serif" font-size="12" font-weight="700" '
    'text-anchor="middle" fill="#fff">{ }</text></svg>'
)


@provider
class OpenAICompatibleProvider:
    """Chat, embedding, rerank and speech models of any name behind one address."""

    schema: ClassVar[ProviderSchema] = ProviderSchema(
        id="openai_api_compatible",
        plugin_id="langgenius/openai_api_compatible",
        label="OpenAI-API-compatible",
        label_zh="OpenAI-API-compatible",
        description="Any server that speaks OpenAI's API, such as vLLM, Ollama or DeepSeek.",
        description_zh="任何兼容 OpenAI 接口的服务，例如 vLLM、Ollama 或 DeepSeek。",
        background="#F2F4F7",
        icon_svg=_ICON,
        models=(),
        credential_fields=(
            CredentialField(
                variable="endpoint_url",
                is_address=True,
                label="API endpoint",
                label_zh="API 地址",
                is_required=True,
                placeholder="http://127.0.0.1:11434/v1",
            ),
            CredentialField(
                variable="api_key",
                label="API key",
                label_zh="API 密钥",
                type="secret-input",
                placeholder="sk-…",
            ),
        ),
        model_credential_fields=(
            CredentialField(
                variable="context_size",
                label="Context size (tokens)",
                label_zh="上下文长度（标记数）",
                default=str(DEFAULT_CONTEXT_TOKENS),
            ),
            CredentialField(
                variable="max_tokens_to_sample", label="Longest answer (tokens)", label_zh="最大输出标记数"
            ),
            CredentialField(
                variable="vision_support",
                label="Sees images",
                label_zh="支持图像",
                type="select",
                default="no_support",
                options=("no_support", "support"),
            ),
            CredentialField(
                variable="function_calling_type",
                label="Calls tools",
                label_zh="支持工具调用",
                type="select",
                default="no_call",
                options=("no_call", "function_call", "tool_call"),
            ),
            CredentialField(
                variable="max_chunks",
                label="Texts per embedding call",
                label_zh="单次向量化文本数",
                default=str(DEFAULT_MAX_CHUNKS),
            ),
            CredentialField(
                variable="rerank_format",
                label="Rerank wire",
                label_zh="重排序接口格式",
                type="select",
                default="cohere",
                options=("cohere", "tei"),
            ),
            CredentialField(
                variable="voices",
                label="Voices, the default first (comma-separated)",
                label_zh="可用声音，默认在前（用英文逗号分隔）",
                placeholder="alloy,nova",
            ),
        ),
        parameter_rules=CHAT_PARAMETERS,
        custom_model_types=frozenset(
            {
                ModelType.LLM,
                ModelType.TEXT_EMBEDDING,
                ModelType.RERANK,
                ModelType.SPEECH2TEXT,
                ModelType.TTS,
            }
        ),
    )

    def __init__(self, context: ProviderContext) -> None:
        self._credentials = context.credentials
        self._schemas: dict[str, ModelSchema] = {}
        key = context.credentials.get("api_key", "").strip()
        self._endpoint = OpenAIEndpoint(
            http=context.http,
            headers={"authorization": f"Bearer {key}"} if key else {},
            secrets=secrets_of(self.schema.credential_fields, context.credentials),
        )

    def check_credentials(self) -> None:
        """Prove address and key by asking for the list of models."""
        for variable in ("context_size", "max_tokens_to_sample", "max_chunks"):
            value = self._credentials.get(variable, "").strip()
            if value and not WHOLE.fullmatch(value):
                raise InvalidRequest(
                    f"{variable} must be a whole number of at most nine digits, not {value[:40]!r}.",
                    field=variable,
                )
        self._endpoint.check(self._url("models"), accepted=ACCEPTED_BY_CHECK)

    def model_schema(self, model: str) -> ModelSchema:
        """Return what the workspace says of a model; the server does not tell."""
        known = self._schemas.get(model)
        if known is None:
            known = self._schemas[model] = self._describe(model)
        return known

    def _describe(self, model: str) -> ModelSchema:
        features = set[str]()
        if self._credentials.get("vision_support") == "support":
            features.add("vision")
        if self._credentials.get("function_calling_type", "no_call") != "no_call":
            features |= {"tool-call", "multi-tool-call", "stream-tool-call", "agent-thought"}
        return ModelSchema(
            model=model,
            type=_type_of(model),
            label=model,
            context_tokens=self._whole("context_size", DEFAULT_CONTEXT_TOKENS),
            max_output_tokens=self._whole("max_tokens_to_sample", 0),
            features=frozenset(features),
            max_chunks=self._whole("max_chunks", DEFAULT_MAX_CHUNKS),
            voices=self._voices(),
        )

    def chat(self, request: ChatRequest, cancel: Cancel) -> Iterator[ChatChunk]:
        """Yield the answer as it comes."""
        check_features(self.model_schema(request.model), request)
        url, body = self._url("chat/completions"), chat_body(request)
        return self._endpoint.chat(url, body, cancel, joins=request.joins)

    def embed(self, model: str, texts: Sequence[str], kind: EmbedKind, cancel: Cancel) -> Embeddings:  # noqa: ARG002  # the wire has no word for it
        """Return one vector per text."""
        return self._endpoint.embed(
            self._url("embeddings"), embeddings_body(model, texts), len(texts), cancel
        )

    def rerank(self, model: str, query: str, texts: Sequence[str], top_n: int, cancel: Cancel) -> Ranking:
        """Return the ``top_n`` texts that answer the query best."""
        if self._credentials.get("rerank_format") == "tei":
            # This server has the path at its root, whatever it has below /v1.
            url = f"{api_root(self._credentials['endpoint_url']).removesuffix('/v1')}/rerank"
            body = tei_rerank_body(query, texts)
        else:
            url, body = self._url("rerank"), rerank_body(model, query, texts, top_n)
        ranking = self._endpoint.rerank(url, body, len(texts), cancel)
        return replace(ranking, scores=ranking.scores[:top_n])

    def transcribe(self, model: str, audio: Audio, cancel: Cancel) -> Transcript:
        """Return what is said in a recording."""
        return self._endpoint.transcribe(self._url("audio/transcriptions"), model, audio, cancel)

    def speak(self, model: str, text: str, voice: str, cancel: Cancel) -> Iterator[bytes]:
        """Yield the spoken text as it comes."""
        return self._endpoint.speak(self._url("audio/speech"), speech_body(model, text, voice), cancel)

    def _voices(self) -> tuple[str, ...]:
        named = (voice.strip() for voice in self._credentials.get("voices", "").split(","))
        return tuple(voice for voice in named if voice)

    def _url(self, path: str) -> str:
        return f"{api_root(self._credentials['endpoint_url'])}/{path}"

    def _whole(self, variable: str, default: int) -> int:
        value = self._credentials.get(variable, "").strip()
        return int(value) if WHOLE.fullmatch(value) else default


def _type_of(model: str) -> ModelType:
    """Return what a model of a name most likely does."""
    if "rerank" in model.lower():
        return ModelType.RERANK
    if "embed" in model.lower():
        return ModelType.TEXT_EMBEDDING
    return speech_type(model) or ModelType.LLM
