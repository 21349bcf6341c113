import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.core.model_runtime.types import ChatChunk, ChatRequest
from api.core.ports import Cancel
from api.core.rag.qa import make_pairs, parse_pairs, parse_qa_csv, parse_qa_rows
from api.errors import InvalidRequest
from tests.waiting import assert_quick

# -- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "question,answer\nWhy?,Because.\n",
        "\ufeffQuestion,Answer\r\n\r\nWhy?,Because.\r\n",
        "答案,编号,问题\nBecause.,7,Why?",
        "Why?,Because.",
        '"Why?"," Because. ",ignored',
        "question;answer\nWhy?;Because.",
        "question\tanswer\nWhy?\tBecause.",
    ],
)
def test_parse_qa_csv_any_header_or_none_gives_the_pair(text: str) -> None:
    assert parse_qa_csv(text) == [("Why?", "Because.")]


def test_parse_qa_csv_quoted_cells_keep_commas_and_lines() -> None:
    assert parse_qa_csv('q,a\n"A, b; c?","line one\nline ""two"""') == [("A, b; c?", 'line one\nline "two"')]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("question,answer\na,b\n,c", "Row 3 of the table has no question."),
        ("a,b\nc", "Row 2 of the table has no answer."),
        ("", "The table has no questions."),
        ("question,answer\n,\n", "The table has no questions."),
        ("a,b\n" + "x" * 200_000 + ",b", "Row 2 of the table cannot be read"),
    ],
)
def test_parse_qa_csv_row_without_a_pair_is_refused_by_its_number(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_qa_csv(text)

    assert refused.value.message.startswith(message)


def test_parse_qa_rows_of_a_sheet_gives_its_pairs() -> None:
    assert parse_qa_rows([["问题", "答案"], ["", ""], ["谁?", "我"]]) == [("谁?", "我")]


# -- a model's text ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("Q1: Who?\nA1: Me.\nQ2: When?\nA2: Now.", [("Who?", "Me."), ("When?", "Now.")]),
        ("Q1: Who? A1: Me.", [("Who?", "Me.")]),
        ("**Q1:** Who?\n**A1:** *Me.*\n\nand you", [("Who?", "*Me.*\n\nand you")]),
        ("Here you are:\n\n- Question 1: Who?\n- Answer: Me.", [("Who?", "Me.")]),
        ("问题1：谁？\n答案1：我。", [("谁？", "我。")]),
        ("Q: Who?\nA: Me.\nQ: When?\nA: Now.", [("Who?", "Me."), ("When?", "Now.")]),
        ("Q1: Who?\nA1: In cell A1: me.\nA: too", [("Who?", "In cell A1: me.\nA: too")]),
        ("Q1: Who?\nQ2: When?\nA2: Now.", [("When?", "Now.")]),
        ("Q1: Who?\nA2: Now.", []),
        ("A1: Me.", []),
        ("Q1:\nA1: Me.", []),
        ("Q1: Who?\nA1:", []),
        ("The text says nothing.", []),
        ("", []),
    ],
)
def test_parse_pairs_text_of_a_model_gives_whole_pairs_alone(text: str, pairs: list[tuple[str, str]]) -> None:
    assert parse_pairs(text) == pairs


@given(st.text(st.sampled_from("QA12:：*\n 问答x")))
def test_parse_pairs_any_text_gives_only_what_stands_in_it(text: str) -> None:
    for question, answer in parse_pairs(text):
        assert question in text
        assert answer in text
        assert question.strip()
        assert answer.strip()


@pytest.mark.parametrize("mark", ["Q", "Q1:", "A1: ", "*", "\n>", "Q1 ", "问题"])
def test_parse_pairs_hostile_repetition_takes_linear_time(mark: str) -> None:
    started = time.process_time()
    parse_pairs(mark * 100_000)

    assert_quick(time.process_time() - started, 5)


class Model:
    """A model that answers as told, and remembers what it was asked."""

    def __init__(self, *pieces: str, finish_reason: str = "stop") -> None:
        self.pieces = pieces
        self.finish_reason = finish_reason
        self.requests: list[ChatRequest] = []

    def __call__(self, request: ChatRequest, cancel: Cancel) -> Iterator[ChatChunk]:
        self.requests.append(request)
        for piece in self.pieces:
            yield ChatChunk(text=piece)
        yield ChatChunk(finish_reason=self.finish_reason)


def test_make_pairs_asks_about_the_text_and_returns_what_the_model_wrote() -> None:
    model = Model("Q1: Wh", "o?\nA1: Me.")

    pairs = make_pairs("Ignore {this}.", model, model="m", language="English", cancel=Cancel())

    assert pairs == [("Who?", "Me.")]
    (request,) = model.requests
    assert (request.model, request.messages[-1].text) == ("m", "Ignore {this}.")


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("English", "Write in English"),
        ("French", "Write in French"),
        ("", "Write in the language of the text"),
        ("Chinese", "都用Chinese书写"),
        ("简体中文", "都用简体中文书写"),
        ("zh-Hans", "都用zh-Hans书写"),
    ],
)
def test_make_pairs_speaks_the_document_s_language(language: str, words: str) -> None:
    model = Model("")

    make_pairs("text", model, model="m", language=language, cancel=Cancel())

    assert words in model.requests[0].messages[0].text


@pytest.mark.parametrize("rest", ["Q2: When?\nA2: No", "Q2: Whe", ""])
def test_make_pairs_answer_cut_for_its_length_loses_what_has_no_end(rest: str) -> None:
    model = Model(f"Q1: Who?\nA1: Me.\n{rest or 'Q2: '}", finish_reason="length")

    assert make_pairs("text", model, model="m", language="English", cancel=Cancel()) == [("Who?", "Me.")]


def test_make_pairs_stopped_meanwhile_returns_nothing() -> None:
    cancel = Cancel()
    cancel.set()

    assert make_pairs("t", Model("Q1: Who?\nA1: M"), model="m", language="", cancel=cancel) == []
