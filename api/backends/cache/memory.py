"""Short-lived values of one process.

What must stay true: never more than 100,000 values; the least recently written
go first. Places are not among them: one that is taken is never forgotten early.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Self

from api.settings import Settings

MAX_ENTRIES = 100_000
KEPT_WHEN_FULL = 90_000  # so that a full cache is not swept on every write
FIRST_SWEEP = 1024


class Backend:
    """Implements Cache. Expired entries are swept whenever their number has doubled since the last sweep."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._sweep_at = FIRST_SWEEP
        self._places: dict[str, dict[str, float]] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_settings(cls, _settings: Settings) -> Self:
        """Return an empty cache; it needs no setting."""
        return cls()

    def get(self, key: str) -> bytes | None:
        """Return the value, or None when it is absent or expired."""
        with self._lock:
            return self._live(key)

    def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Store the value for ``ttl_s`` seconds."""
        with self._lock:
            self._store(key, value, ttl_s)

    def add(self, key: str, value: bytes, ttl_s: float) -> bool:
        """Store the value only if the key is free; True when it was."""
        with self._lock:
            if self._live(key) is not None:
                return False
            self._store(key, value, ttl_s)
            return True

    def increment(self, key: str, amount: int, ttl_s: float) -> int:
        """Add to the counter and renew its life; return the sum."""
        with self._lock:
            total = int(self._live(key) or 0) + amount
            self._store(key, str(total).encode(), ttl_s)
            return total

    def delete(self, key: str) -> None:
        """Forget the key; no error when it is not there."""
        with self._lock:
            self._entries.pop(key, None)

    def take(self, key: str, member: str, limit: int, ttl_s: float) -> bool:
        """Take one of ``limit`` places for at most ``ttl_s`` seconds; False when all are taken."""
        now = self._clock()
        with self._lock:
            taken = {name: ends_at for name, ends_at in self._places.get(key, {}).items() if ends_at > now}
            self._places[key] = taken
            if len(taken) >= limit:
                return False
            taken[member] = now + ttl_s
            return True

    def give(self, key: str, member: str) -> None:
        """Give the member's place back; no error when it has none."""
        with self._lock:
            taken = self._places.get(key, {})
            taken.pop(member, None)
            if not taken:
                self._places.pop(key, None)

    def _live(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        return entry[0] if entry is not None and entry[1] > self._clock() else None

    def _store(self, key: str, value: bytes, ttl_s: float) -> None:
        self._entries[key] = (value, self._clock() + ttl_s)
        self._entries.move_to_end(key)
        if len(self._entries) >= self._sweep_at:
            self._sweep()

    def _sweep(self) -> None:
        now = self._clock()
        for key in [key for key, (_, expires_at) in self._entries.items() if expires_at <= now]:
            del self._entries[key]
        if len(self._entries) >= MAX_ENTRIES:
            for _ in range(len(self._entries) - KEPT_WHEN_FULL):
                self._entries.popitem(last=False)
        self._sweep_at = min(max(FIRST_SWEEP, 2 * len(self._entries)), MAX_ENTRIES)
