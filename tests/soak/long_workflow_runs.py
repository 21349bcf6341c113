"""A thousand runs of a workflow, 32 at once, on both backends."""

import pytest
from flask import Flask

from tests.controllers.service_api.test_workflow_crowds import run_crowd
from tests.factories import Owner

RUNS = 1000


@pytest.mark.timeout(600)
def test_thousand_runs_tell_one_start_and_one_end_in_rising_numbers(house: Flask, owner: Owner) -> None:
    assert run_crowd(house, owner, RUNS) == []
