"""Counts and cuts text in tokens as OpenAI's models see them, without network.

Boundary: text and numbers only; what a prompt adds around its texts is counted
in ``model_runtime/prompt_tokens.py``. An encoding is loaded when first used and
stays for the life of the process: o200k takes 0.5 s and 55 MB, cl100k 0.2 s
and 30 MB, all of it while holding the interpreter. After that a count of a few
hundred characters takes about 1 µs.
"""

import codecs
import ctypes
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple, Protocol

import quicktok

_OLDER_MODELS = re.compile(r"(?:^|[/:])(?:gpt-4(?![o.])|gpt-3|text-embedding-(?:3|ada))", re.IGNORECASE)


# Prose has 4 or 5, source code fewer; only runs of blanks have more.
MAX_CHARS_PER_TOKEN = 16


class Piece(NamedTuple):
    """A stretch of whole characters and the number of tokens it is made of, at least 1."""

    text: str
    tokens: int


def count_tokens(text: str, model: str = "") -> int:
    """Return how many tokens ``text`` is for ``model``; any text counts, none raises.

    gpt-4, gpt-3.5 and the text-embedding models count in cl100k, every other
    name in o200k, which for other vendors is an estimate. Marks such as
    ``<|endoftext|>`` are counted as the plain text they are.
    """
    return _encoding(model).count(to_valid(text))


def split_pieces(text: str, model: str = "") -> Iterator[Piece]:
    """Yield the tokens of ``text`` in order, joined where one ends within a character.

    The pieces put together are ``to_valid(text)``, and their tokens add up to
    ``count_tokens(text, model)``.
    """
    encoding = _encoding(model)
    decoder = codecs.getincrementaldecoder("utf-8")()
    tokens = 0
    for token in encoding.encode_ordinary(to_valid(text)):
        tokens += 1
        piece = decoder.decode(encoding.decode_single_token_bytes(token))
        if piece:
            yield Piece(piece, tokens)
            tokens = 0


def cut_tokens(text: str, max_tokens: int, model: str = "") -> str:
    """Return the beginning of ``text`` that its first ``max_tokens`` tokens make, whole characters of it.

    Takes time for what it returns, not for ``text``: of one whose tokens are
    longer than ``MAX_CHARS_PER_TOKEN`` on average it returns fewer.
    """
    encoding = _encoding(model)
    start = to_valid(text[: max(0, max_tokens) * MAX_CHARS_PER_TOKEN])
    tokens = encoding.encode_ordinary(start)
    if len(tokens) <= max_tokens:
        return start
    return encoding.decode_bytes(tokens[:max_tokens]).decode("utf-8", "ignore")


def to_valid(text: str) -> str:
    """Return ``text`` with a ``?`` for each lone surrogate, which UTF-8 cannot carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


class _Encoding(Protocol):
    def count(self, text: str) -> int: ...
    def encode_ordinary(self, text: str) -> Sequence[int]: ...
    def decode_single_token_bytes(self, token: int) -> bytes: ...
    def decode_bytes(self, tokens: Sequence[int]) -> bytes: ...


def _encoding(model: str) -> _Encoding:
    return _loaded("cl100k_base" if _OLDER_MODELS.search(model) else "o200k_base")


@cache
def _loaded(name: str) -> _Encoding:
    """Return an encoding; what was used to build it goes back to the system, 9 MB of it for o200k."""
    encoding: _Encoding = quicktok.get_encoding(name)
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # GNU's C library keeps such holes, and fills them
    if trim is not None:
        trim(0)
    return encoding
