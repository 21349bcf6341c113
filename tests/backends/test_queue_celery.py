"""What sends to a broker: it never holds up or fails who asks for a job."""

import logging
import socket
import time
from collections.abc import Iterator

import pytest

from api.backends.broker import Broker
from api.backends.queue import sender
from api.backends.queue.celery import Backend
from api.backends.queue.sender import Sender, WakeUp
from tests.queues import make_ids
from tests.waiting import assert_quick, wait_until


@pytest.fixture
def silent_url() -> Iterator[str]:
    """A Redis that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "amqp://guest:guest@127.0.0.1:1//"])
def test_enqueue_with_the_broker_away_returns_at_once_and_warns_once(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    queue = Backend(Broker.from_url(url))
    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        for job_id in make_ids(50):
            queue.enqueue(job_id, queue="default")
        took_s = time.monotonic() - started
        assert queue.stop(30.0)

    assert_quick(took_s, 1.0)
    assert [record.levelname for record in caplog.records].count("WARNING") == 1
    assert "the broker is away" in caplog.text
    assert "guest" not in caplog.text


def test_enqueue_with_a_silent_broker_returns_at_once(
    silent_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.backends.broker.ANSWER_TIMEOUT_S", 0.2)
    queue = Backend(Broker.from_url(silent_url))
    started = time.monotonic()
    for job_id in make_ids(50):
        queue.enqueue(job_id, queue="default")
    took_s = time.monotonic() - started

    assert_quick(took_s, 1.0)
    assert queue.stop(30.0)


def test_sender_goes_on_once_the_broker_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "PAUSE_S", 0.01)
    sent: list[str] = []
    faults: list[Exception] = [OSError("away")]

    def send(wake_up: WakeUp) -> None:
        if faults:
            raise faults.pop()
        sent.append(wake_up.job_id)

    made = Sender(send)
    made.put(WakeUp("lost", "default", 0.0))
    wait_until(lambda: not faults)

    def is_sent() -> bool:
        made.put(WakeUp("found", "default", 0.0))
        return bool(sent)

    wait_until(is_sent)

    assert made.stop(30.0)
    assert set(sent) == {"found"}


def test_tls_brokers_have_their_certificates_checked() -> None:
    assert (Broker.from_url("rediss://h:1/0").tls or {})["ssl_cert_reqs"].name == "CERT_REQUIRED"
    assert (Broker.from_url("amqps://h:1//").tls or {})["cert_reqs"].name == "CERT_REQUIRED"
    assert Broker.from_url("redis://h:1/0").tls is None
