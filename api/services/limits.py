"""How much a caller may do: ceilings per plan, app, account and address, and slots for runs.

Boundary: says what the ceilings are; the door counts against them
(controllers/http/limits.py). Slots are counted here, because a run keeps its
slot long after its request is answered.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from api.core.apps.spec import AppSpec
from api.errors import RateLimited, Unavailable
from api.models.base import new_id
from api.principal import Principal
from api.runtime import Limits, Runtime, Window
from api.services.plans import HOUR, MINUTE, PLANS

logger = logging.getLogger(__name__)

SLOT_MARGIN_S = 60.0
"""A slot nobody gave back (its process died) is free again this long after its run had to be over."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """At most so many calls in a window, counted together under ``key``."""

    key: str
    window: Window


@dataclass(frozen=True, slots=True)
class Slot:
    """A run's place among those an app, a key or a workspace may have at once."""

    key: str
    member: str


@dataclass(frozen=True, slots=True)
class _Cap:
    """At most ``limit`` runs at once, counted under ``key``; ``name`` is what an error calls it."""

    key: str
    name: str
    limit: int


def app_ceilings(limits: Limits, app: AppSpec) -> tuple[Ceiling, ...]:
    """Return what one call of an app's API is counted against: the workspace's plan, then the app's own."""
    if not limits.are_rate_limits_on:
        return ()
    own = (Window(limit=app.api_rpm, seconds=MINUTE), Window(limit=app.api_rph, seconds=HOUR))
    ceilings = tuple(Ceiling(f"app:{app.id}", window) for window in own if window.limit)
    return workspace_ceilings(limits, app.tenant_id, app.plan) + ceilings


def workspace_ceilings(limits: Limits, tenant_id: str, plan: str) -> tuple[Ceiling, ...]:
    """Return what every public API call is counted against, whatever it is for: the workspace's plan."""
    if not limits.are_rate_limits_on:
        return ()
    windows = PLANS[plan].windows if plan in PLANS else None
    chosen = limits.enterprise_windows if windows is None else windows
    return tuple(Ceiling(f"tenant:{tenant_id}", window) for window in chosen if window.limit)


def account_ceilings(limits: Limits, principal: Principal) -> tuple[Ceiling, ...]:
    """Return what one console call of an account is counted against."""
    if not limits.are_rate_limits_on or not limits.console_rpm:
        return ()
    return (Ceiling(f"account:{principal.id}", Window(limit=limits.console_rpm, seconds=MINUTE)),)


def address_ceilings(limits: Limits, address: str) -> tuple[Ceiling, ...]:
    """Return what one call without any credential is counted against: the address it comes from."""
    if not limits.are_rate_limits_on or not limits.visitor_rpm:
        return ()
    return (Ceiling(f"address:{address}", Window(limit=limits.visitor_rpm, seconds=MINUTE)),)


def take_slots(runtime: Runtime, app: AppSpec, key_id: str | None) -> tuple[Slot, ...]:
    """Take a slot for a concurrent run wherever there is a limit: of the app, of the key, of the workspace.

    Raises RateLimited when all of one are taken, and keeps none then. Give them
    back with ``free_slots``. While the cache is out of reach runs are let
    through and logged.
    """
    taken: list[Slot] = []
    for cap in _caps(runtime.limits, app, key_id):
        slot = Slot(cap.key, new_id())
        taken.append(slot)  # also where the cache does not say so: it may have been taken all the same
        if not _take(runtime, slot, cap.limit):
            free_slots(runtime, tuple(taken[:-1]))
            raise RateLimited(
                "Too many requests. Please try again later. The current maximum concurrent requests allowed "
                f"for {cap.name} is {cap.limit}.",
                retry_after_s=1,
            )
    return tuple(taken)


@contextmanager
def holding_slots(runtime: Runtime, app: AppSpec, key_id: str | None) -> Iterator[None]:
    """Hold the slots of a run during the block, which asks a model for an app; raises RateLimited."""
    slots = take_slots(runtime, app, key_id)
    try:
        yield
    finally:
        free_slots(runtime, slots)


def free_slots(runtime: Runtime, slots: tuple[Slot, ...]) -> None:
    """Give a run's slots back on whatever way it ended; where that fails time frees them."""
    for slot in slots:
        try:
            runtime.cache.give(slot.key, slot.member)
        except Unavailable:
            logger.warning("slot not given back: the cache is not available")


def _caps(limits: Limits, app: AppSpec, key_id: str | None) -> Iterator[_Cap]:
    """Yield the limits of concurrent runs that count for a run; 0 is none."""
    own = [limit for limit in (app.max_active_requests, limits.max_active_requests) if limit]
    if own:
        yield _Cap(f"slots:{app.id}", app.id, min(own))
    if key_id is not None and limits.key_max_active_requests:
        yield _Cap(f"slots:key:{key_id}", "this API key", limits.key_max_active_requests)
    if limits.workspace_max_active_requests:
        yield _Cap(f"slots:tenant:{app.tenant_id}", "this workspace", limits.workspace_max_active_requests)


def _take(runtime: Runtime, slot: Slot, limit: int) -> bool:
    try:
        return runtime.cache.take(slot.key, slot.member, limit, runtime.limits.run_timeout_s + SLOT_MARGIN_S)
    except Unavailable:
        logger.warning("slot not counted: the cache is not available")
        return True
