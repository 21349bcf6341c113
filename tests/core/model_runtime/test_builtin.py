import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.core.egress import EgressPolicy
from api.core.http import Cancelled, HTTPClient, Timeouts
from api.core.model_runtime.prompt_tokens import count_messages
from api.core.model_runtime.provider import PROVIDERS, ChatModel, EmbeddingModel, ProviderContext
from api.core.model_runtime.providers.builtin import CHAT_MODEL, EMBEDDING_MODEL, BuiltinProvider
from api.core.model_runtime.types import (
    FREE,
    ChatChunk,
    ChatRequest,
    EmbedKind,
    ImagePart,
    Message,
    ModelType,
    Role,
    TextPart,
    ToolCall,
    ToolSpec,
)
from api.core.ports import Cancel, JSONValue
from api.core.text.tokens import count_tokens, to_valid
from api.errors import CompletionFailed, InvalidRequest, ModelUnavailable

T = TypeVar("T")

CONTEXT = "The warranty of the R2 robot lasts two years. 保修期为两年，包含电池😀。Parcels leave on Mondays."
QUESTION = "How long does the warranty last?"
ANSWER = "Quoted from the given context:\n\n> The warranty of the R2 robot lasts two years."
ANY_TEXT = st.text(st.characters() | st.characters(categories=["Cs"]))


class InlineOffload:
    """Runs the work where it is asked for, or says it took too long."""

    def __init__(self, *, is_busy: bool = False) -> None:
        self.calls = 0
        self._is_busy = is_busy

    def call(self, fn: Callable[..., T], *args: object, timeout_s: float) -> T:
        self.calls += 1
        if self._is_busy:
            raise TimeoutError(timeout_s)
        return fn(*args)


def make_provider(offload: InlineOffload | None = None) -> BuiltinProvider:
    http = HTTPClient(EgressPolicy(), Timeouts(connect_s=1, first_byte_s=1, idle_s=1))
    return BuiltinProvider(ProviderContext(credentials={}, http=http, offload=offload or InlineOffload()))


def make_request(
    question: str = QUESTION,
    *,
    model: str = CHAT_MODEL,
    parameters: dict[str, JSONValue] | None = None,
    stop: tuple[str, ...] = (),
    tools: tuple[ToolSpec, ...] = (),
) -> ChatRequest:
    messages = (Message.of(Role.SYSTEM, CONTEXT), Message.of(Role.USER, question))
    return ChatRequest(model=model, messages=messages, parameters=parameters or {}, stop=stop, tools=tools)


def run_chat(request: ChatRequest) -> list[ChatChunk]:
    return list(make_provider().chat(request, Cancel()))


def join_text(chunks: list[ChatChunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def test_builtin_provider_is_registered_and_needs_no_credentials() -> None:
    provider = make_provider()
    provider.check_credentials()

    assert PROVIDERS["builtin"] is BuiltinProvider
    assert not provider.schema.needs_credentials
    assert provider.schema.long_id == "slipway/builtin/builtin"
    assert isinstance(provider, ChatModel)
    assert isinstance(provider, EmbeddingModel)


def test_builtin_schema_name_says_that_it_quotes() -> None:
    schema = BuiltinProvider.schema

    assert "does not generate" in schema.label
    assert "不生成" in schema.label_zh
    assert schema.model_types == (ModelType.LLM, ModelType.TEXT_EMBEDDING)


def test_model_schema_known_and_unknown_name_gives_schema_and_none() -> None:
    provider = make_provider()
    chat, embedding = provider.model_schema(CHAT_MODEL), provider.model_schema(EMBEDDING_MODEL)

    assert chat is not None
    assert (chat.type, chat.context_tokens, chat.price) == (ModelType.LLM, 32_768, FREE)
    assert embedding is not None
    assert (embedding.type, embedding.context_tokens, embedding.max_chunks) == (
        ModelType.TEXT_EMBEDDING,
        512,
        32,
    )
    assert provider.model_schema("gpt-4o") is None


def test_chat_question_streams_token_by_token_with_true_counts() -> None:
    request = make_request()

    *deltas, last = run_chat(request)

    assert join_text(deltas) == ANSWER
    assert len(deltas) == count_tokens(ANSWER)
    assert last.finish_reason == "stop"
    assert last.tokens is not None
    assert last.tokens.prompt_tokens == count_messages(request.messages, CHAT_MODEL)
    assert last.tokens.completion_tokens == count_tokens(ANSWER)
    assert not last.tokens.is_estimate


@settings(deadline=None)
@given(ANY_TEXT)
def test_chat_any_question_gives_valid_text_and_matching_counts(question: str) -> None:
    *deltas, last = run_chat(make_request(question))

    text = join_text(deltas)
    assert text == to_valid(text) != ""
    assert last.tokens is not None
    assert last.tokens.completion_tokens == count_tokens(text)


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=60))
def test_chat_max_tokens_cuts_the_answer_at_a_token(max_tokens: int) -> None:
    *deltas, last = run_chat(make_request("保修期多长？", parameters={"max_tokens": max_tokens}))

    whole = join_text(run_chat(make_request("保修期多长？")))
    assert "😀" in whole
    assert whole.startswith(join_text(deltas))
    assert last.tokens is not None
    assert last.tokens.completion_tokens <= max_tokens
    assert last.finish_reason == ("stop" if join_text(deltas) == whole else "length")
    assert last.finish_reason == ("stop" if count_tokens(whole) <= max_tokens else "length")


