"""Calls of the program's own HTTP API, from wherever they are sent."""

from collections.abc import Callable, Mapping
from typing import Any

Answer = dict[str, Any]
Call = Callable[[str, str, Mapping[str, str], object], tuple[int, Answer]]
"""Sends a method, a path, headers and a JSON value; returns status and JSON."""


class Refused(Exception):
    """The program would not do what the bench needs."""


def do(call: Call, method: str, path: str, token: str | None, body: object) -> Answer:
    """Return what a call answers; raises Refused where it is not 200 or 201."""
    status, answer = call(method, path, {"Authorization": f"Bearer {token}"} if token else {}, body)
    if status not in (200, 201):
        raise Refused(f"{method} {path} answered {status}: {answer}")
    return answer
