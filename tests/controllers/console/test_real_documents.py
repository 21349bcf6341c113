"""Documents nobody here wrote, uploaded and indexed: each ends, and the next one goes on.

Some of each kind, and all of them where TEST_DOCS says where they are, which takes minutes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.runtime import Runtime
from tests.conftest import make_house, make_settings, stop_house
from tests.factories import Owner, make_owner
from tests.knowledge import CONSOLE, make_dataset, put_to_sleep, run_jobs
from tests.real_documents import DOCS, KINDS, Real, sample
from tests.uploads import FORM, form, part

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="the real documents are not beside this repository")
NOT_TAKEN = 415
"""What an upload of a kind that is not read is answered with."""
NOT_READ = ("odt", "rst", "p7s")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The embedded program, its jobs asleep."""
    app = make_house(make_settings(tmp_path_factory.mktemp("real")))
    awake = put_to_sleep(app)
    yield app
    app.extensions["runtime"] = awake
    stop_house(app)


class Desk:
    """A dataset that is found by words, and uploads into it."""

    def __init__(self, client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
        self.client, self.owner = client, owner
        self.url = f"{CONSOLE}/{make_dataset(runtime, owner)}"

    def add(self, path: Path) -> Any:
        """Upload a file; return the answer."""
        # By hand: a test client makes a large form in a temporary file that it leaves open.
        body = form(
            part("indexing_technique", b"economy"),
            part("file", path.read_bytes(), filename=path.name, mime="application/octet-stream"),
        )
        return self.client.post(
            f"{self.url}/document/create_by_file",
            data=body,
            content_type=FORM,
            headers=self.owner.headers,
        )

    def states(self) -> dict[str, tuple[str, str | None, int]]:
        """Return of each document by name its status, why it failed, and how many characters it has."""
        found: Any = self.client.get(f"{self.url}/documents?limit=100", headers=self.owner.headers)
        return {
            each["name"]: (each["indexing_status"], each["error"], each["word_count"])
            for each in found.get_json()["data"]
        }


@pytest.mark.parametrize("kind", KINDS)
def test_real_documents_end_completed_or_as_an_error_with_a_reason(program: Flask, kind: str) -> None:
    runtime: Runtime = program.extensions["runtime"]
    owner = make_owner(runtime)
    desk = Desk(program.test_client(), runtime, owner)
    taken: dict[str, Real] = {}
    for document in sample(kind):
        answer = desk.add(document.path)
        if answer.status_code == 200:
            taken[document.path.name] = document
        else:
            told = answer.get_json()
            assert answer.status_code in (400, NOT_TAKEN), (document.path.name, told)
            assert told["message"]
            assert document.extension in NOT_READ or document.expect != "text", (document.path.name, told)
    run_jobs(runtime, owner)

    states = desk.states()
    assert set(states) == set(taken)
    for name, (status, reason, words) in states.items():
        assert status in ("completed", "error"), (name, status)
        assert (reason is None, words > 0) == (status == "completed", status == "completed"), (name, reason)
        if taken[name].expect == "password":
            assert status == "error", name
        if taken[name].expect == "text":
            assert status == "completed", (name, reason)
