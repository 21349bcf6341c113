"""Ranks short texts against a question by the words they share (Okapi BM25).

Boundary: pure; made for the sentences of one prompt, not for a stored corpus.
Words are told apart by spaces, and in Chinese, Japanese and Korean by pairs of
neighbouring characters. Words that only hold a sentence together do not count.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_SATURATION = 1.2
_LENGTH_WEIGHT = 0.5

# In a handful of texts every word is rare or common by chance; weights are
# taken as if there were at least this many.
_MIN_TEXTS = 10

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003ffff"
_RUN = re.compile(rf"[{_UNSPACED}]+|[^\W_{_UNSPACED}]+(?:'[^\W_{_UNSPACED}]+)*")

_IDLE_ENGLISH = """
    a about all also am an and any are as at be been but by can could did do does doing done else
    for from get give had has have he her here hers him his how i if in into is it it's its just let
    like long many may me might mine more most much must my no not of often on only or our ours
    please question she should so some such tell than that the their theirs them then there these
    they this those to too up us very was we were what what's when where which who who's whom whose
    why will with would you your yours
"""
_IDLE_WORDS = frozenset(_IDLE_ENGLISH.split())
_IDLE_CHARACTERS = re.compile(
    "为什么|什么时候|时候|什么|怎么样|怎么|怎样|如何|哪里|哪儿|哪个|哪些|多少|多久|多长|几个"
    "|是否|请问|问题|告诉|一下|关于|可以|能够"
    "|我们|你们|他们|她们|它们|这个|那个|这些|那些|以及"
    "|[的了是在吗呢吧啊么谁我你您他她它这那和与请有及]"
)


@dataclass(frozen=True, slots=True)
class Match:
    """A text that shares words with the question.

    ``index`` is its place among the texts, ``score`` is above 0, without an
    upper bound and higher is nearer, ``coverage`` is the share of the
    question's weight found in the text, 0..1.
    """

    index: int
    score: float
    coverage: float


def rank(question: str, texts: Sequence[str]) -> list[Match]:
    """Return the texts that share a word with ``question``, best first, ties in their given order."""
    asked = set(terms(question))
    counted = [Counter(terms(text)) for text in texts]
    weights = _weigh(asked, counted)
    mean_length = max(1.0, sum(map(Counter.total, counted)) / max(1, len(counted)))
    matches = [
        Match(index, _score(weights, counts, mean_length), _cover(weights, counts))
        for index, counts in enumerate(counted)
        if asked & counts.keys()
    ]
    return sorted(matches, key=lambda match: -match.score)


def terms(text: str) -> Iterator[str]:
    """Yield the words of ``text`` that carry meaning, case and endings removed."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    for run in _RUN.findall(plain):
        if _is_unspaced(run):
            for stretch in _IDLE_CHARACTERS.split(run):
                yield from _pairs(stretch)
        elif run not in _IDLE_WORDS:
            yield _stem(run)


def _is_unspaced(run: str) -> bool:
    return re.match(f"[{_UNSPACED}]", run) is not None


def _pairs(stretch: str) -> Iterator[str]:
    if len(stretch) == 1:
        yield stretch
    for start in range(len(stretch) - 1):
        yield stretch[start : start + 2]


def _stem(word: str) -> str:
    """Remove the ending of an English plural or possessive; other words stay as they are."""
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _weigh(asked: set[str], counted: Sequence[Counter[str]]) -> dict[str, float]:
    size = max(_MIN_TEXTS, len(counted))
    found = Counter(term for counts in counted for term in counts if term in asked)
    return {term: math.log(1 + (size - found[term] + 0.5) / (found[term] + 0.5)) for term in sorted(asked)}


def _score(weights: Mapping[str, float], counts: Counter[str], mean_length: float) -> float:
    length = 1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * counts.total() / mean_length
    return sum(
        weights[term] * count * (_SATURATION + 1) / (count + _SATURATION * length)
        for term, count in counts.items()
        if term in weights
    )


def _cover(weights: Mapping[str, float], counts: Counter[str]) -> float:
    return math.fsum(weights[term] for term in counts if term in weights) / math.fsum(weights.values())
