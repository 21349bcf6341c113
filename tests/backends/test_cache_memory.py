"""How much the cache of one process keeps."""

from api.backends.cache import memory


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def count_kept(cache: memory.Backend, keys: list[str]) -> int:
    return sum(cache.get(key) is not None for key in keys)


def test_memory_cache_full_forgets_the_least_recently_written() -> None:
    cache = memory.Backend(Clock())
    cache.set("first", b"1", 60)
    cache.set("kept", b"1", 60)
    keys = [str(number) for number in range(memory.MAX_ENTRIES - 3)]
    for key in keys:
        cache.set(key, b"1", 60)
    cache.increment("kept", 1, 60)
    cache.set("last", b"1", 60)
    assert cache.get("first") is None
    assert cache.get("kept") == b"2"
    assert cache.get("last") == b"1"
    assert count_kept(cache, keys) == memory.KEPT_WHEN_FULL - 2


def test_memory_cache_expired_entries_make_room_before_live_ones() -> None:
    clock = Clock()
    cache = memory.Backend(clock)
    cache.set("live", b"1", 600)
    for number in range(memory.MAX_ENTRIES - 2):
        cache.set(str(number), b"1", 60)
    clock.now += 61
    cache.set("last", b"1", 60)
    assert cache.get("live") == b"1"
