"""Collections' postings in memory, ranked exactly: every entry that has a word of the query is scored.

Boundary: numpy alone; knows no database. What must stay true: nothing is ever
changed under a search; the next snapshot shares the parts that stayed.
"""

from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from api.core.rag.chunk import Hit
from api.core.rag.keyword_search import LEVELS, Ranking, Size, token_of
from api.core.text.bm25 import LENGTH_WEIGHT, SATURATION

Row: TypeAlias = tuple[int, str, str, str, int, str]
"""An entry's number, its id, its segment's, its document's, how many words it has, its tokens in one text."""

PART_POSTINGS = 1_000_000
"""A part takes a few times its own size while it is made, so it has hardly more than this."""
BYTES_OF_ENTRY = 8 + 4 + 4 + 110
BYTES_OF_POSTING = 4
BYTES_OF_TOKEN = 120
"""What a token and where its postings start take, about; of an entry, the ids take most."""
MAX_TIES = 1_000
"""Of those that score like the last wanted, so many are told from each other by their ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some entries, numbers rising, and which of them have each token.

    The rows of the token with code c are ``rows[starts[c] : starts[c + 1]]``;
    ``dead`` tells which entries were removed since, None where none was.
    """

    numbers: NDArray[np.int64]
    ids: Sequence[str]
    segment_ids: Sequence[str]
    documents: Sequence[str]
    document_codes: NDArray[np.int32]
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

    def outside(self, documents: Collection[str]) -> NDArray[np.bool_]:
        """Return which entries are of none of the documents."""
        is_wanted = np.array([document in documents for document in self.documents], np.bool_)
        return ~is_wanted[self.document_codes]

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

    collection: str
    size: Size
    last_number: int
    removals: int
    parts: tuple[Part, ...]

    @property
    def size_bytes(self) -> int:
        """The memory it takes, about."""
        return sum(part.size_bytes for part in self.parts)


class Builder:
    """Takes the rows of a part as they come; :meth:`build` takes long, and fits a native thread."""

    def __init__(self) -> None:
        self._codes: defaultdict[str, int] = defaultdict()
        self._codes.default_factory = self._codes.__len__
        self._documents: defaultdict[str, int] = defaultdict()
        self._documents.default_factory = self._documents.__len__
        self._numbers, self._words = array("q"), array("i")
        self._ids: list[str] = []
        self._segment_ids: list[str] = []
        self._document_codes, self._lengths, self._tokens = array("i"), array("i"), array("i")

    def add(self, rows: Iterable[Row]) -> None:
        """Take rows, their numbers rising."""
        code = self._codes.__getitem__
        for number, entry_id, segment_id, document_id, words, tokens in rows:
            codes = list(map(code, tokens.split()))
            self._numbers.append(number)
            self._ids.append(entry_id)
            self._segment_ids.append(entry_id if segment_id == entry_id else segment_id)
            self._document_codes.append(self._documents[document_id])
            self._words.append(words)
            self._lengths.append(len(codes))
            self._tokens.extend(codes)

    @property
    def is_full(self) -> bool:
        """Whether it is time for another part."""
        return len(self._tokens) >= PART_POSTINGS

    @property
    def size_bytes(self) -> int:
        """The memory the part will take, about."""
        return size_bytes(len(self._numbers), len(self._tokens), len(self._codes))

    def build(self) -> Part:
        """Return the part of all the rows."""
        tokens = np.frombuffer(self._tokens, np.int32)
        counts = np.bincount(tokens, minlength=len(self._codes))
        lengths = np.frombuffer(self._lengths, np.int32)
        owners = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        return Part(
            numbers=np.frombuffer(self._numbers, np.int64),
            ids=self._ids,
            segment_ids=self._segment_ids,
            documents=list(self._documents),
            document_codes=np.frombuffer(self._document_codes, np.int32),
            words=np.frombuffer(self._words, np.int32),
            codes=dict(self._codes),
            starts=np.concatenate([[0], np.cumsum(counts)]),
            rows=owners[np.argsort(tokens, kind="stable")],
        )


def rank(
    snapshots: Sequence[Snapshot],
    words: Sequence[str],
    stored: Callable[[str], str],
    top_k: int,
    documents: Collection[str] | None,
) -> list[Hit]:
    """Return the ``top_k`` best entries of all snapshots, best first, equals by their ids.

    The snapshots are weighed as one corpus; ``stored`` tells how a token is
    spelt in them. Only entries of ``documents`` are returned where it is given.
    """
    corpus = _Corpus(snapshots, stored)
    ranking = Ranking.of(
        words,
        [{word: corpus.count(word) for word in words}],
        [snapshot.size for snapshot in snapshots],
    )
    if not ranking.weights:
        return []
    scores = corpus.score(ranking)
    corpus.strike_out(scores, None if documents is None else frozenset(documents))
    hits = [corpus.hit(row, score) for row, score in _best(scores, top_k)]
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))[:top_k]


def _best(scores: NDArray[np.float64], top_k: int) -> list[tuple[int, float]]:
    """Return the rows of the ``top_k`` best scores above 0, and those that score like the last of them."""
    place = max(0, len(scores) - top_k)
    least = max(float(np.partition(scores, place)[place]), np.nextafter(0.0, 1.0))
    better, equal = np.flatnonzero(scores > least), np.flatnonzero(scores == least)
    rows = np.concatenate([better, equal[:MAX_TIES]])
    return list(zip(rows.tolist(), scores[rows].tolist(), strict=True))


class _Corpus:
    """Parts looked at as one: the rows of each come behind those of the one before."""

    def __init__(self, snapshots: Sequence[Snapshot], stored: Callable[[str], str]) -> None:
        self._stored = stored
        owned = [(snapshot.collection, part) for snapshot in snapshots for part in snapshot.parts]
        self._collections = [collection for collection, _ in owned]
        self._parts = [part for _, part in owned]
        self._ends = list(accumulate(len(part.numbers) for part in self._parts))
        self._begins = [0, *self._ends[:-1]]
        self._having: dict[str, NDArray[np.int32]] = {}
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
                for begin, part in zip(self._begins, self._parts, strict=False)
                if (rows := part.having(key)) is not None
            ]
            found = np.concatenate(of_parts) if of_parts else np.empty(0, np.int32)
            self._having[token] = found
        return found

    def score(self, ranking: Ranking) -> NDArray[np.float64]:
        """Return for every row what Ranking.score says of it."""
        words = np.concatenate([part.words for part in self._parts])
        scores = np.zeros(len(words))
        # What bm25.saturation adds to a count, for each row.
        added = SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * words / ranking.mean_words)
        reached = np.zeros(len(words), np.uint8)
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

    def strike_out(self, scores: NDArray[np.float64], documents: Collection[str] | None) -> None:
        """Set the scores of rows to 0 that are dead or of other documents."""
        if self._dead is not None:
            scores[self._dead] = 0.0
        if documents is not None:
            scores[np.concatenate([part.outside(documents) for part in self._parts])] = 0.0

    def hit(self, row: int, score: float) -> Hit:
        """Return a row as it is found."""
        place = bisect_right(self._ends, row)
        part, at = self._parts[place], row - self._begins[place]
        return Hit(
            collection=self._collections[place],
            id=part.ids[at],
            segment_id=part.segment_ids[at],
            document_id=part.documents[part.document_codes[at]],
            score=score,
        )

    def _find_dead(self) -> NDArray[np.bool_] | None:
        if all(part.dead is None for part in self._parts):
            return None
        return np.concatenate(
            [
                np.zeros(len(part.numbers), np.bool_) if part.dead is None else part.dead
                for part in self._parts
            ]
        )
