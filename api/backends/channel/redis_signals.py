"""Hears the stop signals other processes send through Redis, on one thread."""

import logging
import threading
from collections.abc import Callable

from redis import Redis, RedisError
from redis.client import PubSub

from api.backends.channel.redis_stream import Keys

logger = logging.getLogger(__name__)

WAIT_S = 0.25  # how long a stop may have to wait
RETRY_AFTER_S = 0.5


class SignalListener:
    """The thread that listens. It starts with the first task and reconnects by itself.

    ``on_signal`` is called with the task id of every signal, also of tasks that
    run elsewhere; ``on_connect`` whenever signals may have been missed before.
    """

    def __init__(
        self, redis: Redis, keys: Keys, *, on_signal: Callable[[str], None], on_connect: Callable[[], None]
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._on_signal = on_signal
        self._on_connect = on_connect
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start to listen, unless it was done before; costs no I/O."""
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="channel-signals", daemon=True)
                thread.start()
                self._thread = thread

    def stop(self, timeout_s: float) -> None:
        """End the thread."""
        self._stopping.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _run(self) -> None:
        is_failing = False
        while not self._stopping.is_set():
            try:
                with self._redis.pubsub() as subscription:  # type: ignore[no-untyped-call]  # so in redis-py
                    subscription.subscribe(self._keys.signals)
                    self._listen(subscription)
            except RedisError as error:
                if not is_failing:
                    logger.warning("stop signals of other processes are not heard: %s", type(error).__name__)
                is_failing = True
            except Exception:
                logger.exception("a stop signal was not obeyed")  # must not deafen the process to others
            else:
                is_failing = False
            self._stopping.wait(RETRY_AFTER_S)

    def _listen(self, subscription: PubSub) -> None:
        while not self._stopping.is_set():
            message = subscription.get_message(timeout=WAIT_S)
            if message is None:
                continue
            if message["type"] == "subscribe":
                self._on_connect()
            elif message["type"] == "message":
                self._on_signal(message["data"].decode())
