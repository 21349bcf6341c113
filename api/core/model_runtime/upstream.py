"""What the providers that call a vendor share: refusals before the call, faults after it.

Boundary: knows errors, not wires. What must stay true: nothing a vendor wrote
leaves :func:`upstream` unscrubbed, because vendors quote keys back.
"""

import contextlib
import email.utils
import functools
import importlib
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from types import ModuleType

import orjson

from api.core.http import UNSENDABLE, ConnectFailed, ConnectionBroken, HTTPFailure, TimedOut
from api.core.model_runtime.provider import RetryableFailure
from api.core.model_runtime.types import ChatRequest, CredentialField, ImagePart, ModelSchema
from api.errors import CompletionFailed, InvalidRequest, ModelUnavailable, ProviderFailure, QuotaExceeded

MAX_MESSAGE_CHARS = 500
MAX_ERROR_BYTES = 65_536
MIN_SECRET_CHARS = 6
CHECK_TOTAL_S = 15.0
IMPORT_TIMEOUT_S = 60.0

# A blank line ends a frame of a stream, and a name may open the next; more is silence.
FRAMING_LINES = 2

# What a tool call takes besides its characters, in characters.
CALL_CHARS = 64

BEARER = re.compile(r"(?i)bearer\s+\S+")
TOOL_FEATURES = frozenset({"tool-call", "multi-tool-call"})
QUOTA_CODES = frozenset({"insufficient_quota", "billing_error", "billing_hard_limit_reached"})
UNKNOWN_MODEL_CODES = frozenset({"model_not_found", "deploymentnotfound", "not_found_error"})


class Refused(Exception):
    """A vendor said no, in its own unscrubbed words; never leaves :func:`upstream`.

    ``is_midway`` tells that part of an answer had come before.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        codes: Collection[str] = (),
        retry_after_s: float | None = None,
        is_midway: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.codes = codes
        self.retry_after_s = retry_after_s
        self.is_midway = is_midway


def check_features(schema: ModelSchema, request: ChatRequest) -> None:
    """Raise ModelUnavailable when the request needs what its model lacks."""
    if request.tools and not schema.features & TOOL_FEATURES:
        raise ModelUnavailable(f"{request.model} cannot call tools; choose another model.")
    has_image = any(isinstance(part, ImagePart) for message in request.messages for part in message.parts)
    if has_image and "vision" not in schema.features:
        raise ModelUnavailable(f"{request.model} cannot see images; choose another model.")


def secrets_of(fields: Collection[CredentialField], credentials: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secret values among the credentials, as they are sent: without blank space around them."""
    return tuple(
        credentials[field.variable].strip()
        for field in fields
        if field.is_secret and field.variable in credentials
    )


@contextlib.contextmanager
def upstream(secrets: Collection[str]) -> Iterator[None]:
    """Turn what goes wrong in a call of a vendor into ProviderFailures, or RetryableFailure.

    Retryable are refused connections, breaks before any answer, 408, 409, 429 and
    5xx; a time-out later than connecting is not. Cancelled passes through.
    """
    try:
        yield
    except Refused as refused:
        # The cause holds the unscrubbed words.
        raise _to_failure(refused, secrets) from None
    except ConnectFailed as exc:
        raise RetryableFailure(CompletionFailed(str(exc))) from exc
    except TimedOut as exc:
        failure = CompletionFailed(str(exc))
        raise (RetryableFailure(failure) if exc.phase == "connect" else failure) from exc
    except ConnectionBroken as exc:
        failure = CompletionFailed(str(exc))
        raise (failure if exc.is_midway else RetryableFailure(failure)) from exc
    except HTTPFailure as exc:
        raise CompletionFailed(str(exc)) from exc


@contextlib.contextmanager
def credentials_check() -> Iterator[None]:
    """Tell whatever stands in the way of a provider's check as InvalidRequest."""
    try:
        yield
    except RetryableFailure as failure:
        raise InvalidRequest(str(failure.cause)) from failure
    except ProviderFailure as failure:
        raise InvalidRequest(failure.message) from failure


@functools.cache
def load_sdk(name: str, offload_call: Callable[..., ModuleType]) -> ModuleType:
    """Import a vendor's SDK off the event loop, once: it takes from half a second to several.

    ``offload_call`` is the ``call`` of an Offload.
    """
    try:
        return offload_call(importlib.import_module, name, timeout_s=IMPORT_TIMEOUT_S)
    except TimeoutError as exc:
        failure = CompletionFailed(f"The {name} SDK did not load within {IMPORT_TIMEOUT_S:.0f} s.")
        raise RetryableFailure(failure) from exc


@contextlib.contextmanager
def sdk_faults(sdk: ModuleType) -> Iterator[None]:
    """Turn what the OpenAI or the Anthropic SDK raises, alike in shape, into what is behind it."""
    try:
        yield
    except sdk.APIStatusError as exc:
        raise to_refused(exc.status_code, exc.response.headers, exc.response.content) from None
    except sdk.APIConnectionError as exc:
        raise (exc.__cause__ or ConnectionBroken("The provider could not be reached.")) from None
    except UnicodeError:
        # The cause quotes the header, which may be a key.
        raise InvalidRequest(UNSENDABLE) from None


def to_refused(status: int, headers: Mapping[str, str], content: bytes) -> Refused:
    """Read the error a vendor answered with; OpenAI, Anthropic and their imitators alike."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = None
    message, codes = read_error(body)
    message = message or f"The provider answered with status {status}."
    return Refused(message, status=status, codes=codes, retry_after_s=_retry_after_s(headers))


def read_error(body: object) -> tuple[str, frozenset[str]]:
    """Return the message, empty if there is none, and the lower-case codes and types of an error body."""
    if not isinstance(body, dict):
        return (body, frozenset()) if isinstance(body, str) else ("", frozenset())
    error = body.get("error")
    found = error if isinstance(error, dict) else body
    message = next((text for key in ("message", "detail") if isinstance(text := found.get(key), str)), "")
    if isinstance(error, str):
        message = message or error
    codes = (found.get(key) for key in ("code", "type"))
    return message, frozenset(str(code).lower() for code in codes if code)


def scrub(text: str, secrets: Collection[str]) -> str:
    """Return at most 500 characters of a vendor's text, without the call's own secrets."""
    for secret in secrets:
        if len(secret) >= MIN_SECRET_CHARS:
            text = text.replace(secret, "***")
    text = BEARER.sub("Bearer ***", text)
    return text if len(text) <= MAX_MESSAGE_CHARS else text[: MAX_MESSAGE_CHARS - 1] + "…"


def _to_failure(refused: Refused, secrets: Collection[str]) -> Exception:
    message = scrub(refused.message, secrets)
    if refused.status == 402 or QUOTA_CODES & set(refused.codes) or "credit balance is too low" in message:
        return QuotaExceeded(message)
    if refused.status == 404 or UNKNOWN_MODEL_CODES & set(refused.codes):
        return ModelUnavailable(message)
    failure = CompletionFailed(message)
    is_passing = refused.status in (408, 409, 429) or refused.status >= 500
    return (
        RetryableFailure(failure, refused.retry_after_s) if is_passing and not refused.is_midway else failure
    )


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a Retry-After header asks for, given as a number or a date."""
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
