"""OpenAI's models as Azure serves them: one deployment each, in the path of the address."""

from collections.abc import Iterator, Sequence
from typing import ClassVar
from urllib.parse import quote

from api.core.model_runtime.openai_endpoint import OpenAIEndpoint
from api.core.model_runtime.openai_models import (
    CHAT_PARAMETERS,
    OPENAI_MODELS,
    adapt_to_model,
    describe_model,
)
from api.core.model_runtime.openai_protocol import chat_body, embeddings_body
from api.core.model_runtime.provider import ProviderContext, provider
from api.core.model_runtime.types import (
    ChatChunk,
    ChatRequest,
    CredentialField,
    Embeddings,
    EmbedKind,
    ModelSchema,
    ModelType,
    ProviderSchema,
)
from api.core.model_runtime.upstream import check_features, secrets_of
from api.core.ports import Cancel

DEFAULT_VERSION = "2024-10-21"

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="6" '
    'fill="#0a5fb4"/><text x="12" y="16.5" font-family="sans-serif" font-size="12" font-weight="700" '
    'text-anchor="middle" fill="#fff">Az</text></svg>'
)


@provider
class AzureOpenAIProvider:
    """Deployments of chat and embedding models; a model's name is its deployment's."""

    schema: ClassVar[ProviderSchema] = ProviderSchema(
        id="azure_openai",
        plugin_id="langgenius/azure_openai",
        label="Azure OpenAI",
        label_zh="Azure OpenAI",
        description="OpenAI's models deployed on Azure.",
        description_zh="部署在 Azure 上的 OpenAI 模型。",
        background="#E3F0FF",
        icon_svg=_ICON,
        models=(),
        credential_fields=(
            CredentialField(
                variable="openai_api_base",
                is_address=True,
                label="Endpoint",
                label_zh="终结点地址",
                is_required=True,
                placeholder="https://example.openai.azure.com",
            ),
            CredentialField(
                variable="openai_api_key",
                label="API key",
                label_zh="API 密钥",
                type="secret-input",
                is_required=True,
            ),
            CredentialField(
                variable="openai_api_version",
                label="API version",
                label_zh="API 版本",
                default=DEFAULT_VERSION,
            ),
        ),
        model_credential_fields=(
            CredentialField(
                variable="base_model_name",
                label="Base model",
                label_zh="基础模型",
                type="select",
                options=tuple(model.model for model in OPENAI_MODELS),
            ),
        ),
        parameter_rules=CHAT_PARAMETERS,
        custom_model_types=frozenset({ModelType.LLM, ModelType.TEXT_EMBEDDING}),
        help_url="https://portal.azure.com",
    )

    def __init__(self, context: ProviderContext) -> None:
        self._credentials = context.credentials
        self._endpoint = OpenAIEndpoint(
            http=context.http,
            headers={"api-key": context.credentials["openai_api_key"].strip()},
            secrets=secrets_of(self.schema.credential_fields, context.credentials),
        )

    def check_credentials(self) -> None:
        """Prove endpoint and key by listing the models the resource may deploy."""
        self._endpoint.check(self._url("models"))

    def model_schema(self, model: str) -> ModelSchema:
        """Return what is known of a deployment's base model."""
        return describe_model(model, like=self._base_model(model))

    def chat(self, request: ChatRequest, cancel: Cancel) -> Iterator[ChatChunk]:
        """Yield the answer as it comes."""
        check_features(self.model_schema(request.model), request)
        body = adapt_to_model(chat_body(request), self._base_model(request.model))
        url = self._deployment_url(request.model, "chat/completions")
        return self._endpoint.chat(url, body, cancel, joins=request.joins)

    def embed(self, model: str, texts: Sequence[str], kind: EmbedKind, cancel: Cancel) -> Embeddings:  # noqa: ARG002  # OpenAI's models embed both sides alike
        """Return one vector per text."""
        body = {**embeddings_body(model, texts), "encoding_format": "base64"}
        return self._endpoint.embed(self._deployment_url(model, "embeddings"), body, len(texts), cancel)

    def _base_model(self, deployment: str) -> str:
        return self._credentials.get("base_model_name") or deployment

    def _deployment_url(self, deployment: str, path: str) -> str:
        return self._url(f"deployments/{quote(deployment, safe='')}/{path}")

    def _url(self, path: str) -> str:
        base = self._credentials["openai_api_base"].strip().rstrip("/").removesuffix("/openai")
        version = self._credentials.get("openai_api_version", "").strip() or DEFAULT_VERSION
        return f"{base}/openai/{path}?api-version={quote(version, safe='')}"
