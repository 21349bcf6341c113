"""How a vendor joins: capability protocols and the ``@provider`` registry.

A provider is one class in one file under ``providers/``. It carries its
``schema`` as data, is constructed with :class:`ProviderContext`, keeps no state
but that, and implements whichever of the small protocols below it can. The
contract suite (tests/contracts/test_providers.py) runs over the registry.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

from api.core.http import HTTPClient
from api.core.model_runtime.metering import Spent
from api.core.model_runtime.types import (
    Audio,
    ChatChunk,
    ChatRequest,
    Embeddings,
    EmbedKind,
    ModelSchema,
    ProviderSchema,
    Ranking,
    TokenCount,
    Transcript,
)
from api.core.ports import Cancel, Offload
from api.errors import CompletionFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderContext:
    """What a provider is made of: decrypted credentials, and the ways out of the process.

    ``credentials`` holds only the fields of the provider's schema, all strings.
    ``http`` is already bound to the egress rules for model endpoints.
    """

    credentials: Mapping[str, str] = field(repr=False)
    http: HTTPClient
    offload: Offload


class Provider(Protocol):
    """What every provider has."""

    schema: ClassVar[ProviderSchema]

    def __init__(self, context: ProviderContext) -> None: ...

    def check_credentials(self) -> Spent | None:
        """Prove the credentials by a real, cheap call; return what it took of a model, if it asked one.

        Raises InvalidRequest with a sentence for the owner when the provider
        refuses them or cannot be reached.
        """
        ...

    def model_schema(self, model: str) -> ModelSchema | None:
        """Return what is known of a model; a customizable provider describes unknown names too."""
        ...


@runtime_checkable
class ChatModel(Protocol):
    """A provider of chat models."""

    def chat(self, request: ChatRequest, cancel: Cancel) -> Iterator[ChatChunk]:
        """Yield the answer as it comes; always streams.

        What the vendor sends without saying anything is yielded as SILENCE, and
        pieces of a tool call as CallPiece, so that the runtime can tell a
        working model from one that only keeps its connection open. The last
        chunk carries ``finish_reason``; ``tokens`` come as soon as they are
        reported, for a stream may be stopped or break off after that. When
        ``cancel`` is set the upstream call is closed and the iterator ends early
        without an error. Raises a ProviderFailure, or RetryableFailure where a
        fresh attempt may work (only before the first chunk).
        """
        ...


@runtime_checkable
class EmbeddingModel(Protocol):
    """A provider of text embeddings."""

    def embed(self, model: str, texts: Sequence[str], kind: EmbedKind, cancel: Cancel) -> Embeddings:
        """Return one unit-length vector per text, in order; at most ``max_chunks`` texts a call.

        Raises what ``rerank`` does.
        """
        ...


@runtime_checkable
class RerankModel(Protocol):
    """A provider of models that read a question and a text together."""

    def rerank(self, model: str, query: str, texts: Sequence[str], top_n: int, cancel: Cancel) -> Ranking:
        """Return the ``top_n`` texts that answer the query best.

        Raises a ProviderFailure (Unusable where it told its cost),
        RetryableFailure where a fresh attempt may work, or Cancelled.
        """
        ...


@runtime_checkable
class SpeechToText(Protocol):
    """A provider of models that write down what is said."""

    def transcribe(self, model: str, audio: Audio, cancel: Cancel) -> Transcript:
        """Return what is said in a recording.

        Raises a ProviderFailure (Unusable where it told its cost),
        RetryableFailure where a fresh attempt may work, or Cancelled.
        """
        ...


@runtime_checkable
class ModerationModel(Protocol):
    """A provider of models that tell what must not be said."""

    def moderate(self, model: str, text: str, cancel: Cancel) -> bool:
        """Tell whether a text must not be said.

        Raises a ProviderFailure, RetryableFailure where a fresh attempt may
        work, or Cancelled.
        """
        ...


@runtime_checkable
class TextToSpeech(Protocol):
    """A provider of models that read texts aloud."""

    def speak(self, model: str, text: str, voice: str, cancel: Cancel) -> Iterator[bytes]:
        """Yield the spoken text as MP3, piece by piece as it comes; a blank ``voice`` is the model's own.

        Raises a ProviderFailure or Cancelled, RetryableFailure only before the
        first piece. Closing the iterator ends the call.
        """
        ...


class RetryableFailure(Exception):
    """An upstream fault that a later attempt may not meet: 429, 5xx, a refused connection.

    ``cause`` is the error to report when no attempts are left; ``retry_after_s``
    is what the provider asked for, if it did.
    """

    def __init__(self, cause: Exception, retry_after_s: float | None = None) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.retry_after_s = retry_after_s


class Unusable(CompletionFailed):
    """The answer told what it cost and is of no use besides."""

    def __init__(self, message: str, tokens: TokenCount) -> None:
        super().__init__(message)
        self.tokens = tokens


PROVIDERS: dict[str, type[Provider]] = {}

P = TypeVar("P", bound=type[Provider])


def provider(cls: P) -> P:
    """Register a provider class under its schema's short id."""
    PROVIDERS[cls.schema.id] = cls
    return cls


def short_id(provider_id: str) -> str:
    """Return the short id of a short or long provider id; an unknown name comes back unchanged.

    ``"langgenius/openai/openai"`` and ``"openai"`` both give ``"openai"``. What
    is not registered under its last word is what a plugin brings, or nothing.
    """
    name = provider_id.rsplit("/", 1)[-1]
    known = PROVIDERS.get(name)
    return name if known is not None and known.schema.long_id == provider_id else provider_id


def long_id(provider_id: str) -> str:
    """Return the long id of a provider by either; one that is not registered keeps its id."""
    known = PROVIDERS.get(short_id(provider_id))
    return provider_id if known is None else known.schema.long_id


def is_generative(provider_id: str) -> bool:
    """Tell whether a provider's chat models write, not only quote; all but one of the registered ones do."""
    known = PROVIDERS.get(provider_id)
    return known is None or known.schema.is_generative
