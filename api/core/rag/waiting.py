"""Pauses and spans of time that obey a Cancel."""

import contextlib
import threading
from collections.abc import Iterator

from api.core.http import Cancelled
from api.core.ports import Cancel


def pause(delay_s: float, cancel: Cancel) -> None:
    """Wait ``delay_s`` seconds, no longer than to the deadline; raises Cancelled at once when it is set."""
    stopped = threading.Event()
    forget = cancel.on_cancel(stopped.set)
    try:
        if stopped.wait(min(delay_s, cancel.remaining_s())):
            raise Cancelled
    finally:
        forget()


@contextlib.contextmanager
def within(total_s: float, cancel: Cancel) -> Iterator[Cancel]:
    """Give a Cancel that is set with ``cancel`` and whose deadline is at most ``total_s`` seconds away."""
    inner = Cancel(min(total_s, cancel.remaining_s()))
    forget = cancel.on_cancel(inner.set)
    try:
        yield inner
    finally:
        forget()
