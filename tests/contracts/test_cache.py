"""What every Cache promises."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.core.ports import Cache
from tests.contracts import discovery
from tests.waiting import assert_quick, wait_until


@pytest.fixture(params=discovery.names("cache"))
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Cache:
    made: Cache = discovery.make_backend("cache", request.param, request, tmp_path)
    return made


@pytest.fixture
def key() -> str:
    return f"test:{uuid.uuid4()}"


def test_cache_value_set_is_returned_until_deleted(cache: Cache, key: str) -> None:
    assert cache.get(key) is None
    cache.set(key, b"\x00value\xff", 60)
    assert cache.get(key) == b"\x00value\xff"
    cache.delete(key)
    cache.delete(key)
    assert cache.get(key) is None


def test_cache_value_set_again_replaces_value_and_life(cache: Cache, key: str) -> None:
    cache.set(key, b"1", 0.05)
    cache.set(key, b"2", 60)
    time.sleep(0.1)
    assert cache.get(key) == b"2"


def test_cache_value_expires(cache: Cache, key: str) -> None:
    cache.set(key, b"1", 0.05)
    wait_until(lambda: cache.get(key) is None)


def test_cache_add_takes_a_free_key_only(cache: Cache, key: str) -> None:
    assert cache.add(key, b"1", 60)
    assert not cache.add(key, b"2", 60)
    assert cache.get(key) == b"1"


def test_cache_add_takes_an_expired_key(cache: Cache, key: str) -> None:
    assert cache.add(key, b"1", 0.05)
    wait_until(lambda: cache.add(key, b"2", 60))
    assert cache.get(key) == b"2"


def test_cache_add_by_many_at_once_succeeds_once(cache: Cache, key: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda n: cache.add(key, str(n).encode(), 60), range(64)))
    assert outcomes.count(True) == 1


def test_cache_increment_starts_at_zero_and_returns_the_sum(cache: Cache, key: str) -> None:
    assert [cache.increment(key, amount, 60) for amount in (1, 5, -2)] == [1, 6, 4]
    assert cache.get(key) == b"4"


def test_cache_increment_by_many_at_once_loses_nothing(cache: Cache, key: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        sums = list(pool.map(lambda _: cache.increment(key, 1, 60), range(200)))
    assert sorted(sums) == list(range(1, 201))


def test_cache_increment_renews_the_life_of_the_counter(cache: Cache, key: str) -> None:
    started = time.monotonic()
    cache.increment(key, 1, 0.1)
    cache.increment(key, 1, 60)
    assert_quick(time.monotonic() - started, 0.1)  # or its life was over before it was renewed
    time.sleep(0.15)
    assert cache.increment(key, 1, 0.05) == 3
    wait_until(lambda: cache.get(key) is None)
    assert cache.increment(key, 1, 60) == 1


def test_cache_places_all_taken_are_refused_until_one_is_given_back(cache: Cache, key: str) -> None:
    assert [cache.take(key, member, 2, 60) for member in ("a", "b", "c")] == [True, True, False]
    cache.give(key, "b")
    assert [cache.take(key, member, 2, 60) for member in ("c", "d")] == [True, False]


def test_cache_places_asked_for_by_many_at_once_are_taken_once_each(cache: Cache, key: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda n: cache.take(key, str(n), 5, 60), range(64)))
    assert outcomes.count(True) == 5


def test_cache_place_given_back_without_being_taken_makes_no_room(cache: Cache, key: str) -> None:
    cache.take(key, "a", 1, 60)
    cache.give(key, "b")
    cache.give(f"{key}:other", "a")
    assert not cache.take(key, "c", 1, 60)


def test_cache_place_never_given_back_is_free_after_its_time_however_busy_the_key(
    cache: Cache, key: str
) -> None:
    cache.take(key, "leaked", 2, 0.05)
    cache.take(key, "kept", 2, 60)
    wait_until(lambda: cache.take(key, "next", 2, 60))
    assert not cache.take(key, "more", 2, 60)


def test_cache_place_outlives_shorter_ones_taken_later(cache: Cache, key: str) -> None:
    cache.take(key, "long", 2, 60)
    cache.take(key, "short", 2, 0.05)
    wait_until(lambda: cache.take(key, "next", 2, 0.05))
    time.sleep(0.1)
    assert not cache.take(key, "more", 1, 60)


def test_cache_places_all_given_back_are_all_free(cache: Cache, key: str) -> None:
    for _ in range(2):
        assert all(cache.take(key, member, 3, 60) for member in "abc")
        for member in "abc":
            cache.give(key, member)
