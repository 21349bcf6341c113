"""When a call that failed is sent again, and after how long. Pure but for the clock and the dice."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from dify_client.answers import to_error
from dify_client.errors import APIConnectionError, APIError, APITimeoutError

SENT_AGAIN = frozenset((408, 429, 502, 503, 504))
UNDER_WAY = "idempotency_in_progress"
"""The code where the first request with the same key has not been answered yet."""
BROKEN = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout, httpx.ProxyError)
"""Failures that say nothing about the request itself."""
MAX_BACKOFF_S = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often a call is sent again, and how long between: what the server asks for, else ever longer.

    A server that asks to wait for more than ``max_wait_s`` is not waited for.
    """

    max_retries: int = 2
    backoff_s: float = 0.5
    max_wait_s: float = 60.0


class Tries:
    """The tries of one call: told of each failure, says how long to wait, or raises what the caller gets."""

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._failed = 0

    def after_failure(self, exc: httpx.RequestError) -> float:
        """Return the seconds to wait after a failed connection; raises APIConnectionError."""
        if isinstance(exc, httpx.TimeoutException) and not isinstance(exc, httpx.ConnectTimeout):
            raise APITimeoutError(f"{exc.request.url} did not answer in time") from exc
        if not isinstance(exc, BROKEN) or self._is_spent():
            raise APIConnectionError(f"{exc.request.url} cannot be reached: {exc!r}") from exc
        return self._backoff_s()

    def after_answer(self, response: httpx.Response) -> float:
        """Return the seconds to wait after an answer that is no success; raises the APIError it tells of."""
        asked_s = retry_after_s(response.headers.get("Retry-After"), datetime.now(UTC))
        error = to_error(response, asked_s)
        if not _may_go_away(error) or self._is_spent() or (asked_s or 0) > self._retries.max_wait_s:
            raise error
        return self._backoff_s() if asked_s is None else asked_s

    def _is_spent(self) -> bool:
        self._failed += 1
        return self._failed > self._retries.max_retries

    def _backoff_s(self) -> float:
        longest_s = min(self._retries.backoff_s * 2.0 ** (self._failed - 1), MAX_BACKOFF_S)
        return longest_s * random.uniform(0.5, 1)  # noqa: S311 - clients that failed at once part ways


def _may_go_away(error: APIError) -> bool:
    return error.status in SENT_AGAIN or error.code == UNDER_WAY


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Return the seconds of a Retry-After header, which holds them or a date; None where it holds neither."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())
