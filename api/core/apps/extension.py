"""Calls of an API-based extension: one address of a workspace's own, asked at points of an app's run.

Boundary: a point and its parameters out, a JSON object in; the service is trusted
with neither time nor size. What must stay true: the key leaves only for the
endpoint, and is in no message. Wire: docs/wire/extensions.md#protocol.
"""

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

import orjson
from pydantic import SecretStr

from api.core.http import HTTPClient, HTTPFailure, Timeouts
from api.core.ports import Cancel, JSONObject
from api.core.rag.waiting import within
from api.errors import ExtensionFailed, InvalidRequest

TIMEOUTS = Timeouts(connect_s=5.0, first_byte_s=10.0, idle_s=10.0)
TOTAL_S = 10.0
MAX_REPLY_BYTES = 1024 * 1024


class Point(StrEnum):
    """What an extension is asked for."""

    PING = "ping"
    MODERATE_INPUT = "app.moderation.input"
    MODERATE_OUTPUT = "app.moderation.output"
    QUERY = "app.external_data_tool.query"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """Where an extension answers, and the key it knows us by."""

    name: str
    endpoint: str
    api_key: SecretStr


def check_endpoint(endpoint: str) -> str:
    """Return an endpoint as it is stored. Raises InvalidRequest."""
    address = endpoint.strip()
    try:
        parts = urlsplit(address)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or parts.fragment or "@" in parts.netloc:
        message = "The endpoint must be an address: http(s)://host/path."
        raise InvalidRequest(message, field="api_endpoint", fault="invalid_format")
    return address


def check_extension(extension: Extension, http: HTTPClient, cancel: Cancel) -> None:
    """Raise ExtensionFailed where the service does not answer a ping with ``pong``; or EgressDenied."""
    if ask(extension, Point.PING, {}, http, cancel).get("result") != "pong":
        raise ExtensionFailed(f'{extension.name!r} did not answer a ping with {{"result": "pong"}}.')


def ask(
    extension: Extension, point: Point, params: JSONObject, http: HTTPClient, cancel: Cancel
) -> JSONObject:
    """Return what the service says at a point, within TOTAL_S.

    Raises ExtensionFailed with a sentence to act on, EgressDenied, and Cancelled
    when ``cancel`` is set.
    """
    try:
        with within(TOTAL_S, cancel) as bounded:
            reply = http.request(
                "POST",
                extension.endpoint,
                cancel=bounded,
                max_bytes=MAX_REPLY_BYTES,
                headers={"authorization": f"Bearer {extension.api_key.get_secret_value()}"},
                json={"point": point.value, "params": params},
                timeouts=TIMEOUTS,
            )
    except HTTPFailure as exc:
        raise ExtensionFailed(f"{extension.name!r} did not answer: {exc}") from exc
    if reply.status in (401, 403):
        raise ExtensionFailed(f"{extension.name!r} does not accept the API key.")
    if not 200 <= reply.status < 300:
        raise ExtensionFailed(f"{extension.name!r} answered with status {reply.status}.")
    try:
        said = orjson.loads(reply.content)
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        raise ExtensionFailed(f"{extension.name!r} did not answer with a JSON object.")
    return said
