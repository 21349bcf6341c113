"""How long the channel of one process keeps what."""

import time
import uuid

import pytest

from api.backends.channel import memory
from api.core.events import EventLog, RunHeader, TextChunk


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def channel(clock: Clock) -> memory.Backend:
    return memory.Backend(clock)


def open_log(channel: memory.Backend) -> EventLog:
    return channel.open(
        RunHeader(
            task_id=str(uuid.uuid4()),
            tenant_id="tenant",
            app_id="app",
            mode="chat",
            principal_id="someone",
            created_at=int(time.time()),
            total_s=60.0,
        )
    )


def test_memory_channel_ended_log_is_kept_ten_minutes(channel: memory.Backend, clock: Clock) -> None:
    log = open_log(channel)
    log.close()
    clock.now += 599
    assert channel.find(log.header.task_id) is log
    clock.now += 2
    assert channel.find(log.header.task_id) is None


def test_memory_channel_running_log_is_kept_however_old(channel: memory.Backend, clock: Clock) -> None:
    log = open_log(channel)
    clock.now += 86_400
    open_log(channel).close()
    assert channel.find(log.header.task_id) is log


def test_memory_channel_too_many_ended_logs_forgets_the_oldest(channel: memory.Backend) -> None:
    big = TextChunk(text="x" * (memory.ENDED_MAX_BYTES // 3))
    logs = [open_log(channel) for _ in range(4)]
    for log in logs:
        log.append(big)
        log.close()
    kept = [channel.find(log.header.task_id) is not None for log in logs]
    assert kept == [False, False, True, True]
    assert list(logs[0].read(0, 0).events) == [big], "who holds a log can read it to its end"


def test_memory_channel_log_over_the_bound_is_kept_while_it_is_the_newest(channel: memory.Backend) -> None:
    log = open_log(channel)
    log.append(TextChunk(text="x" * (memory.ENDED_MAX_BYTES + 1)))
    log.close()
    assert channel.find(log.header.task_id) is log
    open_log(channel).close()
    assert channel.find(log.header.task_id) is None


def test_memory_channel_early_signal_is_forgotten_after_30_s(channel: memory.Backend, clock: Clock) -> None:
    stopped: list[str] = []
    channel.signal("old")
    clock.now += 31
    channel.signal("new")
    channel.on_signal("old", lambda: stopped.append("old"))
    channel.on_signal("new", lambda: stopped.append("new"))
    assert stopped == ["new"]
