"""The layout of a run's log in Redis, and its reader.

A log is one stream. Entry ``0-1`` holds the header and the writing process.
Entry ``N-0`` holds a batch of events whose last is number N: the number of its
first and the encoded events, one a line. Entry ``N-2`` ends the log. A batch
that was sent twice may overlap its neighbour, so readers go by the numbers.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import orjson
from redis import Redis, RedisError
from redis.typing import EncodableT, FieldT

from api.core.events import ErrorOccurred, Event, EventBatch, RunHeader, decode, encode
from api.errors import Unavailable

Fields: TypeAlias = dict[bytes, bytes]
NewFields: TypeAlias = dict[FieldT, EncodableT]
Entry: TypeAlias = tuple[bytes, Fields]

HEADER_ID = "0-1"
HEADER, OWNER = b"header", b"owner"
FIRST, EVENTS = b"first", b"events"
END = b"end"

EVENTS_PER_ENTRY = 500
KEPT_S = 600
# How long a blocking read waits before it looks whether the writer still lives:
# first hardly at all, for a log that is over.
FIRST_SLICE_S = 0.05
SLICE_S = 1.0
ENTRIES_PER_READ = 100

WORKER_LOST = ErrorOccurred(
    status=500, code="worker_lost", message="The process that ran this task has died; please start it again."
)


class Keys:
    """The names used in Redis, all beginning with ``prefix``."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.signals = f"{prefix}signals"

    def log(self, task_id: str) -> str:
        """Name the stream of a run's log."""
        return f"{self._prefix}log:{task_id}"

    def alive(self, owner: str) -> str:
        """Name the key that is there while a process lives."""
        return f"{self._prefix}alive:{owner}"

    def signal(self, task_id: str) -> str:
        """Name the key that is there for a while after a signal."""
        return f"{self._prefix}signal:{task_id}"


def to_header_fields(header: RunHeader, owner: str) -> NewFields:
    """Return the fields of a log's first entry."""
    return {HEADER: orjson.dumps(header), OWNER: owner.encode()}


def to_batches(first: int, events: Sequence[Event]) -> Iterator[tuple[str, NewFields]]:
    """Yield entry id and fields for events numbered from ``first``."""
    for start in range(0, len(events), EVENTS_PER_ENTRY):
        part = events[start : start + EVENTS_PER_ENTRY]
        lines = b"\n".join(encode(event) for event in part)
        yield (
            f"{first + start + len(part) - 1}-0",
            {FIRST: str(first + start).encode(), EVENTS: lines},
        )


def to_end_id(last: int) -> str:
    """Return the id of the entry that ends a log of ``last`` events."""
    return f"{last}-2"


def find_log(redis: Redis, keys: Keys, task_id: str, lost_after_s: float) -> "RemoteLog | None":
    """Return a reader of another process's log, or None; may raise Unavailable."""
    try:
        entries: list[Entry] = redis.xrange(keys.log(task_id), count=1) or []  # type: ignore[assignment]  # RESP2
    except RedisError as exc:
        raise _unavailable() from exc
    if not entries or HEADER not in entries[0][1]:
        return None
    fields = entries[0][1]
    header = RunHeader(**orjson.loads(fields[HEADER]))
    return RemoteLog(redis, keys, header, fields[OWNER].decode(), lost_after_s)


class RemoteLog:
    """Implements the reading half of EventLog on a stream that another process writes.

    Its writer counts as dead when its sign of life has been absent for
    ``lost_after_s``: time for a living one to renew it when Redis was away.
    """

    def __init__(self, redis: Redis, keys: Keys, header: RunHeader, owner: str, lost_after_s: float) -> None:
        self._redis = redis
        self._keys = keys
        self._header = header
        self._owner = owner
        self._lost_after_s = lost_after_s
        self._silent_since: float | None = None

    @property
    def header(self) -> RunHeader:
        """Who runs what."""
        return self._header

    def append(self, event: Event) -> None:
        """Refuse: a log has one writer, the process that opened it."""
        raise NotImplementedError("only the process that opened a log writes to it")

    def close(self) -> None:
        """Refuse: a log has one writer, the process that opened it."""
        raise NotImplementedError("only the process that opened a log closes it")

    def read(self, after: int, timeout_s: float) -> EventBatch:
        """Return the events numbered above ``after``; see EventLog. May raise Unavailable."""
        deadline = time.monotonic() + timeout_s
        slice_s = FIRST_SLICE_S
        try:
            while True:
                batch = self._fetch(after, min(slice_s, deadline - time.monotonic()))
                if not batch.events and not batch.is_last:
                    batch = self._look_for_end(after)
                if batch.events or batch.is_last or time.monotonic() >= deadline:
                    return batch
                slice_s = min(SLICE_S, self._lost_after_s)
        except RedisError as exc:
            raise _unavailable() from exc

    def _fetch(self, after: int, timeout_s: float) -> EventBatch:
        # From "after-1" on: past the batch that ends with `after`, before the end entry.
        reply: Any = self._redis.xread(
            {self._keys.log(self._header.task_id): f"{after}-1"},
            count=ENTRIES_PER_READ,
            block=max(1, int(timeout_s * 1000)) if timeout_s > 0 else None,
        )
        entries: list[Entry] = reply[0][1] if reply else []
        return _to_event_batch(after, entries)

    def _look_for_end(self, after: int) -> EventBatch:
        """Return how the log ended when nothing more will come, an empty batch while something may."""
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.xrevrange(self._keys.log(self._header.task_id), count=1)
            pipeline.exists(self._keys.alive(self._owner))
            newest, is_alive = pipeline.execute()
        last = int(newest[0][0].split(b"-")[0]) if newest else after
        if last > after:  # came in between
            return EventBatch((), is_last=False)
        if newest and END in newest[0][1]:
            return EventBatch((), is_last=True)
        if not self._is_lost(is_alive=bool(is_alive)):
            return EventBatch((), is_last=False)
        return EventBatch((WORKER_LOST,) if after == last else (), is_last=True)

    def _is_lost(self, *, is_alive: bool) -> bool:
        now = time.monotonic()
        if is_alive and not self._is_overdue():
            self._silent_since = None
            return False
        if self._silent_since is None:
            self._silent_since = now
        return now - self._silent_since >= self._lost_after_s

    def _is_overdue(self) -> bool:
        return time.time() > self._header.created_at + self._header.total_s + KEPT_S


def _to_event_batch(after: int, entries: list[Entry]) -> EventBatch:
    events: list[Event] = []
    for _, fields in entries:
        if END in fields:
            return EventBatch(events, is_last=True)
        lines = fields[EVENTS].split(b"\n")
        known = after + len(events) + 1 - int(fields[FIRST])
        if known < 0:
            raise Unavailable("The log of this run is incomplete; read it from the process that runs it.")
        events.extend(decode(line) for line in lines[known:])
    return EventBatch(events, is_last=False)


def _unavailable() -> Unavailable:
    return Unavailable("The event log is not available; try again shortly.")
