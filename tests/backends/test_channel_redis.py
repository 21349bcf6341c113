"""The Redis channel when things go wrong: a writer dies, Redis is away or forgets."""

import logging
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis

from api.backends.channel import redis as redis_channel
from api.backends.channel.redis import ALIVE_TTL_S, Backend
from api.backends.channel.redis_stream import HEADER_ID, Keys, to_header_fields
from api.core.events import ErrorOccurred, Event, RunHeader, TextChunk
from api.errors import Unavailable
from tests.backends.gate import Gate
from tests.contracts.test_channel import eventually, make_events, make_header, read_on
from tests.waiting import assert_quick

ROOT = Path(__file__).parents[2]


@pytest.fixture
def prefix(redis_url: str) -> Iterator[str]:
    """A prefix of this test alone; its keys are removed."""
    made = f"test:{uuid.uuid4()}:"
    yield made
    with Redis.from_url(redis_url) as redis:
        for key in redis.scan_iter(f"{made}*"):
            redis.delete(key)


@pytest.fixture
def alive_ttl_s() -> float:
    """How long both processes take a writer for alive that says nothing."""
    return ALIVE_TTL_S


@pytest.fixture
def reading(redis_url: str, prefix: str, alive_ttl_s: float) -> Iterator[Backend]:
    """A process that reads."""
    made = Backend(redis_url, prefix, alive_ttl_s=alive_ttl_s)
    yield made
    made.stop()


@pytest.fixture
def gate(redis_url: str) -> Iterator[Gate]:
    """The way of the writing process to Redis."""
    parts = urlsplit(redis_url)
    made = Gate(str(parts.hostname), parts.port or 6379)
    yield made
    made.close()


@pytest.fixture
def writing(redis_url: str, prefix: str, gate: Gate, alive_ttl_s: float) -> Iterator[Backend]:
    """A process that writes, through the gate."""
    url = urlsplit(redis_url)._replace(netloc=f"127.0.0.1:{gate.port}").geturl()
    made = Backend(url, prefix, alive_ttl_s=alive_ttl_s)
    yield made
    made.stop()


def write(channel: Backend, header: RunHeader, events: list[Event]) -> None:
    log = channel.open(header)
    for event in events:
        log.append(event)
    log.close()


