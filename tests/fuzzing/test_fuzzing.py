"""Made-up calls of the public API: none breaks it, and each answer is one its description tells of."""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.conftest import make_house, make_settings, stop_house
from tests.fuzzing.calls import call_everything
from tests.live.conftest import PATIENT

CALLS = 1


@pytest.fixture(scope="module")
def boundless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An embedded program that lets itself be called as often as one likes."""
    app = make_house(make_settings(tmp_path_factory.mktemp("boundless"), rate_limits="off"))
    yield app
    stop_house(app)


@PATIENT
def test_made_up_calls_are_answered_as_documented(boundless: Flask) -> None:
    assert call_everything(boundless, "/api", calls=CALLS) == []
