"""Ranks the entries of keyword indexes by BM25, whatever finds them: one flow over every backend.

Boundary: pure; a backend says which entries have a word (:class:`Postings`),
this module what to ask and how much an answer is worth. What must stay true:
the cost of a search is bounded by ``MAX_POSTINGS`` and ``MAX_CANDIDATES``, not
by how common the words are, and a score means the same on every backend.

A backend stores an entry as a set of *tokens* (:func:`tokens_of`): each word,
and beside it one token more for each of ``LEVELS`` its count reaches. That is
how an index that only knows whether a token is there tells how often a word is.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from api.core.rag.chunk import Hit
from api.core.text.bm25 import rarity, saturation
from api.core.text.words import characters, terms

LEVELS = (2, 3, 5, 8)
MAX_TERMS = 32
MAX_POSTINGS = 6_000
MAX_BESIDE = 3
MIN_CANDIDATES = 100
MAX_CANDIDATES = 300

_MIN_ENTRIES = 10
"""Of a handful of entries a word is in all or in none by chance; weights are taken as if there were more."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many entries a collection has, and how many words they have together."""

    entries: int = 0
    words: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One question to an index: up to ``limit`` entries that have ``token``.

    Where ``beside`` names words, the entry must have one of them too. ``is_cut``
    says that the answers to the word's probes need not be all.
    """

    term: str
    level: int
    beside: tuple[str, ...] = ()
    limit: int
    is_cut: bool = False

    @property
    def token(self) -> str:
        return token_of(self.term, self.level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A stored entry: where it belongs, how many words it has, and a way to ask for its tokens."""

    id: str
    segment_id: str
    document_id: str
    words: int
    tokens: Container[str]


class Postings(Protocol):
    """One collection of a keyword index, open for reading."""

    @property
    def collection(self) -> str:
        """The collection's name."""
        ...

    @property
    def size(self) -> Size:
        """How much the collection holds."""
        ...

    def count(self, words: Sequence[str]) -> dict[str, int]:
        """Return how many entries have each word; about right is enough for common ones."""
        ...

    def probe(self, probes: Sequence[Probe], documents: Collection[str] | None) -> Sequence[Iterable[int]]:
        """Return for each probe the numbers of entries that answer it, of ``documents`` alone if given."""
        ...

    def numbers(self, documents: Collection[str], limit: int) -> list[int]:
        """Return the numbers of up to ``limit`` entries of the documents."""
        ...

    def passages(self, numbers: Collection[int]) -> list[Passage]:
        """Return the entries of the numbers, in any order."""
        ...


def token_of(term: str, level: int) -> str:
    """Return the token that says: the word is there at least ``level`` times."""
    return term if level == 1 else f"{term}^{level}"


def tokens_of(text: str) -> tuple[list[str], int]:
    """Return the tokens an entry is stored as, and how many words its text has."""
    counts = Counter(terms(text, bridging=True))
    reached = [(term, level) for term, count in counts.items() for level in (1, *LEVELS) if count >= level]
    tokens = [token_of(term, level) for term, level in reached]
    tokens += characters(text) - counts.keys()
    return tokens, counts.total()


def search(
    sources: Sequence[Postings], query: str, *, top_k: int, documents: Collection[str] | None = None
) -> list[Hit]:
    """Return the ``top_k`` entries of all sources that match best, best first; see KeywordIndex.search.

    The sources are weighed as one corpus, so that their scores compare.
    """
    words = list(dict.fromkeys(terms(query, bridging=True)))
    if not words or not sources or (documents is not None and not documents):
        return []
    counts = [source.count(words) for source in sources]
    ranking = Ranking.of(words, counts, [source.size for source in sources])
    hits = [
        hit
        for source, found in zip(sources, counts, strict=True)
        for hit in _hits(source, ranking, found, top_k, documents)
    ]
    return heapq.nsmallest(top_k, hits, key=lambda hit: (-hit.score, hit.id))


