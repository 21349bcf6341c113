"""A collection's postings in memory, ranked exactly: every entry that has a word of the query is scored.

Boundary: numpy alone; knows no database. What must stay true: nothing is ever
changed under a search; the next snapshot shares the parts that stayed.
"""

from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from api.core.rag.keyword_search import LEVELS, Ranking, Size, token_of
from api.core.text.bm25 import LENGTH_WEIGHT, SATURATION

Row: TypeAlias = tuple[int, int, str]
"""An entry's number, how many words it has, and its tokens with spaces between."""
Ranked: TypeAlias = tuple[int, int, float]
"""A collection's place among those searched, the number of an entry of it, and that entry's score."""

BYTES_OF_ENTRY = 8 + 4
BYTES_OF_POSTING = 4
BYTES_OF_TOKEN = 120
"""What a token and where its postings start take, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some entries, numbers rising, and which of them have each token.

    The rows of the token with code c are ``rows[starts[c] : starts[c + 1]]``;
    ``dead`` tells which entries were removed since, None where none was.
    """

    numbers: NDArray[np.int64]
    words: NDArray[np.int32]
    codes: Mapping[str, int]
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    dead: NDArray[np.bool_] | None = None

    def having(self, token: str) -> NDArray[np.int32] | None:
        """Return the rows that have a token, dead ones among them; None where there are none."""
        code = self.codes.get(token)
        return None if code is None else self.rows[self.starts[code] : self.starts[code + 1]]

    def keeping(self, numbers: NDArray[np.int64]) -> "Part":
        """Return the part with all dead but the entries of some numbers."""
        dead = ~np.isin(self.numbers, numbers, assume_unique=True)
        return replace(self, dead=dead) if dead.any() else self

    @property
    def is_worn(self) -> bool:
        """Whether more than a quarter of the entries is dead."""
        return self.dead is not None and 4 * int(self.dead.sum()) > len(self.numbers)

    @property
    def size_bytes(self) -> int:
        """The memory it takes, about."""
        return size_bytes(len(self.numbers), len(self.rows), len(self.codes))


