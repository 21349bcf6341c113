import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import ClassVar

import pytest

from api.core.egress import EgressPolicy
from api.core.http import Cancelled, HTTPClient, Timeouts
from api.core.model_runtime import runtime as runtime_module
from api.core.model_runtime.metering import Tab
from api.core.model_runtime.provider import PROVIDERS, ProviderContext, RetryableFailure
from api.core.model_runtime.runtime import Answer, ModelRuntime, ResolvedModel, fold
from api.core.model_runtime.types import (
    SILENCE,
    CallPiece,
    ChatChunk,
    ChatRequest,
    Embeddings,
    EmbedKind,
    Message,
    ModelRef,
    ModelSchema,
    ModelType,
    ProviderSchema,
    Ranking,
    Role,
    Score,
    TokenCount,
    ToolCall,
)
from api.core.ports import Cancel
from api.errors import CompletionFailed, ModelUnavailable, ProviderNotConfigured, QuotaExceeded
from tests.vendors import InlineOffload
from tests.waiting import assert_quick

Act = Callable[[], object]

REF = ModelRef("fake", "known")
REQUEST = ChatRequest(model="known", messages=(Message.of(Role.USER, "hi"),))
END = ChatChunk(finish_reason="stop")
PATIENT = Timeouts(connect_s=20, first_byte_s=20, idle_s=20)


def fail(error: Exception) -> Callable[[], object]:
    def act() -> object:
        raise error

    return act


def busy(retry_after_s: float | None = None) -> Callable[[], object]:
    return fail(RetryableFailure(CompletionFailed("busy"), retry_after_s))


class SilentProvider:
    """Has no models at all."""

    schema: ClassVar[ProviderSchema] = ProviderSchema(
        id="silent",
        plugin_id="tests/silent",
        label="Silent",
        label_zh="静",
        description="-",
        description_zh="-",
        background="#FFFFFF",
        icon_svg="<svg/>",
        models=(),
    )

    def __init__(self, context: ProviderContext) -> None:
        self.context = context

    def check_credentials(self) -> None: ...

    def model_schema(self, model: str) -> ModelSchema | None:
        return None


class FakeProvider(SilentProvider):
    """Plays one list of chunks and acts for each attempt, and remembers what it was asked."""

    attempts: ClassVar[list[list[ChatChunk | Act]]] = []
    batches: ClassVar[list[list[str]]] = []
    closed: ClassVar[list[bool]] = []
    gate: ClassVar[threading.Barrier | None] = None
    parallel_calls: ClassVar[int] = 1

    def model_schema(self, model: str) -> ModelSchema | None:
        if model != "known":
            return None
        return ModelSchema(
            model=model,
            type=ModelType.LLM,
            label=model,
            context_tokens=9,
            max_chunks=2,
            parallel_calls=self.parallel_calls,
        )

    def chat(self, request: ChatRequest, cancel: Cancel) -> Iterator[ChatChunk]:
        try:
            yield from self._play()
        finally:
            self.closed.append(True)

    def embed(self, model: str, texts: Sequence[str], kind: EmbedKind, cancel: Cancel) -> Embeddings:
        self.batches.append(list(texts))
        if self.gate is not None:
            self.gate.wait(30)
        if self.attempts:
            list(self._play())
        return Embeddings([[float(len(text))] for text in texts], TokenCount(prompt_tokens=len(texts)))

    def rerank(self, model: str, query: str, texts: Sequence[str], top_n: int, cancel: Cancel) -> Ranking:
        self.batches.append([query, *texts])
        list(self._play())
        return Ranking([Score(index, 1.0) for index in range(top_n)])

    def _play(self) -> Iterator[ChatChunk]:
        for step in self.attempts.pop(0):
            if isinstance(step, ChatChunk):
                yield step
            else:
                step()


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROVIDERS, "fake", FakeProvider)
    monkeypatch.setitem(PROVIDERS, "silent", SilentProvider)
    for remembered in ("attempts", "batches", "closed"):
        monkeypatch.setattr(FakeProvider, remembered, [])


