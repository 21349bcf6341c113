"""What is particular to one vendor; what all promise is in tests/contracts/test_providers.py."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from api.core.egress import EgressPolicy
from api.core.http import HTTPClient, Timeouts
from api.core.model_runtime import providers  # noqa: F401  # fills PROVIDERS
from api.core.model_runtime.provider import (
    PROVIDERS,
    ChatModel,
    EmbeddingModel,
    ModerationModel,
    Provider,
    ProviderContext,
    RerankModel,
    RetryableFailure,
)
from api.core.model_runtime.runtime import Answer, fold
from api.core.model_runtime.types import (
    FREE,
    ChatRequest,
    EmbedKind,
    ImagePart,
    Message,
    ModelType,
    Role,
    Score,
    TextPart,
    TokenCount,
    ToolCall,
    ToolSpec,
)
from api.core.ports import Cancel, JSONObject, JSONValue
from api.errors import CompletionFailed, InvalidRequest, ModelUnavailable
from tests.servers import Reply, ScriptedServer, Seen
from tests.vendors import SECRET, AnthropicWire, InlineOffload, OpenAIWire


@dataclass
class Vendor:
    """A scripted server, and providers pointed at it."""

    server: ScriptedServer
    http: HTTPClient

    def make(self, provider_id: str, credentials: Mapping[str, str]) -> Provider:
        filled = {name: value.replace("URL", self.server.url) for name, value in credentials.items()}
        context = ProviderContext(credentials=filled, http=self.http, offload=InlineOffload())
        return PROVIDERS[provider_id](context)

    def chat(self, provider: Provider, model: str, **values: object) -> Answer:
        assert isinstance(provider, ChatModel)
        given = {"messages": (Message.of(Role.USER, "hi"),), **values}
        return fold(provider.chat(ChatRequest(model=model, **given), Cancel(30)))  # type: ignore[arg-type]  # a test's values

    @property
    def seen(self) -> Seen:
        return self.server.seen[-1]


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    timeouts = Timeouts(connect_s=20, first_byte_s=20, idle_s=20)
    with (
        ScriptedServer(Reply()) as server,
        contextlib.closing(HTTPClient(EgressPolicy(allow_private=True), timeouts)) as http,
    ):
        server.then(Reply.of_events(*OpenAIWire().text("ok")))
        yield Vendor(server, http)


OPENAI = {"openai_api_key": f" {SECRET}\n", "openai_api_base": "URL"}
AZURE = {"openai_api_base": "URL/openai/", "openai_api_key": SECRET}
ANTHROPIC = {"anthropic_api_key": SECRET, "anthropic_api_url": "URL/v1/"}


# OpenAI


def test_openai_path_key_and_organization(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-the-server")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-the-server")
    provider = vendor.make("openai", OPENAI)
    vendor.chat(provider, "gpt-4o")
    assert (vendor.seen.method, vendor.seen.target) == ("POST", "/v1/chat/completions")
    assert vendor.seen.headers["authorization"] == f"Bearer {SECRET}"
    assert not {"openai-organization", "openai-project"} & set(vendor.seen.headers)
    vendor.chat(vendor.make("openai", {**OPENAI, "openai_organization": "org-1"}), "gpt-4o")
    assert vendor.seen.headers["openai-organization"] == "org-1"


def test_openai_key_given_with_blank_space_is_scrubbed_as_it_was_sent(vendor: Vendor) -> None:
    vendor.server.then(Reply.of_json(OpenAIWire().error(f"bad key {SECRET}"), 400))
    with pytest.raises(CompletionFailed, match=r"^bad key \*\*\*$"):
        vendor.chat(vendor.make("openai", OPENAI), "gpt-4o")


def test_openai_reasoning_model_gets_no_sampling_parameters(vendor: Vendor) -> None:
    parameters: dict[str, JSONValue] = {"temperature": 0.2, "max_tokens": 7}
    vendor.chat(vendor.make("openai", OPENAI), "gpt-6.2-sol", parameters=parameters)
    assert "temperature" not in vendor.seen.json
    assert vendor.seen.json["max_completion_tokens"] == 7


def test_openai_embeddings_are_asked_for_in_base64(vendor: Vendor) -> None:
    provider = vendor.make("openai", OPENAI)
    assert isinstance(provider, EmbeddingModel)
    rows = [{"index": 0, "embedding": "AABAQAAAgEA="}]
    vendor.server.then(Reply.of_json({"data": rows, "usage": {"prompt_tokens": 2}}))
    found = provider.embed("text-embedding-3-small", ["a"], EmbedKind.QUERY, Cancel(30))
    assert list(found.vectors[0]) == pytest.approx([0.6, 0.8])
    assert vendor.seen.json == {
        "model": "text-embedding-3-small",
        "input": ["a"],
        "encoding_format": "base64",
    }


def test_openai_tells_what_must_not_be_said(vendor: Vendor) -> None:
    provider = vendor.make("openai", OPENAI)
    assert isinstance(provider, ModerationModel)
    for flags, is_flagged in (([False], False), ([False, True], True)):
        vendor.server.then(Reply.of_json({"results": [{"flagged": flag} for flag in flags]}))
        assert provider.moderate("omni-moderation-latest", "some text", Cancel(30)) is is_flagged
    assert (vendor.seen.method, vendor.seen.target) == ("POST", "/v1/moderations")
    assert vendor.seen.json == {"model": "omni-moderation-latest", "input": "some text"}


@pytest.mark.parametrize("told", [{}, {"results": []}, {"results": [{"flagged": "no"}]}, {"results": [1]}])
def test_openai_moderation_of_another_shape_is_a_failure(vendor: Vendor, told: JSONObject) -> None:
    provider = vendor.make("openai", OPENAI)
    assert isinstance(provider, ModerationModel)
    vendor.server.then(Reply.of_json(told))
    with pytest.raises(CompletionFailed, match="moderation is malformed"):
        provider.moderate("omni-moderation-latest", "some text", Cancel(30))


def test_openai_server_that_does_not_stream_is_understood(vendor: Vendor) -> None:
    body = {"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}
    vendor.server.then(Reply.of_json(body))
    assert vendor.chat(vendor.make("openai", OPENAI), "any").text == "whole"


# Azure


def test_azure_deployment_version_and_key(vendor: Vendor) -> None:
    credentials = {**AZURE, "openai_api_version": "2025-01-01-preview", "base_model_name": "gpt-6.2-sol"}
    provider = vendor.make("azure_openai", credentials)
    vendor.chat(provider, "my dep/1", parameters={"temperature": 0.2})
    path, _, query = vendor.seen.target.partition("?")
    assert path == "/openai/deployments/my%20dep%2F1/chat/completions"
    assert query == "api-version=2025-01-01-preview"
    assert vendor.seen.headers["api-key"] == SECRET
    assert "temperature" not in vendor.seen.json
    schema = provider.model_schema("my dep/1")
    assert schema is not None
    assert (schema.model, schema.context_tokens) == ("my dep/1", 1_050_000)


def test_azure_check_asks_for_models_of_the_default_version(vendor: Vendor) -> None:
    vendor.server.then(Reply.of_json({"data": []}))
    vendor.make("azure_openai", AZURE).check_credentials()
    assert vendor.seen.target == "/openai/models?api-version=2024-10-21"


# OpenAI-compatible


@pytest.mark.parametrize("endpoint", ["URL", "URL/v1", "URL/v1/", "URL/v1/chat/completions"])
def test_compatible_endpoint_spellings_reach_the_same_path(vendor: Vendor, endpoint: str) -> None:
    vendor.chat(vendor.make("openai_api_compatible", {"endpoint_url": endpoint}), "m")
    assert vendor.seen.target == "/v1/chat/completions"
    assert "authorization" not in vendor.seen.headers


@pytest.mark.parametrize("status", [404, 405])
def test_compatible_check_server_without_a_list_of_models_passes(vendor: Vendor, status: int) -> None:
    vendor.server.then(Reply(status=status))
    vendor.make("openai_api_compatible", {"endpoint_url": "URL", "api_key": SECRET}).check_credentials()
    assert vendor.seen.target == "/v1/models"


def test_compatible_model_schema_is_what_the_workspace_says(vendor: Vendor) -> None:
    said = {
        "endpoint_url": "URL",
        "context_size": "32000",
        "max_tokens_to_sample": "2000",
        "vision_support": "support",
        "function_calling_type": "tool_call",
    }
    schema = vendor.make("openai_api_compatible", said).model_schema("m")
    assert schema is not None
    assert (schema.context_tokens, schema.max_output_tokens) == (32_000, 2_000)
    assert {"vision", "tool-call"} <= schema.features
    plain = vendor.make("openai_api_compatible", {"endpoint_url": "URL"}).model_schema("nomic-embed-text")
    assert plain is not None
    assert (plain.type, plain.features, plain.context_tokens) == (
        ModelType.TEXT_EMBEDDING,
        frozenset(),
        4_096,
    )


def test_compatible_feature_not_declared_is_refused_before_the_call(vendor: Vendor) -> None:
    provider = vendor.make(
        "openai_api_compatible", {"endpoint_url": "URL", "function_calling_type": "no_call"}
    )
    tool = ToolSpec(name="f", description="", parameters={})
    image = Message(role=Role.USER, parts=(ImagePart(mime_type="image/png", data=b"x"),))
    with pytest.raises(ModelUnavailable, match="tools"):
        vendor.chat(provider, "m", tools=(tool,))
    with pytest.raises(ModelUnavailable, match="images"):
        vendor.chat(provider, "m", messages=(image,))
    assert vendor.server.seen == []


@pytest.mark.parametrize("size", ["many", "-1", "1e3", "9" * 20, "9" * 5000])
def test_compatible_check_number_that_is_none_is_refused(vendor: Vendor, size: str) -> None:
    provider = vendor.make("openai_api_compatible", {"endpoint_url": "URL", "context_size": size})
    with pytest.raises(InvalidRequest) as refused:
        provider.check_credentials()
    assert refused.value.field == "context_size"


@pytest.mark.parametrize("size", ["9" * 20, "9" * 5000])
def test_compatible_number_too_large_to_tell_counts_as_none(vendor: Vendor, size: str) -> None:
    schema = vendor.make("openai_api_compatible", {"endpoint_url": "URL", "context_size": size}).model_schema(
        "m"
    )
    assert schema is not None
    assert schema.context_tokens == 4_096


def test_compatible_endpoint_without_scheme_is_refused(vendor: Vendor) -> None:
    with pytest.raises(InvalidRequest):
        vendor.make("openai_api_compatible", {"endpoint_url": "localhost:11434"}).check_credentials()


# Anthropic


@pytest.fixture
def claude(vendor: Vendor) -> Provider:
    vendor.server.then(Reply.of_events(*AnthropicWire().text("ok"), done=False))
    return vendor.make("anthropic", ANTHROPIC)


def test_anthropic_path_key_and_defaults(vendor: Vendor, claude: Provider) -> None:
    vendor.chat(claude, "claude-opus-5-5", parameters={"temperature": 0.5, "top_p": 1})
    assert (vendor.seen.method, vendor.seen.target) == ("POST", "/v1/messages")
    assert SECRET in vendor.seen.headers["authorization"]
    assert vendor.seen.json == {
        "model": "claude-opus-5-5",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "stream": True,
    }


def test_anthropic_instructions_alone_are_said_by_the_user(vendor: Vendor, claude: Provider) -> None:
    vendor.chat(claude, "claude-opus-5-5", messages=(Message.of(Role.SYSTEM, "Write a poem."),))

    assert vendor.seen.json["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Write a poem."}]}
    ]
    assert "system" not in vendor.seen.json


def test_anthropic_everything_takes_the_wires_shape(vendor: Vendor, claude: Provider) -> None:
    calls = (ToolCall(id="t1", name="f", arguments='{"a": 1}'), ToolCall(id="t2", name="f", arguments="oops"))
    messages = (
        Message.of(Role.SYSTEM, "one"),
        Message.of(Role.SYSTEM, "two"),
        Message(
            role=Role.USER, parts=(TextPart(" "), ImagePart(mime_type="image/png", url="https://e.org/i"))
        ),
        Message(role=Role.ASSISTANT, parts=(TextPart("I look."),), tool_calls=calls),
        Message(role=Role.TOOL, parts=(TextPart("r1"),), tool_call_id="t1"),
        Message.of(Role.ASSISTANT, ""),
    )
    vendor.chat(
        claude,
        "claude-opus-5-5",
        messages=messages,
        parameters={"max_tokens": 9, "effort": "low"},
        stop=("END",),
        tools=(ToolSpec(name="f", description="d", parameters={"type": "object"}),),
        user="u",
    )
    assert vendor.seen.json == {
        "model": "claude-opus-5-5",
        "stream": True,
        "system": "one\n\ntwo",
        "max_tokens": 9,
        "output_config": {"effort": "low"},
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
        "messages": [
            {
                "role": "user",
                "content": [{"type": "image", "source": {"type": "url", "url": "https://e.org/i"}}],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                    {"type": "tool_use", "id": "t2", "name": "f", "input": {"arguments": "oops"}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "r1"}]},
        ],
    }


def test_anthropic_calls_of_before_are_named_where_no_more_are_to_come(
    vendor: Vendor, claude: Provider
) -> None:
    call = ToolCall(id="t1", name="f", arguments="{}")
    messages = (
        Message.of(Role.USER, "q"),
        Message(role=Role.ASSISTANT, parts=(), tool_calls=(call,)),
        Message(role=Role.TOOL, parts=(TextPart("r"),), tool_call_id="t1"),
    )
    vendor.chat(claude, "claude-opus-5-5", messages=messages)

    assert vendor.seen.json["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert vendor.seen.json["tool_choice"] == {"type": "none"}


def test_anthropic_thinking_is_reasoning_and_cached_tokens_count(vendor: Vendor, claude: Provider) -> None:
    usage = {"input_tokens": 1, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 3}
    events = [
        {"type": "message_start", "message": {"usage": {**usage, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "so"}},
        {"type": "an_event_of_tomorrow"},
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    vendor.server.then(Reply.of_events(*events, done=False))
    assert vendor.chat(claude, "m") == Answer(
        text="so",
        reasoning="hm",
        tool_calls=(),
        tokens=TokenCount(prompt_tokens=6, completion_tokens=9),
        finish_reason="length",
    )


@pytest.mark.parametrize("kind", ["overloaded_error", "rate_limit_error", "api_error"])
def test_anthropic_passing_error_at_the_start_of_a_stream_is_retryable(
    vendor: Vendor, claude: Provider, kind: str
) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "later"}}
    vendor.server.then(Reply.of_events({"type": "message_start", "message": {}}, error, done=False))
    with pytest.raises(RetryableFailure, match="later"):
        vendor.chat(claude, "m")
    vendor.server.then(Reply.of_events(*AnthropicWire().text("half", end=False), error, done=False))
    with pytest.raises(CompletionFailed, match="later"):
        vendor.chat(claude, "m")


def test_anthropic_stream_without_usage_reports_none(vendor: Vendor, claude: Provider) -> None:
    events = [
        {"type": "message_start", "message": {}},
        {"type": "message_delta", "delta": {"stop_reason": "a_reason_of_tomorrow"}},
        {"type": "message_stop"},
    ]
    vendor.server.then(Reply.of_events(*events, done=False))
    answer = vendor.chat(claude, "m")
    assert (answer.tokens, answer.finish_reason) == (None, "a_reason_of_tomorrow")


def test_anthropic_check_lists_one_model(vendor: Vendor, claude: Provider) -> None:
    vendor.server.then(Reply.of_json({"data": []}))
    claude.check_credentials()
    assert vendor.seen.target == "/v1/models?limit=1"


def test_anthropic_unknown_model_is_described_carefully(claude: Provider) -> None:
    schema = claude.model_schema("claude-of-tomorrow")
    assert schema is not None
    assert (schema.context_tokens, schema.price.input) == (200_000, FREE.input)


# Rerankers


def rerank(provider: Provider, texts: list[str], top_n: int = 2) -> list[Score]:
    assert isinstance(provider, RerankModel)
    return provider.rerank("m", "q", texts, top_n, Cancel(30)).scores


def ranking(*scores: float, name: str = "relevance_score") -> list[dict[str, object]]:
    return [{"index": index, name: score} for index, score in enumerate(scores)]


def test_compatible_reranks_below_its_root(vendor: Vendor) -> None:
    vendor.server.then(Reply.of_json({"results": ranking(0.1, 0.9)}))
    rerank(vendor.make("openai_api_compatible", {"endpoint_url": "URL"}), ["a", "b"])
    assert vendor.seen.target == "/v1/rerank"


def test_compatible_tei_wire_has_its_own_path_body_and_answer(vendor: Vendor) -> None:
    vendor.server.then(Reply.of_json(ranking(0.1, 0.9, 0.5, name="score")))
    provider = vendor.make("openai_api_compatible", {"endpoint_url": "URL/v1", "rerank_format": "tei"})
    assert rerank(provider, ["a", "b", "c"]) == [Score(1, 0.9), Score(2, 0.5)]
    assert vendor.seen.target == "/rerank"
    assert vendor.seen.json == {"query": "q", "texts": ["a", "b", "c"], "truncate": True}


def test_rerank_rows_under_data_are_understood(vendor: Vendor) -> None:
    vendor.server.then(Reply.of_json({"data": ranking(0.25, 0.5)}))
    found = rerank(vendor.make("openai_api_compatible", {"endpoint_url": "URL"}), ["a", "b"])
    assert found == [Score(1, 0.5), Score(0, 0.25)]


def test_rerank_bare_logits_become_scores_in_the_same_order(vendor: Vendor) -> None:
    vendor.server.then(Reply.of_json({"results": ranking(-3.0, 1e9, 0.0, -1e9)}))
    found = rerank(vendor.make("openai_api_compatible", {"endpoint_url": "URL"}), ["a", "b", "c", "d"], 4)
    assert [score.index for score in found] == [1, 2, 0, 3]
    assert [score.score for score in found] == pytest.approx([1.0, 0.5, 0.0474, 0.0], abs=1e-4)


@pytest.mark.parametrize("score", ["NaN", '"NaN"', '"inf"', '"high"', "null"])
def test_rerank_score_that_is_no_number_fails(vendor: Vendor, score: str) -> None:
    body = f'{{"results": [{{"index": 0, "relevance_score": {score}}}]}}'
    vendor.server.then(Reply(body=body.encode()))
    with pytest.raises(CompletionFailed, match="malformed"):
        rerank(vendor.make("cohere", {"api_key": SECRET, "base_url": "URL"}), ["a"])


def test_cohere_root_is_found_whatever_version_it_is_given_with(vendor: Vendor) -> None:
    vendor.server.then(Reply.of_json({"results": ranking(0.5)}))
    for base in ("URL", "URL/", "URL/v1", "URL/v2/"):
        rerank(vendor.make("cohere", {"api_key": SECRET, "base_url": base}), ["a"])
        assert vendor.seen.target == "/v2/rerank"


@pytest.mark.parametrize(
    ("provider_id", "model", "key", "words"),
    [
        ("cohere", "embed-v4.0", "input_type", ["search_query", "search_document"]),
        ("jina", "jina-embeddings-v3", "task", ["retrieval.query", "retrieval.passage"]),
        ("jina", "jina-embeddings-v2-base-zh", "task", [None, None]),
    ],
)
def test_embedding_tells_the_side_of_the_search(
    vendor: Vendor, provider_id: str, model: str, key: str, words: list[str | None]
) -> None:
    rows = [{"index": 0, "embedding": [1.0]}]
    vendor.server.then(Reply.of_json({"data": rows, "embeddings": {"float": [[1.0]]}}))
    provider = vendor.make(provider_id, {"api_key": SECRET, "base_url": "URL"})
    assert isinstance(provider, EmbeddingModel)
    told = []
    for kind in (EmbedKind.QUERY, EmbedKind.PASSAGE):
        provider.embed(model, ["a"], kind, Cancel(30))
        told.append(vendor.seen.json.get(key))
    assert told == words


@pytest.mark.parametrize(
    ("provider_id", "model", "kind"),
    [
        ("cohere", "rerank-v9", ModelType.RERANK),
        ("cohere", "embed-v9", ModelType.TEXT_EMBEDDING),
        ("jina", "jina-reranker-v9", ModelType.RERANK),
        ("jina", "jina-embeddings-v9", ModelType.TEXT_EMBEDDING),
        ("openai_api_compatible", "BGE-Reranker-v2-m3", ModelType.RERANK),
        ("openai_api_compatible", "nomic-embed-text", ModelType.TEXT_EMBEDDING),
        ("openai_api_compatible", "llama", ModelType.LLM),
    ],
)
def test_model_of_an_unknown_name_is_guessed_by_it(
    vendor: Vendor, provider_id: str, model: str, kind: ModelType
) -> None:
    found = vendor.make(provider_id, {"api_key": SECRET, "endpoint_url": "URL"}).model_schema(model)
    assert found is not None
    assert (found.type, found.max_chunks > 0) == (kind, kind is not ModelType.RERANK or "BGE" in model)
