"""The Redis cache when Redis is away."""

import time
import uuid
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from redis import Redis

from api.backends.cache.redis import REST_S, Backend
from api.errors import Unavailable
from tests.backends.gate import Gate
from tests.conftest import patient_with_redis
from tests.waiting import assert_quick


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def gate(redis_url: str) -> Iterator[Gate]:
    """The way to Redis."""
    parts = urlsplit(redis_url)
    made = Gate(str(parts.hostname), parts.port or 6379)
    yield made
    made.close()


def make_cache(redis_url: str, gate: Gate, clock: Clock) -> Backend:
    url = urlsplit(redis_url)._replace(netloc=f"127.0.0.1:{gate.port}").geturl()
    with patient_with_redis():
        return Backend(url, f"test:{uuid.uuid4()}:", clock)


CALLS: list[Callable[[Backend], object]] = [
    lambda cache: cache.get("k"),
    lambda cache: cache.set("k", b"1", 1),
    lambda cache: cache.add("k", b"1", 1),
    lambda cache: cache.increment("k", 1, 1),
    lambda cache: cache.delete("k"),
    lambda cache: cache.take("k", "m", 1, 1),
    lambda cache: cache.give("k", "m"),
]


@pytest.mark.parametrize("call", CALLS, ids=["get", "set", "add", "increment", "delete", "take", "give"])
def test_redis_cache_redis_away_is_unavailable(
    redis_url: str, gate: Gate, call: Callable[[Backend], object]
) -> None:
    gate.shut()
    with pytest.raises(Unavailable):
        call(make_cache(redis_url, gate, Clock()))


def test_redis_cache_after_a_failure_calls_fail_at_once_and_work_again_later(
    redis_url: str, gate: Gate
) -> None:
    clock = Clock()
    cache = make_cache(redis_url, gate, clock)
    cache.set("k", b"1", 60)
    gate.shut()
    with pytest.raises(Unavailable):
        cache.get("k")
    started = time.monotonic()
    for _ in range(100):
        with pytest.raises(Unavailable):
            cache.get("k")
    assert_quick((time.monotonic() - started) / 100, 0.005)
    gate.open()
    clock.now += REST_S
    assert cache.get("k") == b"1"


def test_redis_cache_connections_cut_while_idle_cost_no_error(redis_url: str, gate: Gate) -> None:
    cache = make_cache(redis_url, gate, Clock())
    cache.set("k", b"1", 60)
    gate.shut()
    gate.open()
    assert cache.get("k") == b"1"


def test_redis_cache_places_taken_expire_with_the_longest(redis_url: str) -> None:
    prefix = f"test:{uuid.uuid4()}:"
    cache = Backend(redis_url, prefix)
    cache.take("k", "long", 2, 60)
    cache.take("k", "short", 2, 1)
    with Redis.from_url(redis_url) as redis:
        assert 50_000 < redis.pttl(f"{prefix}k") <= 60_000
