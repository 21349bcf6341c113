"""What Offload promises; run in a plain and in a patched process (test_under_gevent.py)."""

import logging
import threading
import time
from array import array
from collections.abc import Iterator
from contextvars import copy_context
from functools import partial
from pathlib import Path

import pytest
from gevent import monkey

from api.backends.offload import Backend
from api.core.model_runtime import local_embedding
from api.core.model_runtime.types import EmbedKind
from api.core.ports import Offload
from api.logs import configure_logging
from api.principal import works_for
from tests.conftest import make_settings
from tests.waiting import assert_quick, wait_until

native_sleep = monkey.get_original("time", "sleep")


def sleep_until(may_end: list[bool]) -> None:
    """Hold a native thread until the test lets it go."""
    while not may_end:
        native_sleep(0.001)


@pytest.fixture
def offload(tmp_path: Path) -> Backend:
    return Backend.from_settings(make_settings(tmp_path))


def test_offload_call_returns_the_result(offload: Offload) -> None:
    assert offload.call(divmod, 17, 5, timeout_s=30) == (3, 2)


def test_offload_call_raises_what_the_function_raises(
    offload: Offload, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        offload.call(int, "seven", timeout_s=30)
    assert capfd.readouterr().err == ""


def test_offload_call_too_slow_times_out(offload: Offload) -> None:
    may_end: list[bool] = []
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        offload.call(sleep_until, may_end, timeout_s=0.05)
    took_s = time.monotonic() - started
    may_end.append(True)
    assert_quick(took_s, 0.4)


def test_offload_call_with_no_free_thread_times_out(offload: Offload) -> None:
    began: list[bool] = []
    may_end: list[bool] = []

    def work() -> None:
        began.append(True)
        sleep_until(may_end)

    sleepers = [threading.Thread(target=lambda: offload.call(work, timeout_s=60)) for _ in range(8)]
    for sleeper in sleepers:
        sleeper.start()
    wait_until(lambda: len(began) == 4)
    with pytest.raises(TimeoutError):
        offload.call(divmod, 1, 1, timeout_s=0.1)
    may_end.append(True)
    for sleeper in sleepers:
        sleeper.join(30)
    assert offload.call(divmod, 1, 1, timeout_s=30) == (1, 0)


def test_offload_call_of_another_workspace_waits_for_no_flood(offload: Backend) -> None:
    began: list[str] = []
    may_end: list[bool] = []
    other_began: list[bool] = []

    def work(tenant_id: str) -> None:
        is_under_way = not may_end
        began.append(tenant_id)
        if tenant_id == "b":
            other_began.append(True)
        sleep_until(may_end if is_under_way else other_began)

    def call(tenant_id: str) -> threading.Thread:
        context = copy_context()
        context.run(works_for.set, tenant_id)
        ask = partial(offload.call, work, tenant_id, timeout_s=60)
        thread = threading.Thread(target=context.run, args=(ask,))
        thread.start()
        return thread

    flood = [call("a") for _ in range(20)]
    wait_until(lambda: (len(began), offload._places.waiting) == (4, 16))
    other = call("b")
    wait_until(lambda: offload._places.waiting == 17)
    may_end.append(True)
    try:
        wait_until(lambda: bool(other_began))
    finally:
        other_began.append(True)  # lets go of all
    for thread in (*flood, other):
        thread.join(60)

    assert "b" in began[:8]  # after those that were under way, and beside at most as many
    assert len(began) == 21


def test_offload_call_lets_other_work_go_on(offload: Offload) -> None:
    worked: list[float] = []
    done: list[bool] = []

    def work() -> None:
        for _ in range(5):
            time.sleep(0.01)
            worked.append(time.monotonic())
        done.append(True)

    other = threading.Thread(target=work)
    other.start()
    offload.call(sleep_until, done, timeout_s=30)
    other.join(30)
    assert len(worked) == 5


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger of the program's own log, at a level that is not written."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging("ERROR", "json")
    yield logging.getLogger("tests.offload")
    root.handlers[:] = handlers
    root.setLevel(level)


def test_log_is_open_while_native_work_asks_for_loggers(offload: Offload, log: logging.Logger) -> None:
    def import_much() -> None:
        for number in range(30_000):
            logging.getLogger(f"tests.imported_{number % 100}").setLevel(logging.ERROR)

    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            log.info("nobody reads this")
            time.sleep(0)

    writers = [threading.Thread(target=write, daemon=True) for _ in range(3)]
    for writer in writers:
        writer.start()
    offload.call(import_much, timeout_s=60)
    ended.set()
    for writer in writers:
        writer.join(30)
        assert not writer.is_alive()


class QuickEngine:
    """An embedding engine that takes no time, so that threads meet where they look for it."""

    def encode(self, _text: str, _is_query: bool) -> "array[float]":
        return array("f", [1.0])

    def token_count(self, _text: str, _is_query: bool) -> int:
        return 1


def test_embedding_on_all_native_threads_at_once_goes_on(
    offload: Offload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_embedding, "_load", QuickEngine)
    done: list[int] = []

    def embed_many() -> int:
        return sum(local_embedding.embed_text("x", EmbedKind.QUERY).tokens for _ in range(50_000))

    def ask() -> None:
        done.append(offload.call(embed_many, timeout_s=30))

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert done == [50_000] * 4
