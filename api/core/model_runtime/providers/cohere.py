"""Cohere: rerankers, and embeddings on a wire of its own (API version 2)."""

from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from api.core.model_runtime.openai_endpoint import OpenAIEndpoint
from api.core.model_runtime.openai_protocol import to_embeddings
from api.core.model_runtime.provider import ProviderContext, provider
from api.core.model_runtime.rerank_protocol import rerank_body
from api.core.model_runtime.types import (
    CredentialField,
    Embeddings,
    EmbedKind,
    ModelSchema,
    ModelType,
    Price,
    ProviderSchema,
    Ranking,
)
from api.core.model_runtime.upstream import secrets_of
from api.core.model_runtime.whole_answers import reading
from api.core.ports import Cancel, JSONObject

DEFAULT_BASE = "https://api.cohere.com"
MAX_EMBEDDED_TEXTS = 96
INPUT_TYPES = {EmbedKind.QUERY: "search_query", EmbedKind.PASSAGE: "search_document"}

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="6" '
    'fill="#39594d"/><text x="12" y="16.5" font-family="sans-serif" font-size="12" font-weight="700" '
    'text-anchor="middle" fill="#fff">Co</text></svg>'
)


def _embedding(model: str, context_tokens: int, price_usd: str = "0") -> ModelSchema:
    return ModelSchema(
        model=model,
        type=ModelType.TEXT_EMBEDDING,
        label=model,
        context_tokens=context_tokens,
        price=Price(input=Decimal(price_usd), output=Decimal(0)),
        max_chunks=MAX_EMBEDDED_TEXTS,
    )


def _rerank(model: str, context_tokens: int) -> ModelSchema:
    """Return the schema of a reranker; they are paid for by the search, not by tokens."""
    return ModelSchema(model=model, type=ModelType.RERANK, label=model, context_tokens=context_tokens)


@provider
class CohereProvider:
    """Cohere's rerankers and embedding models, also by names newer than the list."""

    schema: ClassVar[ProviderSchema] = ProviderSchema(
        id="cohere",
        plugin_id="langgenius/cohere",
        label="Cohere",
        label_zh="Cohere",
        description="Rerankers and embedding models of Cohere.",
        description_zh="Cohere 提供的重排序模型和向量模型。",
        background="#ECE9E3",
        icon_svg=_ICON,
        models=(
            _rerank("rerank-v4.0-pro", 32_768),
            _rerank("rerank-v4.0-fast", 32_768),
            _rerank("rerank-v3.5", 4_096),
            _rerank("rerank-multilingual-v3.0", 4_096),
            _rerank("rerank-english-v3.0", 4_096),
            _embedding("embed-v4.0", 128_000, "0.12"),
            _embedding("embed-multilingual-v3.0", 512, "0.10"),
            _embedding("embed-english-v3.0", 512, "0.10"),
        ),
        credential_fields=(
            CredentialField(
                variable="api_key",
                label="API key",
                label_zh="API 密钥",
                type="secret-input",
                is_required=True,
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
        help_url="https://dashboard.cohere.com/api-keys",
    )

    def __init__(self, context: ProviderContext) -> None:
        base = (context.credentials.get("base_url") or DEFAULT_BASE).strip().rstrip("/")
        self._root = base.removesuffix("/v1").removesuffix("/v2")
        self._endpoint = OpenAIEndpoint(
            http=context.http,
            headers={"authorization": f"Bearer {context.credentials['api_key'].strip()}"},
            secrets=secrets_of(self.schema.credential_fields, context.credentials),
        )

    def check_credentials(self) -> None:
        """Prove the key by asking for one of the models."""
        self._endpoint.check(f"{self._root}/v1/models?page_size=1")

    def model_schema(self, model: str) -> ModelSchema:
        """Return what is known of a model, a guess for one that is not on the list."""
        guess = _rerank(model, 4_096) if "rerank" in model else _embedding(model, 512)
        return next((known for known in self.schema.models if known.model == model), guess)

    def embed(self, model: str, texts: Sequence[str], kind: EmbedKind, cancel: Cancel) -> Embeddings:
        """Return one vector per text."""
        body: JSONObject = {
            "model": model,
            "texts": list(texts),
            "input_type": INPUT_TYPES[kind],
            "embedding_types": ["float"],
        }
        content = self._endpoint.post(f"{self._root}/v2/embed", body, cancel)
        with reading("list of embeddings") as answer:
            rows = answer.read(content)["embeddings"]["float"]
            return to_embeddings(rows, answer.tokens, len(texts))

    def rerank(self, model: str, query: str, texts: Sequence[str], top_n: int, cancel: Cancel) -> Ranking:
        """Return the ``top_n`` texts that answer the query best."""
        body = rerank_body(model, query, texts, top_n)
        return self._endpoint.rerank(f"{self._root}/v2/rerank", body, len(texts), cancel)
