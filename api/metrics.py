"""What this process counts of its own work, for whoever watches it.

Boundary: adds and hands out; knows neither a wire nor what is counted elsewhere.
Adding takes no lock: a serving process is one event loop, whose greenlets change
only where they wait, and nothing here waits. Requests are counted one by one,
tokens once a model's answer; nothing is counted per token.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

Counted = TypeVar("Counted", bound=Hashable)

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

    def recent(self) -> list[int]:
        """Return the counts by the bounds of ``FINE_S`` of the last five to ten minutes."""
        self._turn()
        return _added(self._now, self._before)

    def _turn(self) -> None:
        """Begin a new window where this one is over; what was before the last one is forgotten."""
        age_s = self._clock() - self._began
        if age_s < WINDOW_S:
            return
        empty = [0] * len(self._now)
        self._before = self._now if age_s < 2 * WINDOW_S else empty
        self._now = list(empty)
        self._began = self._clock()


def quantiles(counts: Sequence[int]) -> Mapping[float, float]:
    """Return P50, P95 and P99 in seconds of counts by the bounds of ``FINE_S``; none where there are none."""
    total = sum(counts)
    return {share: _quantile(counts, share * total) for share in QUANTILES} if total else {}


def _quantile(counts: Sequence[int], rank: float) -> float:
    """Return the bound below which ``rank`` of all lie."""
    seen = 0
    for place, count in enumerate(counts):
        seen += count
        if count and seen >= rank:
            return FINE_S[min(place, len(FINE_S) - 1)]
    raise AssertionError("the rank is no more than there is")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """How long the answers of a route took: as Durations, at one instant."""

    buckets: Sequence[int]
    total_s: float
    recent: Sequence[int]

    def plus(self, other: "Timed") -> "Timed":
        """Return both together."""
        return Timed(
            buckets=_added(self.buckets, other.buckets),
            total_s=self.total_s + other.total_s,
            recent=_added(self.recent, other.recent),
        )


def _added(one: Sequence[int], other: Sequence[int]) -> list[int]:
    return [sum(pair) for pair in zip(one, other, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one or more processes have counted by an instant; ``gauges`` are what is so now, by name."""

    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    timed: Mapping[tuple[str, str], Timed] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)
    gauges: Counter[str] = field(default_factory=Counter)

    def plus(self, other: "Figures") -> "Figures":
        """Return both together."""
        timed = dict(self.timed)
        for key, more in other.timed.items():
            timed[key] = timed[key].plus(more) if key in timed else more
        return Figures(
            requests=_summed(self.requests, other.requests),
            timed=timed,
            totals=_summed(self.totals, other.totals),
            gauges=_summed(self.gauges, other.gauges),
        )

    def of_ended(self) -> "Figures":
        """Return what still counts of processes that have ended."""
        nothing = [0] * (len(FINE_S) + 1)
        timed = {
            key: Timed(buckets=each.buckets, total_s=each.total_s, recent=nothing)
            for key, each in self.timed.items()
        }
        return Figures(requests=self.requests, timed=timed, totals=self.totals)


def _summed(one: Counter[Counted], other: Counter[Counted]) -> Counter[Counted]:
    both = Counter(one)
    both.update(other)  # keeps what is 0, other than the sign for a sum does
    return both


class Board(Protocol):
    """Where processes that serve and work together tell each other their figures."""

    def put(self, name: str, figures: Figures, *, is_last: bool = False) -> None:
        """Tell the figures of the process of that name, again before others take it for dead."""
        ...

    def others(self, name: str) -> Iterable[Figures]:
        """Return those of all other processes; of one that has ended, only what still counts."""
        ...


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

    def figures(self, gauges: Mapping[str, int]) -> Figures:
        """Return all of it as it is now, with what else is so now."""
        return Figures(
            requests=Counter(self.requests),
            timed={
                key: Timed(buckets=tuple(each.buckets), total_s=each.total_s, recent=each.recent())
                for key, each in self.durations.items()
            },
            totals=Counter(self.totals),
            gauges=Counter({**gauges, "processes": 1, "open_streams": self.open_streams}),
        )

    def count(self, name: str, many: int = 1) -> None:
        """Count ``lease_losses``, ``uncounted_calls`` or ``dropped_spans``."""
        self.totals[name] += many
