import json
import re
import time
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.core.ports import JSONObject
from api.core.text.clean import clean
from api.core.text.process_rule import AUTOMATIC, DocForm, ProcessRule
from api.core.text.splitter import FULL_DOC_TOKENS, Passage, split
from api.core.text.tokens import count_tokens
from tests.waiting import assert_quick

CHUNKING = Path(__file__).parents[3] / "../shared/data/chunking"

ENGLISH = "Alpha beta gamma delta. The quick brown fox jumps over the lazy dog! Is it so? "
CHINESE = "今天的天气非常好，我们一起去公园散步。你觉得怎么样？当然可以！"


def make_rule(
    mode: str = "automatic",
    *,
    max_tokens: int = 50,
    overlap: int = 0,
    separator: str = "\n",
    child: JSONObject | None = None,
    parent_mode: Literal["paragraph", "full-doc"] = "paragraph",
) -> ProcessRule:
    return ProcessRule.from_json(
        {
            "mode": mode,
            "rules": {
                "pre_processing_rules": [],
                "segmentation": {"separator": separator, "max_tokens": max_tokens, "chunk_overlap": overlap},
                "parent_mode": parent_mode,
                "subchunk_segmentation": child,
            },
        }
    )


def texts(text: str, rule: ProcessRule) -> list[str]:
    return [passage.text for passage in split(text, rule, DocForm.TEXT)]


def bare(text: str) -> str:
    return "".join(text.split())


# -- what holds for any text ---------------------------------------------------------------------

WRITING = st.text(
    st.sampled_from("ab ab. \n\n#`|=-中文。，！“”：\u0301\u200d🇩🇪👩🏽'\"\t\u3000第一章")
    | st.characters(exclude_categories=["Cs"])
)
BUILT = st.lists(
    st.sampled_from(
        [ENGLISH, CHINESE, "# Title\n", "## 小标题\n\n", "```py\nx = 1\n\ny = 2\n```\n", "| a | b |\n",
         "\n\n", "word ", "x" * 300, "字" * 90, "e\u0301" * 40, "👩🏽\u200d👧" * 9, "- item\n"]
    )
    | WRITING,
    max_size=25,
).map("".join)  # fmt: skip
RULES = st.builds(
    make_rule,
    st.sampled_from(["automatic", "custom"]),
    max_tokens=st.sampled_from([50, 64, 200]),
    overlap=st.just(0),
    separator=st.sampled_from(["\n", "\\n\\n", " "]),
)


@settings(deadline=None, max_examples=200)
@given(BUILT, RULES)
def test_split_any_text_loses_nothing_keeps_the_limit_and_repeats_itself(
    text: str, rule: ProcessRule
) -> None:
    passages = list(split(text, rule, DocForm.TEXT))

    assert bare("".join(passage.text for passage in passages)) == bare(text)
    for passage in passages:
        assert passage.text == passage.text.strip() != ""
        assert passage.tokens == count_tokens(passage.text) <= rule.segmentation.max_tokens
    assert list(split(text, rule, DocForm.TEXT)) == passages


@settings(deadline=None, max_examples=100)
@given(BUILT, st.sampled_from([(50, 49), (50, 10), (200, 50)]))
def test_split_with_overlap_any_text_is_covered_within_the_limit(text: str, sizes: tuple[int, int]) -> None:
    max_tokens, overlap = sizes
    passages = list(split(text, make_rule(max_tokens=max_tokens, overlap=overlap), DocForm.TEXT))

    whole = bare(text)
    ends = {0}  # where the text may be covered up to: what repeats itself may be found in several places
    for passage in passages:
        assert passage.tokens == count_tokens(passage.text) <= max_tokens
        part = bare(passage.text)
        starts = [found.start() for found in re.finditer(f"(?={re.escape(part)})", whole)]
        ends = {s + len(part) for s in starts if any(s <= end < s + len(part) for end in ends)}
    assert len(whole) in ends


@settings(deadline=None, max_examples=60)
@given(st.text(st.sampled_from("ab\u0301\u0308👩🏽\u200d👧कि"), min_size=100, max_size=400))
def test_split_word_above_the_limit_is_cut_between_visible_characters(text: str) -> None:
    for passage in texts(text, make_rule())[1:]:
        first = passage[0]
        joined = unicodedata.category(first).startswith("M") or first in "\u200d🏽"
        assert not joined or not re.search("[ab👩]", passage[:-1]), passage


# -- where cuts come -----------------------------------------------------------------------------


