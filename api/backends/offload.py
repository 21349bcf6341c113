"""Native work off the event loop, on a few native threads of its own.

gevent's shared pool is left to name resolution, which native work could starve.
What runs here must not wait for greenlets: no database, no sockets, no locks of
patched modules.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property
from typing import Self, TypeVar

from gevent import Timeout, monkey
from gevent.threadpool import ThreadPool

from api.backends.places import Places
from api.core.ports import Cancel
from api.settings import Settings

T = TypeVar("T")

MAX_THREADS = 4


class Backend:
    """Implements Offload: gevent's native threads in a patched process, plain threads elsewhere."""

    def __init__(self) -> None:
        self._places = Places(MAX_THREADS)

    @classmethod
    def from_settings(cls, _settings: Settings) -> Self:
        """Return the backend; it needs no setting."""
        return cls()

    def call(self, fn: Callable[..., T], *args: object, timeout_s: float) -> T:
        """Return ``fn(*args)``, computed on a native thread; see Offload.

        Workspaces have the threads in turn. A call nobody waits for any more keeps
        its thread without a place, so that others may then wait for a thread as well.
        """
        ends_at = time.monotonic() + timeout_s
        with ExitStack() as stack:
            try:
                stack.enter_context(self._places.hold(Cancel(), timeout_s))
            except TimeoutError:
                raise TimeoutError(f"no thread within {timeout_s} s") from None
            left_s = max(0.0, ends_at - time.monotonic())
            if monkey.is_module_patched("threading"):
                return self._call_patched(fn, args, left_s)
            return self._call_plain(fn, args, left_s)

    def _call_plain(self, fn: Callable[..., T], args: tuple[object, ...], timeout_s: float) -> T:
        future = self._plain_pool.submit(fn, *args)
        try:
            return future.result(timeout_s)
        finally:
            future.cancel()  # still queued when the time was up

    def _call_patched(self, fn: Callable[..., T], args: tuple[object, ...], timeout_s: float) -> T:
        # The time covers the wait for a thread too.
        with Timeout(timeout_s, TimeoutError(f"no result within {timeout_s} s")):
            value, error = self._gevent_pool.spawn(_settle, fn, args).get()
        if error is not None:
            raise error
        return value  # type: ignore[no-any-return]  # gevent's results are untyped

    @cached_property
    def _plain_pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="offload")

    @cached_property
    def _gevent_pool(self) -> ThreadPool:
        return ThreadPool(MAX_THREADS)


def _settle(fn: Callable[..., T], args: tuple[object, ...]) -> tuple[T | None, Exception | None]:
    """Return the result or the error of a call: gevent prints what a native thread raises."""
    try:
        return fn(*args), None
    except Exception as error:  # noqa: BLE001 - raised again in the caller's greenlet
        return None, error
