"""A document goes from its upload to what is found through the program's own extractor, a child process."""

import os
from pathlib import Path

from api.runtime import Runtime
from tests.conftest import make_house, make_settings, stop_house
from tests.factories import make_owner
from tests.knowledge import add_document, load_document, make_dataset, put_to_sleep, run_jobs, texts_of


def children_s() -> float:
    """Return the CPU time of the processes that this one has started and seen end."""
    times = os.times()
    return times.children_user + times.children_system


def test_documents_are_read_by_children_of_the_program(tmp_path: Path) -> None:
    app = make_house(make_settings(tmp_path))
    awake = put_to_sleep(app)
    runtime: Runtime = app.extensions["runtime"]
    client, owner = app.test_client(), make_owner(runtime)
    dataset_id = make_dataset(runtime, owner)
    add_document(client, owner, dataset_id, content=b"Seven ships lie in the harbour.")
    damaged = add_document(client, owner, dataset_id, content=b"%PDF-1.7 no more", name="x.pdf")

    before_s = children_s()
    run_jobs(runtime, owner)

    assert children_s() > before_s
    assert texts_of(client, owner, dataset_id, "harbour") == ["Seven ships lie in the harbour."]
    assert "damaged" in (load_document(runtime, damaged["id"]).error or "")
    app.extensions["runtime"] = awake
    stop_house(app)
