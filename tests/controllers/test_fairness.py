"""One workspace floods the program with slow runs, documents and connections; another notices nothing."""

import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, BinaryIO

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from api.core.ports import Cancel, JSONObject, Queue
from api.models.job import JobRow
from api.runtime import Runtime
from api.tasks.registry import run_woken
from tests.conftest import make_house, make_settings, stop_house
from tests.controllers.test_metrics import metrics
from tests.factories import ChatApp, Owner, make_chat_app, make_owner
from tests.fakes import Script
from tests.knowledge import add_document, load_document, make_dataset, wait_until_indexed
from tests.sse import read_events
from tests.uploads import PNG
from tests.waiting import wait_until

CHAT = "/v1/chat-messages"
CONNECTIONS = 20
PLACES = 2
WAIT_S = 30.0


@dataclass
class SlowReader:
    """Implements Extractor: a text that begins with ``slow`` is read when the test lets it be."""

    begun: list[str] = field(default_factory=list)
    ends: dict[str, threading.Event] = field(default_factory=dict)
    is_over: bool = False

    def extract(self, content: BinaryIO, extension: str, *, cancel: Cancel) -> str:
        del extension, cancel
        text = content.read().decode()
        self.begun.append(text)
        if text.startswith("slow") and not self.is_over:
            assert self.ends.setdefault(text, threading.Event()).wait(WAIT_S)
        return text

    def end(self, text: str) -> None:
        self.ends.setdefault(text, threading.Event()).set()

    def end_all(self) -> None:
        self.is_over = True
        for text in list(self.ends):
            self.end(text)


@dataclass(kw_only=True)
class Place:
    """A program, and two of its workspaces."""

    house: Flask
    runtime: Runtime
    reader: SlowReader
    client: FlaskClient
    greedy: Owner
    modest: Owner

    def add(self, owner: Owner, text: str) -> str:
        """Add a document to a dataset of its own; return its id."""
        dataset_id = make_dataset(self.runtime, owner)
        document: dict[str, str] = add_document(self.client, owner, dataset_id, content=text.encode())
        return document["id"]

    def status(self, document_id: str) -> str:
        return load_document(self.runtime, document_id).indexing_status

    def jobs(self) -> int:
        with self.runtime.reading() as session:
            return session.scalar(select(func.count()).select_from(JobRow)) or 0


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """A program with two places for documents and few connections, whose jobs take turns as it has them."""
    made = make_house(make_settings(tmp_path_factory.mktemp("fair"), worker_connections=CONNECTIONS))
    fair = replace(made.extensions["runtime"], extractor=SlowReader())
    made.extensions["runtime"] = fair
    fair.queue.start(partial(run_woken, fair), (), places={Queue.DEFAULT: 2, Queue.INDEXING: PLACES})
    yield made
    stop_house(made)


@pytest.fixture
def place(house: Flask) -> Iterator[Place]:
    runtime: Runtime = house.extensions["runtime"]
    limits = runtime.limits
    object.__setattr__(runtime, "extractor", SlowReader())  # its jobs hold this very runtime
    made = Place(
        house=house,
        runtime=runtime,
        reader=runtime.extractor,  # type: ignore[arg-type]  # the one above
        client=house.test_client(),
        greedy=make_owner(runtime),
        modest=make_owner(runtime),
    )
    yield made
    object.__setattr__(runtime, "limits", limits)
    made.reader.end_all()
    wait_until(lambda: made.jobs() == 0 and not runtime.live_jobs and not runtime.live_runs)


def ask(client: FlaskClient, app: ChatApp, **body: object) -> Any:
    asked = {"query": "Hi", "user": "ada", "response_mode": "streaming", "auto_generate_name": False, **body}
    return client.post(CHAT, json=asked, headers=app.headers)


def test_documents_of_one_workspace_do_not_wait_for_a_flood_of_another(place: Place) -> None:
    flood = [place.add(place.greedy, f"slow {number}") for number in range(6)]
    wait_until(lambda: len(place.reader.begun) == PLACES)
    first, second = list(place.reader.begun)
    quick = [place.add(place.modest, f"quick {number}") for number in range(3)]

    place.reader.end(first)  # one place is free
    for document_id in quick:
        wait_until_indexed(place.runtime, document_id)

    # All of them went before the third slow one, which had been there first; and no place stayed empty.
    wait_until(lambda: len(place.reader.begun) == PLACES + len(quick) + 1)
    assert place.reader.begun[:PLACES] == [first, second]
    assert sorted(place.reader.begun[PLACES:-1]) == ["quick 0", "quick 1", "quick 2"]
    assert place.reader.begun[-1].startswith("slow")
    assert sum(place.status(each) == "completed" for each in flood) <= 1


