"""What a fast run loses beside many slow ones."""

import time
from concurrent.futures import ThreadPoolExecutor

from tests.bench.load import Load, quantile, run_load
from tests.bench.scenarios import Bench, Subject, first_events, streaming, wait_until_quiet
from tests.bench.workspace import DRIPPING_MODEL

SLOW_RUNS = 64
"""Four times the most there is of anything that runs take turns at: processes of plugins."""
FIRST_EVENTS = 120
BEGINNING_S = 3.0
TOKENS = 300


def measure_fairness(bench: Bench, subject: Subject) -> None:
    """Have slow runs go on, and ask a fast model meanwhile; keep its first events beside those before."""
    bench.busy_cores.append(wait_until_quiet(subject.server.pids))
    before = first_events(subject, FIRST_EVENTS)
    with ThreadPoolExecutor(1) as others:
        going = others.submit(run_load, subject.server.port, _slow_runs(subject))
        time.sleep(BEGINNING_S)
        meanwhile = first_events(subject, FIRST_EVENTS)
        if going.done():
            bench.faults.append("The slow runs had ended before the fast ones were measured beside them.")
        slow = going.result()
    bench.note(
        "fair",
        subject.name,
        {
            "p95_before_ms": quantile(before.first_s, 0.95) * 1e3,
            "p50_ms": quantile(meanwhile.first_s, 0.5) * 1e3,
            "p95_ms": quantile(meanwhile.first_s, 0.95) * 1e3,
            "slow_s": quantile(slow.total_s, 0.95),
            "errors": meanwhile.errors + slow.errors,
        },
    )


def _slow_runs(subject: Subject) -> Load:
    return streaming(subject, DRIPPING_MODEL, SLOW_RUNS, SLOW_RUNS, tokens=TOKENS)
