"""How calls are counted: what one costs, and what happens while the counters are out of reach."""

import socket
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import request
from flask.testing import FlaskClient
from limits.storage import MemoryStorage, RedisStorage

from api.app_factory import create_app
from api.controllers.http.limits import REST_S, STORAGE_OPTIONS, CallCounter
from api.runtime import Window
from api.services.limits import Ceiling
from tests.backends.gate import Gate
from tests.conftest import make_house, make_settings, stop_house
from tests.factories import ChatApp, Owner, make_chat_app, make_owner
from tests.waiting import assert_quick


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class CountingStorage(MemoryStorage):
    """Counters in memory, and how often each was spoken to."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        self.calls += 1
        return super().incr(key, expiry, amount)

    def get_expiry(self, key: str) -> float:
        self.calls += 1
        return super().get_expiry(key)


def make_ceilings(*windows: tuple[int, int]) -> list[Ceiling]:
    """Return ceilings of one caller from pairs of limit and seconds."""
    key = f"test:{uuid.uuid4()}"
    return [Ceiling(key, Window(limit=limit, seconds=seconds)) for limit, seconds in windows]


def test_counting_costs_one_round_trip_a_window_once_its_end_is_known() -> None:
    storage, ceilings = CountingStorage(), make_ceilings((10, 60), (100, 3600))
    here, elsewhere = CallCounter(storage), CallCounter(storage)
    first = here.count(ceilings)
    here.count(ceilings)
    assert storage.calls == 4

    elsewhere.count(ceilings)
    second = elsewhere.count(ceilings)

    assert storage.calls == 4 + 4 + 2
    assert [standing.remaining for standing in second] == [6, 96]
    for one, other in zip(first, second, strict=True):
        assert one.reset_at == pytest.approx(other.reset_at, abs=1.0)


def test_call_refused_by_a_shorter_window_leaves_the_longer_ones_alone(
    client: FlaskClient, owner: Owner, chat_app: ChatApp
) -> None:
    url = f"/console/api/apps/{chat_app.id}"
    client.put(url, json={"api_rpm": 3, "api_rph": 10}, headers=owner.headers)
    statuses = [client.get("/api/info", headers=chat_app.headers).status_code for _ in range(8)]
    client.put(url, json={"api_rpm": 0}, headers=owner.headers)

    answer = client.get("/api/info", headers=chat_app.headers)

    assert statuses == [200] * 3 + [429] * 5
    assert (answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) == ("10", "6")


def test_counters_away_calls_are_let_through_at_no_cost_and_counted_again_later(redis_url: str) -> None:
    parts, clock, ceilings = urlsplit(redis_url), Clock(), make_ceilings((10, 60))
    gate = Gate(str(parts.hostname), parts.port or 6379)
    url = parts._replace(netloc=f"127.0.0.1:{gate.port}").geturl()
    patient = {"socket_connect_timeout": 20.0, "socket_timeout": 20.0}  # a gate that is shut answers at once
    counter = CallCounter(RedisStorage(url, **{**STORAGE_OPTIONS, **patient}), clock)
    assert [standing.remaining for standing in counter.count(ceilings)] == [9]

    gate.shut()
    assert counter.count(ceilings) == []
    started = time.monotonic()
    for _ in range(100):
        assert counter.count(ceilings) == []
    assert_quick((time.monotonic() - started) / 100, 0.005)

    gate.open()
    clock.now += REST_S
    assert [standing.remaining for standing in counter.count(ceilings)] == [8]
    gate.close()


def test_counters_hung_calls_are_answered_without_waiting_for_them(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        house = make_house(make_settings(tmp_path, redis_url=f"redis://127.0.0.1:{silent.getsockname()[1]}"))
        app = make_chat_app(house.extensions["runtime"], make_owner(house.extensions["runtime"]))
        client = house.test_client()

        started = time.monotonic()
        answers = [client.get("/api/info", headers=app.headers) for _ in range(5)]
        took_s = time.monotonic() - started
        stop_house(house)

    assert [answer.status_code for answer in answers] == [200] * 5
    assert_quick(took_s, 2.0)
    assert all("X-RateLimit-Limit" not in answer.headers for answer in answers)


@pytest.mark.parametrize(("proxies", "address"), [(0, "127.0.0.1"), (1, "203.0.113.9"), (2, "198.51.100.7")])
def test_address_of_a_client_is_believed_of_as_many_proxies_as_there_are(
    tmp_path: Path, proxies: int, address: str
) -> None:
    app = create_app(make_settings(tmp_path, proxies=proxies))

    with app.test_client() as client:
        client.get("/health", headers={"X-Forwarded-For": "192.0.2.1, 198.51.100.7, 203.0.113.9"})
        assert request.remote_addr == address
    stop_house(app)
