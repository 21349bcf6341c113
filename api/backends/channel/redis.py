"""Event logs and stop signals shared by several processes through Redis.

A process writes and reads its own logs in memory; Redis holds a copy, some 30 ms
behind, for readers elsewhere. What must stay true: with Redis away, runs and
their readers in the same process go on; only what crosses processes fails.
"""

import threading
import time
import uuid
from collections.abc import Callable
from typing import Self

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from api.backends.channel import memory
from api.backends.channel.redis_mirror import Mirror, MirroredLog
from api.backends.channel.redis_signals import SignalListener
from api.backends.channel.redis_stream import SLICE_S, Keys, find_log
from api.core.events import EventLog, RunHeader
from api.errors import Unavailable
from api.settings import Settings

CONNECT_TIMEOUT_S = 1.0
READ_TIMEOUT_S = SLICE_S + 2.0  # a blocking read answers after SLICE_S
HEALTH_CHECK_S = 10
ALIVE_TTL_S = 15.0
SIGNAL_KEPT_S = 30
COPY_COMES_S = (0.05, 0.1, 0.2, 0.4)
"""Pauses between looks for a run that is not known yet."""


class Backend:
    """Implements Channel on keys that begin with ``prefix``. Threads start with first use.

    A reader elsewhere is told that this process died after ``alive_ttl_s`` and a fifth.
    """

    def __init__(self, url: str, prefix: str = "slipway:", alive_ttl_s: float = ALIVE_TTL_S) -> None:
        self._redis = Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=READ_TIMEOUT_S,
            health_check_interval=HEALTH_CHECK_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        self._keys = Keys(prefix)
        self._lost_after_s = alive_ttl_s / 5
        self._local = memory.Backend()
        self._mirror = Mirror(
            self._redis,
            self._keys,
            str(uuid.uuid4()),
            alive_ttl_s=alive_ttl_s,
            is_kept=lambda task_id: self._local.find(task_id) is not None,
            on_signal=self._local.signal,
        )
        self._listener = SignalListener(
            self._redis, self._keys, on_signal=self._local.signal, on_connect=self._ask_for_all
        )
        self._heard: dict[object, str] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Use the Redis of REDIS_URL."""
        return cls(settings.redis_url)

    def open(self, header: RunHeader) -> EventLog:
        """Start the log of a new run; a task id that this process uses already is a ValueError."""
        log = MirroredLog(self._local.open(header), self._mirror.send)
        self._mirror.send(log)
        return log

    def find(self, task_id: str) -> EventLog | None:
        """Return the log of a run of any process; see Channel. May raise Unavailable.

        Who has just read a run's first event may come here before its copy does.
        """
        log: EventLog | None = self._local.find(task_id)
        for pause_s in (0.0, *COPY_COMES_S):
            if log is not None:
                break
            time.sleep(pause_s)
            log = find_log(self._redis, self._keys, task_id, self._lost_after_s)
        return log

    def signal(self, task_id: str) -> None:
        """Tell whichever process runs the task to stop it. May raise Unavailable for a run elsewhere."""
        self._local.signal(task_id)
        if self._local.find(task_id) is not None:
            return
        try:
            self._redis.set(self._keys.signal(task_id), b"1", ex=SIGNAL_KEPT_S)
            self._redis.publish(self._keys.signals, task_id)
        except RedisError as exc:
            raise Unavailable("The process that runs the task cannot be reached; try again.") from exc

    def on_signal(self, task_id: str, action: Callable[[], None]) -> Callable[[], None]:
        """Call ``action`` when the task is signalled, also if that was just before; see Channel."""
        forget_local = self._local.on_signal(task_id, action)
        ticket = object()
        with self._lock:
            self._heard[ticket] = task_id
        self._listener.start()
        self._mirror.ask(task_id)

        def forget() -> None:
            forget_local()
            with self._lock:
                self._heard.pop(ticket, None)

        return forget

    def stop(self, timeout_s: float = 5.0) -> None:
        """Copy what Redis lacks and end the threads, waiting up to ``timeout_s`` for each."""
        self._mirror.stop(timeout_s)
        self._listener.stop(timeout_s)
        self._redis.close()

    def _ask_for_all(self) -> None:
        with self._lock:
            task_ids = set(self._heard.values())
        for task_id in task_ids:
            self._mirror.ask(task_id)
