"""Messages between the server and a process that runs foreign code: bytes after their count.

Used on both ends; imports nothing but the standard library, as the process that
runs code may have nothing else.
"""

import socket
import struct
import time

HEAD = struct.Struct(">I")
PIECE_BYTES = 1024 * 1024


class TooLong(Exception):
    """The other side announces a longer message than is taken."""


def send(peer: socket.socket, message: bytes) -> None:
    """Send a message. Raises OSError when the other side is gone, TimeoutError by the socket's time-out."""
    peer.sendall(HEAD.pack(len(message)) + message)


def receive(peer: socket.socket, *, max_bytes: int, deadline: float | None = None) -> bytes | None:
    """Return the next message; None when the other side is gone.

    Raises TimeoutError at ``deadline`` (``time.monotonic()``), TooLong.
    """
    head = _read(peer, HEAD.size, deadline)
    if head is None:
        return None
    (size_bytes,) = HEAD.unpack(head)
    if size_bytes > max_bytes:
        raise TooLong
    return _read(peer, size_bytes, deadline)


def _read(peer: socket.socket, size_bytes: int, deadline: float | None) -> bytes | None:
    """Return so many bytes; None where the other side ends before."""
    read = bytearray()
    while len(read) < size_bytes:
        if deadline is not None:
            peer.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            piece = peer.recv(min(size_bytes - len(read), PIECE_BYTES))
        except ConnectionError:
            return None
        if not piece:
            return None
        read += piece
    return bytes(read)
