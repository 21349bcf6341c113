"""Runs the suites that wait and wake once more in a process patched by gevent, as the server is."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATCHED_PYTEST = "import api.gevent_boot, sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
CHANNEL = ("tests/contracts/test_channel.py",)
VECTORS = (
    "tests/backends/test_vectors_local.py",
    "tests/contracts/test_vectors.py::test_search_gives_the_nearest_in_order_with_their_cosines",
    "tests/contracts/test_vectors.py::test_first_writes_of_many_at_once_all_count",
    "tests/contracts/test_vectors.py::test_readers_beside_writers_see_whole_batches",
)
OTHERS = (
    "tests/contracts/test_cache.py",
    "tests/contracts/test_extraction.py",
    "tests/contracts/test_offload.py",
    "tests/contracts/test_queue.py",
    "tests/backends/test_queue_in_process.py",
    "tests/backends/test_queue_celery.py",
    "tests/backends/test_database.py",
)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("suites", [CHANNEL, VECTORS, OTHERS], ids=["channel", "vectors", "others"])
def test_backends_under_gevent_keep_their_promises(suites: tuple[str, ...]) -> None:
    options = ["-p", "no:xdist", "-k", "not three_processes"]
    command = [sys.executable, "-c", PATCHED_PYTEST, *options, *suites]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
