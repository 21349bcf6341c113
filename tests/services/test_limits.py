"""Slots for runs: exact, not lost to a process that died, and no reason to refuse while the cache is away."""

import logging
import uuid
from dataclasses import replace

import pytest

from api.backends.cache import memory, redis
from api.core.apps.spec import AppMode, AppSpec
from api.core.ports import Cache
from api.errors import RateLimited
from api.runtime import Runtime
from api.services.limits import Slot, free_slots, take_slots
from tests.conftest import BOTH

pytestmark = BOTH

NOWHERE = "redis://127.0.0.1:1"


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make_app_spec(max_active_requests: int) -> AppSpec:
    return AppSpec(
        id=str(uuid.uuid4()),
        tenant_id=str(uuid.uuid4()),
        name="Capped",
        mode=AppMode.CHAT,
        api_rpm=0,
        api_rph=0,
        max_active_requests=max_active_requests,
        plan="enterprise",
        providers_version=1,
        config_id=None,
        config=None,
    )


def take_slot(runtime: Runtime, app: AppSpec) -> tuple[Slot, ...]:
    return take_slots(runtime, app, None)


def with_cache(runtime: Runtime, cache: Cache) -> Runtime:
    """Return the runtime with another cache and runs of up to 1200 s."""
    return replace(runtime, cache=cache, limits=replace(runtime.limits, run_timeout_s=1200.0))


def test_slots_all_taken_one_more_is_refused_until_one_is_free(runtime: Runtime) -> None:
    app = make_app_spec(2)
    first, second = take_slot(runtime, app), take_slot(runtime, app)
    with pytest.raises(RateLimited):
        take_slot(runtime, app)

    free_slots(runtime, first)
    free_slots(runtime, first)
    third = take_slot(runtime, app)

    with pytest.raises(RateLimited):
        take_slot(runtime, app)
    for slot in (second, third):
        free_slots(runtime, slot)


def test_slot_of_the_installations_own_cap_counts_where_it_is_lower(runtime: Runtime) -> None:
    capped = replace(runtime, limits=replace(runtime.limits, max_active_requests=1))
    app = make_app_spec(5)
    slot = take_slot(capped, app)
    with pytest.raises(RateLimited):
        take_slot(capped, app)
    free_slots(capped, slot)


def test_slot_without_a_cap_is_none_and_nothing_to_free(runtime: Runtime) -> None:
    slots = take_slots(runtime, make_app_spec(0), "a-key")
    free_slots(runtime, slots)
    assert slots == ()


def test_slots_of_a_key_are_counted_over_its_apps(runtime: Runtime) -> None:
    capped = replace(runtime, limits=replace(runtime.limits, key_max_active_requests=1))
    one, other, key = make_app_spec(0), make_app_spec(0), str(uuid.uuid4())
    slots = take_slots(capped, one, key)
    with pytest.raises(RateLimited, match="API key"):
        take_slots(capped, other, key)
    free_slots(capped, take_slots(capped, other, str(uuid.uuid4())))
    free_slots(capped, slots)
    free_slots(capped, take_slots(capped, other, key))


def test_slots_of_a_workspace_are_counted_over_its_apps_and_leave_others_alone(runtime: Runtime) -> None:
    capped = replace(runtime, limits=replace(runtime.limits, workspace_max_active_requests=1))
    one, stranger = make_app_spec(0), make_app_spec(0)
    other = replace(make_app_spec(0), tenant_id=one.tenant_id)
    slots = take_slots(capped, one, None)
    with pytest.raises(RateLimited, match="workspace"):
        take_slots(capped, other, None)
    free_slots(capped, take_slots(capped, stranger, None))
    free_slots(capped, slots)
    free_slots(capped, take_slots(capped, other, None))


def test_run_refused_for_its_workspace_keeps_no_slot_of_its_app(runtime: Runtime) -> None:
    capped = replace(runtime, limits=replace(runtime.limits, workspace_max_active_requests=1))
    busy = make_app_spec(0)
    waiting = replace(make_app_spec(1), tenant_id=busy.tenant_id)
    slots = take_slots(capped, busy, None)
    for _ in range(2):
        with pytest.raises(RateLimited, match="workspace"):
            take_slots(capped, waiting, None)
    free_slots(capped, slots)
    free_slots(capped, take_slots(capped, waiting, None))


def test_slot_of_a_dead_process_is_free_again_though_the_app_is_busy(runtime: Runtime) -> None:
    clock, app = Clock(), make_app_spec(2)
    capped = with_cache(runtime, memory.Backend(clock))
    take_slot(capped, app)  # by a process that dies
    for _ in range(13):
        clock.now += 100
        free_slots(capped, take_slot(capped, app))

    assert [take_slot(capped, app) != () for _ in range(2)] == [True, True]


def test_slot_of_a_run_as_long_as_runs_may_be_is_kept_and_freed_once(runtime: Runtime) -> None:
    clock, app = Clock(), make_app_spec(1)
    capped = with_cache(runtime, memory.Backend(clock))
    slot = take_slot(capped, app)
    clock.now += 1200

    with pytest.raises(RateLimited):
        take_slot(capped, app)
    free_slots(capped, slot)
    assert take_slot(capped, app)
    with pytest.raises(RateLimited):
        take_slot(capped, app)


def test_slots_cache_away_runs_are_let_through_and_logged(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    capped, app = with_cache(runtime, redis.Backend(NOWHERE)), make_app_spec(1)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            free_slots(capped, take_slot(capped, app))

    assert caplog.text.count("slot not counted") == 2
    assert caplog.text.count("slot not given back") == 2