def size_bytes(entries: int, postings: int, tokens: int) -> int:
    """Return the memory that so many take, about."""
    return BYTES_OF_ENTRY * entries + BYTES_OF_POSTING * postings + BYTES_OF_TOKEN * tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A collection at one state of it (see tables.Mark): parts whose numbers follow each other."""

    scope: int
    last_number: int
    removals: int
    parts: tuple[Part, ...]

    @property
    def size_bytes(self) -> int:
        """The memory it takes, about."""
        return sum(part.size_bytes for part in self.parts)


class Builder:
    """Makes a part of rows that come by and by; the last step takes longest, and fits a native thread."""

    def __init__(self) -> None:
        self._codes: defaultdict[str, int] = defaultdict()
        self._codes.default_factory = self._codes.__len__
        self._numbers, self._words = array("q"), array("i")
        self._lengths, self._tokens = array("i"), array("i")

    def add(self, rows: Iterable[Row]) -> None:
        """Take rows, their numbers rising."""
        code = self._codes.__getitem__
        for number, words, tokens in rows:
            codes = list(map(code, tokens.split()))
            self._numbers.append(number)
            self._words.append(words)
            self._lengths.append(len(codes))
            self._tokens.extend(codes)

    def build(self) -> Part:
        """Return the part of all the rows."""
        tokens = np.frombuffer(self._tokens, np.int32)
        counts = np.bincount(tokens, minlength=len(self._codes))
        owners = np.repeat(
            np.arange(len(self._numbers), dtype=np.int32), np.frombuffer(self._lengths, np.int32)
        )
        return Part(
            numbers=np.frombuffer(self._numbers, np.int64),
            words=np.frombuffer(self._words, np.int32),
            codes=dict(self._codes),
            starts=np.concatenate([[0], np.cumsum(counts)]),
            rows=owners[np.argsort(tokens, kind="stable")],
        )


def rank(
    snapshots: Sequence[Snapshot],
    sizes: Sequence[Size],
    words: Sequence[str],
    stored: Callable[[str], str],
    top_k: int,
    wanted: Sequence[int] | None,
) -> list[Ranked]:
    """Return the ``top_k`` best of all snapshots, those of the numbers ``wanted`` if given, in no order.

    The snapshots are weighed as one corpus; ``stored`` tells how a token is
    spelt in them.
    """
    corpus = _Corpus([part for snapshot in snapshots for part in snapshot.parts], stored)
    if not corpus.entries:
        return []
    ranking = Ranking.of(words, [{word: corpus.count(word) for word in words}], sizes)
    if not ranking.weights:
        return []
    scores = corpus.score(ranking)
    corpus.strike_out(scores, wanted)
    size = min(top_k, len(scores))
    best = np.argpartition(scores, len(scores) - size)[len(scores) - size :]
    places = [place for place, snapshot in enumerate(snapshots) for _ in snapshot.parts]
    return [
        (places[part], number, score)
        for score, (part, number) in zip(scores[best].tolist(), map(corpus.entry, best.tolist()), strict=True)
        if score > 0.0
    ]


class _Corpus:
    """Parts looked at as one: the rows of each come behind those of the one before."""

    def __init__(self, parts: Sequence[Part], stored: Callable[[str], str]) -> None:
        self._parts = parts
        self._stored = stored
        self._ends = list(accumulate(len(part.numbers) for part in parts))
        self._begins = [0, *self._ends[:-1]]
        self._having: dict[str, NDArray[np.int32]] = {}
        self.entries = self._ends[-1] if parts else 0
        self._dead = self._find_dead()

    def count(self, token: str) -> int:
        """Return how many entries that are not dead have a token."""
        rows = self.having(token)
        return len(rows) if self._dead is None else len(rows) - int(self._dead[rows].sum())

    def having(self, token: str) -> NDArray[np.int32]:
        """Return the rows that have a token, dead ones among them."""
        found = self._having.get(token)
        if found is None:
            key = self._stored(token)
            of_parts = [
                rows + begin
                for begin, part in zip(self._begins, self._parts, strict=True)
                if (rows := part.having(key)) is not None
            ]
            found = np.concatenate(of_parts) if of_parts else np.empty(0, np.int32)
            self._having[token] = found
        return found

    def score(self, ranking: Ranking) -> NDArray[np.float64]:
        """Return for every row what Ranking.score says of it."""
        scores = np.zeros(self.entries)
        words = np.concatenate([part.words for part in self._parts])
        # What bm25.saturation adds to a count, for each row.
        added = SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * words / ranking.mean_words)
        reached = np.zeros(self.entries, np.uint8)
        for term, weight in ranking.weights.items():
            rows = self.having(term)
            reached[rows] = 1
            for level in LEVELS:
                deeper = self.having(token_of(term, level))
                if not len(deeper):
                    break
                reached[deeper] = level
            scores[rows] += weight * reached[rows] / (reached[rows] + added[rows])
        return scores / ranking.weight

    def strike_out(self, scores: NDArray[np.float64], wanted: Sequence[int] | None) -> None:
        """Set the scores of rows to 0 that are dead or not wanted."""
        if self._dead is not None:
            scores[self._dead] = 0.0
        if wanted is not None:
            numbers = np.concatenate([part.numbers for part in self._parts])
            scores[~np.isin(numbers, np.array(wanted, np.int64))] = 0.0

    def entry(self, row: int) -> tuple[int, int]:
        """Return a row's part and number."""
        part = bisect_right(self._ends, row)
        return part, int(self._parts[part].numbers[row - self._begins[part]])

    def _find_dead(self) -> NDArray[np.bool_] | None:
        if all(part.dead is None for part in self._parts):
            return None
        return np.concatenate(
            [
                np.zeros(len(part.numbers), np.bool_) if part.dead is None else part.dead
                for part in self._parts
            ]
        )
