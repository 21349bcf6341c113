"""Cuts a text into the smallest stretches a splitter puts together: sentences, rows, fences, words.

Boundary: pure. Each unit tells how good a place for a cut lies before it, so
that the packer decides by structure without looking at the text again. What is
larger than the limit is cut finer: a fence into lines, a line into sentences,
a sentence into words, a word into characters.
"""

import re
import unicodedata
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from api.core.text.markdown import Block, Kind, blocks
from api.core.text.sentences import sentence_spans
from api.core.text.tokens import count_tokens, split_pieces


class Cut(IntEnum):
    """How good a place for a cut is, from avoided at any price to best."""

    NEVER = -1
    CHARACTER = 0
    WORD = 1
    CLAUSE = 2
    SENTENCE = 3
    LINE = 4
    PARAGRAPH = 5
    SECTION_6 = 6
    SECTION_5 = 7
    SECTION_4 = 8
    SECTION_3 = 9
    SECTION_2 = 10
    SECTION_1 = 11


class Unit(NamedTuple):
    """A stretch of the text without surrounding space.

    ``tokens`` are its own, ``gap_tokens`` those of the space before it; sums of
    them are near what a longer stretch counts, not exact. ``cut`` rates the
    place before it.
    """

    start: int
    end: int
    tokens: int
    gap_tokens: int
    cut: Cut


_UNSPACED = "\u2e80-\u2fdf\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CLOSING = (
    "\u3001\u3002\uff0c\uff0e\uff1a\uff1b\uff01\uff1f\u2026\u300b\u3009\u300d\u300f\u3011\u3015\uff09”’"
)
_OPENING = "\u300a\u3008\u300c\u300e\u3010\u3014\uff08“‘"
_TRAILING = f"{_CLOSING}\u3099\u309a\ufe00-\ufe0f\U000e0100-\U000e01ef"
_WORD = re.compile(rf"[{_OPENING}]*+[{_UNSPACED}][{_TRAILING}]*+|[^\s{_UNSPACED}]+")
_NON_BLANK_LINE = re.compile(r"\S[^\n]*")
_CLAUSE_ENDS = frozenset(",;:、，；：")
_SENTENCE_ENDS = frozenset(".!?。！？…;；:：\"'”’」』)）]】")

# A line this short is not looked into for sentences.
_SHORT_LINE_CHARS = 40

# What counting apart may differ from counting together, where a heading must stay with its text.
_ROUNDING_TOKENS = 4

_MAX_CHAR_BYTES = 4

_JOINER = "\u200d"


def to_units(text: str, limit: int) -> Iterator[Unit]:
    """Yield the units of ``text`` in order, each of at most ``limit`` tokens.

    Between units there is only white space. A unit below a heading leaves room
    for the heading, unless that takes more than half of the limit or the unit
    is a fence, which is worth more whole.
    """
    end = 0
    above_tokens = 0
    before: Block | None = None
    for block in blocks(text):
        cut = _rate(text, before, block)
        may_share = above_tokens <= limit // 2 and block.kind is not Kind.CODE
        room = limit - above_tokens if may_share else limit
        for unit in _units_of(text, block, end, room, cut):
            end = unit.end
            yield unit
        if block.kind is Kind.HEADING:
            above_tokens += unit.tokens + _ROUNDING_TOKENS
        else:
            above_tokens = 0
        before = block