def make_runtime(
    reports: list[bool] | None = None,
    *,
    is_quota_ok: bool = True,
    backoff_s: float = 0.001,
    timeouts: Timeouts = PATIENT,
    tab: Tab | None = None,
) -> ModelRuntime:
    def resolve(tenant_id: str, ref: ModelRef) -> ResolvedModel:
        assert tenant_id == "tenant"
        credentials: Mapping[str, str] = {"key": "sk-secret-of-a-tenant"}
        report = (reports if reports is not None else []).append
        return ResolvedModel(credentials=credentials, is_quota_ok=is_quota_ok, report=report)

    http = HTTPClient(EgressPolicy(), timeouts)
    return ModelRuntime(resolve, http, InlineOffload(), book=tab or Tab(), backoff_s=backoff_s)


def chat(
    runtime: ModelRuntime, *attempts: list[ChatChunk | Act], cancel: Cancel | None = None
) -> list[ChatChunk]:
    FakeProvider.attempts.extend(attempts)
    return list(runtime.chat("tenant", REF, REQUEST, cancel or Cancel(30)))


def embed(runtime: ModelRuntime, texts: list[str], cancel: Cancel | None = None) -> Embeddings:
    return runtime.embed("tenant", REF, texts, EmbedKind.PASSAGE, cancel or Cancel(30))


# Retries


def test_chat_passing_faults_are_tried_three_times() -> None:
    text = ChatChunk(text="a")
    assert chat(make_runtime(), [busy()], [busy()], [text, END]) == [text, END]
    with pytest.raises(CompletionFailed, match="busy"):
        chat(make_runtime(), [busy()], [busy()], [busy()], [text, END])
    assert len(FakeProvider.attempts) == 1


def test_chat_lasting_fault_is_not_tried_again() -> None:
    with pytest.raises(CompletionFailed, match="no"):
        chat(make_runtime(), [fail(CompletionFailed("no"))], [END])
    assert len(FakeProvider.attempts) == 1


def test_chat_fault_after_the_first_chunk_is_never_tried_again() -> None:
    FakeProvider.attempts = [[ChatChunk(text="a"), busy()], [END]]
    got: list[ChatChunk] = []
    with pytest.raises(CompletionFailed, match="busy"):
        got.extend(make_runtime().chat("tenant", REF, REQUEST, Cancel(30)))
    assert got == [ChatChunk(text="a")]
    assert len(FakeProvider.attempts) == 1


def test_chat_wait_honours_retry_after() -> None:
    started = time.monotonic()
    chat(make_runtime(), [busy(0.15)], [END])
    took_s = time.monotonic() - started
    assert took_s >= 0.15
    assert_quick(took_s, 1.0)


@pytest.mark.parametrize(("retry_after_s", "total_s"), [(30.0, 5.0), (3600.0, float("inf"))])
def test_chat_wait_beyond_the_deadline_is_not_begun(retry_after_s: float, total_s: float) -> None:
    started = time.monotonic()
    with pytest.raises(CompletionFailed, match="busy"):
        chat(make_runtime(), [busy(retry_after_s)], [END], cancel=Cancel(total_s))
    assert_quick(time.monotonic() - started, 1.0)


def test_chat_cancelled_while_waiting_ends_at_once_and_quietly() -> None:
    cancel = Cancel(60)
    threading.Timer(0.05, cancel.set).start()
    started = time.monotonic()
    assert chat(make_runtime(), [busy(20.0)], [END], cancel=cancel) == []
    assert_quick(time.monotonic() - started, 0.35)


def test_chat_provider_that_ends_without_a_chunk_gives_none() -> None:
    assert chat(make_runtime(), []) == []


