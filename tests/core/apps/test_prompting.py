"""The messages an app sends to its model."""

from api.core.apps.config import ModelConfig, load_model_config
from api.core.apps.prompting import chat_messages, completion_messages, fill
from api.core.apps.spec import Document, Turn
from api.core.model_runtime.types import ImagePart, PastTurn, Role, TextPart
from api.core.ports import JSONObject

MODEL: JSONObject = {"provider": "builtin", "name": "extractive-qa"}


def config(**values: object) -> ModelConfig:
    return load_model_config({"model": MODEL, **values})  # type: ignore[dict-item]  # test data


def test_fill_replaces_known_names_once_and_keeps_the_rest() -> None:
    assert fill("{{a}} {{ b }} {{c}}", {"a": "{{b}}", "b": 2}) == "{{b}} 2 {{c}}"


def test_fill_prints_null_as_nothing_and_booleans_as_json() -> None:
    assert fill("[{{a}}][{{b}}]", {"a": None, "b": True}) == "[][true]"


def test_chat_prompt_is_instructions_then_history_then_question() -> None:
    turn = Turn(query="And now?", inputs={"who": "Ada"}, history=(PastTurn(query="Hi", answer="Hello"),))

    messages = chat_messages(config(pre_prompt="You serve {{who}}."), turn)

    assert [(message.role, message.text) for message in messages] == [
        (Role.SYSTEM, "You serve Ada."),
        (Role.USER, "Hi"),
        (Role.ASSISTANT, "Hello"),
        (Role.USER, "And now?"),
    ]


def test_chat_prompt_without_instructions_has_no_system_message() -> None:
    messages = chat_messages(config(), Turn(query="Hi", inputs={}))

    assert [message.role for message in messages] == [Role.USER]


def test_images_stand_before_the_question_in_one_message() -> None:
    image = ImagePart(mime_type="image/png", data=b"x")

    (message,) = chat_messages(config(), Turn(query="What is it?", inputs={}, images=(image,)))

    assert message.parts == (image, TextPart("What is it?"))


def test_advanced_chat_prompt_may_place_question_and_history_itself() -> None:
    prompt = [
        {"role": "system", "text": "History: {{#histories#}}"},
        {"role": "user", "text": "Q: {{#query#}}"},
    ]
    turn = Turn(query="Why?", inputs={}, history=(PastTurn(query="a", answer="b"),))

    messages = chat_messages(config(prompt_type="advanced", chat_prompt_config={"prompt": prompt}), turn)

    assert [message.text for message in messages] == ["History: Human: a\nAssistant: b", "Q: Why?"]


def test_completion_prompt_is_its_template_filled() -> None:
    (message,) = completion_messages(config(pre_prompt="Translate: {{query}}"), Turn(query="Hi", inputs={}))

    assert (message.role, message.text) == (Role.USER, "Translate: Hi")


def test_advanced_completion_prompt_is_one_text() -> None:
    made = config(
        model={**MODEL, "mode": "completion"},
        prompt_type="advanced",
        completion_prompt_config={"prompt": {"text": "{{a}}: {{#query#}}"}},
    )

    (message,) = completion_messages(made, Turn(query="Hi", inputs={"a": "x"}))

    assert message.text == "x: Hi"


def test_documents_stand_before_the_question_and_tell_what_is_missing() -> None:
    turn = Turn(
        query="Why?",
        inputs={},
        documents=(
            Document(name='a "b"\n<c>.txt', text="Text {{#query#}}", is_cut=True),
            Document(name="d.txt", text="", is_cut=True, is_earlier=True),
        ),
    )

    (message,) = chat_messages(config(), turn)

    assert message.text.endswith(
        '<document name="a b c .txt">\nText {{#query#}}\n\n'
        "[Only the beginning of this file is here; the rest of it does not fit.]\n</document>\n\n"
        '<document name="d.txt" sent="earlier">\n'
        "[Nothing of this file is here; it does not fit.]\n</document>\n\nWhy?"
    )


def test_advanced_chat_prompt_with_its_question_placed_still_shows_documents() -> None:
    prompt = [{"role": "user", "text": "Q: {{#query#}}"}]
    turn = Turn(query="Why?", inputs={}, documents=(Document(name="a.txt", text="Because."),))

    messages = chat_messages(config(prompt_type="advanced", chat_prompt_config={"prompt": prompt}), turn)

    assert messages[0].text == "Q: Why?"
    assert "Because." in messages[1].text
    assert "Why?" not in messages[1].text


def test_completion_prompt_shows_documents() -> None:
    turn = Turn(query="", inputs={}, documents=(Document(name="a.txt", text="Because."),))

    (message,) = completion_messages(config(pre_prompt="Sum up."), turn)

    assert "Because.\n</document>" in message.text
    assert message.text.endswith("Sum up.")
