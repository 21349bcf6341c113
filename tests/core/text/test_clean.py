import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.core.text.clean import clean
from api.core.text.process_rule import Cleaning
from tests.waiting import assert_quick

SPACES, URLS, STOPWORDS = Cleaning.EXTRA_SPACES, Cleaning.URLS_EMAILS, Cleaning.STOPWORDS


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\r\nb\rc\u2028d\x0ce\x85f", "a\nb\nc\nd\ne\nf"),
        ("a\x00b\x07c\x7fd\ufffee\ufefff", "abcdef"),
        ("exam\u00adple", "example"),
        ("lone \ud800 half", "lone ? half"),
        ("👩\u200d👧 नि\u200dक", "👩\u200d👧 नि\u200dक"),
        ("  a   b\t\n\n\n\nc  ", "a   b\t\n\n\n\nc"),
    ],
)
def test_clean_without_rules_removes_what_no_text_should_hold(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a   b \t c", "a b c"),
        ("a\n\n\n\nb", "a\n\nb"),
        ("a\n \t \n\u3000\n\nb", "a\n\nb"),
        ("a  \nb", "a\nb"),
        ("今天　天气\u00a0很好", "今天 天气 很好"),
        ("一\n　　二", "一\n二"),
        ("- a\n    - b\n\t- c", "- a\n    - b\n\t- c"),
        ("# Title  \n\n\n\ntext", "# Title\n\ntext"),
        ("| a    |  b |\n|------|----|\n| 1    |  2 |", "| a | b |\n|------|----|\n| 1 | 2 |"),
        ("x\ty", "x\ty"),
        ("a  b\n  ```py\nx  =  1\n\n\n\ny\n  ```\nc  d", "a b\n  ```py\nx  =  1\n\n\n\ny\n  ```\nc d"),
    ],
)
def test_clean_extra_spaces_leaves_the_structure(text: str, cleaned: str) -> None:
    assert clean(text, {SPACES}) == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("see https://example.com/a?b=c#d, then", "see , then"),
        ("访问https://example.com/页。谢谢", "访问页。谢谢"),
        ("(http://example.com/x)", "()"),
        ("at www.example.com.", "at ."),
        ("mail first.last+tag@sub.example.co.uk now", "mail  now"),
        ("邮箱me@example.com。", "邮箱。"),
        ("<https://example.com> <me@example.com>", ""),
        ("read [the guide](https://example.com/a_(b)) and ![a plan](https://example.com/p.png)",
         "read the guide and a plan"),
        ("![kept](/files/1/preview) and [this](#part)", "![kept](/files/1/preview) and [this](#part)"),
        ("a@b and @name and 1.5", "a@b and @name and 1.5"),
    ],
)  # fmt: skip
def test_clean_urls_emails_removes_addresses_alone(text: str, cleaned: str) -> None:
    assert clean(text, {URLS}) == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("The cat is on the mat", "cat mat"),
        ("It's not the US, it's a plan A", "not US, plan A"),
        ("Don't use the-one or a.m.", "Don't use the-one a.m."),
        ("我们的目的是学习", "目的学习"),
        ("```\nthe code is a code\n```", "```\nthe code is a code\n```"),
    ],
)
def test_clean_stopwords_keeps_what_carries_meaning(text: str, cleaned: str) -> None:
    assert clean(text, {STOPWORDS}) == cleaned


def test_clean_all_rules_leave_no_gaps_behind() -> None:
    assert clean("See  the page https://example.com/x  today", set(Cleaning)) == "See page today"


@settings(deadline=None)
@given(
    st.text(st.characters() | st.sampled_from(" \n\t`~#|@.:/[]()")), st.sets(st.sampled_from([SPACES, URLS]))
)
def test_clean_any_text_gives_valid_text_that_needs_no_second_cleaning_of_spaces(
    text: str, kinds: set[Cleaning]
) -> None:
    cleaned = clean(text, kinds)

    assert cleaned.encode().decode() == cleaned == cleaned.strip()
    assert "\x00" not in cleaned
    assert clean(cleaned) == cleaned


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Cn"]) | st.sampled_from(" \n\t`#|")))
def test_clean_extra_spaces_loses_no_word(text: str) -> None:
    assert clean(text, {SPACES}).split() == text.split()


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "mark",
    ["a", " ", "\n", "\t \u3000", "@", "a@", "a.", "a@b.", "http://", "www.", "http://.", "[", "[a](", "![",
     "``` \n", "\u3000a", "的", "'", "it's ", "<", "a-"],
)  # fmt: skip
def test_clean_hostile_repetition_takes_linear_time(mark: str) -> None:
    started = time.process_time()
    clean(mark * 100_000, set(Cleaning))

    assert_quick(time.process_time() - started, 5)
