"""Copies this process's event logs into Redis, in batches, on one thread.

The log in memory is the truth and the buffer: nothing is dropped while Redis is
away, and what Redis lost is sent again. What must stay true: no writer of a log
ever waits for Redis.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from redis import Redis, RedisError
from redis.client import Pipeline

from api.backends.channel import redis_stream as stream
from api.core.events import Event, EventBatch, EventLog, RunHeader

T = TypeVar("T")

logger = logging.getLogger(__name__)

FLUSH_EVERY_S = 0.1
LOGS_PER_FLUSH = 200  # so that catching up after an outage does not hold the event loop for long
MAX_ASKED = 10_000
RETRY_AFTER_S = 0.5


class MirroredLog:
    """Implements EventLog: the log in memory, whose changes the mirror is told of."""

    def __init__(self, local: EventLog, on_change: Callable[["MirroredLog"], None]) -> None:
        self._local = local
        self._on_change = on_change
        self.is_queued = False
        self.is_opened = False
        self.sent = 0

    @property
    def header(self) -> RunHeader:
        """Who runs what."""
        return self._local.header

    def append(self, event: Event) -> None:
        """Add one event; see EventLog."""
        self._local.append(event)
        if not self.is_queued:
            self._on_change(self)

    def close(self) -> None:
        """End the log; local readers see it at once, the mirror within its next batch."""
        self._local.close()
        if not self.is_queued:
            self._on_change(self)

    def read(self, after: int, timeout_s: float) -> EventBatch:
        """Return the events numbered above ``after``; see EventLog."""
        return self._local.read(after, timeout_s)


@dataclass(frozen=True, slots=True)
class _Parcel:
    """Commands of one log in a pipeline, and the number of the last event they carry."""

    log: MirroredLog
    commands: slice
    last: int


class Mirror:
    """The thread that tells Redis of this process: its logs, and that it lives.

    It also asks for signals that were sent before this process listened.
    """

    def __init__(
        self,
        redis: Redis,
        keys: stream.Keys,
        owner: str,
        *,
        alive_ttl_s: float,
        is_kept: Callable[[str], bool],
        on_signal: Callable[[str], None],
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._owner = owner
        self._alive_ttl_s = alive_ttl_s
        self._is_kept = is_kept
        self._on_signal = on_signal
        self._changed: deque[MirroredLog] = deque()
        self._asked: deque[str] = deque(maxlen=MAX_ASKED)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._beat_at = 0.0
        self._is_failing = False

    def send(self, log: MirroredLog) -> None:
        """Copy what the log has now, soon; costs no I/O."""
        log.is_queued = True
        self._changed.append(log)
        self._stir()

    def ask(self, task_id: str) -> None:
        """Look, soon, whether the task was signalled already; costs no I/O."""
        self._asked.append(task_id)
        self._stir()

    def stop(self, timeout_s: float) -> None:
        """Copy what is left, take back the sign of life and end the thread."""
        self._stopping.set()
        self._wake.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _stir(self) -> None:
        if self._thread is None:
            self._start()
        self._wake.set()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="channel-mirror", daemon=True)
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(self._alive_ttl_s / 3)
            self._wake.clear()
            pause_s = FLUSH_EVERY_S if self._flush() else RETRY_AFTER_S
            self._stopping.wait(pause_s)
        while self._flush():
            if not self._changed:
                self._farewell()
                return

    def _flush(self) -> bool:
        """Send all that is due in one round trip; False when Redis did not take it."""
        logs = _take(self._changed, LOGS_PER_FLUSH)
        task_ids = _take(self._asked, MAX_ASKED)
        try:
            self._exchange(logs, task_ids)
        except Exception as error:  # noqa: BLE001 - a fault in one run must not end the copying of all
            self._note_failure(error)
            self._asked.extend(task_ids)
            self._requeue(logs)
            self._wake.set()
            return False
        if self._is_failing:
            logger.info("event logs are copied to Redis again")
        self._is_failing = False
        if self._changed:
            self._wake.set()
        return True

    def _note_failure(self, error: Exception) -> None:
        if not isinstance(error, RedisError):
            logger.error("event logs could not be copied to Redis", exc_info=error)
        elif not self._is_failing:
            logger.warning("event logs are not copied to Redis for now: %s", type(error).__name__)
        self._is_failing = True

    def _exchange(self, logs: list[MirroredLog], task_ids: list[str]) -> None:
        now = time.monotonic()
        is_beat = now >= self._beat_at
        with self._redis.pipeline(transaction=False) as pipeline:
            if is_beat:
                pipeline.set(self._keys.alive(self._owner), b"1", px=int(self._alive_ttl_s * 1000))
            parcels = [parcel for log in logs if (parcel := self._load(pipeline, log))]
            asked_from = len(pipeline)
            for task_id in task_ids:
                pipeline.exists(self._keys.signal(task_id))
            replies = pipeline.execute(raise_on_error=False) if len(pipeline) else []
        _raise_refusals(replies)
        if is_beat:
            self._beat_at = now + self._alive_ttl_s / 3
        for parcel in parcels:
            self._settle(parcel, replies[parcel.commands])
        for task_id, is_signalled in zip(task_ids, replies[asked_from:], strict=True):
            if is_signalled:
                self._on_signal(task_id)

    def _load(self, pipeline: Pipeline, log: MirroredLog) -> _Parcel | None:
        """Put what Redis lacks of a log into the pipeline."""
        log.is_queued = False  # before reading, so that no event falls between
        start = len(pipeline)
        key = self._keys.log(log.header.task_id)
        batch = log.read(log.sent, 0)
        last = log.sent + len(batch.events)
        try:
            entries = list(stream.to_batches(log.sent + 1, batch.events))
        except TypeError:
            logger.exception(
                "task %s: an event has no JSON form; its log is copied no further", log.header.task_id
            )
            entries = None
        if not log.is_opened:
            pipeline.xadd(key, stream.to_header_fields(log.header, self._owner), id=stream.HEADER_ID)
            if entries is None or not batch.is_last:
                pipeline.expire(key, int(log.header.total_s) + stream.KEPT_S)
        if entries is None:
            log.is_queued = True  # for good
            return None
        for entry_id, fields in entries:
            pipeline.xadd(key, fields, id=entry_id, nomkstream=True)
        if batch.is_last:
            pipeline.xadd(key, {stream.END: b""}, id=stream.to_end_id(last), nomkstream=True)
            pipeline.expire(key, stream.KEPT_S)
        return _Parcel(log, slice(start, len(pipeline)), last)

    def _settle(self, parcel: _Parcel, replies: list[Any]) -> None:
        """Note what Redis has of a log now."""
        if None in replies:  # no stream to add to: Redis lost it
            parcel.log.is_opened, parcel.log.sent = False, 0
            self.send(parcel.log)
        else:
            parcel.log.is_opened, parcel.log.sent = True, parcel.last

    def _requeue(self, logs: list[MirroredLog]) -> None:
        for log in logs:
            if self._is_kept(log.header.task_id):
                log.is_queued = True
                self._changed.append(log)

    def _farewell(self) -> None:
        try:
            self._redis.delete(self._keys.alive(self._owner))
        except RedisError as error:
            logger.warning("the sign of life stays until it expires: %s", type(error).__name__)


def _take(queue: deque[T], limit: int) -> list[T]:
    return [queue.popleft() for _ in range(min(len(queue), limit))]


def _raise_refusals(replies: list[Any]) -> None:
    """Raise what Redis refused, but for entries that an earlier try had already stored."""
    for reply in replies:
        if isinstance(reply, RedisError) and "equal or smaller" not in str(reply):
            raise reply
