"""The public API held against Dify's own description of it, on running programs, embedded and scaled out."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conformance import report
from tests.conformance.document import Reference
from tests.conformance.journey import Answers
from tests.conformance.program import MOUNTS, call_everything
from tests.conftest import REDIS_URL
from tests.live.conftest import PATIENT, empty_database

DOCUMENT = Path(
    os.environ.get("TEST_DIFY_OPENAPI") or Path(__file__).parents[3] / "shared/contract/openapi_service.json"
)
pytestmark = [
    PATIENT,
    pytest.mark.skipif(
        not DOCUMENT.exists(), reason="TEST_DIFY_OPENAPI names no OpenAPI document of Dify's service API"
    ),
]


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(DOCUMENT)


@pytest.fixture(scope="module", params=["embedded", "scaled"])
def journeys(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Answers]]:
    with ExitStack() as stack:
        settings: dict[str, object] = {}
        if request.param == "scaled":
            url = stack.enter_context(empty_database())
            settings = {"DATABASE_URL": url, "REDIS_URL": REDIS_URL}
        yield call_everything(tmp_path_factory.mktemp("conformance"), settings)


@pytest.mark.parametrize("mount", MOUNTS)
def test_operations_that_are_served_answer_as_documented(
    reference: Reference, journeys: dict[str, Answers], mount: str
) -> None:
    outcomes = {
        name: report.judge(reference, operation, mount, journeys[mount])
        for name, operation in reference.operations.items()
    }

    assert {name: found.faults for name, found in outcomes.items() if found.word == "failed"} == {}


def test_page_says_what_became_of_every_operation(reference: Reference, journeys: dict[str, Answers]) -> None:
    assert report.PAGE.read_text(encoding="utf-8") == report.render(reference, journeys)
