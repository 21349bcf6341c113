"""What an upstream that never pauses may do to the process: take its turn, and end.

tests/core/test_http_gevent.py runs this in a patched process, where it matters.
"""

import contextlib
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.core.egress import EgressPolicy
from api.core.http import HTTPClient, Timeouts
from api.core.model_runtime import providers  # noqa: F401  # fills the registry
from api.core.model_runtime.metering import Tab
from api.core.model_runtime.runtime import ModelRuntime, ResolvedModel
from api.core.model_runtime.types import ChatRequest, Message, ModelRef, Role
from api.core.ports import Cancel
from api.errors import CompletionFailed
from tests.vendors import InlineOffload
from tests.waiting import assert_quick

ROOT = Path(__file__).parents[3]
REQUEST = ChatRequest(model="m", messages=(Message.of(Role.USER, "hi"),))


@contextlib.contextmanager
def flooded_by(kind: str, *, patience_s: float = 20.0) -> Iterator[ModelRuntime]:
    """Give a runtime whose one provider is a flood, and which waits so long for something to be said."""
    command = [sys.executable, "-m", "tests.core.model_runtime.floods", kind]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as flood:
        try:
            assert flood.stdout is not None
            url = f"http://127.0.0.1:{int(flood.stdout.readline())}/v1"
            resolved = ResolvedModel(
                credentials={"endpoint_url": url}, is_quota_ok=True, report=list[bool]().append
            )
            timeouts = Timeouts(connect_s=20, first_byte_s=patience_s, idle_s=patience_s)
            with contextlib.closing(HTTPClient(EgressPolicy(allow_private=True), timeouts)) as http:
                yield ModelRuntime(lambda _tenant_id, _ref: resolved, http, InlineOffload(), book=Tab())
        finally:
            flood.kill()


def drain(runtime: ModelRuntime, cancel: Cancel) -> float:
    """Read the flood to its end; return the seconds it took."""
    started = time.monotonic()
    for _ in runtime.chat("tenant", ModelRef("openai_api_compatible", "m"), REQUEST, cancel):
        pass
    return time.monotonic() - started


@contextlib.contextmanager
def ticking() -> Iterator[list[float]]:
    """Give the instants at which another thread or greenlet came to run, which wants to every 5 ms."""
    ticks, is_over = [time.monotonic()], threading.Event()

    def tick() -> None:
        while not is_over.wait(0.005):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield ticks
    finally:
        is_over.set()
        thread.join()
        ticks.append(time.monotonic())


@pytest.mark.parametrize("kind", ["tiny", "gzip", "ping"])
def test_chat_upstream_without_pause_lets_others_run(kind: str) -> None:
    with (
        flooded_by(kind, patience_s=0.5) as runtime,
        ticking() as ticks,
        pytest.raises(CompletionFailed, match="in time"),
    ):
        drain(runtime, Cancel(0.7))
    assert_quick(max(after - before for before, after in itertools.pairwise(ticks)), 0.3)


def test_chat_upstream_without_pause_is_stopped_within_300_ms() -> None:
    cancel = Cancel(30)
    with flooded_by("tiny") as runtime:
        threading.Timer(0.2, cancel.set).start()
        assert_quick(drain(runtime, cancel), 0.5)


@pytest.mark.parametrize("kind", ["big", "call"])
def test_chat_upstream_without_end_meets_the_ceiling(kind: str) -> None:
    with flooded_by(kind) as runtime, pytest.raises(CompletionFailed, match="above 4194304 characters"):
        drain(runtime, Cancel(50))


def test_chat_upstream_that_only_pings_without_pause_times_out() -> None:
    started = time.monotonic()
    with flooded_by("ping", patience_s=0.5) as runtime, pytest.raises(CompletionFailed, match="first byte"):
        drain(runtime, Cancel(50))
    assert_quick(time.monotonic() - started, 5)
