import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.core.text.sentences import MAX_SENTENCE_CHARS, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("  \n\n ", []),
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Pi is 3.14 here. Really?!", ["Pi is 3.14 here.", "Really?!"]),
        ("Dr. Smith met J. R. Jones. They left.", ["Dr. Smith met J. R. Jones.", "They left."]),
        ("Acme Inc. was founded early. It grew.", ["Acme Inc. was founded early.", "It grew."]),
        ('He said "Go." Then (he left.) Done.', ['He said "Go."', "Then (he left.)", "Done."]),
        ("Heading\n- first\r\n- second", ["Heading", "- first", "- second"]),
        ("1. Unpack it. 2. Use it.", ["1. Unpack it.", "2. Use it."]),
        (
            "公司在上海。成立于2001年！是吗？“是的。”他说；好",
            ["公司在上海。", "成立于2001年！", "是吗？", "“是的。”", "他说；", "好"],
        ),
        ("Mixed 文本。Next one.", ["Mixed 文本。", "Next one."]),
    ],
)
def test_split_sentences_known_text_gives_its_sentences(text: str, sentences: list[str]) -> None:
    assert list(split_sentences(text)) == sentences


@pytest.mark.parametrize("text", ["word " * 300, "字" * 1000, "x" * 401])
def test_split_sentences_overlong_sentence_is_cut_within_the_limit(text: str) -> None:
    sentences = list(split_sentences(text))

    assert len(sentences) > 1
    assert max(map(len, sentences)) <= MAX_SENTENCE_CHARS
    assert "".join("".join(sentences).split()) == "".join(text.split())


@settings(deadline=None)
@given(st.text(st.characters() | st.sampled_from(" \n.?!。？e\"'”")))
def test_split_sentences_any_text_is_kept_in_order_but_for_space(text: str) -> None:
    sentences = list(split_sentences(text))

    place = 0
    for sentence in sentences:
        assert sentence == sentence.strip() != ""
        place = text.index(sentence, place) + len(sentence)
    assert "".join("".join(sentences).split()) == "".join(text.split())


@pytest.mark.timeout(10)
@pytest.mark.parametrize("mark", ["?", ".", "e.g. ", '."', ". ", "。", "x", " ", "?!'"])
def test_split_sentences_hostile_repetition_takes_no_more_than_linear_time(mark: str) -> None:
    assert sum(map(len, split_sentences(mark * 200_000))) <= len(mark) * 200_000
