"""What every model provider promises, run over the registry and over one that a plugin brings.

A provider that calls a vendor is pointed at a scripted server that speaks the
vendor's wire; a new one gets a line in tests/vendors.py.
"""

import contextlib
import functools
import json
import logging
import math
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from api.core.egress import EgressPolicy
from api.core.http import Cancelled, HTTPClient, Timeouts
from api.core.model_runtime import providers
from api.core.model_runtime.metering import Tab
from api.core.model_runtime.provider import (
    PROVIDERS,
    ChatModel,
    EmbeddingModel,
    Provider,
    ProviderContext,
    RerankModel,
    RetryableFailure,
    SpeechToText,
    TextToSpeech,
)
from api.core.model_runtime.runtime import ModelRuntime, ResolvedModel, fold
from api.core.model_runtime.types import (
    SILENCE,
    Audio,
    CallPiece,
    ChatChunk,
    ChatRequest,
    EmbedKind,
    ImagePart,
    Message,
    ModelRef,
    ModelType,
    Role,
    Score,
    TextPart,
    TokenCount,
    ToolCall,
    ToolSpec,
)
from api.core.ports import Cancel
from api.errors import CompletionFailed, InvalidRequest, ModelUnavailable, QuotaExceeded
from tests.plugins import make_runner, make_vendor
from tests.ports import free_port
from tests.servers import Reply, ScriptedServer, Step
from tests.vendors import HARNESSES as VENDORS
from tests.vendors import PLUGIN, SECRET, Harness, InlineOffload, Wire
from tests.waiting import assert_quick, set_when

ARGUMENTS = {"city": "Zürich", "days": 2}
TOOL = ToolSpec(
    name="weather", description="Tells the weather.", parameters={"type": "object", "properties": {}}
)
PLUGIN_FILES = Path(tempfile.mkdtemp(prefix="slipway-test-"))
RUNNER = make_runner(PLUGIN_FILES)
PLUGGED = make_vendor(RUNNER)
KINDS = {**PROVIDERS, PLUGGED.schema.id: PLUGGED}
HARNESSES = {**VENDORS, PLUGGED.schema.id: PLUGIN}
LOCAL = sorted(id_ for id_, harness in HARNESSES.items() if harness.wire is None)
MALFORMED = [
    Reply.of_json({"data": "none", "embeddings": "none", "results": "none"}),
    Reply.of_json({}),
    Reply.of_json(7),
    Reply.of_json({"data": [7], "embeddings": {"float": 7}, "results": [7]}),
    Reply(body=b"{"),
]
REMOTE = sorted(set(HARNESSES) - set(LOCAL))
CHATTERS = [id_ for id_ in REMOTE if issubclass(KINDS[id_], ChatModel)]
EMBEDDERS = [id_ for id_ in REMOTE if issubclass(KINDS[id_], EmbeddingModel)]
RERANKERS = [id_ for id_ in REMOTE if issubclass(KINDS[id_], RerankModel)]
HEARERS = [id_ for id_ in REMOTE if issubclass(KINDS[id_], SpeechToText)]
SPEAKERS = [id_ for id_ in REMOTE if issubclass(KINDS[id_], TextToSpeech)]
SPEECH_TYPES = {ModelType.SPEECH2TEXT, ModelType.TTS}
RECORDING = Audio(extension="wav", mime_type="audio/wav", content=b"RIFF\r\n--\x00WAVE")


@pytest.fixture(scope="session", autouse=True)
def plugins() -> Iterator[None]:
    """End the plugin's processes with all tests, and remove its files: a worker may come back to these."""
    yield
    RUNNER.stop()
    shutil.rmtree(PLUGIN_FILES)


