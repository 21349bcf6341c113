"""What every Channel promises, for a reader in the writer's process and, where logs are shared, in another.

"Another process" is a second backend on the same server; a writer that really
dies is tested in tests/backends/test_channel_redis.py.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

from api.core.events import Channel, ErrorOccurred, Event, EventLog, MessageEnd, RunHeader, TextChunk, encode
from api.core.model_runtime.types import Price, Usage
from tests.contracts import discovery
from tests.waiting import assert_quick

T = TypeVar("T")

NAMES = discovery.names("channel")
PLACES = [(name, "here") for name in NAMES] + [(name, "elsewhere") for name in NAMES if name != "memory"]

END = MessageEnd(
    usage=Usage(
        prompt_tokens=3,
        completion_tokens=2000,
        price=Price(input=Decimal("0.5"), output=Decimal("1.5"), unit=Decimal("0.001"), currency="USD"),
        latency_s=1.25,
        first_token_s=0.5,
    )
)


class Pair:
    """A channel that writes and the one that reads."""

    def __init__(self, writing: Channel, reading: Channel) -> None:
        self.writing = writing
        self.reading = reading

    def open(self) -> EventLog:
        return self.writing.open(make_header())

    def find(self, task_id: str) -> EventLog:
        """Return the reader's log; the copy for other processes takes a moment."""
        return eventually(lambda: self.reading.find(task_id))


@pytest.fixture(params=PLACES, ids="-".join)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    name, place = request.param
    writing: Any = discovery.make_backend("channel", name, request, tmp_path)
    reading = writing if place == "here" else discovery.make_backend("channel", name, request, tmp_path)
    yield Pair(writing, reading)
    for channel in {writing, reading}:
        channel.stop()


def make_header() -> RunHeader:
    return RunHeader(
        task_id=str(uuid.uuid4()),
        tenant_id="tenant",
        app_id="app",
        mode="chat",
        principal_id="someone",
        created_at=int(time.time()),
        total_s=60.0,
        conversation_id="talk",
    )


def make_events(count: int) -> list[Event]:
    return [*(TextChunk(text=f"token {number} 词\n") for number in range(1, count)), END]


def eventually(get: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + 20
    while (value := get()) is None:
        assert time.monotonic() < deadline, "not within 20 s"
        time.sleep(0.005)
    return value


def read_on(log: EventLog, after: int = 0, at_least: int | None = None) -> list[Event]:
    """Return the events above ``after``: ``at_least`` so many, or all to the end."""
    events: list[Event] = []
    deadline = time.monotonic() + 20
    while at_least is None or len(events) < at_least:
        assert time.monotonic() < deadline, f"only {len(events)} events within 20 s"
        batch = log.read(after + len(events), 1.0)
        events += batch.events
        if batch.is_last:
            break
    return events


def to_bytes(events: list[Event]) -> bytes:
    return b"\n".join(encode(event) for event in events)


def test_channel_log_found_has_the_header_it_was_opened_with(pair: Pair) -> None:
    log = pair.open()
    assert pair.find(log.header.task_id).header == log.header


def test_channel_unknown_task_has_no_log(pair: Pair) -> None:
    assert pair.reading.find(str(uuid.uuid4())) is None


def test_channel_task_id_opened_twice_is_refused(pair: Pair) -> None:
    log = pair.open()
    with pytest.raises(ValueError, match="already"):
        pair.writing.open(log.header)


def test_channel_events_are_numbered_from_one_in_order(pair: Pair) -> None:
    log, events = pair.open(), make_events(5)
    for event in events:
        log.append(event)
    reader = pair.find(log.header.task_id)
    assert read_on(reader, at_least=5) == events
    for after in range(5):
        assert read_on(reader, after, at_least=5 - after) == events[after:]


def test_channel_reader_gets_each_event_while_the_run_goes_on(pair: Pair) -> None:
    log, events = pair.open(), make_events(10)
    reader = pair.find(log.header.task_id)
    for number, event in enumerate(events):
        log.append(event)
        assert read_on(reader, number, at_least=1) == [event]


def test_channel_waiting_reader_is_woken_by_the_next_event(pair: Pair) -> None:
    log = pair.open()
    reader = pair.find(log.header.task_id)
    with ThreadPoolExecutor(1) as pool:
        started = time.monotonic()
        waiting = pool.submit(reader.read, 0, 10.0)
        time.sleep(0.05)
        log.append(END)
        assert list(waiting.result(30).events) == [END]
        assert_quick(time.monotonic() - started, 2)


def test_channel_waiting_reader_is_woken_by_the_end(pair: Pair) -> None:
    log = pair.open()
    reader = pair.find(log.header.task_id)
    with ThreadPoolExecutor(1) as pool:
        started = time.monotonic()
        waiting = pool.submit(reader.read, 0, 10.0)
        time.sleep(0.05)
        log.close()
        batch = waiting.result(30)
    assert (list(batch.events), batch.is_last) == ([], True)
    assert_quick(time.monotonic() - started, 2)


@pytest.mark.parametrize("timeout_s", [0.0, 0.15])
def test_channel_silent_log_read_ends_empty_when_the_time_is_up(pair: Pair, timeout_s: float) -> None:
    log = pair.open()
    log.append(END)
    reader = pair.find(log.header.task_id)
    assert read_on(reader, at_least=1) == [END]
    started = time.monotonic()
    batch = reader.read(1, timeout_s)
    assert (list(batch.events), batch.is_last) == ([], False)
    took_s = time.monotonic() - started
    assert timeout_s <= took_s
    assert_quick(took_s, timeout_s + 1)


def test_channel_late_reader_of_an_ended_log_gets_everything(pair: Pair) -> None:
    log, events = pair.open(), make_events(1200)
    for event in events:
        log.append(event)
    log.close()
    assert read_on(pair.find(log.header.task_id)) == events


@pytest.mark.parametrize("after", [3, 4, 100])
def test_channel_ended_log_read_at_or_past_its_end_is_empty_and_last(pair: Pair, after: int) -> None:
    log = pair.open()
    for event in make_events(3):
        log.append(event)
    log.close()
    log.close()
    reader = pair.find(log.header.task_id)
    assert len(read_on(reader)) == 3
    batch = reader.read(after, 5.0)
    assert (list(batch.events), batch.is_last) == ([], True)


def test_channel_reader_that_reconnects_gets_the_identical_remainder(pair: Pair) -> None:
    log, events = pair.open(), make_events(100)
    for event in events[:50]:
        log.append(event)
    seen = read_on(pair.find(log.header.task_id), at_least=50)
    for event in events[50:]:
        log.append(event)
    log.close()
    for after in (0, 1, 37, 49, 50, 51, 99, 100):
        rest = read_on(pair.find(log.header.task_id), after)
        assert to_bytes([*seen[:after], *events[50:after], *rest]) == to_bytes(events)


def test_channel_eight_readers_of_two_thousand_events_get_identical_bytes(pair: Pair) -> None:
    log, events = pair.open(), make_events(2000)
    task_id = log.header.task_id
    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(lambda: read_on(pair.find(task_id))) for _ in range(8)]
        for number, event in enumerate(events):
            log.append(event)
            if number % 50 == 0:
                time.sleep(0.001)
        log.close()
        wanted = to_bytes(events)
        assert all(to_bytes(reader.result(30)) == wanted for reader in readers)


