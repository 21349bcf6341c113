"""What tests of files share: small true files of each sort, forms written by hand, endless bodies."""

import io
import re
from collections.abc import Iterator
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.factories import ChatApp

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(32)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(32)
GIF = b"GIF89a\x01\x00\x01\x00" + bytes(8)
WEBP = b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(16)
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n"
SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"
ZIP = b"PK\x03\x04\x14\x00" + bytes(32)
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(32)
MP3 = b"ID3\x04\x00\x00" + bytes(32)
MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00" + bytes(16)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(16)
BOUNDARY = "test-boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def part(name: str, content: bytes, *, filename: str | None = None, mime: str | None = None) -> bytes:
    """Return one part of a form, exactly as said."""
    head = f'Content-Disposition: form-data; name="{name}"'
    head += f'; filename="{filename}"' if filename is not None else ""
    head += f"\r\nContent-Type: {mime}" if mime else ""
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    """Return a whole form."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def send_form(client: FlaskClient, app: ChatApp, body: bytes, mount: str = "/api") -> TestResponse:
    """Post a hand-made form to the upload door."""
    return client.post(f"{mount}/files/upload", data=body, content_type=FORM, headers=app.headers)


def upload(
    client: FlaskClient,
    app: ChatApp,
    content: bytes = PNG,
    name: str = "picture.png",
    *,
    user: str = "ada",
    headers: dict[str, str] | None = None,
) -> TestResponse:
    """Upload a file as a well-behaved client does."""
    return client.post(
        "/api/files/upload",
        data={"user": user, "file": (io.BytesIO(content), name)},
        headers={**app.headers, **(headers or {})},
    )


def uploaded(client: FlaskClient, app: ChatApp, *args: Any, **options: Any) -> Any:
    """Upload a file and return what the answer tells of it."""
    answer = upload(client, app, *args, **options)
    assert answer.status_code == 201, answer.text
    return answer.json


class Stream(io.RawIOBase):
    """A body made as it is read, of bytes and (numbers of) NUL bytes; ``taken`` counts what was read."""

    def __init__(self, *pieces: bytes | int) -> None:
        self.taken = 0
        self._size = sum(piece if isinstance(piece, int) else len(piece) for piece in pieces)
        self._blocks = (block for piece in pieces for block in blocks(piece))
        self._rest = memoryview(b"")

    def __len__(self) -> int:
        return self._size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or memoryview(next(self._blocks, b""))
        given, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(given)] = given
        self.taken += len(given)
        return len(given)


def blocks(piece: bytes | int) -> Iterator[bytes]:
    """Yield a piece of a body; NUL bytes in blocks of at most 64 KiB."""
    if isinstance(piece, bytes):
        yield piece
        return
    for start in range(0, piece, 65_536):
        yield bytes(min(65_536, piece - start))


def file_stream(name: str, head: bytes, size_bytes: int) -> Stream:
    """Return an upload form whose file has ``size_bytes`` bytes, beginning with ``head``."""
    before = part("user", b"ada") + part("file", head, filename=name, mime="application/octet-stream")
    return Stream(before.removesuffix(b"\r\n"), size_bytes - len(head), b"\r\n" + form())


def send_stream(
    client: FlaskClient,
    path: str,
    app: ChatApp,
    body: Stream,
    *,
    content_type: str = FORM,
    is_chunked: bool = False,
) -> TestResponse:
    """Post a body as it is made: with its length declared, or as a chunked one that the server ends."""
    length = {"HTTP_TRANSFER_ENCODING": "chunked"} if is_chunked else {"CONTENT_LENGTH": str(len(body))}
    environ = {"wsgi.input": body, "wsgi.input_terminated": True, "CONTENT_TYPE": content_type, **length}
    return client.post(path, headers=app.headers, environ_overrides=environ)


def query_of(url: str) -> dict[str, str]:
    """Return the query of an address."""
    return dict(re.findall(r"[?&]([^=&]+)=([^&]*)", url))


def fetch(client: FlaskClient, url: str, **options: Any) -> TestResponse:
    """Download a file whole, as a server does: the body is closed at its end."""
    return client.get(url, buffered=True, **options)
