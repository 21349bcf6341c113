"""What a process remembers for a second of who is calling, so that it is not asked for at every call.

Whatever the console changes in this process ends that at once (``forget``);
what another process changes is noticed within the second (AU-06, AU-07, AU-09,
AZ-05). Only what is found is remembered, never that something is missing.
"""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

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
    """Return what was found under ``of`` within the last second, or look it up.

    Of those who come meanwhile one looks; the others take what it found, and
    look themselves where it found nothing.
    """
    key = Remembered(of, runtime.epochs.get(CALLERS, 0))
    remembered: T | None = _find(runtime, key)
    if remembered is not None:
        return remembered
    mine = threading.Event()
    first = runtime.lookups.setdefault(key, mine)
    if first is not mine:
        first.wait()
        remembered = _find(runtime, key)
        return look_up() if remembered is None else remembered
    try:
        found = look_up()
        if found is not None:
            runtime.memory.put(key, (time.monotonic() + REMEMBER_S, found))
        return found
    finally:
        del runtime.lookups[key]
        mine.set()


def _find(runtime: Runtime, key: Remembered) -> Any:
    remembered = runtime.memory.get(key)
    return remembered[1] if remembered is not None and time.monotonic() < remembered[0] else None


def forget(runtime: Runtime) -> None:
    """Look everything up anew from now on: something may have changed that callers depend on."""
    runtime.epochs[CALLERS] = runtime.epochs.get(CALLERS, 0) + 1
