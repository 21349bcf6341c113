"""Makes containers of older Office files, as small as they may be.

Every stream is padded to 4,096 bytes, which keeps it out of the container's
second, finer allocation table.
"""

import struct
from collections.abc import Mapping, Sequence

SECTOR = 512
MIN_STREAM = 4096
END, FREE, FAT, NONE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD, 0xFFFFFFFF
STORAGE, STREAM, ROOT = 1, 2, 5


def make_ole(streams: Mapping[str, bytes]) -> bytes:
    """Return a container of streams by path; a path has at most one folder: ``"folder/stream"``."""
    tops = list(dict.fromkeys(path.split("/")[0] for path in streams))
    contents = [stream.ljust(MIN_STREAM, b"\0") for stream in streams.values()]
    order = [*tops, *(path for path in streams if "/" in path)]
    ids = {path: index + 1 for index, path in enumerate(order)}

    starts, sectors = {}, b""
    chain: list[int] = []
    for path, content in zip(streams, contents, strict=True):
        count = -(-len(content) // SECTOR)
        starts[path] = len(chain)
        chain += [*range(len(chain) + 1, len(chain) + count), END]
        sectors += content.ljust(count * SECTOR, b"\0")
    sizes = dict(zip(streams, map(len, contents), strict=True))

    entries = [_entry("Root Entry", ROOT, child=1)]
    for path in order:
        name = path.rpartition("/")[2]
        siblings = [other for other in order if other.rpartition("/")[0] == path.rpartition("/")[0]]
        right = _next(siblings, path, ids)
        if path in streams:
            entries.append(_entry(name, STREAM, right=right, start=starts[path], size=sizes[path]))
        else:
            inner = [other for other in streams if other.startswith(f"{path}/")]
            entries.append(_entry(name, STORAGE, right=right, child=ids[inner[0]]))
    directory = b"".join(entries)
    directory = directory.ljust(-(-len(directory) // SECTOR) * SECTOR, b"\0")
    first_directory, count = len(chain), len(directory) // SECTOR
    chain += [*range(first_directory + 1, first_directory + count), END]

    fats = -(-(len(chain) + 2) // (SECTOR // 4 - 1))
    first_fat = len(chain)
    chain += [FAT] * fats
    table = struct.pack(f"<{len(chain)}I", *chain).ljust(fats * SECTOR, b"\xff")
    header = struct.pack(
        "<8s16x5H6x9I",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        *(0x3E, 3, 0xFFFE, 9, 6),
        *(0, fats, first_directory, 0, MIN_STREAM, END, 0, END, 0),
    )
    header += struct.pack("<109I", *range(first_fat, first_fat + fats), *[FREE] * (109 - fats))
    return header + sectors + directory + table


def _next(siblings: Sequence[str], path: str, ids: Mapping[str, int]) -> int:
    index = siblings.index(path) + 1
    return ids[siblings[index]] if index < len(siblings) else NONE


def _entry(
    name: str, kind: int, *, right: int = NONE, child: int = NONE, start: int = END, size: int = 0
) -> bytes:
    wide = name.encode("utf-16-le")
    return struct.pack("<64sHBB3I16xI16xIQ", wide, len(wide) + 2, kind, 1, NONE, right, child, 0, start, size)
