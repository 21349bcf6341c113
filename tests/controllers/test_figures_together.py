"""GET /metrics where several processes tell their figures as one, whichever of them is asked."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from flask import Flask

from api.backends.board import MAX_ENDED, DirectoryBoard
from api.metrics import Figures, Metrics
from api.models.base import new_id
from api.runtime import Runtime
from api.services import measures
from tests.conftest import make_house, make_settings, stop_house
from tests.controllers.test_metrics import metrics

HEALTH = 'slipway_http_requests_total{method="GET",route="/health",status="200"}'


@dataclass
class Process:
    """A program as a process of its own would be, but for its database: one is enough for these."""

    house: Flask
    runtime: Runtime

    def call(self, many: int) -> None:
        for _ in range(many):
            assert self.house.test_client().get("/health").status_code == 200

    def told(self) -> dict[str, float]:
        self.house.extensions["runtime"] = self.runtime
        return metrics(self.house.test_client())

    def tick(self) -> None:
        """Do what the schedule does every two seconds."""
        measures.publish(self.runtime)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Flask]]:
    """Two programs."""
    made = [make_house(make_settings(tmp_path_factory.mktemp("home"))) for _ in range(2)]
    yield made
    for house in made:
        stop_house(house)


@pytest.fixture
def pair(homes: list[Flask], tmp_path: Path) -> list[Process]:
    """Two processes that have just begun, with one data directory."""
    return [begin(house, tmp_path) for house in homes]


def begin(house: Flask, root: Path) -> Process:
    """Return a process that has counted nothing yet."""
    before: Runtime = house.extensions["runtime"]
    fresh = replace(before, metrics=Metrics(), owner=new_id(), board=DirectoryBoard(root))
    house.extensions["runtime"] = fresh
    return Process(house, fresh)


def test_each_process_tells_the_sum_of_all(pair: list[Process]) -> None:
    one, other = pair
    one.call(3)
    other.call(4)
    one.runtime.metrics.open_streams = 2
    one.runtime.metrics.count_tokens(10, 5)
    for each in pair:
        each.tick()

    for told in (one.told(), other.told()):
        assert told[HEALTH] == 7
        assert told["slipway_processes"] == 2
        assert told["slipway_open_streams"] == 2
        assert told['slipway_tokens_total{direction="in"}'] == 10
        assert told["slipway_database_connections_max"] == 20
        count = 'slipway_http_request_duration_seconds_count{method="GET",route="/health"}'
        assert told[count] == 7


def test_no_counter_falls_when_another_process_is_asked(pair: list[Process]) -> None:
    seen = [0.0]
    for place in range(6):
        pair[0].call(1)  # told by nothing but its own answer
        seen.append(pair[place % 2].told().get(HEALTH, 0.0))

    assert seen == sorted(seen)


def test_ended_process_counts_for_what_it_did_and_holds_nothing(pair: list[Process]) -> None:
    one, other = pair
    one.tick()
    other.call(5)
    other.runtime.metrics.open_streams = 3
    measures.publish(other.runtime, is_last=True)

    told = one.told()

    assert (told[HEALTH], told["slipway_processes"], told["slipway_open_streams"]) == (5, 1, 0)


def test_killed_process_is_known_by_its_silence(homes: list[Flask], tmp_path: Path) -> None:
    watching = begin(homes[0], tmp_path)
    watching.runtime = replace(watching.runtime, board=DirectoryBoard(tmp_path, dead_s=0.0))
    watching.tick()
    killed = begin(homes[1], tmp_path)
    killed.call(5)
    killed.runtime.metrics.open_streams = 3
    killed.tick()

    told = watching.told()

    assert (told[HEALTH], told["slipway_processes"], told["slipway_open_streams"]) == (5, 1, 0)


def test_many_ended_processes_become_one_file_and_lose_no_count(tmp_path: Path) -> None:
    watcher = DirectoryBoard(tmp_path, forgotten_s=0.0)
    watcher.put("watcher", Figures())
    for number in range(3 * MAX_ENDED):
        figures = Figures(totals=Counter(tokens_in=number))
        DirectoryBoard(tmp_path).put(f"ended-{number}", figures, is_last=True)
        watcher.put("watcher", Figures())
        told = sum(each.totals["tokens_in"] for each in watcher.others("watcher"))
        assert told == sum(range(number + 1))

    assert len(list(tmp_path.rglob("*.json"))) <= MAX_ENDED + 2


def test_counters_begin_anew_once_every_process_has_ended(pair: list[Process], tmp_path: Path) -> None:
    for each in pair:
        each.call(2)
        measures.publish(each.runtime, is_last=True)
    later = begin(pair[0].house, tmp_path)
    later.call(1)

    assert later.told()[HEALTH] == 1


def test_disk_that_refuses_costs_the_figures_of_others_only(homes: list[Flask], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process = begin(homes[0], tmp_path / "file")
    process.call(1)

    assert process.told()[HEALTH] == 1
