"""Two hundred kills at random moments; every fiftieth time the dead are found out in their own time."""

import pytest

from tests.live import test_kills
from tests.live.test_kills import Installation, kill_again_and_again

installation = test_kills.installation

KILLS = 200


@pytest.mark.timeout(7200)
def test_two_hundred_kills_leave_no_run_running(installation: Installation) -> None:
    kill_again_and_again(installation, KILLS, waits_every=50)
