"""What a first start makes, and what it prints."""

from dataclasses import replace
from pathlib import Path

import pytest

from api.runtime import Runtime
from api.services.first_start import Demo, make_demo, server_url
from tests.conftest import make_house, make_settings, stop_house
from tests.offloads import SpyOffload


def test_demo_made_by_two_starts_at_once_is_made_by_the_faster_one_alone(tmp_path: Path) -> None:
    house = make_house(make_settings(tmp_path), has_owner=False)
    runtime: Runtime = house.extensions["runtime"]
    faster: list[Demo | None] = []

    def overtake() -> None:
        faster.append(make_demo(runtime, email="owner@example.com", password=None))

    slower = make_demo(
        replace(runtime, offload=SpyOffload(after=overtake)), email="owner@example.com", password=None
    )
    stop_house(house)

    assert [type(made) for made in faster] == [Demo]
    assert slower is None


@pytest.mark.parametrize(
    ("public_url", "host", "url"),
    [
        ("", "127.0.0.1", "http://127.0.0.1:5001"),
        ("", "0.0.0.0", "http://127.0.0.1:5001"),
        ("", "::", "http://127.0.0.1:5001"),
        ("", "::1", "http://[::1]:5001"),
        ("https://slipway.example/", "0.0.0.0", "https://slipway.example"),
    ],
)
def test_server_url_is_one_that_can_be_called(public_url: str, host: str, url: str) -> None:
    assert server_url(public_url, host, 5001) == url
