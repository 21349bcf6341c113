"""Triggers as roots of a run: they give what began it."""

import pytest

from tests.flows import drawn, end, run_flow


@pytest.mark.parametrize("kind", ["start", "trigger-webhook", "trigger-schedule"])
def test_root_gives_what_the_run_was_begun_with(kind: str) -> None:
    ran = run_flow([drawn("s", kind), end(x="s.x", who="sys.user_id")], ["s > e"], {"x": 1})
    assert ran.outputs == {"x": 1, "who": "u"}
    assert ran.of("s")[0].outputs == {"x": 1, "sys.user_id": "u"}
