import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.core.text.bm25 import rank


def test_rank_rare_shared_word_beats_common_one() -> None:
    texts = ["Acme sells robots.", "Acme sells lamps.", "Acme pays refunds.", "Rain fell."]

    matches = rank("Does Acme give refunds?", texts)

    assert [match.index for match in matches] == [2, 0, 1]
    assert matches[0].coverage == pytest.approx(1.0)
    assert matches[1].coverage < 0.5


def test_rank_shorter_text_with_the_same_word_comes_first() -> None:
    texts = ["Refunds, parcels, robots, lamps, tables and chairs are listed.", "Refunds exist."]

    assert [match.index for match in rank("refund", texts)] == [1, 0]


def test_rank_chinese_question_finds_the_sentence_with_its_words() -> None:
    texts = ["公司总部位于上海。", "保修期为两年。", "客服时间为工作日九点到十八点。"]

    assert [match.index for match in rank("保修期是多久？", texts)] == [1]


@pytest.mark.parametrize("question", ["", "what is this?", "这是什么？"])
def test_rank_question_without_meaningful_words_matches_nothing(question: str) -> None:
    assert rank(question, ["What is this?", "这是什么"]) == []


@settings(deadline=None)
@given(st.text(st.characters()), st.lists(st.text(st.characters())))
def test_rank_any_text_gives_ordered_scores_and_shares(question: str, texts: list[str]) -> None:
    matches = rank(question, texts)

    assert all(match.score > 0 and 0 < match.coverage <= 1 + 1e-9 for match in matches)
    assert matches == sorted(matches, key=lambda match: (-match.score, match.index))
    assert len({match.index for match in matches}) == len(matches)
