"""The one way to a model: credentials, retries, quota reports, error mapping and what it took live here once.

Boundary: knows providers by their protocols only, and tenants by what
``resolve`` tells of them. What must stay true: nothing is retried once a chunk
was given out, no text is embedded twice, and every call that said something, or
said what it cost, is in the book once.
"""

import contextlib
import functools
import random
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from api import traces
from api.core.http import Cancelled, HTTPClient, TimedOut, Timeouts
from api.core.model_runtime.metering import Book, Meter, spent_on
from api.core.model_runtime.provider import (
    PROVIDERS,
    ChatModel,
    EmbeddingModel,
    ModerationModel,
    Provider,
    ProviderContext,
    RerankModel,
    RetryableFailure,
    SpeechToText,
    TextToSpeech,
    Unusable,
)
from api.core.model_runtime.types import (
    FREE,
    NO_TOKENS,
    Audio,
    CallPiece,
    ChatChunk,
    ChatRequest,
    Embeddings,
    EmbedKind,
    ModelRef,
    ModelSchema,
    Price,
    Score,
    TokenCount,
    ToolCall,
)
from api.core.parallel import run_all
from api.core.ports import Cancel, Offload
from api.core.text.spoken import spoken_parts
from api.errors import CompletionFailed, ModelUnavailable, ProviderNotConfigured, QuotaExceeded

MAX_ATTEMPTS = 3
BACKOFF_S = 0.5
MAX_DELAY_S = 60.0
MAX_OPENED = 200

# Several times what any model writes. A chunk takes memory whatever it says.
MAX_ANSWER_CHARS = 4 * 1024 * 1024
CHUNK_CHARS = 8

T = TypeVar("T")


class Answered(Protocol):
    """What a call that is not streamed gave."""

    @property
    def tokens(self) -> TokenCount:
        """What it took, as far as its provider reports it."""
        ...


A = TypeVar("A", bound=Answered)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedModel:
    """What a tenant has for a model: decrypted credentials, and whether its quota was last seen used up.

    ``report`` takes the new state of the quota; it is called only when that changes.
    ``make`` makes the provider where it is the tenant's own, not a registered one.
    """

    credentials: Mapping[str, str] = field(repr=False)
    is_quota_ok: bool
    report: Callable[[bool], None]
    make: Callable[[ProviderContext], Provider] | None = None


Opened = dict[tuple[str, ModelRef], tuple[ResolvedModel, Provider]]
"""Models by tenant, ready to be called."""

Resolve = Callable[[str, ModelRef], ResolvedModel]
"""Tenant id and model to what the tenant has for it; raises ProviderNotConfigured or ModelUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A chat model's whole answer."""

    text: str
    reasoning: str
    tool_calls: tuple[ToolCall, ...]
    tokens: TokenCount | None
    finish_reason: str | None


def fold(chunks: Iterable[ChatChunk]) -> Answer:
    """Return the whole answer that a stream of chunks tells."""
    texts: list[str] = []
    reasonings: list[str] = []
    calls: tuple[ToolCall, ...] = ()
    tokens: TokenCount | None = None
    finish_reason: str | None = None
    for chunk in chunks:
        texts.append(chunk.text)
        reasonings.append(chunk.reasoning)
        calls += chunk.tool_calls
        tokens = chunk.tokens or tokens
        finish_reason = chunk.finish_reason or finish_reason
    return Answer(
        text="".join(texts),
        reasoning="".join(reasonings),
        tool_calls=calls,
        tokens=tokens,
        finish_reason=finish_reason,
    )