@pytest.mark.parametrize("taken", [1, 2])
def test_chat_abandoned_stream_is_closed(taken: int) -> None:
    FakeProvider.attempts = [[ChatChunk(text="a"), ChatChunk(text="b"), END]]
    chunks = make_runtime().chat("tenant", REF, REQUEST, Cancel(30))
    for _ in range(taken):
        next(chunks)
    del chunks
    assert FakeProvider.closed == [True]


# Silence and excess


def test_chat_silence_is_not_given_out() -> None:
    text = ChatChunk(text="a")
    got = chat(make_runtime(), [SILENCE, text, SILENCE, CallPiece(chars=3), ChatChunk(), END])
    assert got == [text, END]


def test_chat_fault_after_silence_and_pieces_of_a_call_is_tried_again() -> None:
    assert chat(make_runtime(), [SILENCE, CallPiece(chars=3), busy()], [END]) == [END]


@pytest.mark.parametrize(
    ("begun", "phase"),
    [([], "first byte"), ([ChatChunk(text="a")], "idle"), ([CallPiece(chars=1)], "idle")],
)
def test_chat_silence_that_lasts_times_out_and_closes_the_stream(begun: list[ChatChunk], phase: str) -> None:
    limits = {"first byte": 20.0, "idle": 20.0, phase: 0.05}
    timeouts = Timeouts(connect_s=1, first_byte_s=limits["first byte"], idle_s=limits["idle"])
    silence: list[ChatChunk | Act] = [SILENCE, functools.partial(time.sleep, 0.01)] * 100
    started = time.monotonic()
    with pytest.raises(CompletionFailed, match=rf"^fake did not answer in time \({phase}\)"):
        chat(make_runtime(timeouts=timeouts), [*begun, *silence])
    took_s = time.monotonic() - started
    assert took_s >= 0.05
    assert_quick(took_s, 0.5)
    assert FakeProvider.closed == [True]


