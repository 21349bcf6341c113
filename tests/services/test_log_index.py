"""The index of logs, in blocks of four rows here: searches tell the same with it and without."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from api.models.account import Account
from api.models.base import Base, new_id, utc_now
from api.models.conversation import Conversation, Message
from api.models.inserts import insert_rows
from api.models.log_index import LOG_GRAMS, LOG_PLACES, LogBlock
from api.models.workflow import WorkflowRun, pack
from api.runtime import Runtime
from api.services import app_purge, log_blocks, log_index, run_purge
from tests.controllers.console.test_conversation_logs import call, fewest
from tests.factories import Owner, make_app
from tests.knowledge import finish_jobs, put_to_sleep

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
TEXTS = [
    "Where is my Parcel?",
    "包裹在哪里",
    "it weighs 100% more",
    "a_b",
    "PARCELS, parcels",
    "the last 包",
    "x" * 300 + "end",
    "Straße nach Zürich",
    "ab",
    "nothing",
]
KEYWORDS = [
    *("parcel", "PARCEL", "包裹", "包", "0%", "a_b", "ab", "b", "xx", "xxxend", "zürich", "ZÜRICH", "q"),
    *("where is my parcel?", "parcels, parcels and more", "%", "_", " ", "裹在哪里", "nd"),
]


@pytest.fixture
def runtime(house: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """The runtime, its jobs asleep, its blocks of four rows."""
    for module in (log_blocks, log_index):
        monkeypatch.setattr(module, "PLACES", 4)
    awake = put_to_sleep(house)
    yield house.extensions["runtime"]
    house.extensions["runtime"] = awake


class Talk:
    """An app of which every question is a conversation of its own, an hour after the one before."""

    def __init__(self, client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
        self.client, self.runtime, self.owner = client, runtime, owner
        self.id = make_app(runtime, owner)
        self.ids: dict[str, str] = {}

    def say(self, *texts: str, status: str = "normal") -> None:
        shared = {"tenant_id": self.owner.tenant_id, "app_id": self.id, "mode": "chat", "inputs": {}}
        source = {"invoke_from": "service-api", "from_end_user_id": new_id()}
        talks, said = [], []
        for text in texts:
            at = BEGAN + timedelta(hours=len(self.ids))
            self.ids[text] = talk_id = new_id()
            name = {"name": text[:20], "introduction": "", "status": "normal", "is_pinned": False}
            talks.append({**shared, **source, **name, "id": talk_id, "created_at": at, "updated_at": at})
            message = {"id": new_id(), "conversation_id": talk_id, "task_id": new_id(), "query": text}
            counts = {"message_tokens": 1, "answer_tokens": 1, "total_price": 0, "currency": "USD"}
            rest = {"answer": "Said.", "status": status, "latency_s": 1.0, "created_at": at}
            said.append({**shared, **source, **message, **counts, **rest})
        with self.runtime.engine.begin() as connection:
            insert_rows(connection, Base.metadata.tables["conversations"], talks)
            insert_rows(connection, Base.metadata.tables["messages"], said)

    def found(self, keyword: str, **query: object) -> list[str]:
        """Return what is found, page by page by the last one held."""
        listed: list[Any] = []
        while True:
            held = {"last_id": listed[-1]["id"]} if listed else {}
            asked = {"keyword": keyword, "limit": 3, "sort_by": "-created_at", **query, **held}
            page: Any = call(self.client, self.owner, self.id, "chat-conversations", **asked).get_json()
            listed += page["data"]
            if not page["has_more"]:
                return [item["summary"] for item in listed]

    def purge(self, text: str) -> None:
        path = f"/console/api/apps/{self.id}/chat-conversations/{self.ids[text]}"
        assert self.client.delete(path, headers=self.owner.headers).status_code == 204
        finish_jobs(self.runtime, self.owner)

    def index(self) -> None:
        log_blocks.index_logs(self.runtime)

    def blocks(self) -> int:
        with self.runtime.reading() as session:
            return session.scalar(select(func.count()).where(LogBlock.app_id == self.id)) or 0


@pytest.fixture
def talk(client: FlaskClient, runtime: Runtime, owner: Owner) -> Talk:
    return Talk(client, runtime, owner)


def expected(keyword: str) -> list[str]:
    """Return what a keyword stands in, the latest first; only letters A to Z count in either case."""

    def low(text: str) -> str:
        return "".join(letter.lower() if letter.isascii() else letter for letter in text)

    return [text for text in reversed(TEXTS) if low(keyword) in low(text)]


@pytest.mark.parametrize("few", [2_000, 1], ids=["few", "many"])
def test_searches_tell_the_same_of_what_is_indexed_and_what_is_not(
    talk: Talk, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(log_index, "FEW", few)
    monkeypatch.setattr(log_index, "BATCH", few)
    talk.say(*TEXTS)
    for blocks in (0, 2):
        assert talk.blocks() == blocks
        for keyword in KEYWORDS:
            assert talk.found(keyword) == expected(keyword), keyword
        assert talk.found("nobody says that") == []
        talk.index()
    with talk.runtime.transaction() as session:
        session.execute(update(Account).where(Account.id == talk.owner.account_id).values(timezone="UTC"))
    first, last = BEGAN + timedelta(hours=1), BEGAN + timedelta(hours=5)
    span = {"start": f"{first:%Y-%m-%d %H:%M}", "end": f"{last:%Y-%m-%d %H:%M}"}
    assert talk.found("包", **span) == ["the last 包", "包裹在哪里"]
    ask = {"keyword": "parcel", "limit": 1, "page": 2, "sort_by": "created_at"}
    page = partial(call, talk.client, talk.owner, talk.id, "chat-conversations", **ask)
    told: Any = page().get_json()
    assert ([item["summary"] for item in told["data"]], told["total"]) == ([TEXTS[4]], 2)
    assert fewest(talk.runtime, page) <= 4


def test_deleted_conversations_leave_no_trace_in_the_index(talk: Talk) -> None:
    talk.say(*TEXTS)
    talk.index()

    talk.purge("包裹在哪里")
    assert talk.found("包裹") == []
    log_blocks.settle_logs(talk.runtime)

    assert grams_with(talk, "裹在哪") == 0
    assert grams_with(talk, "sra") == 0
    assert grams_with(talk, "par") == 2
    assert talk.found("parcel") == expected("parcel")
    for text in (TEXTS[0], *TEXTS[2:4]):
        talk.purge(text)
    log_blocks.settle_logs(talk.runtime)
    assert talk.blocks() == 1
    assert talk.found("parcel") == [TEXTS[4]]


def grams_with(talk: Talk, gram: str) -> int:
    """Return in how many blocks of an app a gram is known."""
    with talk.runtime.reading() as session:
        query = select(LOG_GRAMS.c.chunk).join(LogBlock, LogBlock.id == LOG_GRAMS.c.block_id)
        chunks = session.scalars(query.where(LogBlock.app_id == talk.id)).all()
    return sum(gram.encode() in chunk for chunk in chunks)


def test_answers_that_come_later_are_found_and_then_indexed(talk: Talk) -> None:
    talk.say("one", status="paused")
    talk.say("two", "three", "four")
    talk.index()
    with talk.runtime.transaction() as session:
        change = update(Message).where(Message.app_id == talk.id, Message.query == "one")
        session.execute(change.values(answer="Zanzibar", status="normal"))

    assert talk.found("zanzibar") == ["one"]
    log_blocks.settle_logs(talk.runtime)
    with talk.runtime.reading() as session:
        assert session.scalars(select(LogBlock.open).where(LogBlock.app_id == talk.id)).all() == [None]
    assert talk.found("zanzibar") == ["one"]


def test_what_was_just_said_is_not_indexed_yet_and_found(talk: Talk) -> None:
    talk.say(*TEXTS[:4])
    with talk.runtime.transaction() as session:
        session.execute(update(Message).where(Message.app_id == talk.id).values(created_at=utc_now()))
    talk.index()
    assert talk.blocks() == 0
    assert talk.found("parcel") == [TEXTS[0]]


def test_question_whose_answer_is_still_being_written_is_found(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_index, "FEW", 1)
    monkeypatch.setattr(log_index, "BATCH", 1)
    talk.say(*TEXTS[:8])
    talk.index()
    talk.say("Another parcel", status="running")
    with talk.runtime.transaction() as session:  # a conversation goes on when its answer ends
        row = update(Conversation).where(Conversation.id == talk.ids["Another parcel"])
        session.execute(row.values(updated_at=BEGAN))

    assert talk.blocks() == 2
    assert talk.found("parcel") == ["Another parcel", TEXTS[4], TEXTS[0]]


def test_index_goes_with_its_app(talk: Talk) -> None:
    talk.say(*TEXTS)
    talk.index()
    with talk.runtime.reading() as session:
        ids = session.scalars(select(LogBlock.id).where(LogBlock.app_id == talk.id)).all()
    assert len(ids) == 2

    app_purge.purge_app(talk.runtime, talk.owner.tenant_id, talk.id)

    assert talk.blocks() == 0
    with talk.runtime.reading() as session:
        assert left_of(session, ids) == 0


def left_of(session: Session, ids: Any) -> int:
    grams = session.scalar(select(func.count()).where(LOG_GRAMS.c.block_id.in_(ids))) or 0
    numbers = [id_ * 4 + place for id_ in ids for place in range(4)]
    return grams + (session.scalar(select(func.count()).where(LOG_PLACES.c.number.in_(numbers))) or 0)


@pytest.mark.parametrize("few", [2_000, 1], ids=["few", "many"])
def test_runs_are_found_however_old_and_forgotten_with_their_time(
    client: FlaskClient, runtime: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(log_index, "FEW", few)
    monkeypatch.setattr(log_index, "BATCH", few)
    app_id = make_app(runtime, owner, mode="workflow")
    runs = [run_of(owner, app_id, BEGAN + timedelta(hours=hour), text) for hour, text in enumerate(TEXTS)]
    with runtime.engine.begin() as connection:
        insert_rows(connection, WorkflowRun.__table__, runs)  # type: ignore[arg-type]  # a table it is

    def found(keyword: str) -> list[str]:
        path = "workflow-app-logs"
        page: Any = call(client, owner, app_id, path, keyword=keyword, limit=100).get_json()
        text_of = {run["id"]: run["searchable"] for run in runs}
        return [text_of[item["workflow_run"]["id"]] for item in page["data"]]

    for _ in range(2):
        for keyword in KEYWORDS:
            assert found(keyword) == expected(keyword), keyword
        log_blocks.index_logs(runtime)

    days = (utc_now() - BEGAN).days - 1  # all of them are older
    run_purge.purge_old_runs(
        replace(runtime, limits=replace(runtime.limits, workflow_log_retention_days=days))
    )
    log_blocks.settle_logs(runtime)
    with runtime.reading() as session:
        assert session.scalars(select(LogBlock.number).where(LogBlock.app_id == app_id)).all() == []


def run_of(owner: Owner, app_id: str, at: datetime, text: str) -> dict[str, Any]:
    return {
        "id": new_id(),
        "tenant_id": owner.tenant_id,
        "app_id": app_id,
        "workflow_id": app_id,
        "task_id": new_id(),
        "type": "workflow",
        "version": "v1",
        "triggered_from": "app-run",
        "invoke_from": "service-api",
        "inputs": pack({}),
        "system": pack({}),
        "outputs": pack({}),
        "status": "succeeded",
        "elapsed_s": 1.0,
        "total_tokens": 1,
        "total_price": 0,
        "currency": "USD",
        "total_steps": 1,
        "exceptions_count": 0,
        "searchable": text,
        "created_at": at,
        "finished_at": at,
    }
