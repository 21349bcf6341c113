"""What there is to measure of the processes here and of the installation, with names and labels.

Names and labels are a promise to whoever draws or alerts on them
(docs/wire/operation.md#get-metrics). Labels have few values: routes are patterns,
no id and nothing a client chose is one.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import accumulate
from typing import Literal

from sqlalchemy import QueuePool, case, func, select

from api.core.ports import Queue
from api.errors import Unavailable
from api.metrics import BUCKETS_S, Figures, Timed, quantiles
from api.models.base import utc_now
from api.models.job import JobRow
from api.runtime import Runtime

KEEP_S = 1.0
STATES = ("waiting", "leased", "failed")


@dataclass(frozen=True, slots=True)
class Sample:
    """One value; ``suffix`` is what its name has besides that of its family."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """Values of one name."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class _Jobs:
    """How many jobs of a queue are in a state, counted at an instant; None where nobody could count."""

    counts: Mapping[tuple[str, str], int] | None
    counted_at: float


def measure(runtime: Runtime) -> Iterator[Family]:
    """Yield all families, of all processes that tell each other their figures.

    Asks the database at most once a second, and does without it where it is away.
    """
    figures = publish(runtime)
    if runtime.board is not None:
        figures = reduce(Figures.plus, runtime.board.others(runtime.owner), figures)
    yield from _of_requests(figures)
    yield from _of_work(figures)
    yield from _of_database(runtime, figures)


def publish(runtime: Runtime, *, is_last: bool = False) -> Figures:
    """Return what this process has counted; tell it the others, where there are any."""
    pool = runtime.engine.pool
    assert isinstance(pool, QueuePool)
    figures = runtime.metrics.figures(
        {
            "running_runs": len(runtime.live_runs),
            "running_jobs": len(runtime.live_jobs),
            "connections_used": pool.checkedout(),
            "connections_idle": pool.checkedin(),
            "connections_max": pool.size(),
        }
    )
    if runtime.board is not None:
        runtime.board.put(runtime.owner, figures, is_last=is_last)
    return figures


def _of_requests(figures: Figures) -> Iterator[Family]:
    requests = [
        Sample(count, {"method": method, "route": route, "status": str(status)})
        for (method, route, status), count in sorted(figures.requests.items())
    ]
    yield Family("slipway_http_requests_total", "counter", "Answered requests.", requests)
    timed = sorted(figures.timed.items())
    buckets = [
        sample
        for (method, route), each in timed
        for sample in _histogram(each, {"method": method, "route": route})
    ]
    yield Family(
        "slipway_http_request_duration_seconds", "histogram", "Time to the first byte of an answer.", buckets
    )
    recent = [
        Sample(seconds, {"method": method, "route": route, "quantile": str(share)})
        for (method, route), each in timed
        for share, seconds in quantiles(each.recent).items()
    ]
    yield Family(
        "slipway_http_request_duration_quantile_seconds",
        "gauge",
        "The same as quantiles of the last five to ten minutes.",
        recent,
    )


def _histogram(timed: Timed, labels: Mapping[str, str]) -> Iterator[Sample]:
    bounds = [*(str(bound) for bound in BUCKETS_S), "+Inf"]
    counts = list(accumulate(timed.buckets))
    for bound, count in zip(bounds, counts, strict=True):
        yield Sample(count, {**labels, "le": bound}, "_bucket")
    yield Sample(timed.total_s, labels, "_sum")
    yield Sample(counts[-1], labels, "_count")


def _of_work(figures: Figures) -> Iterator[Family]:
    totals, gauges = figures.totals, figures.gauges
    tokens = [Sample(totals[f"tokens_{way}"], {"direction": way}) for way in ("in", "out")]
    yield Family("slipway_tokens_total", "counter", "Tokens sent to models and written by them.", tokens)
    for name, meaning in (
        ("processes", "Processes these figures are of."),
        ("open_streams", "Streams that are being sent."),
        ("running_runs", "Runs of apps that have not ended."),
        ("running_jobs", "Jobs that are held by a lease and worked on."),
    ):
        yield Family(f"slipway_{name}", "gauge", meaning, [Sample(gauges[name])])
    for name, meaning in (
        ("lease_losses", "Jobs that were taken from a process while it worked on them."),
        ("uncounted_calls", "Calls let through because the counters of rate limits were out of reach."),
        ("dropped_spans", "Spans of traces that the collector did not get."),
    ):
        yield Family(f"slipway_{name}_total", "counter", meaning, [Sample(totals[name])])


def _of_database(runtime: Runtime, figures: Figures) -> Iterator[Family]:
    gauges = figures.gauges
    held = [Sample(gauges[f"connections_{state}"], {"state": state}) for state in ("used", "idle")]
    yield Family("slipway_database_connections", "gauge", "Connections of the pools.", held)
    most = [Sample(gauges["connections_max"])]
    yield Family("slipway_database_connections_max", "gauge", "The most they may hold.", most)
    counts = _count_jobs(runtime).counts
    yield Family(
        "slipway_database_up", "gauge", "1 where the database answers.", [Sample(int(counts is not None))]
    )
    jobs = [
        Sample(count, {"queue": queue, "state": state})
        for (queue, state), count in sorted((counts or {}).items())
    ]
    yield Family(
        "slipway_jobs", "gauge", "Jobs of the whole installation: waiting, leased, failed for good.", jobs
    )


def _count_jobs(runtime: Runtime) -> _Jobs:
    known: _Jobs | None = runtime.memory.get("counted-jobs")
    if known is not None and time.monotonic() - known.counted_at < KEEP_S:
        return known
    state = case(
        (JobRow.failed_at.is_not(None), "failed"),
        (JobRow.leased_until > utc_now(), "leased"),
        else_="waiting",
    ).label("state")
    counts: Mapping[tuple[str, str], int] | None = None
    try:
        with runtime.reading() as session:
            rows = session.execute(select(JobRow.queue, state, func.count()).group_by(JobRow.queue, state))
            counts = dict.fromkeys(((queue.value, "waiting") for queue in Queue), 0)
            counts |= {(queue, name): count for queue, name, count in rows}
    except Unavailable:
        counts = None
    fresh = _Jobs(counts, time.monotonic())
    runtime.memory.put("counted-jobs", fresh)
    return fresh
