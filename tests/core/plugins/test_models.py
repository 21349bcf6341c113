"""Models that plugins bring: what goes wrong is a failure of that one call, and calls go where they may."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from api.core.egress import EgressDenied, EgressPolicy
from api.core.http import HTTPClient, Timeouts
from api.core.model_runtime.metering import Tab
from api.core.model_runtime.provider import (
    ChatModel,
    EmbeddingModel,
    Provider,
    ProviderContext,
    RerankModel,
    RetryableFailure,
)
from api.core.model_runtime.runtime import ModelRuntime, ResolvedModel, fold
from api.core.model_runtime.types import ChatRequest, Message, ModelRef, ModelType, Role
from api.core.plugins.models import to_provider
from api.core.plugins.package import pack, read_package
from api.core.ports import Cancel, JSONObject
from api.errors import CompletionFailed, ModelUnavailable, QuotaExceeded
from tests.plugins import OWN, make_runner, make_vendor, to_archive, to_code
from tests.servers import Reply, ScriptedServer
from tests.vendors import InlineOffload, OpenAIWire

PATIENCE = Timeouts(connect_s=20, first_byte_s=20, idle_s=20)
FILES: dict[str, str] = {
    "manifest.yaml": """
type: plugin
author: tests
name: fails
version: 1.0.0
label: Fails
description: Fails as it is told.
plugins: {models: [provider.yaml]}
meta: {runner: {language: python, entrypoint: main}}
""",
    "provider.yaml": """
provider: fails
label: Fails
supported_model_types: [llm]
models: {llm: {predefined: [m.yaml]}}
""",
    "m.yaml": "{model: m, model_type: llm}",
    "main.py": """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    said = json.loads(asked["data"]["prompt_messages"][-1]["content"])
    for data in said:
        told = {"event": "session", "session_id": asked["session_id"], "data": data}
        sys.stdout.write(json.dumps(told) + "\\n")
    sys.stdout.flush()
