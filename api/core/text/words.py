"""Tells the words of a text apart, for ranking sentences and for full-text search.

Boundary: pure and linear in the text. Words are runs of letters and digits,
without case, width and English inflection; an address or an id is found by its
parts. Chinese, Japanese and Korean, which put no spaces, are cut into pairs of
neighbouring characters: on simplified Chinese that ranks like a dictionary, on
traditional Chinese better, and it cannot miss a name. Words that only hold a
sentence together do not count.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

MAX_WORD_CHARS = 64
"""A longer run of letters is known by its beginning; databases bound what they index."""

KNOWN_WORDS = 16_384
"""So many words are remembered with their terms: a text has few that are new."""

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003ffff"
_RUN = re.compile(rf"[{_UNSPACED}]+|[^\W_{_UNSPACED}]+(?:'[^\W_{_UNSPACED}]+)*")
_CHARACTER = re.compile(f"[{_UNSPACED}]")

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
    "|為什麼|什麼時候|時候|什麼|怎麼樣|怎麼|怎樣|哪裡|哪裏|哪兒|哪個|多長|幾個"
    "|是否|请问|問題|请問|請問|问题|告诉|告訴|一下|关于|關於|可以|能够|能夠"
    "|我们|你们|他们|她们|它们|这个|那个|这些|那些|以及|我們|你們|他們|她們|它們|這個|那個|這些"
    "|[的了是在吗嗎呢吧啊么麼谁誰我你您他她它这這那和与與请請有及]"
)

# One vowel between consonants: a stem that has lost its "e" to an ending.
_SHORT = re.compile(r"[^aeiou]*[aeiouy][^aeiouwxy]")
_VOWEL = re.compile("[aeiouy]")


def terms(text: str, *, bridging: bool = False) -> Iterator[str]:
    """Yield the words of ``text`` that carry meaning, in order, case and endings removed.

    ``bridging`` also gives the pairs of a meaningful character and an idle one:
    noise between two sentences, but without it an index does not know 和平.
    """
    for run in _runs(text):
        if _CHARACTER.match(run):
            yield from _bridging_pairs(run) if bridging else _pairs(run)
        elif term := _term(run):
            yield term


def characters(text: str) -> set[str]:
    """Return the characters that stand in pairs, so that a search for a single one finds them too."""
    return set(_CHARACTER.findall(unicodedata.normalize("NFKC", text)))


def keywords(text: str, limit: int) -> list[str]:
    """Return the at most ``limit`` most telling words of ``text``, best first, as they are written there.

    Repeated and longer words tell more. Case is removed; Chinese is cut by a dictionary.
    """
    counts: Counter[str] = Counter()
    shown: dict[str, str] = {}
    for run in _runs(text):
        for word in _dictionary_words(run) if _CHARACTER.match(run) else [run.casefold()]:
            if len(word) > 1 and not word.isdecimal() and not _is_idle(word):
                term = _stem(word)
                counts[term] += 1
                shown.setdefault(term, word)
    by_weight = sorted(counts, key=lambda term: -counts[term] * min(len(shown[term].encode()), 12))
    return [shown[term] for term in by_weight[:limit]]


def _runs(text: str) -> Iterator[str]:
    plain = unicodedata.normalize("NFKC", text).replace("’", "'")
    return (found.group() for found in _RUN.finditer(plain))


@lru_cache(maxsize=KNOWN_WORDS)
def _term(word: str) -> str | None:
    """Return the term of a word that is spaced; None where it says nothing by itself."""
    return None if _is_idle(word) else _stem(word.casefold())


def _is_idle(word: str) -> bool:
    """Tell whether a word says nothing by itself; "IT" and "WHO", written so, are names."""
    is_name = len(word) > 1 and word.isupper()
    return not is_name and (word.casefold() in _IDLE_WORDS or _IDLE_CHARACTERS.fullmatch(word) is not None)


def _pairs(run: str) -> Iterator[str]:
    for stretch in _IDLE_CHARACTERS.split(run):
        if len(stretch) == 1:
            yield stretch
        for start in range(len(stretch) - 1):
            yield stretch[start : start + 2]


def _bridging_pairs(run: str) -> Iterator[str]:
    if len(run) == 1:
        yield run
        return
    idle = bytearray(len(run))
    for found in _IDLE_CHARACTERS.finditer(run):
        start, end = found.span()
        idle[start:end] = b"\1" * (end - start)
    for start in range(len(run) - 1):
        if not (idle[start] and idle[start + 1]):
            yield run[start : start + 2]


def _dictionary_words(run: str) -> list[str]:
    import rjieba  # a dictionary of 20 MB, which a process that names no keywords can do without

    words: list[str] = rjieba.cut(run)
    return words


def _stem(word: str) -> str:
    """Return what the inflections of an English word have in common; it need not be a word."""
    word = word.removesuffix("'s")
    if len(word) > 3 and word.isascii():
        word = _without_verb_ending(_singular(word))
        if len(word) > 3 and word.endswith("e") and not _SHORT.fullmatch(word[:-1]):
            word = word[:-1]
        if len(word) > 3 and word[-1] == word[-2] and word[-1].isalpha():
            word = word[:-1]
    return word[:MAX_WORD_CHARS]


def _singular(word: str) -> str:
    if word.endswith(("ies", "ied")):
        return word[:-3] + "y" if len(word) > 4 else word[:-1]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _without_verb_ending(word: str) -> str:
    if word.endswith("eed"):
        return word
    for ending in ("ing", "ed"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 1 and _VOWEL.search(stem):
            return stem + "e" if _SHORT.fullmatch(stem) else stem
    return word