@pytest.mark.parametrize("sign_of_life", [ChatChunk(reasoning="hm"), CallPiece(chars=1)])
def test_chat_model_that_works_on_is_not_silent(
    sign_of_life: ChatChunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()  # each look at it is a second later
    monkeypatch.setattr(runtime_module, "time", SimpleNamespace(monotonic=clock.__next__))
    timeouts = Timeouts(connect_s=20, first_byte_s=10, idle_s=10)
    steps: list[ChatChunk | Act] = [SILENCE, sign_of_life, SILENCE]
    assert chat(make_runtime(timeouts=timeouts), [*steps * 6, END])[-1] == END


@pytest.mark.parametrize(
    "chunk",
    [
        ChatChunk(text="x" * 8_000),
        ChatChunk(reasoning="x" * 8_000),
        CallPiece(chars=8_000),
        CallPiece(text="x", chars=8_000),
        ChatChunk(text="x"),
    ],
)
def test_chat_answer_without_end_meets_a_ceiling(chunk: ChatChunk) -> None:
    FakeProvider.attempts = [[chunk] * 1_000_000]
    chunks = make_runtime().chat("tenant", REF, REQUEST, Cancel(30))
    with pytest.raises(CompletionFailed, match="above 4194304 characters"):
        sum(len(got.text) for got in chunks)
    assert FakeProvider.closed == [True]


def test_chat_long_answer_of_small_pieces_is_not_too_long() -> None:
    piece = ChatChunk(text="word ")
    assert len(chat(make_runtime(), [*[piece] * 200_000, END])) == 200_001


# Quota


def test_quota_used_up_is_reported_once() -> None:
    used_up = fail(QuotaExceeded("none left"))
    for is_quota_ok, expected in ((True, [False]), (False, [])):
        reports: list[bool] = []
        with pytest.raises(QuotaExceeded):
            chat(make_runtime(reports, is_quota_ok=is_quota_ok), [used_up])
        assert reports == expected


def test_quota_used_up_in_the_middle_is_reported() -> None:
    reports: list[bool] = []
    with pytest.raises(QuotaExceeded):
        chat(make_runtime(reports), [ChatChunk(text="a"), fail(QuotaExceeded("none left"))])
    assert reports == [False]


def test_quota_success_clears_it_only_when_it_was_used_up() -> None:
    for is_quota_ok, expected in ((True, []), (False, [True, True])):
        reports: list[bool] = []
        runtime = make_runtime(reports, is_quota_ok=is_quota_ok)
        chat(runtime, [END])
        embed(runtime, ["a"])
        assert reports == expected


def test_quota_other_failures_and_stops_report_nothing() -> None:
    reports: list[bool] = []
    runtime = make_runtime(reports, is_quota_ok=False)
    with pytest.raises(CompletionFailed):
        chat(runtime, [fail(CompletionFailed("no"))])
    cancel = Cancel(30)
    chat(runtime, [cancel.set], cancel=cancel)
    assert reports == []


# Embeddings


def test_embed_texts_go_in_batches_each_text_once() -> None:
    found = embed(make_runtime(), ["a", "bb", "a", "ccc", "bb"])
    assert found.vectors == [[1.0], [2.0], [1.0], [3.0], [2.0]]
    assert found.tokens == TokenCount(prompt_tokens=3)
    assert FakeProvider.batches == [["a", "bb"], ["ccc"]]


def test_embed_failed_batch_alone_is_tried_again() -> None:
    FakeProvider.attempts = [[], [busy()], []]
    embed(make_runtime(), ["a", "b", "c"])
    assert FakeProvider.batches == [["a", "b"], ["c"], ["c"]]


def test_embed_no_texts_calls_nobody() -> None:
    assert embed(make_runtime(), []).vectors == []
    assert FakeProvider.batches == []


def test_attempts_that_told_their_cost_are_in_the_book_also_where_they_failed() -> None:
    tab = Tab()
    early = ChatChunk(tokens=TokenCount(prompt_tokens=30, is_estimate=True))
    last = ChatChunk(tokens=TokenCount(prompt_tokens=30, completion_tokens=4), finish_reason="stop")
    FakeProvider.attempts = [[early, busy()], [busy()], [early, ChatChunk(text="Yes"), last]]

    chunks = list(chat(make_runtime(tab=tab)))

    assert [chunk.text for chunk in chunks] == ["Yes", ""]
    assert chunks[0].tokens == early.tokens  # what is told alone waits for the next word
    (spent,) = tab.take()
    assert (spent.calls, spent.prompt_tokens, spent.completion_tokens) == (2, 60, 4)


def test_embed_batches_that_were_paid_for_are_on_the_tab_also_where_another_failed() -> None:
    tab = Tab()
    FakeProvider.attempts = [[], [fail(CompletionFailed("no"))]]
    with pytest.raises(CompletionFailed):
        embed(make_runtime(tab=tab), ["a", "b", "c"])
    embed(make_runtime(tab=tab), [])
    (spent,) = tab.take()
    assert (spent.calls, spent.prompt_tokens) == (1, 2)


def test_embed_attempts_used_up_raise_the_cause() -> None:
    FakeProvider.attempts = [[busy()], [busy()], [busy()]]
    with pytest.raises(CompletionFailed, match="busy"):
        embed(make_runtime(), ["a"])


def test_embed_cancelled_while_waiting_raises_cancelled() -> None:
    cancel = Cancel(60)
    FakeProvider.attempts = [[cancel.set, busy(5.0)]]
    with pytest.raises(Cancelled):
        embed(make_runtime(), ["a"], cancel)


def test_embed_batches_run_side_by_side_as_far_as_the_model_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeProvider, "parallel_calls", 2)
    monkeypatch.setattr(FakeProvider, "gate", threading.Barrier(2))
    texts = ["a" * length for length in range(1, 9)]
    found = embed(make_runtime(), texts)
    assert found.vectors == [[float(length)] for length in range(1, 9)]
    assert found.tokens == TokenCount(prompt_tokens=8)
    assert sorted(text for batch in FakeProvider.batches for text in batch) == texts


