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
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple, Protocol

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

Sought = tuple[float, Sequence[tuple[int, str]]]
"""What a word is worth, and what stands in a passage that has it so often, counts rising."""


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


class Passage(NamedTuple):
    """A stored entry: the place of its collection, whose it is, how many words it has, and its tokens.

    ``tokens`` are as the index stores them, each between two spaces.
    """

    place: int
    id: str
    segment_id: str
    document_id: str
    words: int
    tokens: str


class Postings(Protocol):
    """Some collections of a keyword index, open for reading; a *place* is that of one among them."""

    @property
    def collections(self) -> Sequence[str]:
        """The names of the collections."""
        ...

    @property
    def sizes(self) -> Sequence[Size]:
        """How much each collection holds."""
        ...

    def stored(self, place: int, token: str) -> str:
        """Return a token as it stands in the passages of a collection."""
        ...

    def count(self, words: Sequence[str]) -> Sequence[Mapping[str, int]]:
        """Return for each place how many entries have each word; about right is enough for common ones."""
        ...

    def probe(
        self, probes: Sequence[tuple[int, Probe]], documents: Collection[str] | None
    ) -> Sequence[Iterable[int]]:
        """Return for each place and probe the numbers of entries that answer it, of ``documents`` if given.

        A number is of one entry, whatever its collection.
        """
        ...

    def numbers(self, documents: Collection[str], limit: int) -> Sequence[tuple[int, int]]:
        """Return the places and numbers of up to ``limit`` entries of the documents."""
        ...

    def passages(self, numbers: Mapping[int, Collection[int]]) -> Iterable[Passage]:
        """Return the entries of the numbers, which are given by place, in any order."""
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


def words_of(query: str) -> list[str]:
    """Return the words a query is searched by, each once."""
    return list(dict.fromkeys(terms(query, bridging=True)))


def search(index: Postings, query: str, *, top_k: int, documents: Collection[str] | None = None) -> list[Hit]:
    """Return the ``top_k`` entries of an index that match best, best first; see KeywordIndex.search.

    Its collections are weighed, asked and ranked as one corpus, so that their
    scores compare and many cost little more than one.
    """
    words = words_of(query)
    if not words or not index.sizes or (documents is not None and not documents):
        return []
    counts = index.count(words)
    ranking = Ranking.of(words, counts, index.sizes)
    if not ranking.weights:
        return []
    numbers = _candidates(index, ranking, counts, top_k, documents)
    sought = {place: ranking.sought(index, place) for place in numbers}
    scored = (
        (ranking.score(sought[passage.place], passage.tokens, passage.words), passage)
        for passage in index.passages(numbers)
    )
    best = heapq.nsmallest(top_k, (one for one in scored if one[0] > 0), key=lambda one: (-one[0], one[1].id))
    return [
        Hit(
            collection=index.collections[passage.place],
            id=passage.id,
            segment_id=passage.segment_id,
            document_id=passage.document_id,
            score=score,
        )
        for score, passage in best
    ]


@dataclass(frozen=True, slots=True)
class Ranking:
    """What each word of one query is worth, in all and together, and how long a usual entry is.

    ``found`` tells how many entries have each word.
    """

    weights: Mapping[str, float]
    weight: float
    found: Mapping[str, int]
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
        weights = {word: rarity(found[word], total) for word in rarest}
        return cls(weights, sum(weights.values()), found, max(1.0, mean))

    def sought(self, index: Postings, place: int) -> Sequence[Sought]:
        """Return what to look for in the passages of a collection."""
        return [
            (
                weight,
                [(level, f" {index.stored(place, token_of(term, level))} ") for level in (1, *LEVELS)],
            )
            for term, weight in self.weights.items()
        ]

    def score(self, sought: Sequence[Sought], tokens: str, words: int) -> float:
        """Return the entry's BM25 sum as a share of the highest that any text could reach, 0..1."""
        relative_length = words / self.mean_words
        total = 0.0
        for weight, marks in sought:
            reached = 0
            for level, mark in marks:
                if mark not in tokens:
                    break
                reached = level
            if reached:
                total += weight * saturation(reached, relative_length)
        return total / self.weight


def _candidates(
    index: Postings,
    ranking: Ranking,
    counts: Sequence[Mapping[str, int]],
    top_k: int,
    documents: Collection[str] | None,
) -> dict[int, list[int]]:
    """Return the numbers of the entries worth reading, by place: all of a few documents, or the promising.

    What an entry promises is its score, but for its length. Each is taken to
    have the words that are too common to ask all entries for.
    """
    if documents is not None:
        few = index.numbers(documents, MAX_CANDIDATES + 1)
        if len(few) <= MAX_CANDIDATES:
            return _by_place(few)
    probes = _spread(plan({word: ranking.found[word] for word in ranking.weights}), ranking, counts)
    answers = index.probe(probes, documents)
    place_of: dict[int, int] = {}
    promises: defaultdict[int, float] = defaultdict(float)
    for term, pairs in groupby(zip(probes, answers, strict=True), key=lambda pair: pair[0][1].term):
        worth: dict[int, float] = {}
        for (place, probe), numbers in pairs:
            taken = saturation(1, 1.0) if probe.is_cut else 0.0
            value = ranking.weights[term] * (saturation(probe.level, 1.0) - taken)
            found = dict.fromkeys(numbers, value)
            worth |= found
            place_of |= dict.fromkeys(found, place)
        for number, value in worth.items():
            promises[number] += value
    wanted = min(MAX_CANDIDATES, max(MIN_CANDIDATES, 4 * top_k))
    best = sorted(promises, key=promises.__getitem__, reverse=True)[:wanted]
    return _by_place((place_of[number], number) for number in best)


def _by_place(numbers: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    by_place: dict[int, list[int]] = {}
    for place, number in numbers:
        by_place.setdefault(place, []).append(number)
    return by_place


def _spread(
    probes: Sequence[Probe], ranking: Ranking, counts: Sequence[Mapping[str, int]]
) -> list[tuple[int, Probe]]:
    """Return the probes of each place that has their words; each answers for its share of the limit."""
    shares = []
    for probe in probes:
        everywhere = ranking.found[probe.term]
        for place, count in enumerate(counts):
            if here := count.get(probe.term, 0):
                limit = math.ceil(probe.limit * here / everywhere)
                shares.append((place, probe if here == everywhere else replace(probe, limit=limit)))
    return shares


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