@dataclass
class Bench:
    """A provider and the server it was pointed at."""

    harness: Harness
    wire: Wire
    server: ScriptedServer
    provider: Provider
    context: ProviderContext

    def chat(
        self, *replies: Reply, tools: tuple[ToolSpec, ...] = (), cancel: Cancel | None = None
    ) -> list[ChatChunk]:
        self.server.then(*replies)
        return list(self.start(tools=tools, cancel=cancel))

    def start(self, *, tools: tuple[ToolSpec, ...] = (), cancel: Cancel | None = None) -> Iterator[ChatChunk]:
        assert isinstance(self.provider, ChatModel)
        chunks = self.provider.chat(make_request(self.harness.model, tools), cancel or Cancel(30))
        return (chunk for chunk in chunks if replace(chunk, tokens=None) != SILENCE)

    def run(self, timeouts: Timeouts) -> Iterator[ChatChunk]:
        """Call the provider as the services do."""
        resolved = ResolvedModel(
            credentials=self.context.credentials,
            is_quota_ok=True,
            report=list[bool]().append,
            make=type(self.provider),
        )
        http = HTTPClient(EgressPolicy(allow_private=True), timeouts)
        runtime = ModelRuntime(lambda _tenant_id, _ref: resolved, http, InlineOffload(), book=Tab())
        model = self.harness.model
        return runtime.chat("t", ModelRef(self.provider.schema.id, model), make_request(model), Cancel(30))

    def embed(self, *replies: Reply, texts: list[str], cancel: Cancel | None = None) -> list[list[float]]:
        assert isinstance(self.provider, EmbeddingModel)
        self.server.then(*replies)
        found = self.provider.embed("an-embedding-model", texts, EmbedKind.PASSAGE, cancel or Cancel(30))
        assert found.tokens == TokenCount(prompt_tokens=5)
        return [list(vector) for vector in found.vectors]

    def rerank(
        self, *replies: Reply, texts: list[str], top_n: int = 2, cancel: Cancel | None = None
    ) -> list[Score]:
        assert isinstance(self.provider, RerankModel)
        self.server.then(*replies)
        ranking = self.provider.rerank("a-rerank-model", "which?", texts, top_n, cancel or Cancel(30))
        return ranking.scores

    def transcribe(self, *replies: Reply, cancel: Cancel | None = None) -> str:
        assert isinstance(self.provider, SpeechToText)
        self.server.then(*replies)
        return self.provider.transcribe("whisper-1", RECORDING, cancel or Cancel(30)).text

    def speak(self, *replies: Reply, voice: str = "nova", cancel: Cancel | None = None) -> Iterator[bytes]:
        assert isinstance(self.provider, TextToSpeech)
        self.server.then(*replies)
        return self.provider.speak("tts-1", "Hello there.", voice, cancel or Cancel(30))

    def act(self, *replies: Reply, cancel: Cancel | None = None) -> object:
        """Call the provider for whatever it can do."""
        if isinstance(self.provider, ChatModel):
            return self.chat(*replies, cancel=cancel)
        return self.embed(*replies, texts=["a"], cancel=cancel)


def make_request(model: str, tools: tuple[ToolSpec, ...] = ()) -> ChatRequest:
    messages = (Message.of(Role.SYSTEM, "Be brief."), Message.of(Role.USER, "Say hello world."))
    return ChatRequest(model=model, messages=messages, tools=tools, parameters={"max_tokens": 50})


@contextlib.contextmanager
def make_context(credentials: Mapping[str, str]) -> Iterator[ProviderContext]:
    timeouts = Timeouts(connect_s=20, first_byte_s=20, idle_s=20)
    http = HTTPClient(EgressPolicy(allow_private=True), timeouts)
    with contextlib.closing(http):
        yield ProviderContext(credentials=credentials, http=http, offload=InlineOffload())


@contextlib.contextmanager
def make_bench(provider_id: str) -> Iterator[Bench]:
    harness = HARNESSES[provider_id]
    assert harness.wire is not None
    with ScriptedServer(Reply()) as server, make_context(harness.credentials(server.url)) as context:
        bench = Bench(harness, harness.wire, server, KINDS[provider_id](context), context)
        if provider_id == PLUGGED.schema.id:  # a process takes longer to start than a stop may
            bench.provider.check_credentials()
            server.seen.clear()
        yield bench


@pytest.fixture(params=REMOTE)
def remote_bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with make_bench(request.param) as made:
        yield made


