"""Counts calls against the ceilings that services/limits.py names, and tells callers where they stand.

Flask-Limiter keeps the counters (in memory, or in Redis where several processes
serve). Windows are fixed: ``X-RateLimit-Reset`` is the second at which the whole
allowance is back. While the store is out of reach calls are let through and
logged, because a broken counter must not close the service (RL-03).
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from flask import Flask, Response, current_app, g
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits import RateLimitItemPerSecond
from limits.errors import StorageError

from api.controllers.http.door import runtime
from api.core.apps.spec import AppSpec
from api.errors import RateLimited
from api.principal import Principal
from api.services import limits
from api.services.limits import Ceiling

logger = logging.getLogger(__name__)


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
        app=app,
        strategy="fixed-window",
        storage_uri=app.config["RATELIMIT_STORAGE_URI"],
        storage_options={"wrap_exceptions": True},
    )
    app.extensions["call_counter"] = limiter
    app.after_request(_tell)


def count_app(app: AppSpec) -> None:
    """Count one public API call; raises RateLimited over a ceiling of the plan or the app."""
    _count(limits.app_ceilings(runtime().limits, app))


def count_account(principal: Principal) -> None:
    """Count one console call; raises RateLimited over the account's ceiling."""
    _count(limits.account_ceilings(runtime().limits, principal))


def _count(ceilings: Sequence[Ceiling]) -> None:
    if not ceilings:
        return
    try:
        standings = [_hit(ceiling) for ceiling in ceilings]
    except StorageError as exc:
        logger.warning("rate limits not counted: %s", exc)
        return
    tightest = min(standings, key=lambda standing: standing.remaining)
    g.rate_limit = tightest
    if tightest.remaining < 0:
        wait_s = max(1, math.ceil(tightest.reset_at - time.time()))
        raise RateLimited("Too many requests; try again later.", retry_after_s=wait_s)


def _hit(ceiling: Ceiling) -> Standing:
    """Count one call; ``remaining`` is negative when it was one too many."""
    storage = cast("Limiter", current_app.extensions["call_counter"]).storage
    item = RateLimitItemPerSecond(ceiling.window.limit, ceiling.window.seconds)
    key = item.key_for(ceiling.key)
    used = storage.incr(key, item.get_expiry())
    reset_at = storage.get_expiry(key)
    return Standing(ceiling.window.limit, ceiling.window.limit - used, reset_at)


def _tell(response: Response) -> Response:
    standing: Standing | None = g.get("rate_limit")
    if standing is not None:
        response.headers["X-RateLimit-Limit"] = str(standing.limit)
        response.headers["X-RateLimit-Remaining"] = str(max(0, standing.remaining))
        response.headers["X-RateLimit-Reset"] = str(math.ceil(standing.reset_at))
    return response
