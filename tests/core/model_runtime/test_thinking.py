import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.core.model_runtime.thinking import ThinkSplitter


def split(pieces: list[str]) -> tuple[str, str]:
    splitter = ThinkSplitter()
    parts = [*(splitter.feed(piece) for piece in pieces), splitter.rest()]
    return "".join(answer for answer, _ in parts), "".join(thought for _, thought in parts)


@pytest.mark.parametrize(
    ("text", "answer", "thought"),
    [
        ("", "", ""),
        ("Hello", "Hello", ""),
        ("<think>why</think>\n\nBecause", "Because", "why"),
        (" \n<think>why</think>Because", "Because", "why"),
        ("<think></think>Because", "Because", ""),
        ("<think>a < b</thin g></think>c", "c", "a < b</thin g>"),
        ("<think>never closed", "", "never closed"),
        ("</think>\nAnswer", "Answer", ""),
        ("An answer about <think>tags</think>", "An answer about <think>tags</think>", ""),
        ("<think>one</think> two <think>three</think>", "two <think>three</think>", "one"),
        ("<thin", "<thin", ""),
        ("  <thinking>", "  <thinking>", ""),
        ("<think>half</thi", "", "half</thi"),
    ],
)
def test_split_text_in_one_piece_or_by_character_gives_the_same(text: str, answer: str, thought: str) -> None:
    assert split([text]) == (answer, thought)
    assert split(list(text)) == (answer, thought)


@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "think", ">", "/", " ", "a", "\n"])), st.data())
def test_split_any_cut_of_a_text_gives_the_same(words: list[str], data: st.DataObject) -> None:
    text = "".join(words)
    pieces: list[str] = []
    rest = text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        pieces.append(rest[:size])
        rest = rest[size:]
    assert split(pieces) == split([text])


def test_feed_answer_text_is_passed_on_at_once() -> None:
    splitter = ThinkSplitter()
    assert [splitter.feed(piece) for piece in ("A", " <", "think>")] == [
        ("A", ""),
        (" <", ""),
        ("think>", ""),
    ]
