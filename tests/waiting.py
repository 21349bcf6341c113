"""Waiting in tests for what another thread is about to do, and measuring how long things take."""

import threading
import time
from collections.abc import Callable

from sqlalchemy import text

from api.core.ports import Cancel
from api.runtime import Runtime


def wait_until(is_so: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait until it is so; a test fails where that does not come."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s"
        time.sleep(0.01)


def set_when(cancel: Cancel, is_so: Callable[[], bool]) -> list[float]:
    """Have another thread stop the work once it is so; return where it notes when it did."""
    at: list[float] = []

    def watch() -> None:
        wait_until(is_so)
        time.sleep(0.02)  # so that what it was about to do next is under way
        at.append(time.monotonic())
        cancel.set()

    threading.Thread(target=watch, daemon=True).start()
    return at


def is_waited_for(runtime: Runtime) -> bool:
    """Tell whether someone waits for a row; nobody can see that on SQLite, where writers take turns."""
    with runtime.reading() as session:
        if session.get_bind().dialect.name == "sqlite":
            return True
        here = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        return bool(session.scalar(text(f"SELECT count(*) {here}")))


class TooLateError(AssertionError):
    """Something took longer than it may; a machine with much else to do can be the reason."""


def assert_quick(took_s: float, limit_s: float) -> None:
    """Hold a duration against its limit; a test that only fails here is tried again (tests/tries.py)."""
    if took_s >= limit_s:
        raise TooLateError(f"took {took_s:.3g} s, may take {limit_s:g} s")
