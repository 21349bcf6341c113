"""A call as plain data: what to send, whatever sends it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import quote

JSON = dict[str, Any]
"""An object of the API, whose fields its own documentation lists."""
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. ``form`` and ``file`` (name and content) make it a form instead of ``body``."""

    method: Method
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: JSON | None = None
    form: Mapping[str, str] | None = None
    file: tuple[str, bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_stream: bool = False

    def streamed(self, **headers: str) -> "Call":
        """Return the same call for an answer that is read as it comes."""
        return replace(self, is_stream=True, headers={**self.headers, **headers})


def get(path: str, **query: Any) -> Call:
    """Return a GET; parameters that are None are left out."""
    return Call(method="GET", path=path, query=given(**query))


def post(path: str, body: JSON) -> Call:
    """Return a POST with a key of its own, so that the server does it once however often it is sent."""
    return Call(method="POST", path=path, body=body, headers=_once())


def post_file(path: str, file: tuple[str, bytes], **texts: str | None) -> Call:
    """Return the same for a form: a file (name and content), and texts, of which None is left out."""
    return Call(method="POST", path=path, form=given(**texts), file=file, headers=_once())


def _once() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}


def path_of(*parts: str) -> str:
    """Return the path of these parts, whatever they hold; raises ValueError for one that would vanish."""
    for part in parts:
        if part in ("", ".", ".."):
            raise ValueError(f"{part!r} is no id")
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def given(**values: Any) -> JSON:
    """Return what is not None."""
    return {name: value for name, value in values.items() if value is not None}