def test_workspaces_that_flood_share_the_places(place: Place) -> None:
    for owner, name in ((place.greedy, "a"), (place.modest, "b")):
        for number in range(6):
            place.add(owner, f"slow {name}{number}")
    for done in range(10):
        wait_until(lambda done=done: len(place.reader.begun) == PLACES + done)  # type: ignore[misc]  # bound here
        place.reader.end(place.reader.begun[done])

    names = [text[5] for text in place.reader.begun[:10]]
    assert abs(names.count("a") - names.count("b")) <= PLACES


def test_document_that_had_its_turn_goes_on_after_one_of_another_workspace(place: Place) -> None:
    object.__setattr__(place.runtime, "limits", replace(place.runtime.limits, job_turn_s=0.0))
    flood = {f"slow {number}": place.add(place.greedy, f"slow {number}") for number in range(PLACES)}
    wait_until(lambda: len(place.reader.begun) == PLACES)
    other = place.add(place.modest, "slow other")

    first = place.reader.begun[0]
    place.reader.end(first)  # it is split now, and could be indexed at once
    wait_until(lambda: place.reader.begun[PLACES:] == ["slow other"])
    assert place.status(flood[first]) == "indexing"  # both places are taken by others
    place.reader.end("slow other")
    for document_id in (other, flood[first]):
        wait_until_indexed(place.runtime, document_id)

    assert len(place.reader.begun) == PLACES + 1  # what was read is not read again


def test_runs_of_one_workspace_begin_and_end_during_a_flood_of_another(place: Place) -> None:
    gate = threading.Event()
    slow = make_chat_app(place.runtime, place.greedy, model=Script(gate=gate).choice)
    quick = make_chat_app(place.runtime, place.modest, model=Script().choice)
    flood = [ask(place.client, slow) for _ in range(CONNECTIONS // 2)]
    for stream in flood:
        next(stream.iter_encoded())

    answers = [ask(place.client, quick, response_mode="blocking") for _ in range(3)]

    assert [answer.get_json()["answer"] for answer in answers] == ["Hello world"] * 3
    assert len(place.runtime.live_runs) >= len(flood)
    gate.set()
    assert [read_events(stream)[-1]["event"] for stream in flood] == ["message_end"] * len(flood)
    for stream in flood:
        stream.close()


def test_connections_are_left_for_another_workspace_and_shared_when_they_run_out(place: Place) -> None:
    gate = threading.Event()
    greedy, modest = (
        make_chat_app(place.runtime, owner, model=Script(gate=gate).choice)
        for owner in (place.greedy, place.modest)
    )
    streams: list[Any] = []
    refused: list[Any] = []
    for _ in range(CONNECTIONS):
        answer = ask(place.client, greedy)
        (streams if answer.status_code == 200 else refused).append(answer)

    assert len(streams) == CONNECTIONS * 0.9
    assert {(each.status_code, each.headers["Retry-After"]) for each in refused} == {(429, "1")}
    streams += (others := [ask(place.client, modest) for _ in range(2)])
    assert [each.status_code for each in others] == [200, 200]
    gate.set()
    for stream in streams:
        stream.get_data()
        stream.close()
    last = ask(place.client, greedy)
    assert last.status_code == 200
    last.get_data()
    last.close()


def test_cut_streams_give_back_whatever_they_held(place: Place) -> None:
    before = metrics(place.client)["slipway_open_streams"]
    app = make_chat_app(place.runtime, place.greedy, model=Script(pieces=["piece"] * 8).choice)
    limit: JSONObject = {"max_active_requests": 1}
    place.client.put(f"/console/api/apps/{app.id}", json=limit, headers=place.greedy.headers)
    for number in range(3 * CONNECTIONS):
        stream = ask(place.client, app)
        frames = stream.iter_encoded()
        for _ in range(number % 5):
            next(frames, b"")
        stream.close()
        wait_until(lambda: not place.runtime.live_runs)

    assert metrics(place.client)["slipway_open_streams"] == before
    assert place.house.extensions["entrance"].open_requests == 0


def test_whatever_is_answered_is_counted_out(place: Place) -> None:
    app = make_chat_app(place.runtime, place.greedy)
    sent = {"user": "ada", "file": (io.BytesIO(PNG), "one.png")}
    upload = place.client.post("/v1/files/upload", data=sent, headers=app.headers).get_json()["id"]
    entrance = place.house.extensions["entrance"]
    for method, path in (
        ("GET", f"/v1/files/{upload}/preview?user=ada"),
        ("HEAD", f"/v1/files/{upload}/preview?user=ada"),
        ("GET", "/v1/files/nothing/preview?user=ada"),
        ("POST", "/v1/info"),
        ("GET", "/v1/info"),
    ):
        answer = place.client.open(path, method=method, headers=app.headers)
        assert answer.status_code < 500
        answer.close()
        assert entrance.open_requests == 0, path
