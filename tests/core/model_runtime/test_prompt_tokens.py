from api.core.model_runtime.prompt_tokens import (
    TOKENS_PER_IMAGE,
    TOKENS_PER_MESSAGE,
    TOKENS_PER_REPLY,
    TOKENS_PER_TOOL_CALL,
    count_messages,
)
from api.core.model_runtime.types import ImagePart, Message, Role, TextPart, ToolCall
from api.core.text.tokens import count_tokens

GREETING = "hello world"


def test_count_messages_no_messages_counts_the_opening_of_the_answer() -> None:
    assert count_messages([]) == TOKENS_PER_REPLY


def test_count_messages_texts_add_their_tokens_and_a_frame_each() -> None:
    messages = [Message.of(Role.SYSTEM, GREETING), Message.of(Role.USER, "お誕生日おめでとう")]

    assert count_messages(messages, "gpt-4") == TOKENS_PER_REPLY + 2 * TOKENS_PER_MESSAGE + 2 + 9


def test_count_messages_image_adds_the_flat_figure_of_its_detail() -> None:
    parts = (
        TextPart(GREETING),
        ImagePart(mime_type="image/png", data=b"x", detail="low"),
        ImagePart(mime_type="image/png", url="https://images.example/a.png"),
    )

    tokens = count_messages([Message(role=Role.USER, parts=parts)])

    expected = count_tokens(GREETING) + TOKENS_PER_IMAGE["low"] + TOKENS_PER_IMAGE["high"]
    assert tokens == TOKENS_PER_REPLY + TOKENS_PER_MESSAGE + expected


def test_count_messages_tool_call_adds_its_name_and_arguments() -> None:
    call = ToolCall(id="call_1", name="get_weather", arguments='{"city": "Oslo"}')
    plain = Message(role=Role.ASSISTANT, parts=())
    calling = Message(role=Role.ASSISTANT, parts=(), tool_calls=(call,))

    added = count_messages([calling]) - count_messages([plain])

    assert added == TOKENS_PER_TOOL_CALL + count_tokens(call.name) + count_tokens(call.arguments)