def test_split_small_paragraphs_are_merged_up_to_the_limit() -> None:
    text = "\n\n".join(f"Paragraph {number} says little." for number in range(12))

    passages = texts(text, make_rule())

    assert 1 < len(passages) < 6
    assert all(passage.startswith("Paragraph") and passage.endswith("little.") for passage in passages)


@pytest.mark.parametrize(
    ("sentence", "end"), [(ENGLISH, ("dog!", "delta.", "so?")), (CHINESE, ("。", "？", "！"))]
)
def test_split_long_paragraph_is_cut_between_sentences(sentence: str, end: tuple[str, ...]) -> None:
    passages = texts(sentence * 10, make_rule())

    assert len(passages) > 2
    assert all(passage.endswith(end) for passage in passages)


def test_split_section_begins_a_passage_and_a_heading_stays_with_its_text() -> None:
    text = "".join(f"# Title {number}\n\n{ENGLISH * 2}\n\n" for number in range(6))

    passages = texts(text, make_rule())

    assert all(passage.startswith("# Title") for passage in passages)
    assert all("Alpha" in passage for passage in passages)


def test_split_sentence_above_the_limit_is_cut_between_words() -> None:
    words = " ".join(f"word{number}" for number in range(200))

    passages = texts(words, make_rule())

    assert [word for passage in passages for word in passage.split()] == words.split()


def test_split_chinese_without_stops_is_cut_at_commas_first() -> None:
    passages = texts("天气很好，" * 40, make_rule())

    assert len(passages) > 1
    assert all(passage.endswith("，") for passage in passages)


def test_split_fence_and_rows_that_fit_stay_whole() -> None:
    fence = "```py\nfor x in y:\n\n    print(x)\n```"
    rows = [f"| name {number} | value one. Value two! |" for number in range(12)]
    text = f"{ENGLISH * 2}\n{fence}\n{ENGLISH}\n" + "\n".join(rows)

    passages = texts(text, make_rule())

    assert sum(fence in passage for passage in passages) == 1
    assert all(sum(row in passage for passage in passages) == 1 for row in rows)


# -- overlap -------------------------------------------------------------------------------------


def test_split_overlap_repeats_whole_sentences() -> None:
    sentences = [f"Sentence number {number} is here." for number in range(40)]

    passages = texts(" ".join(sentences), make_rule(overlap=16))

    for before, after in pairwise(passages):
        shared = [sentence for sentence in sentences if sentence in before and sentence in after]
        assert shared
        assert after.startswith(" ".join(shared))
        assert count_tokens(" ".join(shared)) <= 16


def test_split_overlap_shorter_than_a_sentence_repeats_whole_words() -> None:
    text = "An opening. " + " ".join(f"word{number}" for number in range(15)) + ". " + ENGLISH * 3

    before, after, *_ = texts(text, make_rule(overlap=8))

    repeated = after[: after.index(" Is it so?")]
    assert before.endswith(f" {repeated}")
    assert 0 < count_tokens(repeated) <= 8


def test_split_new_section_repeats_nothing() -> None:
    text = "".join(f"# Title {number}\n\n{ENGLISH * 2}\n\n" for number in range(6))

    assert texts(text, make_rule(overlap=30)) == texts(text, make_rule())


# -- separators ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "separator", "passages"),
    [
        ("a\nb\n\nc", "\n", ["a", "b", "c"]),
        ("a\nb\n\nc\n\n\n\nd", "\n\n", ["a\nb", "c", "d"]),
        ("a\nb\n\nc", "\\n\\n", ["a\nb", "c"]),
        ("a\tb", "\\t", ["a", "b"]),
        ("a ### b###c", "###", ["a", "b", "c"]),
        ("a.*b", ".*", ["a", "b"]),
        ("a", "x", ["a"]),
        ("\n\n", "\n", []),
        ("# A\n\n## B\n\ntext\n\nmore\n\n# C", "\n\n", ["# A\n\n## B\n\ntext", "more", "# C"]),
        ("a\n```\nx\ny\n```\nb", "\n", ["a", "```\nx\ny\n```", "b"]),
        ("a```x```b", "```", ["a", "x", "b"]),
    ],
)
def test_split_custom_rule_cuts_at_every_separator(text: str, separator: str, passages: list[str]) -> None:
    assert texts(text, make_rule("custom", separator=separator)) == passages


def test_split_custom_part_above_the_limit_is_cut_further() -> None:
    passages = texts(f"short###{ENGLISH * 6}", make_rule("custom", separator="###"))

    assert passages[0] == "short"
    assert len(passages) > 2


