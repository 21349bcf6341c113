"""Which texts may hold a piece of text: never one too few."""

import random
from bisect import bisect_right
from collections.abc import Sequence

import pytest

from api.core.text import grams


def may_hold(texts: Sequence[tuple[str, ...]], piece: str) -> set[int]:
    """Return the places of the texts that the index of a block names for a piece, as a search does."""
    firsts, chunks = zip(*(grams.index(texts)), strict=True)

    def chunk_of(gram: str) -> int:
        return max(0, bisect_right(firsts, gram) - 1)

    wanted = grams.needed(piece)
    bits = -1 if wanted else 0
    for gram in wanted:
        bits &= grams.find(chunks[chunk_of(gram)], gram)
    if not wanted:
        begin, end = grams.begins(piece)
        for first, chunk in list(zip(firsts, chunks, strict=True))[chunk_of(begin) :]:
            bits |= grams.find_beginning(chunk, grams.fold(piece)) if first < end else 0
    return set(grams.places_in(bits))


@pytest.mark.parametrize("alphabet", ["ab", "aAbBcC \n", "包裹在哪里的", "a包\U0001f6a2\ud7ff\U0010ffff\0"])
def test_texts_that_hold_a_piece_are_all_named(alphabet: str) -> None:
    chance = random.Random(alphabet)
    for size in (1, 9, 200):
        texts = [
            (
                "".join(chance.choices(alphabet, k=chance.randint(0, 12))),
                "".join(chance.choices(alphabet, k=5)),
            )
            for _ in range(size)
        ]
        for length in (1, 2, 3, 4, 9, 40):
            piece = "".join(chance.choices(alphabet.replace("\0", ""), k=length))
            holding = {
                place
                for place, parts in enumerate(texts)
                if any(grams.fold(piece) in grams.fold(part) for part in parts)
            }
            assert holding <= may_hold(texts, piece), piece


def test_texts_without_the_grams_of_a_piece_are_not_named() -> None:
    texts = [(f"number-{number} of many",) for number in range(500)]

    assert may_hold(texts, "NUMBER-271 ") == {271}
    assert may_hold(texts, "of many") == set(range(500))
    assert may_hold(texts, "zebra") == may_hold(texts, "qz") == set()


def test_piece_of_grams_that_are_everywhere_is_told_from_texts_without_it() -> None:
    parts = ["stat", "tatio", "ation", "tions", "sta", "ons"]
    texts = [(" ".join(parts), f"number {number}") for number in range(400)]
    texts += [("stations", "")]

    assert may_hold(texts, "stations") == {400}
    assert may_hold(texts, "Stations of") == may_hold(texts, "tionsta") == set()
    assert may_hold(texts, "tion") == set(range(401))


def test_sets_of_places_are_packed_short_and_told_the_last_first() -> None:
    for places in ([3], list(range(0, 4096, 2)), [0, 4095], list[int]()):
        packed = grams.pack(places, 4096)
        assert list(grams.places_in(grams.unpack(packed))) == places[::-1]
        assert len(packed) <= 513
