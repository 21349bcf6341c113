"""Finds which of many texts may hold a piece of text, by the groups of three characters they have.

A text's grams are all three characters of it in a row, and the one and two at its
end, so that whatever stands in it begins one of them. Texts of a block are known
by their places in it. The grams of a block lie in chunks, in their order, each
with the set of places where it stands, which is a number with a bit for each
place. What a block names may hold the piece, what it does not name cannot.

Boundary: text and bytes only. Letters A to Z count in either case, as in a search.
"""

import string
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

GRAM_CHARS = 3
MAX_GRAMS = 6
"""So many grams of a long piece are looked at: more tell next to nothing."""
CHUNK_BYTES = 1_024

_LOWER = str.maketrans(string.ascii_uppercase + "\0", string.ascii_lowercase + " ")
_FEW, _MANY = b"\0", b"\1"


def fold(text: str) -> str:
    """Return a text with its letters A to Z in lower case, and without NULs, which part grams in chunks."""
    return text.translate(_LOWER)


def grams_of(text: str) -> set[str]:
    """Return the grams of a text."""
    folded = fold(text)
    return {folded[start : start + GRAM_CHARS] for start in range(len(folded))}


def needed(piece: str) -> Sequence[str]:
    """Return grams that every text with a piece has, at most MAX_GRAMS; none for a piece shorter than one."""
    folded = fold(piece)
    found = list(
        dict.fromkeys(folded[start : start + GRAM_CHARS] for start in range(len(folded) - GRAM_CHARS + 1))
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
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, parts in enumerate(texts):
        for gram in set().union(*map(grams_of, parts)):
            places[gram].append(place)
    return list(_to_chunks({gram: pack(places[gram], len(texts)) for gram in sorted(places)}))


def find(chunk: bytes, gram: str) -> int:
    """Return the places of a gram that is in a chunk, if it is anywhere; none where it is not."""
    names, sizes, start = _open(chunk)
    try:
        number = names.index(gram)
    except ValueError:
        return 0
    start += sum(sizes[:number])
    return unpack(chunk[start : start + sizes[number]])


def find_beginning(chunk: bytes, piece: str) -> int:
    """Return the places of all grams in a chunk that begin with a piece."""
    names, sizes, start = _open(chunk)
    found = 0
    for name, size in zip(names, sizes, strict=True):
        if name.startswith(piece):
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
        size_bytes += len(places) + 2 * GRAM_CHARS
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