class ModelRuntime:
    """Calls models for tenants, with what they had when it was made.

    Making one is cheap; ``backoff_s`` is the wait before the second attempt.
    Each call it makes goes into the ``book`` as it ends: a stopped one as far as
    it came, one that failed before its first word only where it told its cost.
    Where nobody watches answers come, what comes together is told as one chunk.
    Those that see the same of their tenants may share what they have ``opened``.
    """

    def __init__(
        self,
        resolve: Resolve,
        http: HTTPClient,
        offload: Offload,
        *,
        book: Book,
        is_watched: bool = True,
        backoff_s: float = BACKOFF_S,
        opened: Opened | None = None,
    ) -> None:
        self._resolve = resolve
        self._http = http
        self._offload = offload
        self._backoff_s = backoff_s
        self._book = book
        self._is_watched = is_watched
        self._opened: Opened = {} if opened is None else opened

    def chat(
        self, tenant_id: str, ref: ModelRef, request: ChatRequest, cancel: Cancel
    ) -> Iterator[ChatChunk]:
        """Yield the model's answer as it comes; ends early and quietly when ``cancel`` is set.

        Every chunk tells something. What may pass is tried up to three times
        before the first chunk, never after it. Raises a ProviderFailure.
        """
        resolved, provider = self._open(tenant_id, ref)
        if not isinstance(provider, ChatModel):
            raise ModelUnavailable(f"{ref.provider} has no chat models.")
        if not self._is_watched:
            request = replace(request, joins=True)

        def start(span: traces.Span) -> tuple[ChatChunk | None, Iterator[ChatChunk]]:
            chunks = self._metered(provider, ref, request, provider.chat(request, cancel), span)
            return next(chunks, None), chunks

        began = time.monotonic()
        with _told("chat", ref) as span, contextlib.suppress(Cancelled), _quota_told(resolved, cancel):
            with traces.within(span):  # not while the caller has the word
                first, rest = self._attempt(functools.partial(start, span), cancel)
            if first is not None:
                span.tell({"slipway.first_token_s": time.monotonic() - began})
                try:
                    yield first
                    yield from rest
                except RetryableFailure as failure:
                    raise failure.cause from failure
                finally:
                    _close(rest)

    def _metered(
        self,
        provider: Provider,
        ref: ModelRef,
        request: ChatRequest,
        chunks: Iterator[ChatChunk],
        span: traces.Span,
    ) -> Iterator[ChatChunk]:
        """Yield what an attempt tells; what it took goes into the book, however it ends."""
        meter = Meter(ref.model, request.messages)
        has_begun = False
        try:
            for chunk in _telling(chunks, meter, ref.provider, self._http.timeouts):
                has_begun = True
                yield chunk
        finally:
            _close(chunks)  # the error in flight would keep it open
            if has_begun or meter.is_reported:
                usage = meter.usage(_price_of(provider, ref))
                span.tell(_tokens(usage.prompt_tokens, usage.completion_tokens))
                self._book.add([spent_on(ref, usage.prompt_tokens, usage.completion_tokens, usage.price)])

    def _paid(self, provider: Provider, ref: ModelRef, call: Callable[[], A], cancel: Cancel) -> A:
        """Return what a call gives, tried up to three times; what each attempt took goes into the book."""

        def attempt() -> A:
            try:
                answer = call()
            except Unusable as failure:
                self._note(provider, ref, failure.tokens)
                raise
            self._note(provider, ref, answer.tokens)
            return answer

        return self._attempt(attempt, cancel)

    def _note(self, provider: Provider, ref: ModelRef, tokens: TokenCount) -> None:
        price = _price_of(provider, ref)
        self._book.add([spent_on(ref, tokens.prompt_tokens, tokens.completion_tokens, price)])

    def embed(
        self, tenant_id: str, ref: ModelRef, texts: Sequence[str], kind: EmbedKind, cancel: Cancel
    ) -> Embeddings:
        """Return one unit-length vector per text, in order, asked for in batches of the model's size.

        Equal texts are embedded once. As many batches are under way at once as
        the model allows; a failed one is tried up to three times without
        repeating the others, and ends them when that does not help. Raises a
        ProviderFailure, or Cancelled.
        """
        resolved, provider = self._open(tenant_id, ref)
        if not isinstance(provider, EmbeddingModel):
            raise ModelUnavailable(f"{ref.provider} has no embedding models.")
        schema = _schema_of(provider, ref)
        size = max(1, schema.max_chunks)
        different = list(dict.fromkeys(texts))
        batches = [different[start : start + size] for start in range(0, len(different), size)]

        def embed_batch(batch: list[str], cancel: Cancel) -> Embeddings:
            call = functools.partial(provider.embed, ref.model, batch, kind, cancel)
            return self._paid(provider, ref, call, cancel)

        with _told("embeddings", ref) as span, traces.within(span), _quota_told(resolved, cancel):
            calls = [functools.partial(embed_batch, batch) for batch in batches]
            found = run_all(calls, cancel, max_threads=schema.parallel_calls)
            tokens = sum((embeddings.tokens for embeddings in found), NO_TOKENS)
            told = _tokens(tokens.prompt_tokens, tokens.completion_tokens)
            span.tell({"slipway.texts": len(different), **told})
        vector_of: dict[str, Sequence[float]] = {}
        for batch, embeddings in zip(batches, found, strict=True):
            vector_of.update(zip(batch, embeddings.vectors, strict=True))
        return Embeddings([vector_of[text] for text in texts], tokens)

    def rerank(
        self, tenant_id: str, ref: ModelRef, query: str, texts: Sequence[str], *, top_n: int, cancel: Cancel
    ) -> list[Score]:
        """Return the ``top_n`` texts that answer the query best, best first; asks nobody about no texts.

        Tried up to three times. Raises a ProviderFailure, or Cancelled.
        """
        resolved, provider = self._open(tenant_id, ref)
        if not isinstance(provider, RerankModel):
            raise ModelUnavailable(f"{ref.provider} has no rerank models.")
        if not texts:
            return []
        call = functools.partial(provider.rerank, ref.model, query, texts, top_n, cancel)
        with _told("rerank", ref) as span, traces.within(span), _quota_told(resolved, cancel):
            return self._paid(provider, ref, call, cancel).scores

    def transcribe(self, tenant_id: str, ref: ModelRef, audio: Audio, cancel: Cancel) -> str:
        """Return what is said in a recording; tried up to three times.

        Raises a ProviderFailure, or Cancelled.
        """
        resolved, provider = self._open(tenant_id, ref)
        if not isinstance(provider, SpeechToText):
            raise ModelUnavailable(f"{ref.provider} has no models that hear.")
        call = functools.partial(provider.transcribe, ref.model, audio, cancel)
        with _told("transcribe", ref) as span, traces.within(span), _quota_told(resolved, cancel):
            return self._paid(provider, ref, call, cancel).text

    def speak(
        self, tenant_id: str, ref: ModelRef, text: str, *, voice: str, cancel: Cancel
    ) -> Generator[bytes]:
        """Yield a text of any length as spoken MP3, as it comes.

        A ``voice`` the model does not have is its default one. Long texts are
        spoken in parts, one after the other; a part is tried up to three times
        before its first piece. Raises a ProviderFailure, or Cancelled.
        """
        resolved, provider = self._open(tenant_id, ref)
        if not isinstance(provider, TextToSpeech):
            raise ModelUnavailable(f"{ref.provider} has no models that speak.")
        voices = _schema_of(provider, ref).voices
        chosen = voices[0] if voices and voice not in voices else voice
        for part in spoken_parts(text):
            start = functools.partial(_begun, provider, ref.model, part, chosen, cancel)
            with _told("speak", ref) as span, _quota_told(resolved, cancel):
                with traces.within(span):
                    first, rest = self._attempt(start, cancel)
                self._note(provider, ref, NO_TOKENS)  # its wire has no word for them
                yield first
                try:
                    yield from rest
                except RetryableFailure as failure:
                    raise failure.cause from failure

    def moderate(self, tenant_id: str, ref: ModelRef, text: str, cancel: Cancel) -> bool:
        """Tell whether a text must not be said.

        Tried up to three times. Raises a ProviderFailure, or Cancelled.
        """
        resolved, provider = self._open(tenant_id, ref)
        if not isinstance(provider, ModerationModel):
            raise ModelUnavailable(f"{ref.provider} has no moderation models.")
        call = functools.partial(provider.moderate, ref.model, text, cancel)
        with _told("moderate", ref) as span, traces.within(span), _quota_told(resolved, cancel):
            is_flagged = self._attempt(call, cancel)
        self._note(provider, ref, NO_TOKENS)  # its wire has no word for them
        return is_flagged

    def schema(self, tenant_id: str, ref: ModelRef) -> ModelSchema:
        """Return what is known of a model; raises ModelUnavailable when its provider does not have it."""
        _, provider = self._open(tenant_id, ref)
        return _schema_of(provider, ref)

    def _open(self, tenant_id: str, ref: ModelRef) -> tuple[ResolvedModel, Provider]:
        """Return a model's provider with what the tenant has for it; a run asks several times."""
        opened = self._opened.get((tenant_id, ref))
        if opened is None:
            if len(self._opened) >= MAX_OPENED:
                self._opened.clear()
            opened = self._opened[tenant_id, ref] = self._make(tenant_id, ref)
        return opened

    def _make(self, tenant_id: str, ref: ModelRef) -> tuple[ResolvedModel, Provider]:
        resolved = self._resolve(tenant_id, ref)
        make = resolved.make or PROVIDERS.get(ref.provider)
        if make is None:
            raise ProviderNotConfigured(f"There is no model provider {ref.provider!r}.")
        context = ProviderContext(credentials=resolved.credentials, http=self._http, offload=self._offload)
        return resolved, make(context)

    def _attempt(self, call: Callable[[], T], cancel: Cancel) -> T:
        """Return what the first successful of three calls returns; raises the cause of the last failure."""
        attempt = 1
        while True:
            try:
                return call()
            except RetryableFailure as failure:
                delay_s = self._delay_s(attempt, failure.retry_after_s)
                if attempt == MAX_ATTEMPTS or delay_s >= min(cancel.remaining_s(), MAX_DELAY_S):
                    raise failure.cause from failure
            attempt += 1
            _wait(delay_s, cancel)

    def _delay_s(self, attempt: int, retry_after_s: float | None) -> float:
        """Return how long to wait: doubled each time, spread so that callers do not return together."""
        backoff_s = self._backoff_s * (1 << (attempt - 1))
        spread_s = random.uniform(0.5, 1.0) * backoff_s  # noqa: S311  # no secret hangs on it
        return spread_s + (retry_after_s or 0.0)


