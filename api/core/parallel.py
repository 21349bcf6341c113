"""Runs a few waits side by side and answers for all of them: every result, or the first failure.

Boundary: standard threads, which are greenlets in a patched process. What must
stay true: nothing started here is still running when the call returns.
"""

import contextvars
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

from api.core.ports import Cancel

T = TypeVar("T")

SHORTEST_SLEEP_S = 1e-6


def give_way() -> None:
    """Let the other greenlets, timers and sockets of a patched process have their turn.

    A sleep of 0 s would only be put behind the greenlets that are ready: the
    loop looks at its timers and sockets once in fifty of those.
    """
    time.sleep(SHORTEST_SLEEP_S)


def run_all(calls: Sequence[Callable[[Cancel], T]], cancel: Cancel, *, max_threads: int) -> list[T]:
    """Return what the calls return, in their order; at most ``max_threads`` run at once.

    Each gets a Cancel that is set with ``cancel``, and by the first call that
    fails: its error is raised here, and calls not yet begun never are. Where all
    may run at once, the first does so on the caller's own thread.
    """
    if len(calls) < 2 or max_threads < 2:
        return [call(cancel) for call in calls]
    own, others = (calls[:1], calls[1:]) if len(calls) <= max_threads else ((), calls)
    with _child_of(cancel) as child, ThreadPoolExecutor(min(max_threads, len(others))) as pool:
        # Log lines of a thread name the request it works for.
        futures = [pool.submit(contextvars.copy_context().run, _run, call, child) for call in others]
        try:
            found = [_run(call, child) for call in own]
            wait(futures)
        except BaseException:
            child.set()  # the pool waits for what runs
            if child.failure is not None:
                raise child.failure from None
            raise
        if child.failure is not None:
            raise child.failure
        return [*found, *(future.result() for future in futures)]


def _run(call: Callable[[Cancel], T], cancel: Cancel) -> T:
    """Return what a call returns, unless another has failed; its own failure ends the others."""
    if cancel.failure is not None:
        raise cancel.failure
    try:
        return call(cancel)
    except Exception as failure:
        cancel.set(failure)
        raise


@contextmanager
def _child_of(cancel: Cancel) -> Iterator[Cancel]:
    """Give a Cancel that is set with its parent, and may be set without it."""
    child = Cancel(cancel.remaining_s())
    forget = cancel.on_cancel(child.set)
    try:
        yield child
    finally:
        forget()
