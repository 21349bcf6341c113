"""A client of a running program: HTTP over a socket, and nothing of the program itself."""

import http.client
import json
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from werkzeug.test import encode_multipart

TIMEOUT_S = 60


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer, read whole."""

    status: int
    mimetype: str
    content: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; None where there is none."""
        return json.loads(self.content) if self.content else None


@dataclass(frozen=True, kw_only=True)
class Client:
    """Calls one mount of a program with one key."""

    port: int
    mount: str
    key: str

    def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        query: dict[str, Any] | None = None,
        form: dict[str, Any] | None = None,
    ) -> Answer:
        """Return the answer to a request with a JSON body, or a form whose files are FileStorages."""
        headers = {"Authorization": f"Bearer {self.key}"}
        body: bytes | None = None
        if json is not None:
            body, headers["Content-Type"] = _dumped(json), "application/json"
        if form is not None:
            boundary, body = encode_multipart(form)
            headers["Content-Type"] = f"multipart/form-data; boundary={boundary}"
        url = f"{self.mount}{path}" + (f"?{urlencode(query)}" if query else "")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        with closing(connection):
            connection.request(method, url, body, headers)
            answer = connection.getresponse()
            mimetype = (answer.headers.get("Content-Type") or "").partition(";")[0]
            return Answer(status=answer.status, mimetype=mimetype, content=answer.read())


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()
