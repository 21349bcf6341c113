"""A server that speaks as much of S3 as files need: objects, uploads in parts, lists by pages."""

import itertools
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 2
SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=the-key/\d{8}/[a-z0-9-]+/s3/aws4_request, "
    r"SignedHeaders=\S+, Signature=\w{64}"
)


class S3Double(ThreadingHTTPServer):
    """One bucket, ``files``; ``objects`` are there by their keys."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.numbers = itertools.count(1)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving() -> Iterator[S3Double]:
    """Give a double that serves."""
    with S3Double() as double:
        thread = threading.Thread(target=double.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield double
        finally:
            double.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: S3Double
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        if not SIGNED.fullmatch(self.headers.get("Authorization", "")):
            self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        elif bucket != "files":
            self._answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        else:
            getattr(self, f"_{self.command.lower()}")(key, asked, body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve  # noqa: N815  # the server's names

    def _put(self, key: str, asked: dict[str, str], body: bytes) -> None:
        if "uploadId" in asked:
            self.server.uploads[asked["uploadId"]][int(asked["partNumber"])] = body
        else:
            self.server.objects[key] = body
        self._answer(200, headers={"ETag": '"one"'})

    def _post(self, key: str, asked: dict[str, str], _body: bytes) -> None:
        if "uploads" in asked:
            name = f"upload-{next(self.server.numbers)}"
            self.server.uploads[name] = {}
            self._answer(200, f"<R><UploadId>{name}</UploadId></R>".encode())
            return
        parts = self.server.uploads.pop(asked["uploadId"])
        self.server.objects[key] = b"".join(parts[number] for number in sorted(parts))
        self._answer(200, b"<R><ETag>one</ETag></R>")

    def _get(self, key: str, asked: dict[str, str], _body: bytes) -> None:
        if "list-type" in asked:
            self._list(asked)
        elif key in self.server.objects:
            self._answer(200, self.server.objects[key])
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def _head(self, key: str, _asked: dict[str, str], _body: bytes) -> None:
        self._answer(200 if key in self.server.objects else 404)

    def _delete(self, key: str, asked: dict[str, str], _body: bytes) -> None:
        if "uploadId" in asked:
            self.server.uploads.pop(asked["uploadId"])
        self.server.objects.pop(key, None)
        self._answer(204)

    def _list(self, asked: dict[str, str]) -> None:
        after = asked.get("continuation-token", "")
        found = sorted(key for key in self.server.objects if key.startswith(asked.get("prefix", "")))
        left = [key for key in found if key > after]
        page = left[:PAGE]
        rest = (
            f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if len(left) > PAGE else ""
        )
        keys = "".join(f"<Contents><Key>{escape(key)}</Key></Contents>" for key in page)
        more = "true" if rest else "false"
        self._answer(200, f"<R><IsTruncated>{more}</IsTruncated>{rest}{keys}</R>".encode())

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
