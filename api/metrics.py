"""What this process counts of its own work, for whoever watches it.

Boundary: adds and hands out; knows neither a wire nor what is counted elsewhere.
Adding takes no lock: a serving process is one event loop, whose greenlets change
only where they wait, and nothing here waits. Requests are counted one by one,
tokens once a model's answer; nothing is counted per token.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the histogram that is handed out; one more bucket has no bound."""
FINE_S = tuple(0.0005 * 1.1**step for step in range(145))
"""Bounds so near to each other that a quantile read off them is right within a tenth; up to eight minutes."""
WINDOW_S = 300.0
QUANTILES = (0.5, 0.95, 0.99)


class Durations:
    """How long something took: since the start in few buckets, and of late in many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        self.total_s = 0.0
        self._began = clock()
        self._now = [0] * (len(FINE_S) + 1)
        self._before = list(self._now)

    def add(self, seconds: float) -> None:
        """Count one."""
        self._turn()
        self.buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self.total_s += seconds
        self._now[bisect_left(FINE_S, seconds)] += 1

    def quantiles(self) -> Mapping[float, float]:
        """Return P50, P95 and P99 in seconds of the last five to ten minutes; none where nothing was."""
        self._turn()
        counts = [sum(pair) for pair in zip(self._now, self._before, strict=True)]
        total = sum(counts)
        return {share: _quantile(counts, share * total) for share in QUANTILES} if total else {}

    def _turn(self) -> None:
        """Begin a new window where this one is over; what was before the last one is forgotten."""
        age_s = self._clock() - self._began
        if age_s < WINDOW_S:
            return
        empty = [0] * len(self._now)
        self._before = self._now if age_s < 2 * WINDOW_S else empty
        self._now = list(empty)
        self._began = self._clock()


def _quantile(counts: list[int], rank: float) -> float:
    """Return the bound below which ``rank`` of all lie."""
    seen = 0
    for place, count in enumerate(counts):
        seen += count
        if count and seen >= rank:
            return FINE_S[min(place, len(FINE_S) - 1)]
    raise AssertionError("the rank is no more than there is")


@dataclass(kw_only=True)
class Metrics:
    """Counts since the start of the process.

    ``requests`` by method, route and status; ``durations`` by method and route,
    until the answer's first byte. ``totals`` are counters by name.
    """

    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    durations: dict[tuple[str, str], Durations] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)
    open_streams: int = 0

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request; ``route`` is its pattern, so that there are not more than routes."""
        self.requests[method, route, status] += 1
        key = (method, route)
        if key not in self.durations:
            self.durations[key] = Durations()
        self.durations[key].add(seconds)

    def count_tokens(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Count the tokens of a model's answer."""
        self.totals["tokens_in"] += prompt_tokens
        self.totals["tokens_out"] += completion_tokens

    def count(self, name: str, many: int = 1) -> None:
        """Count ``lease_losses``, ``uncounted_calls`` or ``dropped_spans``."""
        self.totals[name] += many
