"""Cuts a stream of bytes into server-sent events. Pure; pieces may end anywhere, within a character too."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

LINE_END = re.compile(rb"\r\n|\n|\r")
MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Frame:
    """One event: its data, and its number where the server gave it one."""

    data: str
    id: str = ""


class FrameParser:
    """Takes bytes as they come, gives frames as they are complete.

    Comments, names of events, and frames without data are passed over. What is incomplete at the end is
    never given. A number is that of its frame alone, and not of those that follow without one.
    """

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._data: list[str] = []
        self._id = ""
        self._is_new = True
        self._ended_in_cr = False

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """Yield the frames that the next bytes complete."""
        if not piece:
            return
        if self._ended_in_cr and piece.startswith(b"\n"):
            piece = piece[1:]
        self._ended_in_cr = piece.endswith(b"\r")
        first, *others = LINE_END.split(piece)
        self._pending.append(first)
        for other in others:
            line = b"".join(self._pending)
            self._pending = [other]
            yield from self._take(line)

    def _take(self, line: bytes) -> Iterator[Frame]:
        if self._is_new:
            line, self._is_new = line.removeprefix(MARK), False
        if not line:
            if self._data:
                yield Frame("\n".join(self._data), self._id)
            self._data, self._id = [], ""
            return
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
