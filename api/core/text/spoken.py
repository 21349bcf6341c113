"""Cuts text into parts that a model speaks one after the other.

Boundary: pure.
"""

from collections.abc import Iterator

from api.core.text.sentences import sentence_spans

# OpenAI's models take 4,096 characters.
MAX_SPOKEN_CHARS = 4_000


def spoken_parts(text: str) -> Iterator[str]:
    """Yield a text in parts a model speaks at once, none blank, cut between sentences where that can be."""
    start = end = 0
    for begin, stop in sentence_spans(text, 0, len(text)):
        if end > start and stop - start > MAX_SPOKEN_CHARS:
            yield text[start:end]
            start = begin
        elif end == start:
            start = begin
        while stop - start > MAX_SPOKEN_CHARS:
            if part := text[start : start + MAX_SPOKEN_CHARS].strip():
                yield part
            start += MAX_SPOKEN_CHARS
        end = stop
    if end > start:
        yield text[start:end]
