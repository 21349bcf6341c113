"""What a first start makes, and what it prints."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import func, select

from api.models.document import Document
from api.models.file import UploadFile
from api.runtime import Runtime
from api.services.first_start import Demo, make_demo, server_url
from api.services.plans import PLANS, Plan, Quota
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


def test_demo_takes_the_prose_of_as_many_pages_as_the_plan_has_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(PLANS["sandbox"], quotas={**PLANS["sandbox"].quotas, Quota.DOCUMENTS: 2})
    monkeypatch.setitem(cast("dict[str, Plan]", PLANS), "sandbox", small)
    house = make_house(make_settings(tmp_path, default_plan="sandbox"), has_owner=False)
    runtime: Runtime = house.extensions["runtime"]
    pages = [tmp_path / f"page-{number}.md" for number in range(4)]
    for page in pages:
        page.write_text("A page.\n```\nIts code.\n```\n")

    made = make_demo(runtime, email="owner@example.com", password=None, pages=pages)
    with runtime.reading() as session:
        count = session.scalar(select(func.count()).select_from(Document))
        sizes = set(session.scalars(select(UploadFile.size_bytes)))
    stop_house(house)

    assert isinstance(made, Demo)
    assert count == 2
    assert sizes == {len("A page.\n")}


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