@pytest.fixture(params=CHATTERS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with make_bench(request.param) as made:
        yield made


@pytest.fixture(params=EMBEDDERS)
def embedding_bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with make_bench(request.param) as made:
        yield made


@pytest.fixture(params=RERANKERS)
def rerank_bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with make_bench(request.param) as made:
        yield made


@pytest.fixture(params=HEARERS)
def hearing_bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with make_bench(request.param) as made:
        yield made


@pytest.fixture(params=SPEAKERS)
def speaking_bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with make_bench(request.param) as made:
        yield made


@pytest.fixture(params=sorted(HARNESSES))
def provider_id(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def tell_all(error: BaseException, context: ProviderContext, provider: Provider) -> str:
    """Return everything a log could show of a failure."""
    return "\n".join(
        [*traceback.format_exception(error), repr(error), repr(context), repr(provider), str(vars(error))]
    )


# Schemas


def test_registry_every_provider_has_a_harness() -> None:
    shipped = {id_ for id_, made in PROVIDERS.items() if made.__module__.startswith(providers.__name__)}
    assert shipped == set(VENDORS)


def test_schema_ids_are_consistent(provider_id: str) -> None:
    schema = KINDS[provider_id].schema
    assert schema.id == provider_id
    assert schema.long_id == f"{schema.plugin_id}/{provider_id.rpartition('/')[2]}"
    assert schema.plugin_id.count("/") == 1


def test_schema_texts_and_icon_are_complete(provider_id: str) -> None:
    schema = KINDS[provider_id].schema
    assert all((schema.label, schema.label_zh, schema.description, schema.description_zh))
    assert schema.background.startswith("#")
    if provider_id in VENDORS:  # a plugin's picture is a file of its package
        assert ET.fromstring(schema.icon_svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert not any(word in schema.icon_svg for word in ("href", "script", "url("))


def test_schema_models_make_sense(provider_id: str) -> None:
    schema = KINDS[provider_id].schema
    assert schema.models or schema.custom_model_types
    assert len({model.model for model in schema.models}) == len(schema.models)
    for model in schema.models:
        assert model.context_tokens >= 512 or model.type in SPEECH_TYPES
        assert 0 <= model.max_output_tokens < (model.context_tokens or 1)
        assert bool(model.voices) == (model.type is ModelType.TTS)
        assert (model.max_chunks > 0) == (model.type is ModelType.TEXT_EMBEDDING)
        assert Decimal(0) <= model.price.input < 100
        assert Decimal(0) <= model.price.output < 1000


def test_schema_fields_and_rules_are_unique_and_readable(provider_id: str) -> None:
    schema = KINDS[provider_id].schema
    fields = (*schema.credential_fields, *schema.model_credential_fields)
    assert len({field.variable for field in fields}) == len(fields)
    assert len({rule.name for rule in schema.parameter_rules}) == len(schema.parameter_rules)
    labels = [
        *((f.label, f.label_zh) for f in fields),
        *((r.label, r.label_zh) for r in schema.parameter_rules),
    ]
    assert all(label for pair in labels for label in pair)
    for field in fields:
        assert field.is_secret == ("key" in field.variable)
        assert (field.type == "select") == bool(field.options)
        assert field.default is None or not field.options or field.default in field.options


def test_model_schema_agrees_with_the_listed_models(provider_id: str) -> None:
    harness = HARNESSES[provider_id]
    with make_context(harness.credentials("http://127.0.0.1:1")) as context:
        provider = KINDS[provider_id](context)
        for model in provider.schema.models:
            if provider.schema.id != "azure_openai":
                assert provider.model_schema(model.model) == model
        found = provider.model_schema(harness.model)
        assert found is not None
        assert found.type in provider.schema.model_types
        unknown = provider.model_schema("a-model-of-tomorrow")
        assert (unknown is not None) == provider.schema.is_customizable


@pytest.mark.parametrize("local_id", LOCAL)
def test_chat_local_provider_needs_nothing_and_ends_with_reason_and_tokens(local_id: str) -> None:
    with make_context({}) as context:
        provider = KINDS[local_id](context)
        provider.check_credentials()
        assert isinstance(provider, ChatModel)
        chunks = list(provider.chat(make_request(HARNESSES[local_id].model), Cancel(30)))
    assert fold(chunks).text
    assert chunks[-1].finish_reason
    assert chunks[-1].tokens


# Chat


def test_chat_streamed_text_comes_piece_by_piece_with_an_end(bench: Bench) -> None:
    chunks = bench.chat(Reply.of_events(*bench.wire.text("Hel", "lo ", "world")))
    assert [chunk.text for chunk in chunks if chunk.text] == ["Hel", "lo ", "world"]
    assert chunks[-1].finish_reason == "stop"
    assert chunks[-1].tokens == TokenCount(prompt_tokens=7, completion_tokens=3)
    assert all(chunk.finish_reason is None and chunk.tokens is None for chunk in chunks[:-1])


def test_chat_pieces_are_yielded_before_the_stream_ends(bench: Bench) -> None:
    bench.server.then(Reply.of_events(*bench.wire.text("first", end=False), Step.HANG))
    started = time.monotonic()
    assert next(bench.start()).text == "first"
    assert_quick(time.monotonic() - started, 1.5)


def test_chat_request_carries_secret_model_and_messages(bench: Bench) -> None:
    bench.chat(Reply.of_events(*bench.wire.text("x")))
    seen = bench.server.seen[0]
    assert SECRET in (seen.headers.get("authorization", "") + seen.headers.get("api-key", ""))
    assert bench.harness.model in seen.target + str(seen.json["model"])
    assert seen.json["stream"] is True
    assert all(text in json.dumps(seen.json) for text in ("Be brief.", "Say hello world."))


def test_chat_tool_call_comes_whole_and_once(bench: Bench) -> None:
    events = bench.wire.tool("call-1", "weather", json.dumps(ARGUMENTS))
    chunks = bench.chat(Reply.of_events(*events), tools=(TOOL,))
    assert sum(chunk.chars for chunk in chunks if isinstance(chunk, CallPiece)) >= len(json.dumps(ARGUMENTS))
    calls = [chunk.tool_calls for chunk in chunks if chunk.tool_calls]
    assert calls == [(ToolCall(id="call-1", name="weather", arguments=json.dumps(ARGUMENTS)),)]
    assert chunks[-1].finish_reason == "tool_calls"
    assert "weather" in json.dumps(bench.server.seen[0].json["tools"])


def test_chat_tool_result_and_image_reach_the_vendor(bench: Bench) -> None:
    image = ImagePart(mime_type="image/png", data=b"\x89PNG")
    call = ToolCall(id="call-1", name="weather", arguments='{"city": "Bern"}')
    messages = (
        Message(role=Role.USER, parts=(TextPart("What is this?"), image)),
        Message(role=Role.ASSISTANT, parts=(), tool_calls=(call,)),
        Message(role=Role.TOOL, parts=(TextPart("sunny"),), tool_call_id="call-1"),
    )
    bench.server.then(Reply.of_events(*bench.wire.text("x")))
    assert isinstance(bench.provider, ChatModel)
    list(bench.provider.chat(ChatRequest(model=bench.harness.model, messages=messages), Cancel(30)))
    sent = json.dumps(bench.server.seen[0].json["messages"])
    assert all(part in sent for part in ("What is this?", "iVBORw==", "image/png", "Bern", "sunny", "call-1"))


def test_chat_several_calls_share_a_connection(bench: Bench) -> None:
    for _ in range(3):
        bench.chat(Reply.of_events(*bench.wire.text("x")))
    assert {seen.connection for seen in bench.server.seen} == {1}


# Faults


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
def test_chat_passing_fault_is_retryable_with_its_wait(bench: Bench, status: int) -> None:
    with pytest.raises(RetryableFailure) as failed:
        bench.chat(Reply.of_json(bench.wire.error("try later"), status, {"Retry-After": "7"}))
    assert failed.value.retry_after_s == 7
    assert isinstance(failed.value.cause, CompletionFailed)
    assert failed.value.cause.message == "try later"
    assert len(bench.server.seen) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, CompletionFailed), (401, CompletionFailed), (403, CompletionFailed), (404, ModelUnavailable)],
)
def test_chat_refusal_is_told_in_the_vendors_words(bench: Bench, status: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^not like that$"):
        bench.chat(Reply.of_json(bench.wire.error("not like that"), status))


def test_chat_refusal_that_is_not_json_is_told_by_status(bench: Bench) -> None:
    with pytest.raises(CompletionFailed, match="status 418"):
        bench.chat(Reply(status=418, body=b"<html>teapot</html>"))


def test_chat_endless_refusal_is_cut_off(bench: Bench) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 10_000

    with pytest.raises(CompletionFailed, match="status 400"):
        bench.chat(Reply(status=400, steps=endless()))
    assert bench.server.wait_for_hangup(30)


def test_chat_quota_used_up_is_told_as_such(bench: Bench) -> None:
    with pytest.raises(QuotaExceeded):
        bench.chat(bench.wire.quota())


def test_chat_server_out_of_reach_is_retryable(bench: Bench) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    context = replace(bench.context, credentials=bench.harness.credentials(url))
    provider = type(bench.provider)(context)
    assert isinstance(provider, ChatModel)
    with pytest.raises(RetryableFailure) as failed:
        list(provider.chat(make_request(bench.harness.model), Cancel(30)))
    assert isinstance(failed.value.cause, CompletionFailed)


def test_chat_connection_dropped_before_the_answer_is_retryable(bench: Bench) -> None:
    with pytest.raises(RetryableFailure):
        bench.chat(Reply(raw=[b""]))


@pytest.mark.parametrize("tail", [Step.DROP, b"data: {broken\n\n", b'data: ["x"]\n\n', b"data: 7\n\n"])
def test_chat_stream_broken_midway_fails_after_what_came(bench: Bench, tail: bytes | Step) -> None:
    bench.server.then(Reply.of_events(*bench.wire.text("half", end=False), tail, done=False))
    got: list[str] = []
    with pytest.raises(CompletionFailed):
        got.extend(chunk.text for chunk in bench.start())
    assert got == ["half"]


def test_chat_stream_that_ends_without_an_end_fails(bench: Bench) -> None:
    with pytest.raises(CompletionFailed, match="ended before"):
        bench.chat(Reply.of_events(*bench.wire.text("half", end=False), done=False))


def test_chat_error_inside_the_stream_is_told_in_the_vendors_words(bench: Bench) -> None:
    events = [*bench.wire.text("half", end=False), bench.wire.error("it broke")]
    with pytest.raises(CompletionFailed, match="it broke"):
        bench.chat(Reply.of_events(*events))


def test_chat_server_that_falls_silent_times_out_without_retry(bench: Bench) -> None:
    timeouts = Timeouts(connect_s=20, first_byte_s=0.1, idle_s=0.1)
    http = HTTPClient(EgressPolicy(allow_private=True), timeouts)
    context = replace(bench.context, http=http)
    provider = type(bench.provider)(context)
    assert isinstance(provider, ChatModel)
    for steps in ([Step.HANG], bench.wire.text("half", end=False)):
        bench.server.then(Reply.of_events(*steps, Step.HANG))
        with pytest.raises(CompletionFailed, match="in time"):
            list(provider.chat(make_request(bench.harness.model), Cancel(30)))


@pytest.mark.parametrize("has_begun", [False, True])
@pytest.mark.parametrize("is_comment", [False, True])
def test_chat_vendor_that_says_nothing_times_out_however_busy(
    bench: Bench, has_begun: bool, is_comment: bool
) -> None:
    said = bench.wire.text("half", end=False) if has_begun else []
    nothing = b": ping\n\n" if is_comment else bench.wire.nothing()
    bench.server.then(Reply.of_events(*said, *[nothing, 0.02] * 200))
    limits = (20.0, 0.2) if has_begun else (0.2, 20.0)
    timeouts = Timeouts(connect_s=20, first_byte_s=limits[0], idle_s=limits[1])
    phase = "idle" if has_begun else "first byte"
    started = time.monotonic()
    got: list[str] = []
    with pytest.raises(CompletionFailed, match=rf"in time \({phase}\)"):
        got.extend(chunk.text for chunk in bench.run(timeouts))
    took_s = time.monotonic() - started
    assert took_s >= 0.2
    assert_quick(took_s, 1.0)
    assert got == (["half"] if has_begun else [])
    assert bench.server.wait_for_hangup(30)


@pytest.mark.parametrize("has_begun", [False, True])
def test_chat_cancelled_ends_quietly_and_hangs_up(bench: Bench, has_begun: bool) -> None:
    said = bench.wire.text("half", end=False) if has_begun else []
    bench.server.then(Reply.of_events(*said, Step.HANG))
    cancel = Cancel(30)
    got: list[str] = []
    at = set_when(cancel, lambda: bool(got if has_begun else bench.server.seen))
    got.extend(chunk.text for chunk in bench.start(cancel=cancel))
    took_s = time.monotonic() - at[0]
    assert got == (["half"] if has_begun else [])
    assert bench.server.wait_for_hangup(30)
    assert_quick(took_s, 0.3)


# Credentials and secrets


def test_check_credentials_accepted_key_passes(remote_bench: Bench) -> None:
    remote_bench.server.then(Reply.of_json({"object": "list", "data": []}))
    remote_bench.provider.check_credentials()
    assert len(remote_bench.server.seen) == 1
    assert SECRET in str(remote_bench.server.seen[0].headers)


@pytest.mark.parametrize("status", [401, 403, 429, 500])
def test_check_credentials_refused_key_is_an_invalid_request(remote_bench: Bench, status: int) -> None:
    remote_bench.server.then(Reply.of_json(remote_bench.wire.error(f"bad key {SECRET}"), status))
    with pytest.raises(InvalidRequest, match=r"bad key \*\*\*"):
        remote_bench.provider.check_credentials()
    assert len(remote_bench.server.seen) == 1


def test_check_credentials_server_out_of_reach_is_an_invalid_request(remote_bench: Bench) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    context = replace(remote_bench.context, credentials=remote_bench.harness.credentials(url))
    with pytest.raises(InvalidRequest, match="No connection"):
        type(remote_bench.provider)(context).check_credentials()


@pytest.mark.parametrize("key", [f"{SECRET}\nX-Evil: 1", f"{SECRET}é€", f"{SECRET}\x00"])
def test_key_with_characters_http_forbids_is_an_invalid_request(remote_bench: Bench, key: str) -> None:
    credentials = remote_bench.harness.credentials(remote_bench.server.url)
    filled = {name: value.replace(SECRET, key) for name, value in credentials.items()}
    context = replace(remote_bench.context, credentials=filled)
    provider = type(remote_bench.provider)(context)
    acting = replace(remote_bench, provider=provider)
    for act in (provider.check_credentials, acting.act):
        with pytest.raises(InvalidRequest) as refused:
            act()
        assert SECRET not in tell_all(refused.value, context, provider)
    assert remote_bench.server.seen == []


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_failure_quoting_the_key_is_scrubbed_everywhere(
    remote_bench: Bench, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    words = f"Incorrect API key {SECRET} in 'Authorization: Bearer {SECRET}'. " + "x" * 900
    with pytest.raises((CompletionFailed, ModelUnavailable, RetryableFailure)) as failed:
        remote_bench.act(Reply.of_json(remote_bench.wire.error(words), status))
    error = failed.value.cause if isinstance(failed.value, RetryableFailure) else failed.value
    assert SECRET not in tell_all(failed.value, remote_bench.context, remote_bench.provider) + tell_all(
        error, remote_bench.context, remote_bench.provider
    )
    assert "Incorrect API key ***" in str(error)
    assert len(str(error)) <= 500
    assert SECRET not in caplog.text


def test_failure_in_the_stream_quoting_the_key_is_scrubbed(bench: Bench) -> None:
    events = [*bench.wire.text("half", end=False), bench.wire.error(f"key {SECRET} revoked")]
    with pytest.raises(CompletionFailed) as failed:
        bench.chat(Reply.of_events(*events))
    assert SECRET not in tell_all(failed.value, bench.context, bench.provider)


# Embeddings


def test_embed_vectors_come_in_order_and_of_unit_length(embedding_bench: Bench) -> None:
    reply = embedding_bench.wire.vectors([3.0, 4.0], [0.0, 2.0])
    found = embedding_bench.embed(reply, texts=["a", "b"])
    assert found == [[pytest.approx(0.6), pytest.approx(0.8)], [0.0, 1.0]]
    assert all(math.hypot(*vector) == pytest.approx(1.0) for vector in found)
    seen = embedding_bench.server.seen[0]
    assert ["a", "b"] in seen.json.values()
    assert "an-embedding-model" in seen.target + str(seen.json.get("model"))


@pytest.mark.parametrize("vectors", [([1.0],), ([1.0], [0.0]), ([1.0], []), ([1.0], ["x"])])
def test_embed_wrong_vectors_fail(embedding_bench: Bench, vectors: tuple[list[float], ...]) -> None:
    with pytest.raises(CompletionFailed):
        embedding_bench.embed(embedding_bench.wire.vectors(*vectors), texts=["a", "b"])


@pytest.mark.parametrize("reply", MALFORMED)
def test_embed_malformed_answer_fails(embedding_bench: Bench, reply: Reply) -> None:
    with pytest.raises(CompletionFailed, match="malformed"):
        embedding_bench.embed(reply, texts=["a", "b"])


# Reranking


def test_rerank_scores_come_best_first(rerank_bench: Bench) -> None:
    reply = rerank_bench.wire.ranking((2, 0.25), (0, 0.75))
    assert rerank_bench.rerank(reply, texts=["a", "b", "c"]) == [Score(0, 0.75), Score(2, 0.25)]
    sent = rerank_bench.server.seen[0].json
    assert (sent["model"], sent["query"], sent["top_n"]) == ("a-rerank-model", "which?", 2)
    assert sent["documents"] == ["a", "b", "c"]
    assert SECRET in rerank_bench.server.seen[0].headers["authorization"]


def test_rerank_never_asks_for_more_than_there_is(rerank_bench: Bench) -> None:
    rerank_bench.rerank(rerank_bench.wire.ranking((0, 0.5)), texts=["a"], top_n=9)
    assert rerank_bench.server.seen[0].json["top_n"] == 1


@pytest.mark.parametrize("place", [-1, 2, "0", None, True])
def test_rerank_text_that_was_not_sent_fails(rerank_bench: Bench, place: object) -> None:
    with pytest.raises(CompletionFailed, match="malformed"):
        rerank_bench.rerank(rerank_bench.wire.ranking((place, 0.5)), texts=["a", "b"])


@pytest.mark.parametrize("reply", MALFORMED)
def test_rerank_malformed_answer_fails(rerank_bench: Bench, reply: Reply) -> None:
    with pytest.raises(CompletionFailed, match="malformed"):
        rerank_bench.rerank(reply, texts=["a", "b"])


# Faults of calls that answer at once


Call = Callable[..., object]


@pytest.fixture(
    params=[*((id_, "embed") for id_ in EMBEDDERS), *((id_, "rerank") for id_ in RERANKERS)], ids=str
)
def single(request: pytest.FixtureRequest) -> Iterator[tuple[Bench, Call]]:
    """A provider, and one of its calls that do not stream."""
    provider_id, name = request.param
    with make_bench(provider_id) as made:
        yield made, functools.partial(getattr(made, name), texts=["a"])


@pytest.mark.parametrize("status", [429, 500, 503])
def test_single_call_passing_fault_is_retryable(single: tuple[Bench, Call], status: int) -> None:
    bench, call = single
    with pytest.raises(RetryableFailure) as failed:
        call(Reply.of_json(bench.wire.error("busy"), status, {"Retry-After": "7"}))
    assert failed.value.retry_after_s == 7
    assert str(failed.value.cause) == "busy"


def test_single_call_refusals_are_told_for_what_they_are(single: tuple[Bench, Call]) -> None:
    bench, call = single
    with pytest.raises(CompletionFailed, match=r"^bad key \*\*\*$") as failed:
        call(Reply.of_json(bench.wire.error(f"bad key {SECRET}"), 401))
    assert SECRET not in tell_all(failed.value, bench.context, bench.provider)
    with pytest.raises(ModelUnavailable, match="no such model"):
        call(Reply.of_json(bench.wire.error("no such model"), 404))
    with pytest.raises(QuotaExceeded):
        call(bench.wire.quota())


def test_single_call_cancelled_hangs_up(single: tuple[Bench, Call]) -> None:
    bench, call = single
    cancel = Cancel(30)
    at = set_when(cancel, lambda: bool(bench.server.seen))
    with pytest.raises(Cancelled):
        call(Reply(steps=[Step.HANG]), cancel=cancel)
    took_s = time.monotonic() - at[0]
    assert bench.server.wait_for_hangup(30)
    assert_quick(took_s, 0.3)


# Speech


def test_types_a_provider_offers_are_those_it_can_do(provider_id: str) -> None:
    made = KINDS[provider_id]
    offered = set(made.schema.model_types)
    assert (ModelType.SPEECH2TEXT in offered) == issubclass(made, SpeechToText)
    assert (ModelType.TTS in offered) == issubclass(made, TextToSpeech)


def test_transcribe_sends_the_recording_whole_and_returns_the_text(hearing_bench: Bench) -> None:
    assert hearing_bench.transcribe(Reply.of_json({"text": " Grüezi. "})) == "Grüezi."
    (seen,) = hearing_bench.server.seen
    assert (seen.method, seen.target.rpartition("/audio/")[2]) == ("POST", "transcriptions")
    assert seen.headers["authorization"] == f"Bearer {SECRET}"
    boundary = seen.headers["content-type"].partition("boundary=")[2].encode()
    parts = seen.body.split(b"--" + boundary)
    recording = next(part for part in parts if b'filename="audio.wav"' in part)
    assert b"Content-Type: audio/wav" in recording
    assert recording.endswith(b"\r\n\r\n" + RECORDING.content + b"\r\n")
    assert any(b'name="model"' in part and b"whisper-1" in part for part in parts)
    assert parts[-1] == b"--\r\n"


@pytest.mark.parametrize(
    "reply", [Reply.of_json({}), Reply.of_json({"text": 7}), Reply.of_json(7), Reply(body=b"{")]
)
def test_transcribe_malformed_answer_is_a_failure(hearing_bench: Bench, reply: Reply) -> None:
    with pytest.raises(CompletionFailed):
        hearing_bench.transcribe(reply)


def test_speak_pieces_are_yielded_before_the_sound_ends(speaking_bench: Bench) -> None:
    pieces = speaking_bench.speak(Reply(steps=[b"ID3-one", Step.HANG]))
    started = time.monotonic()
    assert next(pieces) == b"ID3-one"
    assert_quick(time.monotonic() - started, 1.5)
    assert isinstance(pieces, Generator)
    pieces.close()
    (seen,) = speaking_bench.server.seen
    assert seen.target.endswith("/audio/speech")
    assert seen.json == {
        "model": "tts-1",
        "input": "Hello there.",
        "voice": "nova",
        "response_format": "mp3",
    }
    assert speaking_bench.server.wait_for_hangup(30)


def test_speak_without_a_voice_has_one(speaking_bench: Bench) -> None:
    assert b"".join(speaking_bench.speak(Reply(body=b"x" * 40_000), voice="")) == b"x" * 40_000
    assert speaking_bench.server.seen[0].json["voice"] == "alloy"


@pytest.mark.parametrize("status", [429, 503])
def test_speech_passing_fault_is_retryable_and_tells_no_secret(
    hearing_bench: Bench, speaking_bench: Bench, status: int
) -> None:
    fault = Reply.of_json({"error": {"message": f"slow down {SECRET}"}}, status)
    for call in (lambda: hearing_bench.transcribe(fault), lambda: list(speaking_bench.speak(fault))):
        with pytest.raises(RetryableFailure) as failed:
            call()
        assert SECRET not in str(failed.value.cause)


def test_speech_unknown_model_and_used_up_quota_are_named(speaking_bench: Bench) -> None:
    for reply, error in (
        (Reply.of_json({"error": {"message": "no such model"}}, 404), ModelUnavailable),
        (speaking_bench.wire.quota(), QuotaExceeded),
    ):
        with pytest.raises(error):
            list(speaking_bench.speak(reply))


def test_speech_stop_ends_a_call_at_once(hearing_bench: Bench) -> None:
    cancel = Cancel(30)
    threading.Timer(0.2, cancel.set).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        hearing_bench.transcribe(Reply(steps=[Step.HANG]), cancel=cancel)
    assert_quick(time.monotonic() - started, 1.5)
