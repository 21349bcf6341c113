"""Puts units together into pieces as large as a limit allows, cut at the best places.

Boundary: pure. Time is linear, and only the units of one piece are held.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from api.core.text.tokens import count_tokens
from api.core.text.units import Cut, Unit, to_words

# A piece is filled at least this far, where its text has a place for a cut beyond.
_MIN_FILL = 0.5

# The last words of a unit are looked for in so many characters per token of overlap.
_MAX_TOKEN_CHARS = 12


class Packed(NamedTuple):
    """A piece of text without surrounding space, and the tokens it counts."""

    text: str
    tokens: int


class _Lead(NamedTuple):
    """Where a piece begins that repeats the end of the one before it, and about how many tokens of it."""

    start: int
    tokens: int


def pack(text: str, units: Iterable[Unit], *, limit: int, overlap: int = 0) -> Iterator[Packed]:
    """Yield pieces of ``text`` in order, each of whole units and at most ``limit`` tokens.

    A full piece is cut at the best place in its second half. A piece begins
    with up to ``overlap`` tokens of the one before it: whole sentences, or
    words where the last sentence is longer. A new section repeats nothing.
    """
    held: list[Unit] = []
    lead: _Lead | None = None
    used = 0
    for unit in units:
        while held and used + _cost(unit) > limit:
            piece, count = _fit(text, held, _best_cut(held, unit.cut), lead, limit)
            yield piece
            done, held = held[:count], held[count:]
            following = held or [unit]
            room = min(overlap, limit - sum(map(_cost, following)))
            may_repeat = following[0].cut < Cut.SECTION_6
            lead = _lead(text, done if lead else done[1:], done[-1], room) if may_repeat else None
            used = _use(held, lead)
        held.append(unit)
        used = _use(held, lead) if len(held) == 1 else used + _cost(unit)
    while held:
        piece, count = _fit(text, held, len(held), lead, limit)
        yield piece
        held, lead = held[count:], None


def _cost(unit: Unit) -> int:
    return unit.gap_tokens + unit.tokens


def _use(held: Sequence[Unit], lead: _Lead | None) -> int:
    """Return the tokens of a piece so far; without a lead, the space before it is dropped."""
    tokens = sum(map(_cost, held))
    if lead:
        return lead.tokens + tokens
    return tokens - held[0].gap_tokens if held else 0


def _best_cut(held: Sequence[Unit], cut_after: Cut) -> int:
    """Return how many units to take: up to the best cut in the second half, the last of equals."""
    least = sum(map(_cost, held)) * _MIN_FILL
    best, best_cut = len(held), cut_after
    tokens = least / _MIN_FILL
    for count in range(len(held) - 1, 0, -1):
        tokens -= _cost(held[count])
        if tokens < least and best_cut > Cut.NEVER:
            break
        if held[count].cut > best_cut:
            best, best_cut = count, held[count].cut
    return best


def _fit(text: str, held: Sequence[Unit], count: int, lead: _Lead | None, limit: int) -> tuple[Packed, int]:
    """Return the piece of the first ``count`` units, of fewer where they count more than their sum said."""
    while True:
        start = lead.start if lead else held[0].start
        piece = text[start : held[count - 1].end]
        tokens = count_tokens(piece)
        if tokens <= limit:
            return Packed(piece, tokens), count
        assert count > 1 or lead, "a unit is within the limit"
        lead = lead if count > 1 else None
        excess = tokens - limit
        while count > 1 and excess > 0:
            count -= 1
            excess -= _cost(held[count])


def _lead(text: str, units: Sequence[Unit], last: Unit, room: int) -> _Lead | None:
    """Return what the next piece repeats, of at most ``room`` tokens, if there is anything.

    That is some of the last of ``units``, or else words of the ``last`` of the
    piece, which may be its only one.
    """
    sentences: _Lead | None = None
    words: _Lead | None = None
    tokens = 0
    for unit in reversed(units):
        tokens += unit.tokens
        if tokens > room:
            break
        if unit.cut >= Cut.SENTENCE:
            sentences = _Lead(unit.start, tokens)
        elif unit.cut >= Cut.WORD:
            words = _Lead(unit.start, tokens)
        tokens += unit.gap_tokens
    return sentences or words or _last_words(text, last, room)


def _last_words(text: str, unit: Unit, room: int) -> _Lead | None:
    """Return the last words of a sentence; a fence is not taken apart."""
    begin = max(unit.start, unit.end - max(room, 0) * _MAX_TOKEN_CHARS)
    if "\n" in text[unit.start : unit.end]:
        return None
    lead: _Lead | None = None
    tokens = 0
    words = list(to_words(text, begin, unit.end))
    for (_, end_before), (start, end) in zip(reversed(words[:-1]), reversed(words[1:]), strict=True):
        tokens += count_tokens(text[end_before:end])
        if tokens > room:
            break
        lead = _Lead(start, tokens)
    return lead
