"""What is done again and again works on every database."""

from collections.abc import Callable

import pytest

from api.runtime import Runtime
from api.tasks.schedule import OWN, SHARED, to_ticks


@pytest.mark.parametrize("tick", [call for _, call in (*OWN, *SHARED)], ids=lambda tick: tick.__name__)
def test_tick_bears_being_called_twice(runtime: Runtime, tick: Callable[[Runtime], object]) -> None:
    tick(runtime)
    tick(runtime)


def test_schedule_names_each_tick_once(runtime: Runtime) -> None:
    names = [tick.name for tick in to_ticks(runtime)]

    assert len(set(names)) == len(names)
