"""Providers of models that plugins bring, as the registered ones: the same protocols, answered by a process.

Boundary: speaks Dify's words for models over the lines of a plugin; knows no
vendor. What must stay true: a provider belongs to the workspace it was made
for, and whatever the plugin does is a failure of that one call.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from api.core.http import Cancelled, HTTPClient, HTTPFailure
from api.core.model_runtime.openai_protocol import to_embeddings
from api.core.model_runtime.provider import Provider, ProviderContext
from api.core.model_runtime.rerank_protocol import to_scores
from api.core.model_runtime.types import (
    ChatChunk,
    ChatRequest,
    Embeddings,
    EmbedKind,
    ModelSchema,
    ModelType,
    ProviderSchema,
    Ranking,
)
from api.core.model_runtime.upstream import (
    CHECK_TOTAL_S,
    Refused,
    check_features,
    credentials_check,
    secrets_of,
    to_refused,
    upstream,
)
from api.core.model_runtime.whole_answers import reading
from api.core.plugins.manifest import Manifest, Network
from api.core.plugins.model_manifest import DEFAULT_CONTEXT_TOKENS, DeclaredModelProvider
from api.core.plugins.model_wire import read_chat, to_question
from api.core.plugins.outlet import Outlet, Reach
from api.core.plugins.runner import CALLED_BACK, PluginCode, PluginFailed, PluginRunner
from api.core.ports import Cancel, JSONObject, JSONValue
from api.errors import AppError, CompletionFailed, InvalidRequest, ModelUnavailable, Unavailable

MAX_CALL_BYTES = 64 * 1024 * 1024
DEFAULT_CHUNKS = 16
STATUS_OF = {
    "InvokeRateLimitError": 429,
    "InvokeServerUnavailableError": 503,
    "InvokeConnectionError": 503,
    "InvokeAuthorizationError": 401,
    "InvokeBadRequestError": 400,
    "CredentialsValidateFailedError": 401,
}
"""What the failures of Dify's library mean, in HTTP's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a provider comes from: its name there, the code that answers, and where that may call.

    ``http`` calls the hosts the manifest names; what credentials name is called
    by whatever calls a provider's endpoints.
    """

    name: str
    network: Network
    code: PluginCode
    runner: PluginRunner
    http: HTTPClient


class PluginProvider:
    """What providers of plugins have in common; each is a class made by ``to_provider``."""

    schema: ClassVar[ProviderSchema]
    source: ClassVar[Source]

    def __init__(self, context: ProviderContext) -> None:
        self._context = context

    def check_credentials(self) -> None:
        """Have the plugin prove the credentials."""
        with credentials_check():
            told = self._ask({"action": "validate_provider_credentials"}, Cancel(CHECK_TOTAL_S))
            if any(message.get("result") is False for message in told):
                raise InvalidRequest("The plugin does not accept the credentials.")

    def model_schema(self, model: str) -> ModelSchema | None:
        """Return what is declared of a model; of one the workspace named, what its credentials say."""
        for known in self.schema.models:
            if known.model == model:
                return known
        return self._described(model) if self.schema.is_customizable else None

    def _described(self, model: str) -> ModelSchema:
        """Return what a workspace says of a model of its own, in the fields that Dify's providers use."""
        told = self._context.credentials
        features = set[str]()
        if told.get("vision_support") in ("support", "true"):
            features.add("vision")
        calls = told.get("function_calling_type") or told.get("function_call_support")
        if calls in ("tool_call", "function_call", "true", "support"):
            features |= {"tool-call", "multi-tool-call", "stream-tool-call", "agent-thought"}
        return ModelSchema(
            model=model,
            type=self._type_of(model),
            label=model,
            context_tokens=self._whole("context_size", DEFAULT_CONTEXT_TOKENS),
            max_output_tokens=self._whole("max_tokens", 0),
            features=frozenset(features),
            max_chunks=self._whole("max_chunks", DEFAULT_CHUNKS),
        )

    def _type_of(self, model: str) -> ModelType:
        """Return what a model of a name most likely does, among what the provider takes names for."""
        offered = self.schema.custom_model_types
        for word, kind in (("rerank", ModelType.RERANK), ("embed", ModelType.TEXT_EMBEDDING)):
            if word in model.lower() and kind in offered:
                return kind
        return next(kind for kind in ModelType if kind in offered)

    def _whole(self, variable: str, default: int) -> int:
        value = self._context.credentials.get(variable, "").strip()
        return int(value) if value.isdecimal() and len(value) < 10 else default

    def _ask(self, asked: JSONObject, cancel: Cancel, *, user: str = "") -> Iterator[JSONObject]:
        """Yield what the plugin tells. Raises a ProviderFailure, RetryableFailure, Cancelled."""
        source, schema, credentials = self.source, self.schema, self._context.credentials
        request: JSONObject = {
            "type": "model",
            "user_id": user,
            "provider": source.name,
            "credentials": {**credentials},
            **asked,
        }
        reach = Reach(
            network=source.network,
            credentials=credentials,
            http=source.http,
            own_http=self._context.http,
        )
        timeouts = self._context.http.timeouts
        secrets = secrets_of((*schema.credential_fields, *schema.model_credential_fields), credentials)
        with Outlet(reach, cancel, timeouts) as outlet, upstream(secrets), _told_as_vendors_do(outlet):
            yield from source.runner.call(
                source.code,
                request,
                max_bytes=MAX_CALL_BYTES,
                cancel=cancel,
                answer=outlet.answer,
                timeouts=timeouts,
            )

    def _ask_once(self, asked: JSONObject, cancel: Cancel) -> dict[str, Any]:
        """Return the one message that answers. Raises CompletionFailed where there is none, or more."""
        messages = [told for told in self._ask(asked, cancel) if told != CALLED_BACK]
        if len(messages) != 1:
            raise CompletionFailed("The plugin's answer is malformed.")
        return messages[0]