def _begun(
    provider: TextToSpeech, model: str, part: str, voice: str, cancel: Cancel
) -> tuple[bytes, Iterator[bytes]]:
    """Return a spoken part's first piece and the rest. Raises CompletionFailed where there is none."""
    pieces = provider.speak(model, part, voice, cancel)
    first = next(pieces, b"")
    if not first:
        raise CompletionFailed("The provider sent no sound.")
    return first, pieces


def _telling(
    chunks: Iterator[ChatChunk], meter: Meter, where: str, timeouts: Timeouts
) -> Iterator[ChatChunk]:
    """Yield the chunks that tell something; tokens that come alone are told with the next of them.

    Raises CompletionFailed when they tell too much, or nothing for longer than
    the time-outs allow: the wire's own clocks are content with any byte.
    """
    chars = 0
    silent_since: float | None = time.monotonic()
    waiting: TokenCount | None = None
    for chunk in chunks:
        meter.see(chunk)
        is_telling = chunk.text or chunk.reasoning or chunk.tool_calls or chunk.finish_reason
        call_chars = chunk.chars if isinstance(chunk, CallPiece) else 0
        if is_telling or call_chars:
            silent_since = None
            chars += CHUNK_CHARS + len(chunk.text) + len(chunk.reasoning) + call_chars
            if chars > MAX_ANSWER_CHARS:
                raise CompletionFailed(f"{where} sent an answer above {MAX_ANSWER_CHARS} characters.")
        if is_telling:
            if waiting is not None:
                chunk = replace(chunk, tokens=chunk.tokens or waiting)  # noqa: PLW2901  # the same chunk
                waiting = None
            yield chunk
            continue
        waiting = chunk.tokens or waiting
        if not call_chars:
            silent_since = silent_since or time.monotonic()
            _check_silence(silent_since, where, timeouts, has_begun=chars > 0)
    if waiting is not None:  # stopped
        yield ChatChunk(tokens=waiting)


