"""What an answer says: its JSON, or the error it tells of."""

import json
from typing import Any

import httpx

from dify_client.call import JSON
from dify_client.errors import APIError, InvalidAnswerError, error_class

EVENTS = "text/event-stream"


def to_json(response: httpx.Response) -> JSON:
    """Return the object of an answer, an empty one where it has no body; raises InvalidAnswerError."""
    if not response.content:
        return {}
    found = _object(response.content)
    if found is None:
        raise InvalidAnswerError(f"{response.url} did not answer with a JSON object")
    return found


def check_is_stream(response: httpx.Response) -> None:
    """Raise InvalidAnswerError for an answer that is no stream of events."""
    kind = response.headers.get("Content-Type", "")
    if not kind.startswith(EVENTS):
        raise InvalidAnswerError(f"{response.url} did not answer with a stream of events but with {kind!r}")


def to_error(response: httpx.Response, retry_after_s: float | None) -> APIError:
    """Return the error that a complete answer tells of; one that is not ours has the code ``unknown``."""
    told = _object(response.content) or {}
    cls = error_class(response.status_code, str(told.get("code")))
    request_id = response.headers.get("X-Request-Id")
    return cls(told, response.status_code, request_id=request_id, retry_after_s=retry_after_s)


def _object(content: bytes) -> JSON | None:
    try:
        found: Any = json.loads(content)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