""",
}


OPENED: list[HTTPClient] = []


@pytest.fixture(autouse=True)
def closing() -> Iterator[None]:
    """Close the clients a test made."""
    yield
    while OPENED:
        OPENED.pop().close()


def client(timeouts: Timeouts = PATIENCE, *, allow_private: bool = False) -> HTTPClient:
    OPENED.append(HTTPClient(EgressPolicy(allow_private=allow_private), timeouts))
    return OPENED[-1]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    made = make_runner(tmp_path_factory.mktemp("models"))
    yield made
    made.stop()


def context(timeouts: Timeouts = PATIENCE, **credentials: str) -> ProviderContext:
    http = client(timeouts, allow_private=True)
    return ProviderContext(credentials=credentials, http=http, offload=InlineOffload())


def ask(provider: Provider, question: str, model: str = "chat-1", cancel: Cancel | None = None) -> str:
    assert isinstance(provider, ChatModel)
    request = ChatRequest(model=model, messages=(Message.of(Role.USER, question),))
    return fold(provider.chat(request, cancel or Cancel(20))).text


def test_declared_models_are_told_with_their_figures(runner: Any) -> None:
    made = make_vendor(runner)
    schema = made.schema
    chat, embedding, rerank = schema.models
    assert (schema.id, schema.long_id, schema.named("short")) == ("tests/vendor/vendor",) * 3
    assert (chat.label, chat.context_tokens, chat.max_output_tokens) == ("Chat One", 32_768, 4_096)
    assert (chat.price.input, chat.price.output) == (Decimal(2), Decimal(10))
    assert [(rule.name, rule.type, rule.max, rule.default) for rule in chat.rules] == [
        ("temperature", "float", 1, 1.0),
        ("max_tokens", "int", 4096, 512),
    ]
    assert (embedding.max_chunks, rerank.type) == (8, ModelType.RERANK)
    assert embedding.price.input == Decimal("0.02")
    assert [(field.variable, field.is_address) for field in schema.credential_fields] == [
        ("base_url", True),
        ("api_key", False),
    ]
    assert [field.variable for field in schema.model_credential_fields] == [
        "context_size",
        "function_calling_type",
    ]
    assert isinstance(made(context()), EmbeddingModel)
    named = made(context(context_size="9000", function_calling_type="tool_call")).model_schema("my-embed")
    assert named is not None
    assert (named.type, named.context_tokens) == (ModelType.TEXT_EMBEDDING, 9_000)
    assert "tool-call" in named.features


def test_provider_can_do_what_it_says_and_no_more(runner: Any) -> None:
    package = read_package(to_archive(FILES))
    http = client()
    made = to_provider(package.manifest, package.manifest.models[0], to_code(package), runner, http)
    assert issubclass(made, ChatModel)
    assert not issubclass(made, EmbeddingModel | RerankModel)
    assert made(context()).model_schema("another") is None
    with pytest.raises(ModelUnavailable, match="no model 'another'"):
        ask(made(context()), "hello", "another")


@pytest.mark.parametrize(
    ("question", "fault"),
    [("crash", r"ended within the call \(exit code 7\)"), ("hang", "no answer in time")],
)
def test_plugin_that_crashes_or_hangs_fails_that_call_and_no_other(
    runner: Any, question: str, fault: str
) -> None:
    with ScriptedServer(Reply.of_events(*OpenAIWire().text("well"))) as server:
        patient = make_vendor(runner)(context(base_url=server.url, api_key="k" * 9))
        patient.check_credentials()
        patience = Timeouts(connect_s=20, first_byte_s=0.5, idle_s=0.5) if question == "hang" else PATIENCE
        provider = make_vendor(runner)(context(patience, base_url=server.url, api_key="k" * 9))
        with pytest.raises(CompletionFailed, match=fault):
            ask(provider, question)
        assert ask(patient, "print") == "well"


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ([{"type": "stream", "data": {"delta": 7}}], CompletionFailed),
        ([{"type": "stream", "data": {"delta": {"message": {"content": 7}}}}], CompletionFailed),
        ([{"type": "stream", "data": {"text": "hi"}}], CompletionFailed),
        ([{"type": "end", "data": {}}], CompletionFailed),
        ([{"type": "error", "data": {}}], CompletionFailed),
        (
            [{"type": "error", "data": {"error_type": "InvokeRateLimitError", "message": "x"}}],
            RetryableFailure,
        ),
        (
            [{"type": "error", "data": {"error_type": "InvokeBadRequestError", "message": "x"}}],
            CompletionFailed,
        ),
        ([{"type": "error", "data": {"status": 404, "message": "x"}}], ModelUnavailable),
        ([{"type": "error", "data": {"status": 402, "message": "x"}}], QuotaExceeded),
        ([{"type": "error", "data": {"error_type": "HTTPFailed", "message": "x"}}], CompletionFailed),
    ],
)
def test_what_a_plugin_says_is_believed_only_in_its_shape(
    runner: Any, told: list[JSONObject], fault: type[Exception]
) -> None:
    package = read_package(to_archive(FILES))
    http = client()
    made = to_provider(package.manifest, package.manifest.models[0], to_code(package), runner, http)
    with pytest.raises(fault):
        ask(made(context()), json.dumps(told), "m")


def test_calls_of_a_plugin_s_models_are_counted_at_their_price(runner: Any) -> None:
    made, tab = make_vendor(runner), Tab()
    with ScriptedServer(Reply.of_events(*OpenAIWire().text("a", "b"))) as server:
        credentials = {"base_url": server.url, "api_key": "k" * 9}
        resolved = ResolvedModel(
            credentials=credentials, is_quota_ok=True, report=list[bool]().append, make=made
        )
        http = client(allow_private=True)
        models = ModelRuntime(lambda _tenant, _ref: resolved, http, InlineOffload(), book=tab)
        request = ChatRequest(model="chat-1", messages=(Message.of(Role.USER, "hello"),))
        ref = ModelRef(made.schema.id, "chat-1")
        assert fold(models.chat("t", ref, request, Cancel(20))).text == "ab"
    (spent,) = tab.take()
    assert (spent.ref, spent.prompt_tokens, spent.completion_tokens) == (ref, 7, 3)
    assert (spent.total_price, spent.currency) == (Decimal("0.000044"), "USD")


def test_plugin_reaches_no_host_it_did_not_ask_for(runner: Any) -> None:
    with ScriptedServer(Reply()) as server:
        provider = make_vendor(runner)(context(base_url=server.url, api_key="k" * 9))
        with pytest.raises(EgressDenied, match="did not ask to call"):
            ask(provider, "leak")
        assert server.seen == []


def test_template_brings_a_model(runner: Any) -> None:
    package = read_package(pack(OWN / "template"))
    http = client()
    made = to_provider(package.manifest, package.manifest.models[0], to_code(package), runner, http)
    provider = made(context())
    provider.check_credentials()
    assert ask(provider, "one two three", "parrot-1") == "one two three "
