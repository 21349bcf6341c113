"""Code in a sandbox service that speaks Dify's protocol: one call a run.

Implements CodeSandbox; templates are rendered in processes of our own, as with
``monty``. How the service keeps runs apart, and for how long they may run, is
its own matter. Wire: docs/how-to/sandbox.md#a-sandbox-service.
"""

import base64
from typing import Self

import orjson

from api.backends.sandbox.child import STOPPED, to_bytes, to_object, took_too_long
from api.backends.sandbox.pool import warm_pool
from api.backends.sandbox.templates import Templates
from api.core.egress import EgressPolicy
from api.core.http import BodyTooLarge, Cancelled, HTTPClient, HTTPFailure, HTTPReply, TimedOut, Timeouts
from api.core.ports import Cancel, CodeFailed, JSONObject, JSONValue
from api.core.sandbox.engine import KNOWN_NAMES
from api.errors import Unavailable
from api.settings import Settings

CONNECT_S = 10.0
QUEUE_S = 50.0
"""How long a run may wait inside the service, besides its own time."""
MAX_ANSWER_BYTES = 64 * 1024 * 1024
MARK = "<<RESULT>>"
LANGUAGES = {"python3": "python3", "javascript": "nodejs"}

# The author's code comes first, so that the lines of its errors are the author's. No "<" is left in
# the result, so that nothing in it looks like the mark.
PYTHON = """
import base64 as _base64, inspect as _inspect, json as _json
_result = main(**_json.loads(_base64.b64decode("{inputs}").decode("utf-8")))
if _inspect.iscoroutine(_result):
    import asyncio as _asyncio
    _result = _asyncio.run(_result)
print("\\n{mark}" + _json.dumps(_result, allow_nan=False).replace("<", "\\\\u003c") + "{mark}")
"""
JAVASCRIPT = """
;(async () => {{
  const inputs = JSON.parse(Buffer.from("{inputs}", "base64").toString("utf8"));
  const text = JSON.stringify(await main(inputs)) ?? "null";
  console.log("\\n{mark}" + text.replace(/</g, "\\\\u003c") + "{mark}");
}})();
"""
ENDINGS = {"python3": f"\n\n{KNOWN_NAMES}{PYTHON}", "javascript": JAVASCRIPT}


class Backend:
    """Implements CodeSandbox by a service at CODE_EXECUTION_ENDPOINT."""

    def __init__(self, url: str, key: str, client: HTTPClient, templates: Templates) -> None:
        self._url = url
        self._key = key
        self._client = client
        self._templates = templates

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return the backend; the service need not be there yet."""
        key = settings.code_execution_api_key
        url = settings.code_execution_endpoint.rstrip("/") + "/v1/sandbox/run"
        # The operator named the address, so it may be a private one.
        client = HTTPClient(EgressPolicy(allow_private=True), _timeouts(QUEUE_S))
        templates = Templates(warm_pool(settings))
        return cls(url, key.get_secret_value() if key else "", client, templates)

    def run(
        self, language: str, code: str, inputs: JSONObject, *, timeout_s: float, cancel: Cancel
    ) -> JSONObject:
        """Return what ``main`` returns; see CodeSandbox."""
        if language not in LANGUAGES:
            raise CodeFailed(f"Code in {language!r} cannot be run here; python3 and javascript can.")
        encoded = base64.b64encode(to_bytes(inputs)).decode()
        body: JSONObject = {
            "language": LANGUAGES[language],
            "code": code + ENDINGS[language].format(inputs=encoded, mark=MARK),
            "preload": "",
            "enable_network": False,
        }
        return to_object(_result(_printed(self._ask(to_bytes(body), timeout_s, cancel))))

    def render(self, template: str, variables: JSONObject, *, timeout_s: float, cancel: Cancel) -> str:
        """Return the filled template; see CodeSandbox."""
        return self._templates.render(template, variables, timeout_s=timeout_s, cancel=cancel)

    def stop(self) -> None:
        """Close the connections, and end what renders."""
        self._client.close()
        self._templates.stop()

    def _ask(self, body: bytes, timeout_s: float, cancel: Cancel) -> HTTPReply:
        longest_s = timeout_s + QUEUE_S
        try:
            return self._client.request(
                "POST",
                self._url,
                cancel=cancel,
                max_bytes=MAX_ANSWER_BYTES,
                headers={"x-api-key": self._key, "content-type": "application/json"},
                content=body,
                timeouts=_timeouts(longest_s),
            )
        except Cancelled as exc:
            raise CodeFailed(STOPPED) from exc
        except TimedOut as exc:
            raise CodeFailed(took_too_long(longest_s)) from exc
        except BodyTooLarge as exc:
            raise CodeFailed("The code gave more than 64 MB, the limit of output.") from exc
        except HTTPFailure as exc:
            raise Unavailable("The sandbox service cannot be reached; try again shortly.") from exc


def _timeouts(longest_s: float) -> Timeouts:
    return Timeouts(connect_s=CONNECT_S, first_byte_s=longest_s, idle_s=longest_s)


def _printed(reply: HTTPReply) -> str:
    """Return what the code printed. Raises CodeFailed with its error, Unavailable where it was not run."""
    try:
        told = orjson.loads(reply.content)
    except orjson.JSONDecodeError:
        told = None
    if reply.status != 200 or not isinstance(told, dict):
        raise Unavailable(f"The sandbox service answers with status {reply.status}.")
    if told.get("code"):
        raise CodeFailed(f"The sandbox service refuses the code: {told.get('message')}")
    data = {} if told.get("data") is None else told["data"]
    if not isinstance(data, dict):
        raise Unavailable("The sandbox service answers with something that is no result.")
    if data.get("error"):
        raise CodeFailed(str(data["error"]).strip())
    return str(data.get("stdout") or "")


def _result(printed: str) -> JSONValue:
    """Return what is between the last two marks."""
    parts = printed.rsplit(MARK, 2)
    if len(parts) < 3:
        raise CodeFailed("The code ended before it gave a result.")
    try:
        value: JSONValue = orjson.loads(parts[1])
    except orjson.JSONDecodeError as exc:
        raise CodeFailed(f"The result is not JSON: {exc}.") from exc
    return value
