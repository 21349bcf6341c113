"""Short-lived values in Redis, shared by every process that serves.

Each call is one round trip. What must stay true: a Redis that is away costs a
caller next to nothing: after a failure, calls fail at once for two seconds.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from redis import BlockingConnectionPool, Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from api.errors import Unavailable
from api.settings import Settings

MAX_CONNECTIONS = 20
POOL_WAIT_S = 5.0
TIMEOUT_S = 1.0
REST_S = 2.0

# A sorted set of members by the end of their place, in ms of Redis's own clock.
# The set lives as long as the longest of them.
TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
local longest = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', longest))
return 1
"""


class Backend:
    """Implements Cache on keys that begin with ``prefix``. Every method may raise Unavailable."""

    def __init__(
        self, url: str, prefix: str = "slipway:cache:", clock: Callable[[], float] = time.monotonic
    ) -> None:
        # A pooled connection that Redis closed is noticed when it is taken, so
        # that nothing has to be sent twice (an increment must not be).
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=POOL_WAIT_S,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        self._redis: Redis = Redis(connection_pool=pool)
        self._prefix = prefix
        self._clock = clock
        self._rests_until = 0.0

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Use the Redis of REDIS_URL."""
        return cls(settings.redis_url)

    def get(self, key: str) -> bytes | None:
        """Return the value, or None when it is absent or expired."""
        with self._reach() as redis:
            value: bytes | None = redis.get(self._prefix + key)
            return value

    def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Store the value for ``ttl_s`` seconds."""
        with self._reach() as redis:
            redis.set(self._prefix + key, value, px=_to_ms(ttl_s))

    def add(self, key: str, value: bytes, ttl_s: float) -> bool:
        """Store the value only if the key is free; True when it was."""
        with self._reach() as redis:
            return bool(redis.set(self._prefix + key, value, px=_to_ms(ttl_s), nx=True))

    def increment(self, key: str, amount: int, ttl_s: float) -> int:
        """Add to the counter and renew its life; return the sum."""
        with self._reach() as redis, redis.pipeline(transaction=True) as pipeline:
            pipeline.incrby(self._prefix + key, amount)
            pipeline.pexpire(self._prefix + key, _to_ms(ttl_s))
            return int(pipeline.execute()[0])

    def delete(self, key: str) -> None:
        """Forget the key; no error when it is not there."""
        with self._reach() as redis:
            redis.delete(self._prefix + key)

    def take(self, key: str, member: str, limit: int, ttl_s: float) -> bool:
        """Take one of ``limit`` places for at most ``ttl_s`` seconds; False when all are taken."""
        with self._reach() as redis:
            return bool(redis.eval(TAKE, 1, self._prefix + key, member, limit, _to_ms(ttl_s)))

    def give(self, key: str, member: str) -> None:
        """Give the member's place back; no error when it has none."""
        with self._reach() as redis:
            redis.zrem(self._prefix + key, member)

    @contextmanager
    def _reach(self) -> Iterator[Any]:
        """Yield the client, whose own types are too loose to be of use."""
        if self._clock() < self._rests_until:
            raise Unavailable("The cache is not available; try again shortly.")
        try:
            yield self._redis
        except RedisError as exc:
            self._rests_until = self._clock() + REST_S
            raise Unavailable("The cache is not available; try again shortly.") from exc


def _to_ms(ttl_s: float) -> int:
    return max(1, int(ttl_s * 1000))
