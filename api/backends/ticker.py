"""Calls what a process does for itself again and again, on one thread."""

import heapq
import logging
import threading
import time
from collections.abc import Sequence

from api.core.ports import Tick

logger = logging.getLogger(__name__)


class Ticker:
    """Calls each tick at once and then every so many seconds, one after the other, until stopped."""

    def __init__(self, ticks: Sequence[Tick]) -> None:
        self._ticks = ticks
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ticks", daemon=True)

    def start(self) -> None:
        """Begin; does nothing where there is nothing to call."""
        if self._ticks:
            self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Call nothing more; wait for the tick at hand and tell whether it ended in time."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        agenda = [(time.monotonic(), place) for place in range(len(self._ticks))]
        while not self._stopping.wait(max(0.0, agenda[0][0] - time.monotonic())):
            place = agenda[0][1]
            tick = self._ticks[place]
            try:
                tick.call()
            except Exception:
                logger.exception("tick %s failed", tick.name)
            heapq.heapreplace(agenda, (time.monotonic() + tick.every_s, place))
