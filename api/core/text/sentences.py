"""Splits text into sentences, for languages that write with spaces and those that do not.

Boundary: pure. Every sentence is a stretch of the text as it stood, so that it
can be quoted.
"""

import re
from collections.abc import Iterator

MAX_SENTENCE_CHARS = 400

# Each run of marks is tried once, from its first, and never given back, so that
# no text takes more than linear time. All ways begin with one class, which lets
# the engine skip to the next mark.
_BREAK = re.compile(
    r"""
    [。！？；….!?\r\n\u2028\u2029]
    (?: (?<=[。！？；…]) [。！？；…]*+ ["'”’」』）]*+
      | (?<=[.!?]) (?<![.!?]{2}) [.!?]*+ ["')\]”’]*+ (?=\s) (?!\s+[a-z])
      | (?<=[\r\n\u2028\u2029]) [\r\n\u2028\u2029]*+
    )
    """,
    re.VERBOSE,
)
_NOT_AN_END = re.compile(
    r"(?:^|[\s(])(?:mr|mrs|ms|dr|prof|st|vs|approx|e\.g|i\.e|cf|[a-z]|\d{1,2})\.$", re.IGNORECASE
)
_LONGEST_ABBREVIATION_CHARS = 8
_LINE = re.compile(rf".{{1,{MAX_SENTENCE_CHARS}}}(?=\s|$)|.{{{MAX_SENTENCE_CHARS}}}")


def split_sentences(text: str) -> Iterator[str]:
    """Yield the sentences of ``text`` in order, without surrounding space, none empty.

    A line break ends a sentence; a full stop before a small letter does not.
    What is longer than ``MAX_SENTENCE_CHARS`` is cut between words, or anywhere
    where there are none. Nothing but white space is lost.
    """
    for start, end in sentence_spans(text, 0, len(text)):
        yield from _wrap(text[start:end])


def sentence_spans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where the sentences of ``text[start:end]`` begin and end, of any length, without outer space."""
    for mark in _BREAK.finditer(text, start, end):
        tail_start = max(start, mark.end() - _LONGEST_ABBREVIATION_CHARS)
        if not _NOT_AN_END.search(text[tail_start : mark.end()]):
            yield from _strip(text, start, mark.end())
            start = mark.end()
    yield from _strip(text, start, end)


def _strip(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the stretch without the space around it, if anything is left."""
    part = text[start:end].rstrip()
    if stripped := part.lstrip():
        yield start + len(part) - len(stripped), start + len(part)


def _wrap(sentence: str) -> Iterator[str]:
    if len(sentence) <= MAX_SENTENCE_CHARS:
        yield sentence
        return
    for line in _LINE.finditer(sentence):
        if cut := line.group().strip():
            yield cut