@pytest.mark.parametrize("max_tokens", [0, -1, 1.5, "9", True])
def test_chat_max_tokens_of_a_wrong_kind_raises_invalid_request(max_tokens: JSONValue) -> None:
    with pytest.raises(InvalidRequest) as caught:
        run_chat(make_request(parameters={"max_tokens": max_tokens}))

    assert caught.value.field == "max_tokens"


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        (("\n\n",), "Quoted from the given context:"),
        (("years", "given"), "Quoted from the "),
        (("Quoted",), ""),
        (("absent", ""), ANSWER),
    ],
)
def test_chat_stop_word_ends_the_answer_before_it(stop: tuple[str, ...], text: str) -> None:
    chunks = run_chat(make_request(stop=stop))

    assert join_text(chunks) == text
    assert chunks[-1].finish_reason == "stop"


def test_chat_tuning_knobs_change_nothing() -> None:
    parameters: dict[str, JSONValue] = {"temperature": 2, "top_p": 0.1, "response_format": "text"}

    assert run_chat(make_request(parameters=parameters)) == run_chat(make_request())


def test_chat_cancelled_between_tokens_ends_without_a_last_chunk() -> None:
    cancel = Cancel()
    stream = make_provider().chat(make_request(), cancel)

    first = next(stream)
    cancel.set()

    assert first.text == "Quoted"
    assert list(stream) == []


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (make_request(model="gpt-4o"), "no chat model 'gpt-4o'"),
        (make_request(parameters={"response_format": "json_object"}), "cannot answer in JSON"),
        (make_request(parameters={"response_format": {"type": "json_schema"}}), "cannot answer in JSON"),
    ],
)
def test_chat_feature_it_lacks_raises_model_unavailable(request_: ChatRequest, reason: str) -> None:
    with pytest.raises(ModelUnavailable, match=reason):
        run_chat(request_)


CLOCK = ToolSpec(name="current_time", description="", parameters={"properties": {}, "required": []})
SUMS = ToolSpec(name="eval_expression", description="", parameters={"required": ["expression"]})
PAGES = ToolSpec(name="pages", description="", parameters={"required": ["query"]})
MAIL = ToolSpec(name="send_mail", description="", parameters={"required": ["to", "text"]})