def to_words(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where words begin and end; a character is one where words are not spaced."""
    for word in _WORD.finditer(text, start, end):
        yield word.span()


def gap_tokens(text: str, start: int, end: int) -> int:
    """Return what the space between two units counts; a single space belongs to the word after it."""
    if end - start > 2:
        return count_tokens(text[start:end]) + 1
    return int(end > start and text[start] != " ")


def _rate(text: str, before: Block | None, block: Block) -> Cut:
    """Rate the place before a block."""
    if before is None:
        return Cut.PARAGRAPH
    if before.kind is Kind.HEADING:
        return Cut.NEVER
    if block.kind is Kind.HEADING:
        return Cut(Cut.SECTION_1 - block.level + 1)
    if text.count("\n", before.end, block.start) > 1 or Kind.CODE in (before.kind, block.kind):
        return Cut.PARAGRAPH
    if text[before.end - 1] in _SENTENCE_ENDS:
        return Cut.LINE
    return Cut.CLAUSE if text[block.start].islower() else Cut.SENTENCE


def _units_of(text: str, block: Block, end: int, room: int, cut: Cut) -> Iterator[Unit]:
    """Yield the units of a block; the first is rated ``cut``, and comes after what ends at ``end``."""
    is_short = block.end - block.start <= _SHORT_LINE_CHARS
    if is_short or block.kind is not Kind.LINE:
        tokens = count_tokens(text[block.start : block.end])
        if tokens <= room:
            yield Unit(block.start, block.end, tokens, gap_tokens(text, end, block.start), cut)
            return
    if block.kind is Kind.CODE:
        for line in _NON_BLANK_LINE.finditer(text, block.start, block.end):
            last = Block(line.start(), line.start() + len(line[0].rstrip()), Kind.ROW)
            for unit in _units_of(text, last, end, room, cut):
                end = unit.end
                yield unit
            cut = Cut.LINE
        return
    for start, sentence_end in sentence_spans(text, block.start, block.end):
        tokens = count_tokens(text[start:sentence_end])
        if tokens <= room:
            yield Unit(start, sentence_end, tokens, gap_tokens(text, end, start), cut)
        else:
            yield from _word_units(text, start, sentence_end, end, room, cut)
        end = sentence_end
        cut = Cut.NEVER if _extends(text, end) else Cut.SENTENCE


def _word_units(text: str, start: int, stop: int, end: int, room: int, cut: Cut) -> Iterator[Unit]:
    for word_start, word_end in to_words(text, start, stop):
        # What has few enough bytes has few enough tokens, and counts less after a space.
        is_small = (word_end - word_start) * _MAX_CHAR_BYTES <= room
        is_spaced = is_small and word_start - end == 1
        tokens = count_tokens(text[word_start - is_spaced : word_end])
        if is_small or tokens <= room:
            gap = 0 if is_spaced else gap_tokens(text, end, word_start)
            yield Unit(word_start, word_end, tokens, gap, cut)
        else:
            yield from _character_units(text, word_start, word_end, end, cut)
        end = word_end
        is_clause = text[end - 1] in _CLAUSE_ENDS
        cut = Cut.NEVER if _extends(text, end) else Cut.CLAUSE if is_clause else Cut.WORD


def _character_units(text: str, start: int, stop: int, end: int, cut: Cut) -> Iterator[Unit]:
    gap = gap_tokens(text, end, start)
    for piece in split_pieces(text[start:stop]):
        stop = start + len(piece.text)
        yield Unit(start, stop, piece.tokens, gap, cut)
        start, gap = stop, 0
        cut = Cut.NEVER if _extends(text, start) else Cut.CHARACTER


def _extends(text: str, at: int) -> bool:
    """Tell whether what is at ``at`` makes one visible character with what is before it."""
    if at >= len(text) or text[at] < "\u0300":
        return False
    char = text[at]
    return (
        unicodedata.category(char) in ("Mn", "Mc", "Me")
        or char == _JOINER
        or text[at - 1] == _JOINER
        or "\U0001f3fb" <= char <= "\U0001f3ff"
        or _is_flag_half(text, at)
    )


def _is_flag_half(text: str, at: int) -> bool:
    """Tell whether a flag's second letter is at ``at``."""
    if not _is_flag_letter(text[at]):
        return False
    first = at
    while first > 0 and at - first < 64 and _is_flag_letter(text[first - 1]):
        first -= 1
    return (at - first) % 2 == 1


def _is_flag_letter(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"
