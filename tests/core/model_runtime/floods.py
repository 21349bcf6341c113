"""A model server in a process of its own that answers without end, as fast as it can.

The kind of flood is the only argument; the port is printed once it is open.
"""

import contextlib
import socket
import sys
import zlib
from collections.abc import Iterator

BLOCK_BYTES = 65_536


def frame(delta: str) -> bytes:
    return b'data: {"choices":[{"index":0,"delta":{%s}}]}\n\n' % delta.encode()


FRAMES = {
    "big": frame(f'"content":"{"x" * 8_000}"'),
    "tiny": frame('"content":"x"'),
    "gzip": frame('"content":"x"'),
    "call": frame(f'"tool_calls":[{{"index":0,"function":{{"arguments":"{"x" * 8_000}"}}}}]'),
    "ping": b": ping\n\n",
}


def blocks(kind: str) -> Iterator[bytes]:
    """Yield the pieces of the body for ever."""
    block = FRAMES[kind] * (BLOCK_BYTES // len(FRAMES[kind]) + 1)
    if kind != "gzip":
        while True:
            yield block
    compress = zlib.compressobj(wbits=31)
    while True:
        yield compress.compress(block * 16) + compress.flush(zlib.Z_SYNC_FLUSH)


def serve(kind: str) -> None:
    """Flood one caller after the other until the process is ended."""
    encoding = "Content-Encoding: gzip\r\n" if kind == "gzip" else ""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            sock, _ = listener.accept()
            with sock, contextlib.suppress(OSError):
                sock.recv(65_536)
                sock.sendall(f"HTTP/1.1 200 OK\r\n{encoding}\r\n".encode())
                for block in blocks(kind):
                    sock.sendall(block)


if __name__ == "__main__":
    serve(sys.argv[1])