@pytest.mark.parametrize(
    ("question", "tools", "called"),
    [
        ("What time is it?", (SUMS, CLOCK), ("current_time", {})),
        ("What is (17 + 4) * 2?", (CLOCK, SUMS), ("eval_expression", {"expression": "(17 + 4) * 2"})),
        ("6 × 7 等于多少？", (SUMS,), ("eval_expression", {"expression": "6 * 7"})),
        ("Work out (3 + 4.5 please", (SUMS,), ("eval_expression", {"expression": "3 + 4.5"})),
        ("Who wrote Faust?", (SUMS, CLOCK, PAGES), ("pages", {"query": "Who wrote Faust?"})),
        ("Was 2026-11-26 a Monday?", (SUMS, CLOCK), None),
        ("Who wrote Faust?", (SUMS, CLOCK, MAIL), None),
        ("Send mail to Ann.", (MAIL,), None),
    ],
)
def test_chat_calls_the_tool_a_question_plainly_asks_for(
    question: str, tools: tuple[ToolSpec, ...], called: tuple[str, dict[str, str]] | None
) -> None:
    asked = make_request(question, tools=tools)
    chunks = run_chat(asked)
    calls = [call for chunk in chunks for call in chunk.tool_calls]
    text = "".join(chunk.text for chunk in chunks)

    assert [(call.name, json.loads(call.arguments)) for call in calls] == ([called] if called else [])
    assert bool(text) is (called is None)
    assert chunks[-1].tokens is not None
    assert chunks[-1].tokens.completion_tokens > 0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("42", "The tool gave:\n\n> 42"),
        (
            f"{'Parcels leave on Mondays. ' * 20}The warranty lasts two years.",
            "The tool gave:\n\n> The warranty lasts two years.",
        ),
        ("Parcels leave on Mondays. " * 20, "Nothing in the given context answers this."),
    ],
)
def test_chat_quotes_what_a_tool_gave_and_calls_no_more(given: str, told: str) -> None:
    asked = make_request(tools=(CLOCK, PAGES))
    call = ToolCall(id="c", name="pages", arguments="{}")
    turn = Message(role=Role.ASSISTANT, parts=(), tool_calls=(call,))
    result = Message(role=Role.TOOL, parts=(TextPart(given),), tool_call_id="c")
    chunks = run_chat(replace(asked, messages=(*asked.messages, turn, result)))

    assert "".join(chunk.text for chunk in chunks) == told
    assert not any(chunk.tool_calls for chunk in chunks)


def test_chat_image_in_the_prompt_raises_model_unavailable() -> None:
    parts = (TextPart("What is this?"), ImagePart(mime_type="image/png", data=b"x"))
    request = ChatRequest(model=CHAT_MODEL, messages=(Message(role=Role.USER, parts=parts),))

    with pytest.raises(ModelUnavailable, match="cannot see images"):
        run_chat(request)


def test_chat_prompt_above_the_context_raises_completion_failed() -> None:
    with pytest.raises(CompletionFailed, match="reads at most 32768"):
        run_chat(make_request("word " * 40_000))


def test_embed_texts_give_unit_vectors_in_order_and_their_tokens() -> None:
    offload = InlineOffload()
    texts = ["refunds take thirty days", "", "机器人"]

    together = make_provider(offload).embed(EMBEDDING_MODEL, texts, EmbedKind.PASSAGE, Cancel())

    apart = [make_provider().embed(EMBEDDING_MODEL, [text], EmbedKind.PASSAGE, Cancel()) for text in texts]
    assert together.vectors == [one.vectors[0] for one in apart]
    assert together.tokens.prompt_tokens == sum(one.tokens.prompt_tokens for one in apart)
    assert all(math.hypot(*vector) == pytest.approx(1.0, abs=1e-5) for vector in together.vectors)
    assert offload.calls == len(texts)


def test_embed_no_texts_gives_no_vectors() -> None:
    embeddings = make_provider().embed(EMBEDDING_MODEL, [], EmbedKind.QUERY, Cancel())

    assert (list(embeddings.vectors), embeddings.tokens.prompt_tokens) == ([], 0)


def test_embed_unknown_model_raises_model_unavailable() -> None:
    with pytest.raises(ModelUnavailable, match="no embedding model 'ada'"):
        make_provider().embed("ada", ["x"], EmbedKind.QUERY, Cancel())


def test_embed_busy_machine_raises_completion_failed() -> None:
    with pytest.raises(CompletionFailed, match="within 60 s"):
        make_provider(InlineOffload(is_busy=True)).embed(EMBEDDING_MODEL, ["x"], EmbedKind.QUERY, Cancel())


def test_embed_cancelled_run_embeds_no_more() -> None:
    offload = InlineOffload()
    cancel = Cancel()
    cancel.set()

    with pytest.raises(Cancelled):
        make_provider(offload).embed(EMBEDDING_MODEL, ["x"], EmbedKind.QUERY, cancel)

    assert offload.calls == 0