def test_embed_failed_batch_ends_those_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeProvider, "parallel_calls", 2)
    FakeProvider.attempts = [[fail(CompletionFailed("no"))] for _ in range(20)]
    with pytest.raises(CompletionFailed, match="no"):
        embed(make_runtime(), [str(number) for number in range(40)])
    assert len(FakeProvider.batches) < 20


def test_embed_quota_is_reported_once_for_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeProvider, "parallel_calls", 2)
    FakeProvider.attempts = [[fail(QuotaExceeded("none left"))] for _ in range(2)]
    reports: list[bool] = []
    with pytest.raises(QuotaExceeded):
        embed(make_runtime(reports), ["a", "b", "c"])
    assert reports == [False]


# Reranking


def rerank(runtime: ModelRuntime, texts: list[str]) -> list[Score]:
    return runtime.rerank("tenant", REF, "q", texts, top_n=1, cancel=Cancel(30))


def test_rerank_passing_fault_is_tried_again() -> None:
    FakeProvider.attempts = [[busy()], []]
    assert rerank(make_runtime(), ["a", "b"]) == [Score(0, 1.0)]
    assert FakeProvider.batches == [["q", "a", "b"]] * 2


def test_rerank_no_texts_calls_nobody() -> None:
    assert rerank(make_runtime(), []) == []
    assert FakeProvider.batches == []


def test_rerank_quota_used_up_is_reported() -> None:
    FakeProvider.attempts = [[fail(QuotaExceeded("none left"))]]
    reports: list[bool] = []
    with pytest.raises(QuotaExceeded):
        rerank(make_runtime(reports), ["a"])
    assert reports == [False]


# Look-ups


def test_schema_known_and_unknown_models() -> None:
    assert make_runtime().schema("tenant", REF).context_tokens == 9
    with pytest.raises(ModelUnavailable, match="unknown"):
        make_runtime().schema("tenant", ModelRef("fake", "unknown"))


def test_unknown_provider_is_not_configured() -> None:
    with pytest.raises(ProviderNotConfigured):
        make_runtime().schema("tenant", ModelRef("nobody", "m"))


def test_provider_without_the_capability_is_unavailable() -> None:
    silent = ModelRef("silent", "m")
    with pytest.raises(ModelUnavailable, match="chat"):
        list(make_runtime().chat("tenant", silent, REQUEST, Cancel(1)))
    with pytest.raises(ModelUnavailable, match="embedding"):
        make_runtime().embed("tenant", silent, ["a"], EmbedKind.QUERY, Cancel(1))
    with pytest.raises(ModelUnavailable, match="rerank"):
        make_runtime().rerank("tenant", silent, "q", ["a"], top_n=1, cancel=Cancel(1))


def test_resolved_model_and_context_keep_credentials_out_of_their_repr() -> None:
    runtime = make_runtime()
    resolved = ResolvedModel(credentials={"key": "sk-secret"}, is_quota_ok=True, report=list[bool]().append)
    context = ProviderContext(credentials={"key": "sk-secret"}, http=runtime._http, offload=InlineOffload())
    assert "sk-secret" not in repr(resolved) + repr(context)


def test_fold_chunks_become_one_answer() -> None:
    call = ToolCall(id="c", name="f", arguments="{}")
    tokens = TokenCount(prompt_tokens=1)
    chunks = [
        ChatChunk(reasoning="hm"),
        ChatChunk(text="a"),
        ChatChunk(text="b", tool_calls=(call,), tokens=tokens, finish_reason="stop"),
    ]
    assert fold(chunks) == Answer(
        text="ab", reasoning="hm", tool_calls=(call,), tokens=tokens, finish_reason="stop"
    )
    assert fold([]) == Answer(text="", reasoning="", tool_calls=(), tokens=None, finish_reason=None)