@dataclass(frozen=True, slots=True)
class Ranking:
    """What each word of one query is worth, and how long a usual entry is."""

    weights: Mapping[str, float]
    mean_words: float

    @classmethod
    def of(
        cls, words: Sequence[str], counts: Sequence[Mapping[str, int]], sizes: Sequence[Size]
    ) -> "Ranking":
        """Weigh the words by how rare they are; the ``MAX_TERMS`` rarest that occur at all count."""
        entries = sum(size.entries for size in sizes)
        found = {word: sum(count.get(word, 0) for count in counts) for word in words}
        rarest = heapq.nsmallest(MAX_TERMS, filter(found.__getitem__, words), key=found.__getitem__)
        total = max(_MIN_ENTRIES, entries, *found.values())
        mean = sum(size.words for size in sizes) / max(1, entries)
        return cls({word: rarity(found[word], total) for word in rarest}, max(1.0, mean))

    def score(self, tokens: Container[str], words: int) -> float:
        """Return the entry's BM25 sum as a share of the highest that any text could reach, 0..1."""
        relative_length = words / self.mean_words
        reached = sum(
            weight * saturation(_level(term, tokens), relative_length)
            for term, weight in self.weights.items()
            if term in tokens
        )
        return reached / sum(self.weights.values())


class Tokens:
    """The tokens of an entry as one text, each between spaces; asked for a few, cheaper than a set."""

    __slots__ = ("_prefix", "_spaced")

    def __init__(self, joined: str, prefix: str = "") -> None:
        self._spaced = f" {joined} "
        self._prefix = prefix

    def __contains__(self, token: object) -> bool:
        return f" {self._prefix}{token} " in self._spaced


def _level(term: str, tokens: Container[str]) -> int:
    reached = 1
    for level in LEVELS:
        if token_of(term, level) not in tokens:
            break
        reached = level
    return reached


def _hits(
    source: Postings,
    ranking: Ranking,
    found: Mapping[str, int],
    top_k: int,
    documents: Collection[str] | None,
) -> list[Hit]:
    numbers = _candidates(source, ranking, found, top_k, documents)
    scored = ((ranking.score(passage.tokens, passage.words), passage) for passage in source.passages(numbers))
    return [
        Hit(
            collection=source.collection,
            id=passage.id,
            segment_id=passage.segment_id,
            document_id=passage.document_id,
            score=score,
        )
        for score, passage in scored
        if score > 0
    ]


def _candidates(
    source: Postings,
    ranking: Ranking,
    found: Mapping[str, int],
    top_k: int,
    documents: Collection[str] | None,
) -> list[int]:
    """Return the numbers of the entries worth reading: all of a few documents, else the most promising.

    What an entry promises is its score, but for its length. Each is taken to
    have the words that are too common to ask all entries for.
    """
    if documents is not None:
        few = source.numbers(documents, MAX_CANDIDATES + 1)
        if len(few) <= MAX_CANDIDATES:
            return few
    probes = plan({word: found[word] for word in ranking.weights if found.get(word)})
    answers = source.probe(probes, documents)
    promises: dict[int, float] = {}
    for term, pairs in groupby(zip(probes, answers, strict=True), key=lambda pair: pair[0].term):
        worth: dict[int, float] = {}
        for probe, numbers in pairs:
            taken = saturation(1, 1.0) if probe.is_cut else 0.0
            worth |= dict.fromkeys(numbers, ranking.weights[term] * (saturation(probe.level, 1.0) - taken))
        for number, value in worth.items():
            promises[number] = promises.get(number, 0.0) + value
    wanted = min(MAX_CANDIDATES, max(MIN_CANDIDATES, 4 * top_k))
    return heapq.nlargest(wanted, promises, key=promises.__getitem__)


def plan(found: Mapping[str, int]) -> list[Probe]:
    """Return what to ask for words that so many entries have, for ``MAX_POSTINGS`` answers in all.

    The rarest words are asked for in full. A word too common for that is asked
    for where it is beside a rare one, and where it is frequent; those are the
    entries that can rank high. The probes of a word follow each other, levels
    rising.
    """
    probes = []
    left = MAX_POSTINGS
    by_rarity = sorted(found, key=found.__getitem__)
    for place, word in enumerate(by_rarity):
        share = left // (len(found) - place)
        if found[word] <= share:
            # Entries of a rare word are all read, whatever they promise.
            levels = (1, *LEVELS) if found[word] > MIN_CANDIDATES else (1,)
            probes += [Probe(term=word, level=level, limit=share) for level in levels]
        else:
            beside = tuple([other for other in by_rarity if other != word][:MAX_BESIDE])
            probes.append(Probe(term=word, level=1, beside=beside, limit=share // 2, is_cut=True))
            each = share // 2 // len(LEVELS)
            probes += [Probe(term=word, level=level, limit=each, is_cut=True) for level in LEVELS]
        left -= min(found[word], share)
    return probes