@pytest.mark.parametrize("alive_ttl_s", [1.0])
def test_redis_channel_writer_killed_reader_gets_worker_lost_as_last_event(
    redis_url: str, prefix: str, reading: Backend
) -> None:
    task_id = str(uuid.uuid4())
    script = str(ROOT / "tests/backends/dying_writer.py")
    command = [sys.executable, script, redis_url, prefix, "1.0", task_id]
    with subprocess.Popen(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        log = eventually(lambda: reading.find(task_id))
        assert read_on(log, at_least=2) == [TextChunk(text="one"), TextChunk(text="two")]
        writer.kill()
    started = time.monotonic()
    rest = read_on(log, 2)
    assert_quick(time.monotonic() - started, 5)
    assert [type(event) for event in rest] == [ErrorOccurred]
    assert isinstance(rest[0], ErrorOccurred)
    assert (rest[0].status, rest[0].code) == (500, "worker_lost")
    # Whoever comes later is told the same, as event number 3.
    again = reading.find(task_id)
    assert again is not None
    assert read_on(again) == [TextChunk(text="one"), TextChunk(text="two"), *rest]
    assert read_on(again, 3) == []


def test_redis_channel_writer_dead_reader_is_told_with_the_times_of_a_real_start(
    redis_url: str, prefix: str
) -> None:
    header, keys = make_header(), Keys(prefix)
    with Redis.from_url(redis_url) as redis:
        redis.xadd(keys.log(header.task_id), to_header_fields(header, "a process of the past"), id=HEADER_ID)
    reading = Backend(redis_url, prefix)
    log = reading.find(header.task_id)
    assert log is not None
    batch = log.read(0, 10.0)
    reading.stop()
    assert ([type(event) for event in batch.events], batch.is_last) == ([ErrorOccurred], True)


@pytest.mark.parametrize("alive_ttl_s", [3.0])
def test_redis_channel_silent_writer_that_lives_is_not_taken_for_dead(
    writing: Backend, reading: Backend
) -> None:
    log = writing.open(make_header())
    remote = eventually(lambda: reading.find(log.header.task_id))
    batch = remote.read(0, 4.0)
    assert (list(batch.events), batch.is_last) == ([], False)


def test_redis_channel_redis_away_run_and_local_readers_go_on(
    writing: Backend, reading: Backend, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    log, events = writing.open(make_header()), make_events(100)
    task_id = log.header.task_id
    log.append(events[0])
    remote = eventually(lambda: reading.find(task_id))
    assert read_on(remote, at_least=1) == events[:1]
    with caplog.at_level(logging.WARNING):
        gate.shut()
        for event in events[1:]:
            log.append(event)
        local = writing.find(task_id)
        assert local is not None
        assert read_on(local, at_least=100) == events
        eventually(lambda: "not copied" in caplog.text or None)
        time.sleep(0.7)  # long enough for a second try
    assert caplog.text.count("not copied") == 1
    gate.open()
    log.close()
    assert read_on(remote, 1) == events[1:]


def test_redis_channel_redis_away_log_of_another_process_is_unavailable(
    writing: Backend, reading: Backend, gate: Gate
) -> None:
    log = reading.open(make_header())
    remote = eventually(lambda: writing.find(log.header.task_id))
    gate.shut()
    with pytest.raises(Unavailable):
        writing.find(log.header.task_id)
    with pytest.raises(Unavailable):
        remote.read(0, 1.0)
    with pytest.raises(Unavailable):
        writing.signal(log.header.task_id)


def test_redis_channel_run_started_while_redis_is_away_is_copied_when_it_is_back(
    writing: Backend, reading: Backend, gate: Gate
) -> None:
    gate.shut()
    header, events = make_header(), make_events(700)
    write(writing, header, events)
    assert reading.find(header.task_id) is None
    gate.open()
    assert read_on(eventually(lambda: reading.find(header.task_id))) == events


def test_redis_channel_stream_lost_by_redis_is_sent_again(
    writing: Backend, reading: Backend, redis_url: str, prefix: str
) -> None:
    log, events = writing.open(make_header()), make_events(20)
    for event in events[:10]:
        log.append(event)
    task_id = log.header.task_id
    assert read_on(eventually(lambda: reading.find(task_id)), at_least=10) == events[:10]
    with Redis.from_url(redis_url) as redis:
        assert redis.delete(f"{prefix}log:{task_id}") == 1
    for event in events[10:]:
        log.append(event)
    log.close()
    assert read_on(eventually(lambda: reading.find(task_id))) == events


def test_redis_channel_signal_sent_while_the_listener_is_cut_off_is_obeyed(
    writing: Backend, reading: Backend, gate: Gate
) -> None:
    log = writing.open(make_header())
    eventually(lambda: reading.find(log.header.task_id))
    stopped = threading.Event()
    writing.on_signal(log.header.task_id, stopped.set)
    gate.shut()
    reading.signal(log.header.task_id)
    assert not stopped.wait(0.1)
    gate.open()
    assert stopped.wait(30)


def test_redis_channel_all_keys_expire(
    writing: Backend, reading: Backend, redis_url: str, prefix: str
) -> None:
    running, ended = writing.open(make_header()), make_header()
    write(writing, ended, make_events(3))
    reading.signal(running.header.task_id)
    eventually(lambda: reading.find(running.header.task_id))
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        eventually(lambda: 0 < redis.ttl(f"{prefix}log:{ended.task_id}") <= 600 or None)
        lives = {key: redis.ttl(key) for key in redis.scan_iter(f"{prefix}*")}
    assert len(lives) == 4, "two logs, a signal and a sign of life"
    assert 0 < lives[f"{prefix}log:{running.header.task_id}"] <= 660
    assert all(life >= 0 for life in lives.values())


def test_redis_channel_log_of_an_event_without_json_form_expires(
    writing: Backend, reading: Backend, redis_url: str, prefix: str
) -> None:
    broken = make_header()
    write(writing, broken, [TextChunk(text="\ud800")])
    eventually(lambda: reading.find(broken.task_id))

    with Redis.from_url(redis_url) as redis:
        assert 0 < redis.ttl(f"{prefix}log:{broken.task_id}") <= 660


def test_redis_channel_stopped_process_hands_over_what_it_has(writing: Backend, reading: Backend) -> None:
    header, events = make_header(), make_events(50)
    write(writing, header, events)
    writing.stop(30.0)
    remote = reading.find(header.task_id)
    assert remote is not None
    assert read_on(remote) == events


def test_redis_channel_hundreds_of_runs_at_once_all_arrive(writing: Backend, reading: Backend) -> None:
    headers, events = [make_header() for _ in range(450)], make_events(5)
    for header in headers:
        write(writing, header, events)
    writing.stop(30.0)
    for header in headers:
        remote = reading.find(header.task_id)
        assert remote is not None
        assert read_on(remote) == events


@pytest.mark.parametrize(
    "pauses_s", [(*redis_channel.COPY_COMES_S, 10.0), (3.0,)], ids=["several-looks", "the-last-look"]
)
def test_run_whose_copy_is_still_on_its_way_is_found(
    reading: Backend, writing: Backend, monkeypatch: pytest.MonkeyPatch, pauses_s: tuple[float, ...]
) -> None:
    monkeypatch.setattr(redis_channel, "COPY_COMES_S", pauses_s)
    header = make_header()
    threading.Timer(0.1, writing.open, [header]).start()

    found = reading.find(header.task_id)

    assert found is not None
    assert found.header == header
