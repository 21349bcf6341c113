"""OpenAI through its SDK, whose stream is read raw: a model object per token would cost too much."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from api.core.http import Cancelled, HTTPResponse
from api.core.model_runtime.openai_models import (
    CHAT_PARAMETERS,
    OPENAI_MODELS,
    OPENAI_SPEECH_MODELS,
    adapt_to_model,
    describe_model,
)
from api.core.model_runtime.openai_protocol import (
    MAX_ANSWER_BYTES,
    MAX_EMBEDDINGS_BYTES,
    api_root,
    chat_body,
    embeddings_body,
    read_chat,
    read_embeddings,
    read_moderation,
)
from api.core.model_runtime.openai_speech import MAX_TRANSCRIPTION_BYTES, read_transcription, speech_body
from api.core.model_runtime.provider import ProviderContext, provider
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
    Transcript,
)
from api.core.model_runtime.upstream import (
    CHECK_TOTAL_S,
    check_features,
    credentials_check,
    load_sdk,
    sdk_faults,
    secrets_of,
    upstream,
)
from api.core.ports import Cancel

DEFAULT_BASE = "https://api.openai.com"

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="6" '
    'fill="#0d0d0d"/><text x="12" y="16.5" font-family="sans-serif" font-size="12" font-weight="700" '
    'text-anchor="middle" fill="#fff">Oa</text></svg>'
)


@provider
class OpenAIProvider:
    """OpenAI's chat, embedding and speech models, also by names newer than the list."""

    schema: ClassVar[ProviderSchema] = ProviderSchema(
        id="openai",
        sdk="openai",
        plugin_id="langgenius/openai",
        label="OpenAI",
        label_zh="OpenAI",
        description="Models of OpenAI, such as GPT-6.2 Sol and text-embedding-3-small.",
        description_zh="OpenAI 提供的模型，例如 GPT-6.2 Sol 和 text-embedding-3-small。",
        background="#E5E7EB",
        icon_svg=_ICON,
        models=(*OPENAI_MODELS, *OPENAI_SPEECH_MODELS),
        credential_fields=(
            CredentialField(
                variable="openai_api_key",
                label="API key",
                label_zh="API 密钥",
                type="secret-input",
                is_required=True,
                placeholder="sk-…",
            ),
            CredentialField(
                variable="openai_organization",
                label="Organization",
                label_zh="组织 ID",
                placeholder="org-…",
            ),
            CredentialField(
                variable="openai_api_base",
                is_address=True,
                label="API base",
                label_zh="API 地址",
                placeholder=DEFAULT_BASE,
            ),
        ),
        parameter_rules=CHAT_PARAMETERS,
        custom_model_types=frozenset(
            {ModelType.LLM, ModelType.TEXT_EMBEDDING, ModelType.SPEECH2TEXT, ModelType.TTS}
        ),
        help_url="https://platform.openai.com/account/api-keys",
    )

    def __init__(self, context: ProviderContext) -> None:
        self._context = context
        self._secrets = secrets_of(self.schema.credential_fields, context.credentials)

    def check_credentials(self) -> None:
        """Prove the key by listing the models it may use."""
        with (
            credentials_check(),
            self._calling(Cancel(CHECK_TOTAL_S)) as client,
            client.models.with_streaming_response.list(),
        ):
            pass  # the status has told

    def model_schema(self, model: str) -> ModelSchema:
        """Return what is known of a model, a guess for one that is not on the list."""
        return describe_model(model)

    def chat(self, request: ChatRequest, cancel: Cancel) -> Iterator[ChatChunk]:
        """Yield the answer as it comes."""
        check_features(self.model_schema(request.model), request)
        body = adapt_to_model(chat_body(request), request.model)
        with contextlib.suppress(Cancelled), self._calling(cancel) as client:
            # As extra_body, messages are not walked and copied again: 0.3 instead of 1.5 ms.
            create = client.chat.completions.with_streaming_response.create
            with create(model=request.model, messages=[], stream=True, extra_body=body) as response:
                groups = HTTPResponse(response.http_response).iter_line_groups()
                yield from read_chat(groups, joins=request.joins)

    def embed(self, model: str, texts: Sequence[str], kind: EmbedKind, cancel: Cancel) -> Embeddings:  # noqa: ARG002  # OpenAI's models embed both sides alike
        """Return one vector per text, sent as base64: a quarter of the bytes of numbers."""
        body = embeddings_body(model, texts)
        with self._calling(cancel) as client:
            create = client.embeddings.with_streaming_response.create
            with create(**body, encoding_format="base64") as response:
                content = HTTPResponse(response.http_response).read(MAX_EMBEDDINGS_BYTES)
        return read_embeddings(content, len(texts))

    def transcribe(self, model: str, audio: Audio, cancel: Cancel) -> Transcript:
        """Return what is said in a recording."""
        file = (f"audio.{audio.extension}", audio.content, audio.mime_type)
        with self._calling(cancel) as client:
            create = client.audio.transcriptions.with_streaming_response.create
            with create(model=model, file=file, response_format="json") as response:
                content = HTTPResponse(response.http_response).read(MAX_TRANSCRIPTION_BYTES)
        return read_transcription(content)

    def speak(self, model: str, text: str, voice: str, cancel: Cancel) -> Iterator[bytes]:
        """Yield the spoken text as it comes."""
        with self._calling(cancel) as client:
            create = client.audio.speech.with_streaming_response.create
            with create(**speech_body(model, text, voice)) as response:
                yield from HTTPResponse(response.http_response).iter_bytes()

    def moderate(self, model: str, text: str, cancel: Cancel) -> bool:
        """Tell whether a text must not be said."""
        with self._calling(cancel) as client:
            create = client.moderations.with_streaming_response.create
            with create(model=model, input=text) as response:
                content = HTTPResponse(response.http_response).read(MAX_ANSWER_BYTES)
        return read_moderation(content)

    @contextlib.contextmanager
    def _calling(self, cancel: Cancel) -> Iterator[Any]:
        """Give an SDK client for one call, whose faults become ours."""
        credentials = self._context.credentials
        with upstream(self._secrets):
            sdk = load_sdk("openai", self._context.offload.call)
            client = sdk.OpenAI(
                api_key=credentials["openai_api_key"].strip(),
                base_url=api_root(credentials.get("openai_api_base") or DEFAULT_BASE),
                max_retries=0,
                http_client=self._context.http.sdk_client(cancel),
            )
            # The SDK would take these from the environment of the server.
            client.organization = credentials.get("openai_organization") or None
            client.project = None
            with sdk_faults(sdk):
                yield client