class _Chats(PluginProvider):
    def chat(self, request: ChatRequest, cancel: Cancel) -> Iterator[ChatChunk]:
        """Yield the answer as it comes; see ChatModel."""
        schema = self.model_schema(request.model)
        if schema is None:
            raise ModelUnavailable(f"{self.schema.label} has no model {request.model!r}.")
        check_features(schema, request)
        return self._stream(to_question(request), request.user or "", cancel)

    def _stream(self, asked: JSONObject, user: str, cancel: Cancel) -> Iterator[ChatChunk]:
        told = self._ask(asked, cancel, user=user)
        with contextlib.suppress(Cancelled), contextlib.closing(told):  # type: ignore[type-var]  # a generator
            yield from read_chat(told)


class _Embeds(PluginProvider):
    def embed(self, model: str, texts: Sequence[str], kind: EmbedKind, cancel: Cancel) -> Embeddings:
        """Return one vector per text; see EmbeddingModel."""
        asked: JSONObject = {
            "action": "invoke_text_embedding",
            "model_type": "text-embedding",
            "model": model,
            "texts": [*texts],
            "input_type": "query" if kind is EmbedKind.QUERY else "document",
        }
        told = self._ask_once(asked, cancel)
        with reading("list of embeddings") as answer:
            return to_embeddings(answer.take(told)["embeddings"], answer.tokens, len(texts))


class _Reranks(PluginProvider):
    def rerank(self, model: str, query: str, texts: Sequence[str], top_n: int, cancel: Cancel) -> Ranking:
        """Return the ``top_n`` texts that answer the query best; see RerankModel."""
        asked: JSONObject = {
            "action": "invoke_rerank",
            "model_type": "rerank",
            "model": model,
            "query": query,
            "docs": [*texts],
            "score_threshold": None,
            "top_n": min(top_n, len(texts)),
        }
        told = self._ask_once(asked, cancel)
        with reading("ranking") as answer:
            return Ranking(to_scores(answer.take(told)["docs"], len(texts))[:top_n], answer.tokens)


CAPABILITIES: dict[ModelType, type[PluginProvider]] = {
    ModelType.LLM: _Chats,
    ModelType.TEXT_EMBEDDING: _Embeds,
    ModelType.RERANK: _Reranks,
}


def to_provider(
    manifest: Manifest,
    declared: DeclaredModelProvider,
    code: PluginCode,
    runner: PluginRunner,
    http: HTTPClient,
) -> type[Provider]:
    """Return a provider of a plugin, able to do what its types of models take and nothing else."""
    network = manifest.network
    schema = declared.to_schema(manifest.plugin_id, frozenset(network.credentials))
    source = Source(name=declared.provider, network=network, code=code, runner=runner, http=http)
    parts = tuple(CAPABILITIES[kind] for kind in schema.model_types)
    made: type[Provider] = type("PluginProvider", parts, {"schema": schema, "source": source})
    return made


@contextlib.contextmanager
def _told_as_vendors_do(outlet: Outlet) -> Iterator[None]:
    """Tell a plugin's failure as calls of vendors tell theirs; the plugin's own words are unscrubbed."""
    try:
        yield
    except PluginFailed as failed:
        raise _to_cause(failed, outlet) from None
    except Unavailable as exc:
        raise CompletionFailed(exc.message) from exc


def _to_cause(failed: PluginFailed, outlet: Outlet) -> HTTPFailure | AppError | Refused:
    said = failed.said
    if said is None:
        return CompletionFailed(failed.message)
    kind = str(said.get("error_type"))
    if kind == "HTTPFailed" and outlet.failure is not None:
        return outlet.failure
    match said.get("response"):
        case {"status": int(status), "body": str(body), "headers": dict(headers)}:
            return to_refused(status, _texts(headers), body.encode())
    named = said.get("status")
    return Refused(failed.message, status=named if isinstance(named, int) else STATUS_OF.get(kind, 400))


def _texts(values: dict[str, JSONValue]) -> dict[str, str]:
    return {name.lower(): value for name, value in values.items() if isinstance(value, str)}
