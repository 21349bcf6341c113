"""Twenty-five made-up calls, good and bad, of every operation on both mounts and on both backends."""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.conftest import make_house, make_settings, stop_house
from tests.fuzzing.calls import call_everything

CALLS = 25
BACKENDS = {"database": "postgres", "redis": "redis"}


@pytest.fixture(scope="module", params=["embedded", "scaled"])
def boundless(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """A program that lets itself be called as often as one likes."""
    urls = {}
    if request.param == "scaled":
        urls = {f"{kind}_url": request.getfixturevalue(f"{name}_url") for kind, name in BACKENDS.items()}
    app = make_house(make_settings(tmp_path_factory.mktemp(request.param), rate_limits="off", **urls))
    yield app
    stop_house(app)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mount", ["/api", "/v1"])
def test_many_made_up_calls_are_answered_as_documented(boundless: Flask, mount: str) -> None:
    assert call_everything(boundless, mount, calls=CALLS, number=1) == []
