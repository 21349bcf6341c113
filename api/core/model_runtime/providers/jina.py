"""Jina AI: embeddings on OpenAI's wire with a word for the side of the search, and rerankers."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from api.core.model_runtime.metering import Spent, spent_on
from api.core.model_runtime.openai_endpoint import OpenAIEndpoint
from api.core.model_runtime.openai_protocol import api_root, embeddings_body
from api.core.model_runtime.provider import ProviderContext, provider
from api.core.model_runtime.rerank_protocol import rerank_body
from api.core.model_runtime.types import (
    CredentialField,
    Embeddings,
    EmbedKind,
    ModelRef,
    ModelSchema,
    ModelType,
    Price,
    ProviderSchema,
    Ranking,
)
from api.core.model_runtime.upstream import CHECK_TOTAL_S, credentials_check, secrets_of
from api.core.model_runtime.whole_answers import reading
from api.core.ports import Cancel

DEFAULT_BASE = "https://api.jina.ai"
CHECKED_MODEL = "jina-embeddings-v3"
MAX_EMBEDDED_TEXTS = 64

# The second generation embeds both sides alike and takes no task.
WITH_TASK = re.compile(r"jina-embeddings-v[3-9]")
TASKS = {EmbedKind.QUERY: "retrieval.query", EmbedKind.PASSAGE: "retrieval.passage"}

_PRICE = Price(input=Decimal("0.05"), output=Decimal(0))
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="6" '
    'fill="#009191"/><text x="12" y="16.5" font-family="sans-serif" font-size="12" font-weight="700" '
    'text-anchor="middle" fill="#fff">Ji</text></svg>'
)


def _model(model: str, kind: ModelType, context_tokens: int) -> ModelSchema:
    return ModelSchema(
        model=model,
        type=kind,
        label=model,
        context_tokens=context_tokens,
        price=_PRICE,
        max_chunks=MAX_EMBEDDED_TEXTS if kind is ModelType.TEXT_EMBEDDING else 0,
    )


@provider
class JinaProvider:
    """Jina's embedding models and rerankers, also by names newer than the list."""

    schema: ClassVar[ProviderSchema] = ProviderSchema(
        id="jina",
        plugin_id="langgenius/jina",
        label="Jina AI",
        label_zh="Jina AI",
        description="Multilingual embedding models and rerankers of Jina AI.",
        description_zh="Jina AI 提供的多语言向量模型和重排序模型。",
        background="#E6F5F5",
        icon_svg=_ICON,
        models=(
            _model("jina-embeddings-v4", ModelType.TEXT_EMBEDDING, 32_768),
            _model("jina-embeddings-v3", ModelType.TEXT_EMBEDDING, 8_192),
            _model("jina-embeddings-v2-base-en", ModelType.TEXT_EMBEDDING, 8_192),
            _model("jina-embeddings-v2-base-zh", ModelType.TEXT_EMBEDDING, 8_192),
            _model("jina-reranker-v3", ModelType.RERANK, 131_072),
            _model("jina-reranker-m0", ModelType.RERANK, 10_240),
            _model("jina-reranker-v2-base-multilingual", ModelType.RERANK, 1_024),
        ),
        credential_fields=(
            CredentialField(
                variable="api_key",
                label="API key",
                label_zh="API 密钥",
                type="secret-input",
                is_required=True,
                placeholder="jina_…",
            ),
            CredentialField(
                variable="base_url",
                is_address=True,
                label="API base",
                label_zh="API 地址",
                placeholder=DEFAULT_BASE,
            ),
        ),
        custom_model_types=frozenset({ModelType.TEXT_EMBEDDING, ModelType.RERANK}),
        help_url="https://jina.ai/api-dashboard",
    )

    def __init__(self, context: ProviderContext) -> None:
        self._root = api_root(context.credentials.get("base_url") or DEFAULT_BASE)
        self._endpoint = OpenAIEndpoint(
            http=context.http,
            headers={"authorization": f"Bearer {context.credentials['api_key'].strip()}"},
            secrets=secrets_of(self.schema.credential_fields, context.credentials),
        )

    def check_credentials(self) -> Spent:
        """Prove the key by embedding a word; no cheaper call asks for it."""
        body = embeddings_body(CHECKED_MODEL, ["ping"])
        with credentials_check(), reading("list of embeddings") as answer:
            answer.read(self._endpoint.post(f"{self._root}/embeddings", body, Cancel(CHECK_TOTAL_S)))
        return spent_on(ModelRef(self.schema.id, CHECKED_MODEL), answer.tokens.prompt_tokens, 0, _PRICE)

    def model_schema(self, model: str) -> ModelSchema:
        """Return what is known of a model, a guess for one that is not on the list."""
        kind = ModelType.RERANK if "rerank" in model else ModelType.TEXT_EMBEDDING
        listed = (known for known in self.schema.models if known.model == model)
        return next(listed, _model(model, kind, 8_192))

    def embed(self, model: str, texts: Sequence[str], kind: EmbedKind, cancel: Cancel) -> Embeddings:
        """Return one vector per text."""
        body = embeddings_body(model, texts)
        if WITH_TASK.match(model):
            body["task"] = TASKS[kind]
        return self._endpoint.embed(f"{self._root}/embeddings", body, len(texts), cancel)

    def rerank(self, model: str, query: str, texts: Sequence[str], top_n: int, cancel: Cancel) -> Ranking:
        """Return the ``top_n`` texts that answer the query best."""
        body = {**rerank_body(model, query, texts, top_n), "return_documents": False}
        return self._endpoint.rerank(f"{self._root}/rerank", body, len(texts), cancel)
