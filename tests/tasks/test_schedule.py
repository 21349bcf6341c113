"""What is done again and again works on every database."""

from collections.abc import Callable

import pytest

from api.runtime import Runtime
from api.tasks.schedule import SCHEDULE


@pytest.mark.parametrize("tick", [tick for _, tick in SCHEDULE], ids=lambda tick: tick.__name__)
def test_tick_bears_being_called_twice(runtime: Runtime, tick: Callable[[Runtime], object]) -> None:
    tick(runtime)
    tick(runtime)
