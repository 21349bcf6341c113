"""10,000 runs of code, 16 at once: none fails, and nothing grows."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.contracts.test_sandboxes import PARALLEL, run_many
from tests.sandboxes import make_sandbox, processes

RUNS = 10_000
MAX_GROWTH = 1.05


def resident_kb(pids: Iterable[int]) -> int:
    """Return how much memory processes have between them."""
    status = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
    return sum(int(text.partition("VmRSS:")[2].split()[0]) for text in status)


@pytest.mark.timeout(600)
def test_ten_thousand_runs_all_succeed_and_nothing_grows(tmp_path: Path) -> None:
    with make_sandbox("monty", tmp_path) as sandbox:
        assert run_many(sandbox, 500, PARALLEL) == []
        before = resident_kb([os.getpid()]), resident_kb(processes())
        assert run_many(sandbox, RUNS, PARALLEL) == []
        after = resident_kb([os.getpid()]), resident_kb(processes())
    assert after[0] < before[0] * MAX_GROWTH
    assert after[1] < before[1] * MAX_GROWTH