def _close(chunks: Iterator[ChatChunk]) -> None:
    if isinstance(chunks, Generator):
        chunks.close()


def _check_silence(since: float, where: str, timeouts: Timeouts, *, has_begun: bool) -> None:
    """Raise CompletionFailed when there was silence for too long, before or after the first word."""
    limit_s = timeouts.idle_s if has_begun else timeouts.first_byte_s
    if time.monotonic() - since > limit_s:
        failure = TimedOut(where, "idle" if has_begun else "first_byte")
        raise CompletionFailed(str(failure)) from failure


def _told(operation: str, ref: ModelRef) -> contextlib.AbstractContextManager[traces.Span]:
    """Give a span that tells of a call of a model, and ends with the block."""
    facts = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": ref.provider,
        "gen_ai.request.model": ref.model,
    }
    return traces.ending(traces.begin(f"{operation} {ref.model}", facts, "client"))


def _tokens(prompt_tokens: int, completion_tokens: int) -> traces.Facts:
    return {"gen_ai.usage.input_tokens": prompt_tokens, "gen_ai.usage.output_tokens": completion_tokens}


@contextlib.contextmanager
def _quota_told(resolved: ResolvedModel, cancel: Cancel) -> Iterator[None]:
    """Report how the quota stands after a call, where that is news."""
    try:
        yield
    except QuotaExceeded:
        if resolved.is_quota_ok:
            resolved.report(False)
        raise
    if not resolved.is_quota_ok and not cancel.is_set():
        resolved.report(True)


def _price_of(provider: Provider, ref: ModelRef) -> Price:
    schema = provider.model_schema(ref.model)
    return FREE if schema is None else schema.price


def _schema_of(provider: Provider, ref: ModelRef) -> ModelSchema:
    schema = provider.model_schema(ref.model)
    if schema is None:
        raise ModelUnavailable(f"{ref.provider} has no model {ref.model!r}.")
    return schema


def _wait(delay_s: float, cancel: Cancel) -> None:
    """Wait unless the run is stopped; raises Cancelled at once when it is."""
    stopped = threading.Event()
    forget = cancel.on_cancel(stopped.set)
    try:
        if stopped.wait(delay_s):
            raise Cancelled
    finally:
        forget()
