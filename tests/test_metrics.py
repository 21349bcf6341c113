"""What a process counts of its own work."""

import random

import pytest

from api.metrics import WINDOW_S, Durations, Metrics, quantiles


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_quantiles_are_right_within_a_tenth() -> None:
    durations = Durations(Clock())
    chance = random.Random(7)  # not a secret
    seconds = sorted(chance.lognormvariate(-3, 1.5) for _ in range(10_000))
    for each in seconds:
        durations.add(each)

    found = quantiles(durations.recent())

    for share in (0.5, 0.95, 0.99):
        assert found[share] == pytest.approx(seconds[int(share * len(seconds)) - 1], rel=0.11)


def test_quantiles_forget_what_is_long_ago_and_buckets_do_not() -> None:
    clock = Clock()
    durations = Durations(clock)
    durations.add(100_000.0)
    clock.now += WINDOW_S + 1
    durations.add(0.001)
    both = quantiles(durations.recent())
    clock.now += WINDOW_S + 1
    latest = quantiles(durations.recent())
    clock.now += 2 * WINDOW_S + 1

    assert (both[0.99] > 100, latest[0.99] < 0.002, quantiles(durations.recent())) == (True, True, {})
    assert sum(durations.buckets) == 2


def test_requests_are_counted_by_route_and_status() -> None:
    metrics = Metrics()
    for status in (200, 200, 404):
        metrics.count_request("GET", "/apps/<id>", status, 0.003)

    assert metrics.requests == {("GET", "/apps/<id>", 200): 2, ("GET", "/apps/<id>", 404): 1}
    assert metrics.durations["GET", "/apps/<id>"].buckets[0] == 3
