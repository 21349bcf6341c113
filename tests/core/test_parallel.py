"""Several waits at once: all results, or the first failure and nothing left running."""

import contextvars
import threading
from collections.abc import Callable

import pytest

from api.core.parallel import run_all
from api.core.ports import Cancel

Call = Callable[[Cancel], str]
WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO")


def answer(text: str) -> Call:
    return lambda _cancel: text


def until_cancelled(began: threading.Event | None = None) -> Call:
    def wait(cancel: Cancel) -> str:
        stopped = threading.Event()
        cancel.on_cancel(stopped.set)
        if began is not None:
            began.set()
        assert stopped.wait(30), "never cancelled"
        raise RuntimeError("stopped")

    return wait


def test_run_all_results_keep_the_order_of_the_calls() -> None:
    gate = threading.Barrier(3)

    def meet(text: str) -> Call:
        def call(_cancel: Cancel) -> str:
            gate.wait(30)
            return text

        return call

    assert run_all([meet("a"), meet("b"), meet("c")], Cancel(), max_threads=3) == ["a", "b", "c"]


def test_run_all_no_calls_give_no_results() -> None:
    assert run_all([], Cancel(), max_threads=3) == []


@pytest.mark.parametrize(("count", "max_threads"), [(1, 4), (3, 1)])
def test_run_all_one_at_a_time_stays_on_the_callers_thread(count: int, max_threads: int) -> None:
    def where(_cancel: Cancel) -> int:
        return threading.get_ident()

    found = run_all([where] * count, Cancel(), max_threads=max_threads)
    assert found == [threading.get_ident()] * count


def test_run_all_at_most_so_many_run_at_once() -> None:
    running: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def count(_cancel: Cancel) -> None:
        with lock:
            running.append(1)
            most.append(len(running))
        with lock:
            running.pop()

    run_all([count] * 20, Cancel(), max_threads=2)
    assert len(most) == 20
    assert max(most) <= 2


def test_run_all_first_failure_ends_the_others_and_is_raised() -> None:
    began = threading.Event()
    late: list[str] = []

    def fail(_cancel: Cancel) -> str:
        assert began.wait(30)
        raise ValueError("broken")

    def note(_cancel: Cancel) -> str:
        late.append("begun")
        return ""

    with pytest.raises(ValueError, match="broken"):
        run_all([fail, until_cancelled(began), note], Cancel(), max_threads=2)
    assert late == []


def test_run_all_stop_from_outside_reaches_every_call() -> None:
    cancel = Cancel()
    threading.Timer(0.05, cancel.set).start()
    with pytest.raises(RuntimeError, match="stopped"):
        run_all([until_cancelled(), until_cancelled()], cancel, max_threads=2)


def test_run_all_deadline_holds_for_every_call() -> None:
    def left(cancel: Cancel) -> float:
        return cancel.remaining_s()

    assert all(0 < found <= 5 for found in run_all([left, left], Cancel(5), max_threads=2))


def test_run_all_failure_leaves_the_callers_cancel_alone() -> None:
    def fail(_cancel: Cancel) -> str:
        raise ValueError

    cancel = Cancel()
    with pytest.raises(ValueError):
        run_all([fail, answer("a")], cancel, max_threads=2)
    assert not cancel.is_set()
    assert cancel._closers == {}


def test_run_all_calls_see_the_callers_context() -> None:
    WHO.set("me")
    assert run_all([lambda _cancel: WHO.get()] * 2, Cancel(), max_threads=2) == ["me", "me"]


def test_run_all_interrupted_caller_leaves_nothing_running() -> None:
    began = threading.Event()
    ended: list[str] = []

    def work(cancel: Cancel) -> str:
        try:
            return until_cancelled(began)(cancel)
        finally:
            ended.append("ended")

    def interrupt(_cancel: Cancel) -> str:
        assert began.wait(30)
        raise KeyboardInterrupt  # as a signal would, on the caller's own thread

    with pytest.raises(KeyboardInterrupt):
        run_all([interrupt, work], Cancel(), max_threads=2)
    assert ended == ["ended"]


def test_run_all_failure_elsewhere_is_raised_though_the_callers_own_call_ends_with_another() -> None:
    began = threading.Event()

    def fail(_cancel: Cancel) -> str:
        assert began.wait(30)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run_all([until_cancelled(began), fail], Cancel(), max_threads=2)


def test_run_all_exit_of_one_call_begins_no_other() -> None:
    began = threading.Event()
    others: list[str] = []

    def leave(_cancel: Cancel) -> str:
        assert began.wait(30)
        raise SystemExit

    def note(_cancel: Cancel) -> str:
        others.append("begun")
        return "noted"

    with pytest.raises(SystemExit):
        run_all([leave, until_cancelled(began), *[note] * 5], Cancel(), max_threads=2)
    assert others == []


def test_run_all_thread_that_cannot_start_leaves_nothing_running(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start
    running: list[threading.Thread] = []

    def start_one(thread: threading.Thread) -> None:
        if running:
            raise RuntimeError("can't start new thread")
        running.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_one)
    with pytest.raises(RuntimeError, match="can't start"):
        run_all([until_cancelled(threading.Event())] * 3, Cancel(), max_threads=3)
    assert not running[0].is_alive()
