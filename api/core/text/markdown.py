"""Finds what a text is built of: headings, fenced code, rows of tables, lines.

Boundary: pure. Reads Markdown's headings (``#`` and underlined), MediaWiki's
(``== Title ==``) and Chinese chapter lines (``第三章``); anything else is a line.
One pass, linear in the length of the text.
"""

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

MAX_HEADING_CHARS = 200

_FENCE = re.compile(r"^[ \t]*+(`{3,}+|~{3,}+)([^\n]*)$", re.MULTILINE)
_LINE = re.compile(r"\S[^\n]*")
_HASHES = re.compile(r"(#{1,6})[ \t]+\S")
_UNDERLINE = re.compile(r"(?:={3,}|-{3,})\s*")
_EQUALS = re.compile(r"=(?: ?=){0,5}(?= ?[^\s=])")
_CHAPTER = re.compile(r"第[0-9零〇一二三四五六七八九十百千两]{1,7}([编部篇卷章回节])(?=[\s:：]|$)")


class Kind(Enum):
    """What a block is."""

    HEADING = auto()
    CODE = auto()
    ROW = auto()
    LINE = auto()


class Block(NamedTuple):
    """A stretch of the text without surrounding space: a line, or a heading or fence of several.

    ``level`` is 1 (highest) to 6 for a heading, 0 for the rest.
    """

    start: int
    end: int
    kind: Kind
    level: int = 0


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of ``text`` in order; between them there is only white space."""
    start = 0
    for fence_start, fence_end in fences(text):
        yield from _lines(text, start, fence_start)
        yield Block(fence_start, fence_end, Kind.CODE)
        start = fence_end
    yield from _lines(text, start, len(text))


def fences(text: str) -> Iterator[tuple[int, int]]:
    """Yield where fenced code starts and ends, marks included; a fence never closed is none."""
    opened: re.Match[str] | None = None
    for mark in _FENCE.finditer(text):
        if opened is None:
            opened = None if mark[1][0] == "`" and "`" in mark[2] else mark
        elif mark[1].startswith(opened[1]) and not mark[2].strip():
            yield opened.start(1), mark.end(1)
            opened = None


def _lines(text: str, start: int, end: int) -> Iterator[Block]:
    """Yield the blocks of a stretch without fences; a line is held until the next shows what it was."""
    held: Block | None = None
    for found in _LINE.finditer(text, start, end):
        line = found[0].rstrip()
        block = _block(line, found.start())
        if (
            held
            and held.kind is Kind.LINE
            and _underlines(line)
            and text.count("\n", held.end, block.start) == 1
        ):
            yield Block(held.start, block.end, Kind.HEADING, 1 if line[0] == "=" else 2)
            held = None
            continue
        if held:
            yield held
        held = block
    if held:
        yield held


def _block(line: str, start: int) -> Block:
    end = start + len(line)
    if line[0] == "|":
        return Block(start, end, Kind.ROW)
    level = _heading_level(line)
    return Block(start, end, Kind.HEADING if level else Kind.LINE, level)


def _heading_level(line: str) -> int:
    """Return 1 to 6 for a line that is a heading, else 0."""
    if line[0] not in "#=第" or len(line) > MAX_HEADING_CHARS:
        return 0
    if hashes := _HASHES.match(line):
        return len(hashes[1])
    if (equals := _EQUALS.match(line)) and line[-1] == "=":
        return equals[0].count("=")
    if chapter := _CHAPTER.match(line):
        return 2 if chapter[1] == "节" else 1
    return 0


def _underlines(line: str) -> bool:
    return line[0] in "=-" and _UNDERLINE.fullmatch(line) is not None
