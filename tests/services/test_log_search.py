"""Searches of a log that must look far: whichever way they take, they tell what is there, page by page."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete

from api.backends.database import count_statements
from api.models.base import Base, new_id
from api.models.conversation import Message
from api.models.inserts import insert_rows
from api.runtime import Runtime
from api.services import log_blocks, log_index, log_pages
from tests.controllers.console.test_conversation_logs import call, fewest
from tests.factories import Owner, make_app
from tests.knowledge import put_to_sleep
from tests.services.test_log_index import run_of

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 41
"""So many messages or runs there are, an hour apart; ten blocks of four are indexed."""
PERSON = "zoe"

LIMIT = 4
PIECED = "abcdefghijkl"
"""A word that stands nowhere, longer than what the index knows of it, which is everywhere."""


def text_of(number: int) -> str:
    """Return a text: an old word, a new one, one now and then, one of all, and pieces of one of none."""
    words = ["parcel", PIECED[:-1], PIECED[1:]]
    words += ["almanac"] if number < ROWS // 3 else []
    words += ["rocket"] if number > ROWS - 8 else []
    words += ["zeppelin"] if number % 17 == 3 else []
    return f"q{number:02} " + " ".join(words)


KEYWORDS = ["almanac", "zeppelin", PIECED]
OTHERS = ["parcel", "rocket", "e", PERSON, "q07"]


@dataclass(frozen=True)
class Way:
    """How many rows and blocks are read at once, and how dear the reading by number is."""

    few: int
    batch: int
    part_blocks: int
    dearer: int


WAYS = {
    "at once": Way(few=2_000, batch=1_000, part_blocks=4, dearer=8),
    "part by part": Way(few=5, batch=3, part_blocks=2, dearer=1_000),
    "by number": Way(few=5, batch=3, part_blocks=1, dearer=0),
}


@pytest.fixture
def runtime(house: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """The runtime, its jobs asleep, its blocks of four rows."""
    for module in (log_blocks, log_index):
        monkeypatch.setattr(module, "PLACES", 4)
    awake = put_to_sleep(house)
    yield house.extensions["runtime"]
    house.extensions["runtime"] = awake


@pytest.fixture(params=list(WAYS.values()), ids=list(WAYS))
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Way:
    """How searches go about it."""
    chosen: Way = request.param
    monkeypatch.setattr(log_index, "FEW", chosen.few)
    monkeypatch.setattr(log_index, "BATCH", chosen.batch)
    monkeypatch.setattr(log_index, "PART_BLOCKS", chosen.part_blocks)
    monkeypatch.setattr(log_pages, "DEARER", chosen.dearer)
    return chosen


Ask = Callable[..., Any]


def pages(ask: Ask) -> list[str]:
    """Return the ids of a list, by the last one held; by number it is the same, and nothing is behind it."""
    held: list[str] = []
    has_more = True
    while has_more:
        page = ask(last_id=held[-1] if held else "")
        held += [id_of(item) for item in page["data"]]
        has_more = page["has_more"]
        assert len(page["data"]) == LIMIT or not has_more
    second, beyond = ask(page=2), ask(page=99)
    assert [id_of(item) for item in second["data"]] == held[LIMIT : 2 * LIMIT]
    assert second["has_more"] is (len(held) > 2 * LIMIT)
    assert min(len(held), 2 * LIMIT) <= max(second["total"], LIMIT)
    assert second["total"] <= len(held)
    assert (beyond["data"], beyond["has_more"]) == ([], False)
    return held


def id_of(item: Any) -> str:
    return str(item.get("workflow_run", item)["id"])


def test_conversations_are_found_in_any_order_however_far_they_are(
    client: FlaskClient, runtime: Runtime, owner: Owner, way: Way
) -> None:
    app_id = make_app(runtime, owner)
    talks = make_talks(runtime, owner, app_id)
    log_blocks.index_logs(runtime)

    def check(keyword: str, sort_by: str) -> None:
        ask = partial(ask_for, client, owner, app_id, "chat-conversations", keyword, sort_by=sort_by)
        found = [
            talk for talk in talks if keyword in " ".join(talk.texts) or (keyword == PERSON and talk.is_hers)
        ]
        found.sort(key=lambda talk: getattr(talk, sort_by.removeprefix("-")))
        ids = [talk.id for talk in found]
        assert pages(ask) == (ids[::-1] if sort_by.startswith("-") else ids), (keyword, sort_by)

    for keyword in KEYWORDS:
        for sort_by in ("created_at", "-created_at", "updated_at", "-updated_at"):
            check(keyword, sort_by)
    for keyword in OTHERS:
        check(keyword, "-updated_at")


def test_runs_are_found_newest_first_however_far_they_are(
    client: FlaskClient, runtime: Runtime, owner: Owner, way: Way
) -> None:
    app_id = make_app(runtime, owner, mode="workflow")
    person = make_person(runtime, owner, app_id)
    runs = [run_of(owner, app_id, at(number), text_of(number)) for number in range(ROWS)]
    for number, run in enumerate(runs):
        run["status"] = "failed" if number % 5 == 0 else "succeeded"
        run["from_end_user_id"] = person if number % 9 == 0 else None
    with runtime.engine.begin() as connection:
        insert_rows(connection, Base.metadata.tables["workflow_runs"], runs)
    log_blocks.index_logs(runtime)

    def check(keyword: str, is_asked: Callable[[int], bool], **query: str) -> None:
        ask = partial(ask_for, client, owner, app_id, "workflow-app-logs", keyword, **query)
        field = "from_end_user_id" if keyword == PERSON else "searchable"
        part = person if keyword == PERSON else keyword
        ids = [
            run["id"] for number, run in enumerate(runs) if is_asked(number) and part in (run[field] or "")
        ]
        assert pages(ask) == ids[::-1], (keyword, query)

    for keyword in (*KEYWORDS, *OTHERS):
        check(keyword, lambda _: True)
    check("almanac", lambda number: number % 5 == 0, status="failed")
    check("parcel", lambda number: number % 9 == 0, created_by_end_user_session_id=PERSON)
    check("parcel", lambda number: number <= 30, created_at__before=at(30).isoformat())
    check("parcel", lambda number: number >= 29, created_at__after=at(29).isoformat())


def test_page_of_a_search_takes_four_statements_also_behind_the_end(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app_id = make_app(runtime, owner)
    make_talks(runtime, owner, app_id)
    log_blocks.index_logs(runtime)

    for query in ({}, {"page": 2}, {"page": 99}):
        page = partial(call, client, owner, app_id, "chat-conversations", keyword="parcel", **query)
        assert fewest(runtime, page) <= 4, query


@dataclass
class Talk:
    """A conversation, and what was said in it."""

    id: str
    created_at: datetime
    updated_at: datetime
    texts: list[str]
    is_hers: bool


def make_talks(runtime: Runtime, owner: Owner, app_id: str) -> list[Talk]:
    """Write conversations of which some go on for long, and some are over at once."""
    person = make_person(runtime, owner, app_id)
    talks: dict[int, Talk] = {}
    said = []
    shared = {"tenant_id": owner.tenant_id, "app_id": app_id, "mode": "chat", "inputs": {}}
    for number in range(ROWS):
        name = number % 10 if number % 3 == 0 else number + 10
        talk = talks.setdefault(name, Talk(new_id(), at(number), at(number), [], name == 4))
        talk.updated_at = at(number) + timedelta(seconds=1)
        talk.texts.append(text_of(number))
        message = {"id": new_id(), "conversation_id": talk.id, "task_id": new_id(), "query": text_of(number)}
        counts = {"message_tokens": 1, "answer_tokens": 1, "total_price": 0, "currency": "USD"}
        rest = {"answer": "Said.", "status": "normal", "latency_s": 1.0, "created_at": at(number)}
        said.append({**shared, **message, **counts, **rest, "invoke_from": "service-api"})
    rows = [
        {
            **shared,
            "id": talk.id,
            "name": "Talk",
            "introduction": "",
            "status": "normal",
            "is_pinned": False,
            "invoke_from": "service-api",
            "from_end_user_id": person if talk.is_hers else None,
            "created_at": talk.created_at,
            "updated_at": talk.updated_at,
        }
        for talk in talks.values()
    ]
    with runtime.engine.begin() as connection:
        insert_rows(connection, Base.metadata.tables["conversations"], rows)
        insert_rows(connection, Base.metadata.tables["messages"], said)
    return list(talks.values())


def make_person(runtime: Runtime, owner: Owner, app_id: str) -> str:
    person = {"id": new_id(), "tenant_id": owner.tenant_id, "app_id": app_id, "type": "service_api"}
    rest = {"session_id": PERSON, "is_anonymous": False, "created_at": BEGAN, "updated_at": BEGAN}
    with runtime.engine.begin() as connection:
        insert_rows(connection, Base.metadata.tables["end_users"], [{**person, **rest}])
    return str(person["id"])


def at(number: int) -> datetime:
    return BEGAN + timedelta(hours=number)


def ask_for(client: FlaskClient, owner: Owner, app_id: str, path: str, keyword: str, **query: object) -> Any:
    answer = call(client, owner, app_id, path, keyword=keyword, limit=LIMIT, **query)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def test_long_search_lets_others_have_their_turn_between_statements(
    client: FlaskClient, runtime: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    app_id = make_app(runtime, owner)
    make_talks(runtime, owner, app_id)
    log_blocks.index_logs(runtime)
    for module, name, value in ((log_index, "FEW", 5), (log_index, "BATCH", 3), (log_pages, "DEARER", 0)):
        monkeypatch.setattr(module, name, value)

    with count_statements(runtime.engine) as statements:
        turns: list[int] = []  # no event loop runs here whose others could tell of their turns
        monkeypatch.setattr(log_pages, "give_way", lambda: turns.append(len(statements)))
        assert ask_for(client, owner, app_id, "chat-conversations", PIECED)["data"] == []
        asked = [statement for statement in statements if "log_places" in statement]

    assert len(asked) >= ROWS // 3  # each reads three messages at most
    assert len(set(turns)) == len(turns) >= len(asked) - 1


def test_search_looks_no_less_far_when_the_latest_that_may_hold_it_is_deleted(
    client: FlaskClient, runtime: Runtime, owner: Owner, way: Way
) -> None:
    app_id = make_app(runtime, owner)
    talks = make_talks(runtime, owner, app_id)
    log_blocks.index_logs(runtime)
    latest = text_of(ROWS // 3 - 1)
    with runtime.transaction() as session:
        session.execute(delete(Message).where(Message.app_id == app_id, Message.query == latest))

    found = [talk for talk in talks if any("almanac" in text and text != latest for text in talk.texts)]
    found.sort(key=lambda talk: talk.updated_at, reverse=True)
    ask = partial(ask_for, client, owner, app_id, "chat-conversations", "almanac", sort_by="-updated_at")
    assert pages(ask) == [talk.id for talk in found]
