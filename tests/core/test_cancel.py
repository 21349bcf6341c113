"""Ending a run early."""

import time

from api.core.ports import Cancel


def test_cancel_closes_every_registered_wait_once() -> None:
    cancel, closed = Cancel(), []
    cancel.on_cancel(lambda: closed.append("a"))
    cancel.on_cancel(lambda: closed.append("b"))

    cancel.set()
    cancel.set()

    assert closed == ["a", "b"]
    assert cancel.is_set()


def test_cancel_closes_at_once_what_is_registered_too_late() -> None:
    cancel, closed = Cancel(), []
    cancel.set()

    cancel.on_cancel(lambda: closed.append("late"))

    assert closed == ["late"]


def test_forgotten_wait_is_left_alone() -> None:
    cancel, closed = Cancel(), []
    forget = cancel.on_cancel(lambda: closed.append("x"))

    forget()
    cancel.set()

    assert closed == []


def test_deadline_counts_down_and_ends() -> None:
    cancel = Cancel(total_s=0.001)
    time.sleep(0.002)

    assert cancel.is_overdue()
    assert cancel.remaining_s() == 0.0
    assert not cancel.is_set()
