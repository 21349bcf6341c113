"""What a process remembers for a second of who is calling, so that it is not asked for at every call.

Whatever the console changes in this process ends that at once (``forget``);
what another process changes is noticed within the second (AU-06, AU-07, AU-09,
AZ-05). Only what is found is remembered, never that something is missing.
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

from api.runtime import Runtime

T = TypeVar("T")

REMEMBER_S = 1.0
CALLERS = "callers"


@dataclass(frozen=True, slots=True)
class Remembered:
    """Key of a remembered thing; a new epoch leaves those of the last behind."""

    of: Hashable
    epoch: int


def recall(runtime: Runtime, of: Hashable, look_up: Callable[[], T | None]) -> T | None:
    """Return what was found under ``of`` within the last second, or look it up."""
    key = Remembered(of, runtime.epochs.get(CALLERS, 0))
    remembered: tuple[float, T] | None = runtime.memory.get(key)
    if remembered is not None and time.monotonic() < remembered[0]:
        return remembered[1]
    found = look_up()
    if found is not None:
        runtime.memory.put(key, (time.monotonic() + REMEMBER_S, found))
    return found


def forget(runtime: Runtime) -> None:
    """Look everything up anew from now on: something may have changed that callers depend on."""
    runtime.epochs[CALLERS] = runtime.epochs.get(CALLERS, 0) + 1
