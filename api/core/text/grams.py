"""Finds which of many texts may hold a piece of text, by the groups of three characters they have.

A text's grams are all three characters of it in a row, and the one and two at its
end, so that whatever stands in it begins one of them. What stands in many texts
of a block tells little: next to it are the grams that are a character longer and
begin with it, and so on. Texts of a block are known by their places in it. The
grams of a block lie in chunks, in their order, each with the set of places where
it stands, which is a number with a bit for each place. What a block names may
hold the piece, what it does not name cannot.

Boundary: text and bytes only. Letters A to Z count in either case, as in a search.
"""

import string
import struct
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

GRAM_CHARS = 3
LONGEST_CHARS = 6
"""The most that a gram has where shorter ones stand in many texts."""
MANY_IN = 3
"""Many are more than one in so many texts."""
MAX_GRAMS = 8
"""So many grams of a long piece are looked at: more tell next to nothing."""
CHUNK_BYTES = 1_024

_LOWER = str.maketrans(string.ascii_uppercase + "\0", string.ascii_lowercase + " ")
_FEW, _MANY = b"\0", b"\1"


def fold(text: str) -> str:
    """Return a text with its letters A to Z in lower case, and without NULs, which part grams in chunks."""
    return text.translate(_LOWER)


def needed(piece: str) -> Sequence[str]:
    """Return what of a piece is to be found in every text with it, at most MAX_GRAMS places of it.

    Each is as long as a gram may be, unless the piece ends; see :func:`find`. None
    for a piece shorter than any gram.
    """
    folded = fold(piece)
    found = list(
        dict.fromkeys(folded[start : start + LONGEST_CHARS] for start in range(len(folded) - GRAM_CHARS + 1))
    )
    step = max(1, -(-len(found) // MAX_GRAMS))
    return found[::step]


def begins(piece: str) -> tuple[str, str]:
    """Return from which gram, and before which, are all that begin with a piece shorter than one."""
    folded = fold(piece)
    after = ord(folded[-1]) + 1
    return folded, folded[:-1] + chr(0xE000 if 0xD800 <= after < 0xE000 else after)


def index(texts: Sequence[Iterable[str]]) -> list[tuple[str, bytes]]:
    """Return the chunks of a block of texts, each with its first gram; a text may come in several parts."""
    folded = [[fold(part) for part in parts] for parts in texts]
    starts: list[Sequence[Sequence[int]]] = [[range(len(part)) for part in parts] for parts in folded]
    longest = _places(folded, starts, GRAM_CHARS)
    places = dict(longest)
    for chars in range(GRAM_CHARS, LONGEST_CHARS):
        common = {
            gram for gram, held in longest.items() if len(held) * MANY_IN > len(texts) and len(gram) == chars
        }
        if not common:
            break
        starts = [
            [
                [at for at in begun if part[at : at + chars] in common and at + chars < len(part)]
                for part, begun in zip(parts, of_text, strict=True)
            ]
            for parts, of_text in zip(folded, starts, strict=True)
        ]
        longest = _places(folded, starts, chars + 1)
        places |= longest
    return list(_to_chunks({gram: pack(places[gram], len(texts)) for gram in sorted(places)}))


def _places(
    texts: Iterable[Sequence[str]], starts: Iterable[Sequence[Sequence[int]]], chars: int
) -> dict[str, list[int]]:
    """Return where the grams of so many characters stand that begin there in each part of each text."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, (parts, of_text) in enumerate(zip(texts, starts, strict=True)):
        grams = {
            part[start : start + chars] for part, begun in zip(parts, of_text, strict=True) for start in begun
        }
        for gram in grams:
            places[gram].append(place)
    return places


def find(chunk: bytes, piece: str) -> int:
    """Return the places of the longest gram that a piece begins with, or none where there is no such gram.

    ``chunk`` is the one that the piece would be in if it were a gram. Of all
    grams up to it in their order, the last is the one that it begins with, if
    there is any: what comes between these two begins with the gram as well, so
    it would be longer, and only those that are common have longer ones, all
    that stand anywhere.
    """
    names, sizes, start = _open(chunk)
    number = bisect_right(names, piece) - 1
    gram = names[number] if number >= 0 else ""
    if len(gram) < GRAM_CHARS or not piece.startswith(gram):
        return 0
    start += sum(sizes[:number])
    return unpack(chunk[start : start + sizes[number]])


def find_beginning(chunk: bytes, piece: str) -> int:
    """Return the places of all grams in a chunk that begin with a piece."""
    names, sizes, start = _open(chunk)
    found = 0
    for name, size in zip(names, sizes, strict=True):
        if name.startswith(piece) and len(name) <= GRAM_CHARS:  # longer ones tell nothing more
            found |= unpack(chunk[start : start + size])
        start += size
    return found


def unpack(packed: bytes) -> int:
    """Return a set of places."""
    if packed[:1] == _MANY:
        return int.from_bytes(packed[1:], "little")
    found = 0
    for place in struct.unpack(f"<{len(packed) // 2}H", packed[1:]):
        found |= 1 << place
    return found


def places_in(bits: int) -> Iterator[int]:
    """Yield the places of a set, the last one first."""
    while bits:
        place = bits.bit_length() - 1
        yield place
        bits ^= 1 << place


def pack(places: Sequence[int], size: int) -> bytes:
    """Return places among so many as bytes: a list of them or a bit for each, whichever is shorter."""
    if 16 * len(places) < size:
        return _FEW + struct.pack(f"<{len(places)}H", *places)
    bits = bytearray(-(-size // 8))
    for place in places:
        bits[place >> 3] |= 1 << (place & 7)
    return _MANY + bytes(bits)


def _to_chunks(packed: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield chunks of grams that come in their order: how long the names are, names, sizes, places."""
    names: list[str] = []
    size_bytes = 0
    for name, places in packed.items():
        if names and size_bytes > CHUNK_BYTES:
            yield names[0], _to_chunk(names, packed)
            names, size_bytes = [], 0
        names.append(name)
        size_bytes += len(places) + 2 * len(name)
    if names:
        yield names[0], _to_chunk(names, packed)


def _to_chunk(names: Sequence[str], packed: Mapping[str, bytes]) -> bytes:
    head = "\0".join(names).encode()
    held = [packed[name] for name in names]
    sizes = struct.pack(f"<{len(held)}H", *map(len, held))
    return struct.pack("<H", len(head)) + head + sizes + b"".join(held)


def _open(chunk: bytes) -> tuple[list[str], Sequence[int], int]:
    """Return the names in a chunk, the sizes of their sets, and where the first of these begins."""
    (head,) = struct.unpack_from("<H", chunk)
    names = chunk[2 : 2 + head].decode().split("\0")
    sizes = struct.unpack_from(f"<{len(names)}H", chunk, 2 + head)
    return names, sizes, 2 + head + 2 * len(names)
