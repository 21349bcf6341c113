"""Runs what waits and wakes once more in a process patched by gevent, as the server is.

One process for all of it, forked from the one that has read the modules (tests/commands.py).
What neither waits nor wakes (how values are stored, what a reader refuses) is
the same in both worlds and runs in the plain one alone.
"""

import os
from pathlib import Path

import pytest

from tests.commands import begin

SANDBOXES = tuple(
    f"tests/contracts/test_sandboxes.py::{name}"
    for name in (
        "test_big_inputs_and_results_go_through",
        "test_code_over_its_time_is_ended_soon_after",
        "test_code_that_is_cancelled_ends_at_once",
        "test_template_that_is_cancelled_ends_early",
        "test_code_ends_with_the_time_of_the_run",
        "test_many_runs_side_by_side_all_give_their_own",
        "test_other_work_goes_on_while_code_runs",
        "test_stop_leaves_no_process_and_starts_none",
    )
)
SUITES = (
    "tests/contracts/test_channel.py",
    "tests/contracts/test_cache.py",
    "tests/contracts/test_extraction.py",
    "tests/contracts/test_plugins.py",
    "tests/contracts/test_offload.py",
    "tests/contracts/test_queue.py",
    "tests/backends/test_queue_in_process.py",
    "tests/backends/test_queue_celery.py",
    "tests/backends/test_database.py",
    # After those that count the children of this process: the stores are children that stay.
    "tests/backends/test_vectors_local.py",
    "tests/contracts/test_vectors.py::test_search_gives_the_nearest_in_order_with_their_cosines",
    "tests/contracts/test_vectors.py::test_first_writes_of_many_at_once_all_count",
    "tests/contracts/test_vectors.py::test_readers_beside_writers_see_whole_batches",
    *SANDBOXES,
)
PLAIN_ALONE = (
    "three_processes",  # has processes of both kinds itself
    "json_value",
    "refused_document",
    "text_size",
    "child_loads",
    "nobody_watches",
    "(http and (many_runs or template or javascript))",  # waits for its service as for what is tried here
)
TIMEOUT_S = 500.0  # a busy machine has some of them tried again


@pytest.mark.timeout(TIMEOUT_S + 10)
def test_backends_under_gevent_keep_their_promises(tmp_path: Path) -> None:
    options = ["-p", "no:xdist", "-k", " and ".join(f"not {name}" for name in PLAIN_ALONE)]
    begun = begin("pytest:console_main", *options, *SUITES, environment=os.environ, output=tmp_path / "said")
    assert begun.wait(TIMEOUT_S) == 0, begun.said()
