"""Splits a cleaned text into the passages that become segments, and those into children.

Boundary: pure and deterministic. What must stay true: every passage is within
the rule's tokens, and nothing is lost but white space and the separators the
rule names. A separator cuts always; what is still too large is cut by its
structure: sections, paragraphs, sentences, words, characters.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from api.core.text.markdown import Kind, blocks, fences
from api.core.text.packing import Packed, pack
from api.core.text.process_rule import DocForm, Mode, ProcessRule, Segmentation
from api.core.text.tokens import count_tokens
from api.core.text.units import to_units

FULL_DOC_TOKENS = 10_000
"""The most a parent of a whole document holds; a longer document has several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What becomes one segment: its text and tokens, the texts of its children, the answer of a question."""

    text: str
    tokens: int
    children: tuple[str, ...] = ()
    answer: str | None = None


def split(text: str, rule: ProcessRule, doc_form: DocForm) -> Iterator[Passage]:
    """Yield the passages of ``text`` in order; with children where ``doc_form`` is hierarchical."""
    for parent in _parents(text, rule):
        children: tuple[str, ...] = ()
        if doc_form is DocForm.HIERARCHICAL:
            children = tuple(child.text for child in _separate(parent.text, rule.child_segmentation))
        yield Passage(text=parent.text, tokens=parent.tokens, children=children)


def _parents(text: str, rule: ProcessRule) -> Iterator[Packed]:
    if rule.is_full_doc:
        return pack(text, to_units(text, FULL_DOC_TOKENS), limit=FULL_DOC_TOKENS)
    if rule.mode is Mode.AUTOMATIC:
        return _merge(text, rule.segmentation)
    return _separate(text, rule.segmentation)


def _merge(text: str, segmentation: Segmentation) -> Iterator[Packed]:
    """Yield pieces as large as the limit allows, whatever separates them."""
    limit = segmentation.max_tokens
    return pack(text, to_units(text, limit), limit=limit, overlap=segmentation.chunk_overlap)


def _separate(text: str, segmentation: Segmentation) -> Iterator[Packed]:
    """Yield what stands between separators, cut where it is above the limit."""
    for part in _parts(text, segmentation):
        tokens = count_tokens(part)
        if tokens <= segmentation.max_tokens:
            yield Packed(part, tokens)
        else:
            yield from _merge(part, segmentation)


def _parts(text: str, segmentation: Segmentation) -> Iterator[str]:
    """Yield the non-blank parts between separators; a heading alone stays with the part below it."""
    separator = segmentation.literal_separator
    heading_start: int | None = None
    for start, end in _between(text, separator, segmentation.max_tokens):
        part = text[start:end].strip()
        if not part:
            continue
        if separator.isspace() and all(block.kind is Kind.HEADING for block in blocks(part)):
            heading_start = start if heading_start is None else heading_start
            continue
        yield part if heading_start is None else text[heading_start:end].strip()
        heading_start = None
    if heading_start is not None:
        yield text[heading_start:].strip()


def _between(text: str, separator: str, max_tokens: int) -> Iterator[tuple[int, int]]:
    """Yield the stretches between separators; one within a fence that fits does not count."""
    never = (len(text), len(text) + 1)
    whole = iter([span for span in fences(text) if count_tokens(text[slice(*span)]) <= max_tokens])
    fence_start, fence_end = next(whole, never)
    start = 0
    for found in re.finditer(re.escape(separator), text):
        while fence_end <= found.start():
            fence_start, fence_end = next(whole, never)
        if not (fence_start < found.start() and found.end() < fence_end):
            yield start, found.start()
            start = found.end()
    yield start, len(text)
