import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.core.text.words import characters, keywords, terms


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What is the capital of France?", ["capital", "franc"]),
        ("Refunds, POLICIES and Acme's boxes", ["refund", "policy", "acm", "box"]),
        ("glass status this", ["glas", "status"]),
        ("the cat’s e-mail_address", ["cat", "e", "mail", "addres"]),
        ("INV-2024-0031 of jo.doe@example.com", ["inv", "2024", "0031", "jo", "doe", "exampl", "com"]),
        ("IT works for us in the US", ["it", "work", "us"]),
        ("公司的总部在哪里？", ["公司", "总部"]),
        ("公司的總部在哪裡？", ["公司", "總部"]),
        ("机器人 R2 载重", ["机器", "器人", "r2", "载重"]),
        ("ＡＢＣ", ["abc"]),
        ("東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("海", ["海"]),
        ("?!\0\ud800", []),
        ("x" * 5000, ["x" * 64]),
    ],
)
def test_terms_known_text_gives_its_meaningful_words(text: str, words: list[str]) -> None:
    assert list(terms(text)) == words


@pytest.mark.parametrize(
    "forms",
    [
        "run runs running",
        "use used uses using",
        "study studies studied studying",
        "hope hopes hoped hoping",
        "hop hopped hopping",
        "cache caches cached caching",
        "price prices priced pricing",
        "control controls controlled controlling",
        "class classes",
        "box boxes",
        "die dies died",
        "refund refunds refund's refunded",
        "fall falls falling",
    ],
)
def test_terms_inflections_of_a_word_are_one_word(forms: str) -> None:
    assert len(set(terms(forms))) == 1


@pytest.mark.parametrize("word", ["string", "king", "red", "speed", "bus", "analysis"])
def test_terms_word_that_only_looks_inflected_stays_whole(word: str) -> None:
    assert list(terms(word)) == [word]


def test_terms_bridging_keeps_words_made_with_idle_characters() -> None:
    assert list(terms("世界和平", bridging=True)) == ["世界", "界和", "和平"]
    assert list(terms("这是什么", bridging=True)) == []


def test_characters_are_those_that_stand_in_pairs() -> None:
    assert characters("R2 大海，東京") == set("大海東京")


def test_keywords_are_the_repeated_and_long_words_as_written() -> None:
    text = "Slipway stores documents. Documents are indexed by words; an indexed document is found by 1234."

    assert keywords(text, 3) == ["documents", "indexed", "slipway"]


def test_keywords_of_chinese_are_words_of_the_dictionary() -> None:
    assert keywords("人工智能改变医疗。人工智能辅助医生。", 2) == ["人工智能", "改变"]


@pytest.mark.parametrize("text", ["", "the of and", "?!"])
def test_keywords_of_a_text_that_says_nothing_are_none(text: str) -> None:
    assert keywords(text, 5) == []


@settings(deadline=None)
@given(st.text(st.characters()))
def test_terms_any_text_gives_bounded_words_without_space(text: str) -> None:
    for term in (*terms(text), *terms(text, bridging=True)):
        assert 0 < len(term) <= 64
        assert term.split() == [term]
