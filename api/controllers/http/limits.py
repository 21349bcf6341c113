"""Counts calls against the ceilings that services/limits.py names, and tells callers where they stand.

Flask-Limiter keeps the counters (in memory, or in Redis where several processes
serve). Windows are fixed: ``X-RateLimit-Reset`` is the second at which the whole
allowance is back. While the store is out of reach calls are let through and
logged, because a broken counter must not close the service: it costs one call a
fifth of a second, and those of the next two seconds nothing (RL-03).
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from flask import Flask, Response, current_app, g
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits import RateLimitItemPerSecond
from limits.errors import StorageError
from limits.storage import Storage

from api.controllers.http.door import runtime
from api.core.apps.spec import AppSpec
from api.errors import RateLimited
from api.principal import Principal
from api.runtime import Memory
from api.services import limits
from api.services.limits import Ceiling

logger = logging.getLogger(__name__)

TIMEOUT_S = 0.2
REST_S = 2.0
KNOWN_WINDOWS = 50_000
STORAGE_OPTIONS: dict[str, Any] = {
    "wrap_exceptions": True,
    "socket_connect_timeout": TIMEOUT_S,
    "socket_timeout": TIMEOUT_S,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a caller stands in the tightest of its windows; ``reset_at`` in Unix seconds."""

    limit: int
    remaining: int
    reset_at: float


def install_limits(app: Flask) -> None:
    """Set up the counters; their storage is RATELIMIT_STORAGE_URI, chosen by the composition root."""
    limiter = Limiter(
        get_remote_address,
        strategy="fixed-window",
        storage_uri=app.config["RATELIMIT_STORAGE_URI"],
        storage_options=STORAGE_OPTIONS,
    )
    app.extensions["limiter"] = {limiter}  # known already, so it hooks into no request: doors count
    limiter.init_app(app)
    app.extensions["call_counter"] = CallCounter(limiter.storage)
    app.after_request(_tell)


def count_app(app: AppSpec) -> None:
    """Count one public API call; raises RateLimited over a ceiling of the plan or the app."""
    _count(limits.app_ceilings(runtime().limits, app))


def count_workspace(tenant_id: str, plan: str) -> None:
    """Count one public API call that is for no app; raises RateLimited over a ceiling of the plan."""
    _count(limits.workspace_ceilings(runtime().limits, tenant_id, plan))


def count_account(principal: Principal) -> None:
    """Count one console call; raises RateLimited over the account's ceiling."""
    _count(limits.account_ceilings(runtime().limits, principal))


def count_address(address: str) -> None:
    """Count one call that names nobody; raises RateLimited over the ceiling of the address it comes from."""
    _count(limits.address_ceilings(runtime().limits, address))


def count_of_day(tenant_id: str, plan: str) -> Standing | None:
    """Return where a workspace stands in its longest window; None where its plan counts none."""
    ceilings = limits.workspace_ceilings(runtime().limits, tenant_id, plan)
    if not ceilings:
        return None
    longest = max(ceilings, key=lambda ceiling: ceiling.window.seconds)
    return cast("CallCounter", current_app.extensions["call_counter"]).look(longest)


class CallCounter:
    """Counts calls in a storage, which it leaves alone for two seconds after a failure.

    It remembers when windows end, so that counting is one round trip for each of them.
    """

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage = storage
        self._clock = clock
        self._rests_until = 0.0
        self._ends = Memory(KNOWN_WINDOWS)

    def count(self, ceilings: Sequence[Ceiling]) -> list[Standing]:
        """Count one call, in shorter windows first and no further than the first that is over its limit.

        Returns nothing while the storage is out of reach.
        """
        if self._clock() < self._rests_until:
            return []
        standings: list[Standing] = []
        try:
            for ceiling in sorted(ceilings, key=lambda ceiling: ceiling.window.seconds):
                standings.append(self._hit(ceiling))
                if standings[-1].remaining < 0:
                    break
        except StorageError as exc:
            self._rests_until = self._clock() + REST_S
            logger.warning("rate limits not counted: %s", exc)
            return []
        return standings

    def look(self, ceiling: Ceiling) -> Standing | None:
        """Return where callers stand without counting a call; None while the storage is out of reach."""
        limit, seconds = ceiling.window.limit, ceiling.window.seconds
        key = RateLimitItemPerSecond(limit, seconds).key_for(ceiling.key)
        try:
            used = self._storage.get(key)
            reset_at = self._storage.get_expiry(key) if used else time.time() + seconds
        except StorageError as exc:
            logger.warning("rate limits not read: %s", exc)
            return None
        return Standing(limit, limit - used, reset_at)

    def _hit(self, ceiling: Ceiling) -> Standing:
        """Count one call; ``remaining`` is negative when it was one too many."""
        limit, seconds = ceiling.window.limit, ceiling.window.seconds
        key = RateLimitItemPerSecond(limit, seconds).key_for(ceiling.key)
        used = self._storage.incr(key, seconds)
        return Standing(limit, limit - used, self._end(key, used, seconds))

    def _end(self, key: str, used: int, seconds: int) -> float:
        """Return the Unix second at which a window ends; its first call is its beginning."""
        now = time.time()
        end: float | None = now + seconds if used == 1 else self._ends.get(key)
        if end is None or end <= now:
            end = self._storage.get_expiry(key)
        self._ends.put(key, end)
        return end


def _count(ceilings: Sequence[Ceiling]) -> None:
    standings = cast("CallCounter", current_app.extensions["call_counter"]).count(ceilings)
    if not standings:
        if ceilings:
            runtime().metrics.count("uncounted_calls")
        return
    tightest = min(standings, key=lambda standing: standing.remaining)
    g.rate_limit = tightest
    if tightest.remaining < 0:
        wait_s = max(1, math.ceil(tightest.reset_at - time.time()))
        raise RateLimited("Too many requests; try again later.", retry_after_s=wait_s)


def _tell(response: Response) -> Response:
    standing: Standing | None = g.get("rate_limit")
    if standing is not None:
        response.headers["X-RateLimit-Limit"] = str(standing.limit)
        response.headers["X-RateLimit-Remaining"] = str(max(0, standing.remaining))
        response.headers["X-RateLimit-Reset"] = str(math.ceil(standing.reset_at))
    return response