def test_split_automatic_rule_of_a_cleaned_page_gives_passages_of_five_hundred() -> None:
    text = clean((ENGLISH * 4 + "\n\n\n\n") * 60, AUTOMATIC.cleaning)

    sizes = [passage.tokens for passage in split(text, AUTOMATIC, DocForm.TEXT)]

    assert max(sizes) <= 500
    assert min(sizes[:-1]) > 400


# -- parents and children ------------------------------------------------------------------------


def test_split_paragraph_parents_have_the_children_their_rule_asks_for() -> None:
    rule = make_rule("hierarchical", separator="\n\n", child={"separator": "\n", "max_tokens": 50})

    passages = list(split("a\nb\n\nc", rule, DocForm.HIERARCHICAL))

    assert [(passage.text, passage.children) for passage in passages] == [("a\nb", ("a", "b")), ("c", ("c",))]


def test_split_children_keep_their_own_limit() -> None:
    rule = make_rule("hierarchical", max_tokens=400, child={"separator": "\n", "max_tokens": 50})

    (parent,) = split(ENGLISH * 10, rule, DocForm.HIERARCHICAL)

    assert max(map(count_tokens, parent.children)) <= 50
    assert bare("".join(parent.children)) == bare(parent.text)


def test_split_full_doc_is_one_parent() -> None:
    rule = make_rule("hierarchical", parent_mode="full-doc", child={"separator": "\n\n", "max_tokens": 50})

    (parent,) = split("# A\n\nb\n\nc", rule, DocForm.HIERARCHICAL)

    assert (parent.text, parent.children) == ("# A\n\nb\n\nc", ("# A\n\nb", "c"))


def test_split_full_doc_above_its_bound_has_several_parents_and_loses_nothing() -> None:
    text = ENGLISH * 1200
    rule = make_rule("hierarchical", parent_mode="full-doc")

    parents = list(split(text, rule, DocForm.HIERARCHICAL))

    assert len(parents) > 1
    assert max(parent.tokens for parent in parents) <= FULL_DOC_TOKENS
    assert bare("".join(parent.text for parent in parents)) == bare(text)


@pytest.mark.parametrize("doc_form", [DocForm.TEXT, DocForm.QA])
def test_split_other_forms_have_no_children(doc_form: DocForm) -> None:
    rule = make_rule("hierarchical", child={"separator": "\n", "max_tokens": 50})

    assert list(split("a", rule, doc_form)) == [Passage(text="a", tokens=1)]


# -- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mark",
    [
        "a",
        "\n",
        " ",
        "中",
        "\u0301",
        "🇩🇪",
        "a. ",
        "# a\n",
        "```\n",
        "|a|\n",
        "= ",
        "a\n---\n",
        "“",
        "a\n\n",
        "#",
    ],
)
def test_split_hostile_repetition_takes_linear_time(mark: str) -> None:
    text = (mark * 30_000)[:30_000]
    rules = [AUTOMATIC, make_rule("custom", overlap=49)]

    started = time.process_time()
    for rule in rules:
        assert all(passage.tokens <= 500 for passage in split(text, rule, DocForm.HIERARCHICAL))
    assert_quick(time.process_time() - started, 5)


def test_split_megabyte_without_a_space_stays_within_the_limit() -> None:
    passages = texts("a" * 1_000_000, AUTOMATIC)

    assert "".join(passages) == "a" * 1_000_000
    assert max(map(count_tokens, passages)) <= 500


# -- real documents ------------------------------------------------------------------------------


@pytest.mark.skipif(not CHUNKING.exists(), reason="the documents with answer spans are not there")
@pytest.mark.parametrize("corpus", ["state_of_the_union", "wikitexts"])
def test_split_automatic_keeps_the_answers_of_real_questions_whole(corpus: str) -> None:
    text = (CHUNKING / f"{corpus}.md").read_text(encoding="utf-8")
    lines = (CHUNKING / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [question for line in lines if (question := json.loads(line))["corpus"] == corpus]
    spans = [bare(reference["text"]) for question in questions for reference in question["references"]]

    passages = [bare(passage) for passage in texts(clean(text, AUTOMATIC.cleaning), AUTOMATIC)]

    whole = sum(any(span in passage for passage in passages) for span in spans) / len(spans)
    assert whole >= 0.99, f"{whole:.3f} of {len(spans)} answers are whole in one of {len(passages)} passages"