def test_channel_readers_at_different_speeds_all_get_everything(pair: Pair) -> None:
    log, events = pair.open(), make_events(200)
    task_id = log.header.task_id

    def read_slowly(pause_s: float) -> list[Event]:
        reader, got = pair.find(task_id), list[Event]()
        while True:
            batch = reader.read(len(got), 5.0)
            got += batch.events
            if batch.is_last:
                return got
            time.sleep(pause_s)

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read_slowly, pause_s) for pause_s in (0, 0.01, 0.05)]
        for event in events:
            log.append(event)
            time.sleep(0.0005)
        log.close()
        assert all(reader.result(30) == events for reader in readers)


def test_channel_error_event_ends_a_log_like_any_other(pair: Pair) -> None:
    log = pair.open()
    log.append(ErrorOccurred(status=400, code="completion_request_error", message="no"))
    log.close()
    events = read_on(pair.find(log.header.task_id))
    assert events == [ErrorOccurred(status=400, code="completion_request_error", message="no")]


def test_channel_signal_stops_the_task_within_300_ms_and_once(pair: Pair) -> None:
    first, task_id = pair.open().header.task_id, pair.open().header.task_id
    is_connected, stopped = threading.Event(), threading.Semaphore(0)
    pair.writing.on_signal(first, is_connected.set)
    pair.writing.on_signal(task_id, stopped.release)
    pair.find(task_id)
    pair.reading.signal(first)
    assert is_connected.wait(30)
    asked = time.monotonic()
    pair.reading.signal(task_id)
    assert stopped.acquire(timeout=30)
    assert_quick(time.monotonic() - asked, 0.3)
    pair.reading.signal(task_id)
    assert not stopped.acquire(timeout=0.1)


def test_channel_signal_reaches_only_its_task(pair: Pair) -> None:
    ours, other = pair.open().header.task_id, pair.open().header.task_id
    is_ours_told, is_other_told = threading.Event(), threading.Event()
    pair.writing.on_signal(other, is_other_told.set)
    pair.writing.on_signal(ours, is_ours_told.set)
    pair.find(ours)
    pair.reading.signal(ours)
    assert is_ours_told.wait(30)
    assert not is_other_told.wait(0.05)


def test_channel_signal_sent_before_anyone_listens_is_obeyed(pair: Pair) -> None:
    task_id = str(uuid.uuid4())
    pair.reading.signal(task_id)
    stopped = threading.Event()
    pair.writing.on_signal(task_id, stopped.set)
    assert stopped.wait(30)


def test_channel_signal_after_listening_ended_does_nothing(pair: Pair) -> None:
    task_id = pair.open().header.task_id
    stopped = threading.Event()
    forget = pair.writing.on_signal(task_id, stopped.set)
    pair.find(task_id)
    forget()
    forget()
    pair.reading.signal(task_id)
    assert not stopped.wait(0.1)


def test_channel_signal_for_an_unknown_task_is_no_error(pair: Pair) -> None:
    pair.reading.signal(str(uuid.uuid4()))
