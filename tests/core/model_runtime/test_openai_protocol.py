import base64
import json
import struct
from collections.abc import Iterable, Iterator

import orjson
import pytest

from api.core.http import ConnectionBroken
from api.core.model_runtime.openai_models import adapt_to_model, describe_model
from api.core.model_runtime.openai_protocol import (
    api_root,
    chat_body,
    embeddings_body,
    read_chat,
    read_embeddings,
)
from api.core.model_runtime.runtime import Answer, fold
from api.core.model_runtime.types import (
    SILENCE,
    CallPiece,
    ChatChunk,
    ChatRequest,
    ImagePart,
    Message,
    ModelType,
    Role,
    TextPart,
    TokenCount,
    ToolCall,
    ToolSpec,
)
from api.core.model_runtime.upstream import Refused
from api.core.ports import JSONValue
from api.errors import CompletionFailed, InvalidRequest

USER = Message.of(Role.USER, "hi")


def make_request(**values: object) -> ChatRequest:
    return ChatRequest(**{"model": "m", "messages": (USER,), **values})  # type: ignore[arg-type]  # a table's values


def data(frame: object) -> bytes:
    return b"data: " + orjson.dumps(frame)


def delta(finish: str | None = None, **values: object) -> bytes:
    return data({"choices": [{"index": 0, "delta": values, "finish_reason": finish}]})


