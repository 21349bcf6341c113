"""The public API held against Dify's own description of it, on a running program."""

import os
from pathlib import Path

import pytest

from tests.conformance import report
from tests.conformance.document import Reference
from tests.conformance.journey import Answers
from tests.conformance.program import MOUNTS, call_everything
from tests.live.conftest import PATIENT

DOCUMENT = os.environ.get("TEST_DIFY_OPENAPI", "")
pytestmark = [
    PATIENT,
    pytest.mark.skipif(
        not DOCUMENT, reason="TEST_DIFY_OPENAPI names no OpenAPI document of Dify's service API"
    ),
]


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(Path(DOCUMENT))


@pytest.fixture(scope="module")
def journeys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answers]:
    return call_everything(tmp_path_factory.mktemp("conformance"))


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
