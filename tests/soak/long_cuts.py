"""A thousand streams cut at random points, over sockets: nothing they held is left behind."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.live import conftest
from tests.live.conftest import World
from tests.live.test_figures import figure
from tests.live.test_streams import END, delta
from tests.waiting import wait_until

world = conftest.world

CUTS = 1000
AT_ONCE = 20
LARGEST_PIECE = 1200


@pytest.mark.timeout(3600)
def test_thousand_cut_streams_leave_no_stream_run_or_connection(world: World) -> None:
    key = world.app(*[delta(f"word {number} ") for number in range(10)], END, gap_s=0.005)
    chance = random.Random(29)  # not a secret
    bytes_read = [chance.randrange(LARGEST_PIECE) for _ in range(CUTS)]

    def cut(size: int) -> None:
        with world.served.chat(key) as answer:
            assert answer.status == 200
            answer.read(size)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(cut, bytes_read))

    for name in ("slipway_open_streams", "slipway_running_runs"):
        wait_until(lambda name=name: figure(world.served, name) == 0, 60.0)  # type: ignore[misc]  # bound here
    used = 'slipway_database_connections{state="used"}'
    wait_until(lambda: figure(world.served, used) <= 1, 60.0)