def apart(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Give each line as one that came alone."""
    for line in lines:
        yield [line]


def read(*lines: bytes) -> Answer:
    return fold(read_chat(apart(lines)))


# Bodies


def test_chat_body_plain_request_streams_and_asks_for_usage() -> None:
    assert chat_body(make_request()) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_chat_body_known_parameters_are_sent_others_are_not() -> None:
    parameters: dict[str, JSONValue] = {
        "temperature": 0,
        "max_tokens": 5,
        "top_p": None,
        "seed": "",
        "stream": False,
    }
    body = chat_body(make_request(parameters=parameters, stop=("END",), user="u1"))
    assert {k: v for k, v in body.items() if k not in ("model", "messages", "stream_options")} == {
        "stream": True,
        "temperature": 0,
        "max_tokens": 5,
        "stop": ["END"],
        "user": "u1",
    }


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"response_format": "text"}, None),
        ({"response_format": ""}, None),
        ({"response_format": "json_object"}, {"type": "json_object"}),
        ({"response_format": {"type": "x"}}, {"type": "x"}),
        (
            {"response_format": "json_schema", "json_schema": '{"name":"n"}'},
            {"type": "json_schema", "json_schema": {"name": "n"}},
        ),
        (
            {"response_format": "json_schema", "json_schema": {"name": "n"}},
            {"type": "json_schema", "json_schema": {"name": "n"}},
        ),
    ],
)
def test_chat_body_response_format_takes_the_wires_shape(parameters: object, expected: object) -> None:
    assert chat_body(make_request(parameters=parameters)).get("response_format") == expected


def test_chat_body_schema_that_is_not_json_is_refused() -> None:
    parameters = {"response_format": "json_schema", "json_schema": "{"}
    with pytest.raises(InvalidRequest) as refused:
        chat_body(make_request(parameters=parameters))
    assert refused.value.field == "json_schema"


def test_chat_body_images_tools_and_results_take_the_wires_shape() -> None:
    call = ToolCall(id="c1", name="f", arguments='{"a":1}')
    messages = (
        Message(
            role=Role.USER,
            parts=(
                TextPart("see"),
                ImagePart(mime_type="image/png", data=b"\x89P", detail="low"),
                ImagePart(mime_type="image/png", url="https://example.org/i.png"),
            ),
        ),
        Message(role=Role.ASSISTANT, parts=(), tool_calls=(call,)),
        Message(role=Role.TOOL, parts=(TextPart("1"),), tool_call_id="c1"),
    )
    tool = ToolSpec(name="f", description="d", parameters={"type": "object"})
    body = chat_body(make_request(messages=messages, tools=(tool,)))
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "see"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVA=", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://example.org/i.png", "detail": "high"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
            ],
        },
        {"role": "tool", "content": "1", "tool_call_id": "c1"},
    ]
    function = {"name": "f", "description": "d", "parameters": {"type": "object"}}
    assert body["tools"] == [{"type": "function", "function": function}]


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        ("gpt-4o", {"temperature", "max_tokens", "stop"}),
        ("gpt-5-chat-latest", {"temperature", "max_tokens", "stop"}),
        ("gpt-6.2-sol", {"max_completion_tokens", "reasoning_effort"}),
        ("o3-mini", {"max_completion_tokens", "reasoning_effort"}),
        ("gpt-10", {"max_completion_tokens", "reasoning_effort"}),
    ],
)
def test_adapt_to_model_keeps_what_the_model_takes(model: str, kept: set[str]) -> None:
    parameters = {"temperature": 1, "max_tokens": 9, "reasoning_effort": "low", "top_k": 3}
    body = adapt_to_model(chat_body(make_request(parameters=parameters, stop=("x",))), model)
    assert set(body) - {"model", "messages", "stream", "stream_options"} == kept


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://h:1", "http://h:1/v1"),
        ("http://h:1/", "http://h:1/v1"),
        (" http://h:1/v1/ ", "http://h:1/v1"),
        ("http://h:1/v1/chat/completions", "http://h:1/v1"),
        ("https://h/api/paas/v4/chat/completions/", "https://h/api/paas/v4"),
        ("https://h/v1beta/openai", "https://h/v1beta/openai"),
    ],
)
def test_api_root_forgives_many_spellings(url: str, root: str) -> None:
    assert api_root(url) == root


def test_describe_model_unknown_names_are_guessed() -> None:
    assert describe_model("gpt-9").type is ModelType.LLM
    assert describe_model("text-embedding-9").type is ModelType.TEXT_EMBEDDING
    assert describe_model("dep", like="gpt-4o").model == "dep"
    assert describe_model("dep", like="gpt-4o").price == describe_model("gpt-4o").price


# Streams


def test_read_chat_usage_in_the_last_frame_or_after_it() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage}
    expected = TokenCount(prompt_tokens=3, completion_tokens=2)
    assert read(delta(content="a"), data(last), b"data: [DONE]").tokens == expected
    after = data({"choices": [], "usage": usage})
    assert read(delta(content="a"), delta("stop"), after, b"data: [DONE]").tokens == expected
    assert read(delta(content="a"), delta("stop"), b"data: [DONE]").tokens is None


def test_read_chat_done_missing_is_forgiven_after_a_finish_reason_only() -> None:
    assert read(delta(content="a"), delta("length")).finish_reason == "length"
    with pytest.raises(CompletionFailed, match="ended before"):
        read(delta(content="a"))
    with pytest.raises(CompletionFailed, match="ended before"):
        read()


def test_read_chat_done_without_finish_reason_is_a_stop() -> None:
    assert read(delta(content="a"), b"data: [DONE]").finish_reason == "stop"


def test_read_chat_nothing_is_read_after_done() -> None:
    assert read(delta(content="a"), delta("stop"), b"data: [DONE]", b"data: {broken").text == "a"


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_read_chat_reasoning_fields_and_tags_are_told_apart_from_the_answer(key: str) -> None:
    answer = read(
        delta(**{key: "hm "}),
        delta(content="<thi"),
        delta(content="nk>so</think>\n"),
        delta("stop", content="4"),
    )
    assert (answer.text, answer.reasoning) == ("4", "hm so")


def test_read_chat_held_back_text_comes_with_the_end() -> None:
    assert read(delta(content="<thi"), delta("stop")).text == "<thi"


def test_read_chat_content_in_parts_and_other_choices() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, {"type": "other"}]
    assert read(delta(content=parts), delta("stop")).text == "ab"


def test_read_chat_comments_fields_and_blank_lines_are_skipped() -> None:
    lines = (b": ping", b"", b"event: message", b"id: 1", b"retry: 5", delta("stop", content="a"))
    assert read(*lines).text == "a"


@pytest.mark.parametrize(
    "lines",
    [
        (delta(role="assistant", content=""),),
        (delta(content=None),),
        (data({"choices": []}),),
        (delta(content="<thi"),),
        (b": ping", b"", b": ping"),
        (b"", b"", b""),
        (b"event: message", b"id: 1", b"retry: 5"),
    ],
)
def test_read_chat_lines_that_say_nothing_are_told_as_silence(lines: tuple[bytes, ...]) -> None:
    chunks = read_chat([[*lines, delta("stop", content="a"), b"data: [DONE]"]])
    assert next(chunks) == SILENCE


def test_read_chat_framing_of_frames_is_no_silence() -> None:
    lines = (b"event: message", delta(content="a"), b"", b"event: message", delta(content="b"), b"")
    chunks = list(read_chat([[*lines, b"data: [DONE]"]]))
    assert [chunk.text for chunk in chunks] == ["a", "b", ""]


def test_read_chat_pieces_of_a_tool_call_are_told_before_the_call() -> None:
    head = {"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}
    piece = {"index": 0, "function": {"arguments": '{"x":1}'}}
    lines = (delta(tool_calls=[head]), delta(tool_calls=[piece], content="so"), delta("stop"))
    chunks = list(read_chat([lines]))
    call = ToolCall(id="c", name="f", arguments='{"x":1}')
    assert chunks[:2] == [CallPiece(chars=65), CallPiece(text="so", chars=7)]
    assert chunks[-1].tool_calls == (call,)


def test_read_chat_whole_answer_is_silence_while_it_comes() -> None:
    lines = json.dumps({"choices": [{"message": {"content": "whole"}}]}, indent=2).encode().split(b"\n")
    chunks = list(read_chat([lines]))
    assert [chunk.text for chunk in chunks if chunk != SILENCE] == ["whole", ""]
    assert len(chunks) > len(lines)


@pytest.mark.parametrize("indent", [None, 2])
def test_read_chat_whole_json_answer_is_accepted(indent: int | None) -> None:
    function = {"name": "f", "arguments": {"a": 1}}
    message = {"role": "assistant", "content": "whole", "tool_calls": [{"id": "c", "function": function}]}
    body = {
        "choices": [{"message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
    answer = read(*json.dumps(body, indent=indent).encode().split(b"\n"))
    assert answer == Answer(
        text="whole",
        reasoning="",
        tool_calls=(ToolCall(id="c", name="f", arguments='{"a":1}'),),
        tokens=TokenCount(prompt_tokens=1, completion_tokens=2),
        finish_reason="tool_calls",
    )


def test_read_chat_whole_json_answer_without_text_is_accepted() -> None:
    answer = read(b'{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}')
    assert (answer.text, answer.finish_reason) == ("", "stop")


def test_read_chat_page_of_html_fails() -> None:
    with pytest.raises(CompletionFailed):
        read(b"<html>", b"</html>")


def test_read_chat_endless_answer_without_frames_fails() -> None:
    def lines() -> Iterator[bytes]:
        yield b"{"
        while True:
            yield b" " * 1_000_000

    with pytest.raises(CompletionFailed, match="larger"):
        list(read_chat(apart(lines())))


def test_read_chat_parallel_tool_calls_keep_their_order_and_arguments() -> None:
    def call(index: int | None, call_id: str | None, name: str | None, arguments: object) -> bytes:
        piece = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
        return delta(tool_calls=[{k: v for k, v in piece.items() if v is not None}])

    answer = read(
        call(0, "a", "f", '{"x"'),
        call(1, "b", "g", ""),
        call(0, None, None, ":1}"),
        call(1, None, None, '{"y":2}'),
        delta("tool_calls"),
    )
    assert answer.tool_calls == (
        ToolCall(id="a", name="f", arguments='{"x":1}'),
        ToolCall(id="b", name="g", arguments='{"y":2}'),
    )
    repeated = read(call(0, "a", "f", "{}"), call(0, "b", "g", "{}"), delta("tool_calls"))
    assert [found.id for found in repeated.tool_calls] == ["a", "b"]
    bare = read(call(None, None, "f", None), b"data: [DONE]")
    assert bare.tool_calls == (ToolCall(id="call_0", name="f", arguments="{}"),)
    assert bare.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "line", [b"data: {", b"data: 7", b"data: []", b'data: {"choices": 7}', b'data: {"choices": {"a": 1}}']
)
def test_read_chat_frame_of_another_shape_fails(line: bytes) -> None:
    with pytest.raises(CompletionFailed):
        read(line)


def test_read_chat_error_frame_tells_status_and_whether_text_came() -> None:
    error = data({"error": {"message": "busy", "code": 503}})
    with pytest.raises(Refused) as early:
        read(delta(role="assistant", content=""), error)
    with pytest.raises(Refused) as late:
        read(delta(content="a"), error)
    assert (early.value.status, early.value.is_midway, late.value.is_midway) == (503, False, True)
    with pytest.raises(Refused) as silent:
        read(data({"error": {}}), data({"error": True}))
    assert silent.value.message


# Embeddings


def test_embeddings_body_lists_the_texts() -> None:
    assert embeddings_body("m", ("a", "b")) == {"model": "m", "input": ["a", "b"]}


def test_read_embeddings_numbers_and_base64_give_the_same() -> None:
    packed = base64.b64encode(struct.pack("<2f", 3.0, 4.0)).decode()
    for embedding in ([3.0, 4.0], packed):
        found = read_embeddings(orjson.dumps({"data": [{"index": 0, "embedding": embedding}]}), 1)
        assert list(found.vectors[0]) == pytest.approx([0.6, 0.8])
        assert found.tokens == TokenCount()


@pytest.mark.parametrize("embedding", [[0.0, 0.0], [], "!!!", "AAA=", {"a": 1}, None, ["x"], "AADAfw=="])
def test_read_embeddings_vector_without_direction_fails(embedding: object) -> None:
    with pytest.raises(CompletionFailed):
        read_embeddings(orjson.dumps({"data": [{"index": 0, "embedding": embedding}]}), 1)


def test_chunks_of_a_stream_carry_the_end_only_last() -> None:
    chunks = list(read_chat([[delta(content="a"), delta("stop"), b"data: [DONE]"]]))
    assert chunks == [ChatChunk(text="a"), SILENCE, ChatChunk(finish_reason="stop")]


# What came together


WORDS = [delta(content="Hello "), b"", delta(content="world"), b""]


def test_read_chat_what_came_together_may_be_told_as_one() -> None:
    groups = [[delta(role="assistant"), b"", *WORDS], [delta(content="!"), delta("stop"), b"data: [DONE]"]]
    assert [chunk.text for chunk in read_chat(groups) if chunk.text] == ["Hello ", "world", "!"]
    assert [chunk.text for chunk in read_chat(groups, joins=True) if chunk.text] == ["Hello world", "!"]
    assert fold(read_chat(groups, joins=True)) == fold(read_chat(groups))


def test_read_chat_joined_keeps_reasoning_calls_and_tokens() -> None:
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    frames = [delta(reasoning="Hm, "), delta(reasoning="so."), delta(content="Yes"), delta(tool_calls=[call])]
    usage = data({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}})
    groups = [[*frames, usage, delta("stop"), b"data: [DONE]"]]
    first = next(chunk for chunk in read_chat(groups, joins=True) if chunk is not SILENCE)
    assert (first.text, first.reasoning) == ("Yes", "Hm, so.")
    assert isinstance(first, CallPiece)
    assert fold(read_chat(groups, joins=True)) == fold(read_chat(groups))


@pytest.mark.parametrize("fault", [b"data: {", data({"error": {"message": "overloaded"}})])
def test_read_chat_joined_tells_what_came_before_a_fault(fault: bytes) -> None:
    told: list[str] = []
    with pytest.raises((CompletionFailed, Refused)):
        told.extend(chunk.text for chunk in read_chat([[*WORDS, fault]], joins=True))
    assert told == ["Hello world"]


def test_read_chat_joined_tells_what_came_before_the_connection_broke() -> None:
    def groups() -> Iterator[list[bytes]]:
        yield [*WORDS, b"no frame"]  # the rest of a whole answer is waited for
        raise ConnectionBroken("gone")

    told: list[str] = []
    with pytest.raises(ConnectionBroken):
        told.extend(chunk.text for chunk in read_chat(groups(), joins=True) if chunk.text)
    assert told == ["Hello world"]


def test_read_chat_joined_whole_answer_is_silence_while_it_comes() -> None:
    lines = orjson.dumps({"choices": [{"message": {"content": "Hi"}}]}, option=orjson.OPT_INDENT_2).split(
        b"\n"
    )
    chunks = list(read_chat(apart(lines), joins=True))
    assert chunks[0] is SILENCE
    assert fold(iter(chunks)).text == "Hi"
