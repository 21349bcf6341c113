"""Runs a few waits side by side and answers for all of them: every result, or the first failure.

Boundary: standard threads, which are greenlets in a patched process. What must
stay true: nothing started here is still running when the call returns.
"""

import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
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
    """Return what the calls return, in their order; at most ``max_threads`` run at once, one on this thread.

    Each gets a Cancel that is set with ``cancel``, and by the first call that
    fails: its error is raised here, and calls not yet begun never are.
    """
    if len(calls) < 2 or max_threads < 2:
        return [call(cancel) for call in calls]
    with _child_of(cancel) as child:
        waiting = iter(enumerate(calls))
        own = [next(waiting)]
        found: dict[int, T] = {}
        failures: list[BaseException] = []

        def work(first: Iterable[tuple[int, Callable[[Cancel], T]]] = ()) -> None:
            try:
                for place, call in chain(first, waiting):
                    found[place] = _run(call, child)
            except BaseException as failure:  # noqa: BLE001  # raised again below
                failures.append(failure)
                child.set()
                deque(waiting, maxlen=0)  # what has not begun never does

        # Log lines of a thread name the request it works for.
        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
            for _ in range(min(max_threads, len(calls)) - 1)
        ]
        try:
            for thread in threads:
                thread.start()
        except BaseException as failure:  # noqa: BLE001  # raised again below
            failures.append(failure)
            child.set()
            deque(waiting, maxlen=0)
        else:
            work(own)
        _join(threads, child)
        interruption = next((one for one in failures if not isinstance(one, Exception)), None)
        if (first := interruption or child.failure or next(iter(failures), None)) is not None:
            raise first
        return [found[place] for place in range(len(calls))]


def _join(threads: Sequence[threading.Thread], cancel: Cancel) -> None:
    """Wait for the ends of those threads that were started; who interrupts this ends them."""
    started = [thread for thread in threads if thread.ident is not None]
    try:
        for thread in started:
            thread.join()
    except BaseException:
        cancel.set()
        for thread in started:
            thread.join()
        raise


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
