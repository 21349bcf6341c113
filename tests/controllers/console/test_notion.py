"""Notion, over HTTP: connected, looked into, made documents of, which follow their pages afterwards."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from api.models.dataset import DataSourceKey
from api.models.document import Document
from api.models.file import UploadFile
from api.models.job import JobRow
from api.principal import Role
from api.runtime import Runtime
from api.services.jobs import LeaseLost
from tests.factories import Owner, make_member, make_owner
from tests.knowledge import (
    CONSOLE,
    load_document,
    reaching_loopback,
    run_jobs,
    set_document,
    texts_of,
)
from tests.notion_double import MASKED, TOKEN, Entry, NotionDouble, serving
from tests.servers import Reply, ScriptedServer, Seen

KEYS = "/console/api/api-key-auth/data-source"
BINDINGS = "/console/api/data-source/integrates"
PAGES = "/console/api/notion/pre-import/pages"
UNKNOWN_ID = "c0ffee00-0000-4000-8000-000000000000"
RULE = {
    "mode": "custom",
    "rules": {"pre_processing_rules": [], "segmentation": {"separator": "\n\n", "max_tokens": 50}},
}


@dataclass(frozen=True)
class Office:
    """A Notion with a page and a database, and the runtime that reaches it."""

    notion: NotionDouble
    server: ScriptedServer
    page: Entry
    table: Entry
    runtime: Runtime


@pytest.fixture
def office(house: Flask) -> Iterator[Office]:
    page = Entry("Harbour log", ["The harbour master counts seven ships.", "Many stars."])
    table = Entry("Ships", ["Fram", "Gjøa"], kind="database")
    with (
        serving(page, table) as (notion, server),
        reaching_loopback(house, notion_api_url=f"{server.url}/v1") as made,
    ):
        yield Office(notion, server, page, table, made)


@pytest.fixture
def runtime(office: Office) -> Runtime:
    """The runtime, its calls reaching loopback, its jobs asleep."""
    return office.runtime


def connect(client: FlaskClient, owner: Owner, key: str = TOKEN, **body: object) -> Any:
    credentials = {"auth_type": "bearer", "config": {"api_key": key}}
    sent = {"category": "notion", "provider": "notion", "credentials": credentials, **body}
    return client.post(KEYS, json=sent, headers=owner.headers)


def test_key_is_saved_where_difys_console_sends_it(client: FlaskClient, owner: Owner, office: Office) -> None:
    sent = {"category": "notion", "provider": "notion", "credentials": {"config": {"api_key": TOKEN}}}
    answer = client.post(f"{KEYS}/binding", json=sent, headers=owner.headers)

    assert answer.status_code == 200, answer.text
    assert [each["provider"] for each in bindings(client, owner)] == ["notion"]


def bindings(client: FlaskClient, owner: Owner) -> Any:
    return client.get(BINDINGS, headers=owner.headers).get_json()["data"]


def lists(*entries: Entry) -> list[dict[str, object]]:
    icon = {"type": "emoji", "emoji": "🚢", "url": None}
    pages = [
        {"page_id": each.id, "page_name": each.title, "page_icon": icon, "type": each.kind}
        for each in entries
    ]
    return [{"credential_id": "any", "workspace_id": "ws-1", "pages": pages}]


def body_of(*entries: Entry, **more: object) -> dict[str, object]:
    info = {"data_source_type": "notion_import", "notion_info_list": lists(*entries)}
    return {
        "data_source": {"info_list": info},
        "indexing_technique": "economy",
        "process_rule": RULE,
        **more,
    }


def init(client: FlaskClient, owner: Owner, *entries: Entry, **more: object) -> Any:
    return client.post(f"{CONSOLE}/init", json=body_of(*entries, **more), headers=owner.headers)


def document_of(client: FlaskClient, owner: Owner, office: Office) -> tuple[str, str]:
    """Connect Notion, make a document of its page and index it; return the ids of its dataset and it."""
    connect(client, owner)
    made = init(client, owner, office.page).get_json()
    run_jobs(office.runtime, owner)
    return made["dataset"]["id"], made["documents"][0]["id"]


def sync(client: FlaskClient, owner: Owner, dataset_id: str, document_id: str) -> Any:
    return client.get(f"{CONSOLE}/{dataset_id}/documents/{document_id}/notion/sync", headers=owner.headers)


# -- connected -----------------------------------------------------------------------------------


def test_key_is_stored_sealed_and_shown_masked(client: FlaskClient, owner: Owner, office: Office) -> None:
    answer = connect(client, owner)
    sources = client.get(KEYS, headers=owner.headers).get_json()["sources"]

    assert (answer.status_code, answer.get_json()) == (200, {"result": "success"})
    assert [(each["provider"], each["is_built_in"]) for each in sources] == [
        ("firecrawl", True),
        ("notion", False),
    ]
    assert sources[1]["credentials"] == {"auth_type": "bearer", "config": {"api_key": MASKED}}
    (binding,) = bindings(client, owner)
    assert (binding["id"], binding["provider"]) == (sources[1]["id"], "notion")
    assert (binding["is_bound"], binding["disabled"]) == (True, False)
    assert binding["source_info"] == {
        "workspace_id": "ws-1",
        "workspace_name": "Harbour office",
        "workspace_icon": None,
        "total": 2,
        "pages": [],
    }
    with office.runtime.reading() as session:
        row = session.get_one(DataSourceKey, binding["id"])
    assert TOKEN.encode() not in row.sealed_key
    assert TOKEN not in str(row.source_info)


def test_key_takes_the_place_of_an_earlier_one_and_masked_it_stays(
    client: FlaskClient, owner: Owner, office: Office
) -> None:
    connect(client, owner)
    office.notion.token = "ntn_another-key-9876543210"
    stale = connect(client, owner, MASKED)
    renewed = connect(client, owner, office.notion.token)
    kept = connect(client, owner, "[__HIDDEN__]")

    assert [answer.status_code for answer in (stale, renewed, kept)] == [400, 200, 200]
    assert len(bindings(client, owner)) == 1
    assert client.get(PAGES, headers=owner.headers).status_code == 200


@pytest.mark.usefixtures("office")
def test_key_that_is_not_taken_is_not_stored(client: FlaskClient, owner: Owner) -> None:
    wrong = connect(client, owner, "ntn_wrong-key-0123456789")
    website = connect(client, owner, provider="firecrawl")
    blank = connect(client, owner, " ")

    assert (wrong.status_code, wrong.get_json()["code"]) == (400, "notion_failed")
    assert "does not accept the token" in wrong.get_json()["message"]
    assert "ntn_wrong" not in wrong.text
    assert website.get_json()["details"] == {"field": "provider", "type": "invalid_choice"}
    assert blank.get_json()["details"]["field"] == "api_key"
    assert bindings(client, owner) == []


@pytest.mark.usefixtures("office")
def test_disabled_connection_is_not_used_until_it_is_enabled(client: FlaskClient, owner: Owner) -> None:
    connect(client, owner)
    path = f"{BINDINGS}/{bindings(client, owner)[0]['id']}"
    disabled = client.patch(f"{path}/disable", headers=owner.headers)
    refused = client.get(PAGES, headers=owner.headers)
    shown = bindings(client, owner)[0]["disabled"]
    client.patch(f"{path}/enable", headers=owner.headers)
    unknown = client.patch(f"{path}/forget", headers=owner.headers)

    assert (disabled.status_code, shown) == (200, True)
    assert (refused.status_code, "is disabled" in refused.get_json()["message"]) == (400, True)
    assert client.get(PAGES, headers=owner.headers).status_code == 200
    assert unknown.status_code == 400


def test_keys_are_saved_by_admins_and_stay_in_their_workspace(
    client: FlaskClient, owner: Owner, office: Office
) -> None:
    connect(client, owner)
    key = f"{KEYS}/{bindings(client, owner)[0]['id']}"
    switch = key.replace(KEYS, BINDINGS) + "/disable"
    stranger, editor = make_owner(office.runtime), make_member(office.runtime, owner, Role.EDITOR)

    assert connect(client, editor).status_code == 403
    for caller, status in ((stranger, 404), (editor, 403)):
        assert client.delete(key, headers=caller.headers).status_code == status
        assert client.patch(switch, headers=caller.headers).status_code == status
    assert bindings(client, stranger) == []
    assert [
        each["provider"] for each in client.get(KEYS, headers=stranger.headers).get_json()["sources"]
    ] == ["firecrawl"]
    assert client.get(PAGES, headers=stranger.headers).status_code == 400
    assert (
        client.get(PAGES, headers=make_member(office.runtime, owner, Role.NORMAL).headers).status_code == 403
    )
    assert client.delete(f"{KEYS}/slipway", headers=owner.headers).status_code == 404
    assert client.delete(key, headers=owner.headers).status_code == 204
    assert bindings(client, owner) == []


# -- looked into ---------------------------------------------------------------------------------


def test_pages_are_listed_with_those_a_dataset_has_and_shown(
    client: FlaskClient, owner: Owner, office: Office
) -> None:
    dataset_id, _ = document_of(client, owner, office)
    listed = client.get(f"{PAGES}?dataset_id={dataset_id}", headers=owner.headers).get_json()
    foreign = client.get(f"{PAGES}?dataset_id={UNKNOWN_ID}", headers=owner.headers)
    shown = {
        kind: client.get(f"/console/api/notion/pages/{known}/{kind}/preview", headers=owner.headers)
        for known, kind in (
            (office.page.id, "page"),
            (office.table.id, "database"),
            ("x", "page"),
            ("x", "y"),
        )
    }

    (workspace,) = listed["notion_info"]
    assert (workspace["workspace_id"], workspace["workspace_name"]) == ("ws-1", "Harbour office")
    assert workspace["pages"][0] == {
        "page_id": office.page.id,
        "page_name": "Harbour log",
        "page_icon": {"type": "emoji", "url": None, "emoji": "🚢"},
        "parent_id": "root",
        "type": "page",
        "is_bound": True,
    }
    assert [(page["type"], page["is_bound"]) for page in workspace["pages"][1:]] == [("database", False)]
    assert foreign.status_code == 404
    assert "Fram" in shown["database"].get_json()["content"]
    assert (shown["page"].status_code, shown["y"].status_code) == (400, 404)


# -- the journey ---------------------------------------------------------------------------------


def test_pages_become_documents_that_are_searched(client: FlaskClient, owner: Owner, office: Office) -> None:
    connect(client, owner)
    answer = init(client, owner, office.page, office.table, office.page)
    asleep = load_document(office.runtime, answer.get_json()["documents"][0]["id"])
    run_jobs(office.runtime, owner)

    assert answer.status_code == 200, answer.text
    made = answer.get_json()
    assert (made["dataset"]["name"], made["dataset"]["data_source_type"]) == ("Harbour log", "notion_import")
    assert [document["name"] for document in made["documents"]] == ["Harbour log", "Ships"]
    assert made["documents"][0]["data_source_info"] == {
        "notion_workspace_id": "ws-1",
        "notion_page_id": office.page.id,
        "notion_page_icon": {"type": "emoji", "emoji": "🚢"},
        "type": "page",
    }
    assert asleep.indexing_status == "waiting"
    dataset_id = made["dataset"]["id"]
    path = f"{CONSOLE}/{dataset_id}/documents"
    listed = client.get(path, headers=owner.headers).get_json()["data"]
    assert {document["indexing_status"] for document in listed} == {"completed"}
    detail = client.get(f"{path}/{made['documents'][0]['id']}", headers=owner.headers).get_json()
    assert detail["data_source_info"]["last_edited_time"] == office.page.edited
    assert "upload_file_id" not in detail["data_source_info"]
    assert texts_of(client, owner, dataset_id, "harbour master") == ["The harbour master counts seven ships."]
    assert len(texts_of(client, owner, dataset_id, "Fram")) == 1


def test_page_that_cannot_be_read_ends_as_an_error_and_is_tried_again(
    client: FlaskClient, owner: Owner, office: Office
) -> None:
    connect(client, owner)
    secret = Entry("Secret", ["hidden"])
    empty = Entry("Empty", [])
    office.notion.entries[empty.id] = empty
    made = init(client, owner, office.page, secret, empty).get_json()
    token, office.notion.token = office.notion.token, "ntn_revoked"
    run_jobs(office.runtime, owner)
    rows = [load_document(office.runtime, document["id"]) for document in made["documents"]]
    office.notion.token = token
    ids = {"document_ids": [row.id for row in rows]}
    client.post(f"{CONSOLE}/{made['dataset']['id']}/retry", json=ids, headers=owner.headers)
    run_jobs(office.runtime, owner)
    again = [load_document(office.runtime, row.id) for row in rows]

    assert {row.indexing_status for row in rows} == {"error"}
    assert all("does not accept the token" in str(row.error) for row in rows)
    assert [row.indexing_status for row in again] == ["completed", "error", "error"]
    assert "add the integration under Connections" in str(again[1].error)
    assert "has no text" in str(again[2].error)
    with office.runtime.reading() as session:
        count = select(func.count()).where(UploadFile.tenant_id == owner.tenant_id)
        assert session.scalar(count) == 1


def test_worker_that_loses_its_lease_leaves_the_page_to_the_next(
    client: FlaskClient, owner: Owner, office: Office
) -> None:
    connect(client, owner)
    made = init(client, owner, office.page).get_json()
    document_id = made["documents"][0]["id"]
    answer = office.notion.answer

    def cut_off(seen: Seen) -> Reply:
        for cancel in office.runtime.live_jobs.values():
            cancel.set(LeaseLost("another worker has it"))
        return answer(seen)

    office.server.then(cut_off)
    run_jobs(office.runtime, owner)
    left = load_document(office.runtime, document_id)
    office.server.then(answer)
    with office.runtime.transaction() as session:
        here = JobRow.tenant_id == owner.tenant_id
        session.execute(update(JobRow).where(here).values(leased_until=None))
    run_jobs(office.runtime, owner)

    assert (left.indexing_status, left.error) == ("parsing", None)
    assert load_document(office.runtime, document_id).indexing_status == "completed"


def test_questions_and_answers_wait_for_the_text_too(
    client: FlaskClient, owner: Owner, office: Office
) -> None:
    connect(client, owner)
    made = init(client, owner, office.page, doc_form="qa_model").get_json()
    run_jobs(office.runtime, owner)

    row = load_document(office.runtime, made["documents"][0]["id"])
    assert (row.indexing_status, "connect a model provider first" in str(row.error)) == ("error", True)


@pytest.mark.parametrize(
    ("page", "field"),
    [
        ({"page_id": "../users/me", "type": "page"}, "page_id"),
        ({"page_id": UNKNOWN_ID, "type": "poem"}, "type"),
        ({"type": "page"}, "page_id"),
        ({"page_id": UNKNOWN_ID, "type": "page", "page_icon": "x"}, "page_icon"),
    ],
)
def test_pages_that_are_none_are_refused(
    client: FlaskClient, owner: Owner, office: Office, page: dict[str, object], field: str
) -> None:
    connect(client, owner)
    info = {"data_source_type": "notion_import", "notion_info_list": [{"pages": [page]}]}
    body = {**body_of(), "data_source": {"info_list": info}}
    answer = client.post(f"{CONSOLE}/init", json=body, headers=owner.headers)

    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, field)
    with office.runtime.reading() as session:
        assert session.scalar(select(func.count()).where(Document.tenant_id == owner.tenant_id)) == 0


def test_workspace_without_notion_makes_nothing_of_it(
    client: FlaskClient, owner: Owner, office: Office
) -> None:
    refused = init(client, owner, office.page)

    assert (refused.status_code, refused.get_json()["code"]) == (400, "notion_failed")
    assert "is not connected" in refused.get_json()["message"]


# -- replaced, estimated, followed ---------------------------------------------------------------


def test_document_is_replaced_by_another_page_and_by_its_own_rule(
    client: FlaskClient, owner: Owner, office: Office
) -> None:
    dataset_id, document_id = document_of(client, owner, office)
    path = f"{CONSOLE}/{dataset_id}/documents"
    first_file = load_document(office.runtime, document_id).source["upload_file_id"]
    same = body_of(office.page, original_document_id=document_id)
    client.post(path, json=same, headers=owner.headers)
    kept = load_document(office.runtime, document_id).source
    run_jobs(office.runtime, owner)
    other = body_of(office.table, original_document_id=document_id)
    client.post(path, json=other, headers=owner.headers)
    run_jobs(office.runtime, owner)

    assert kept["upload_file_id"] == first_file
    row = load_document(office.runtime, document_id)
    assert (row.name, row.source["notion_page_id"]) == ("Ships", office.table.id)
    assert (row.version, row.indexing_status) == (3, "completed")
    assert texts_of(client, owner, dataset_id, "harbour master") == []


def test_pages_are_estimated_on_both_roads(client: FlaskClient, owner: Owner, office: Office) -> None:
    connect(client, owner)
    info = body_of(office.page)["data_source"]
    assert isinstance(info, dict)
    how = {"process_rule": RULE, "doc_form": "text_model"}
    answers = [
        client.post(f"{CONSOLE}/{road}", json={**body, **how}, headers=owner.headers)
        for road, body in (
            ("indexing-estimate", info),
            ("notion-indexing-estimate", {"notion_info_list": lists(office.page)}),
        )
    ]

    assert answers[0].status_code == 200, answers[0].text
    assert answers[0].get_json() == answers[1].get_json()
    assert [each["content"] for each in answers[0].get_json()["preview"]] == list(office.page.texts)


def test_document_that_is_not_read_yet_cannot_be_estimated(
    client: FlaskClient, owner: Owner, office: Office
) -> None:
    connect(client, owner)
    made = init(client, owner, office.page).get_json()
    path = f"{CONSOLE}/{made['dataset']['id']}/documents/{made['documents'][0]['id']}/indexing-estimate"
    early = client.get(path, headers=owner.headers)
    run_jobs(office.runtime, owner)

    assert (early.status_code, early.get_json()["code"]) == (400, "document_indexing")
    assert client.get(path, headers=owner.headers).get_json()["total_segments"] == 2


def test_sync_follows_the_page(client: FlaskClient, owner: Owner, office: Office) -> None:
    dataset_id, document_id = document_of(client, owner, office)
    office.page.texts = ["The harbour master counts eight ships.", "Many stars."]
    office.page.edited = "2026-04-01T10:00:00.000Z"
    answer = sync(client, owner, dataset_id, document_id)
    run_jobs(office.runtime, owner)

    assert answer.get_json() == {"result": "success"}
    assert texts_of(client, owner, dataset_id, "harbour master") == ["The harbour master counts eight ships."]
    row = load_document(office.runtime, document_id)
    assert (row.version, row.source["last_edited_time"]) == (2, office.page.edited)


def test_sync_with_a_broken_token_says_so_and_keeps_what_is_searchable(
    client: FlaskClient, owner: Owner, office: Office
) -> None:
    dataset_id, document_id = document_of(client, owner, office)
    office.notion.token = "ntn_revoked"
    sync(client, owner, dataset_id, document_id)
    run_jobs(office.runtime, owner)

    row = load_document(office.runtime, document_id)
    assert (row.indexing_status, row.version) == ("completed", 1)
    assert "does not accept the token" in str(row.error)
    assert len(texts_of(client, owner, dataset_id, "harbour master")) == 1


def test_sync_mends_a_document_that_could_not_be_read_at_first(
    client: FlaskClient, owner: Owner, office: Office
) -> None:
    token, office.notion.token = office.notion.token, TOKEN
    connect(client, owner)
    office.notion.token = "ntn_revoked"
    made = init(client, owner, office.page).get_json()
    run_jobs(office.runtime, owner)
    office.notion.token = token
    document_id = made["documents"][0]["id"]
    sync(client, owner, made["dataset"]["id"], document_id)
    run_jobs(office.runtime, owner)

    row = load_document(office.runtime, document_id)
    assert (row.indexing_status, row.error) == ("completed", None)


def test_sync_of_a_paused_document_waits_until_it_is_resumed(
    client: FlaskClient, owner: Owner, office: Office
) -> None:
    dataset_id, document_id = document_of(client, owner, office)
    set_document(office.runtime, document_id, is_paused=True, indexing_status="paused")

    assert sync(client, owner, dataset_id, document_id).get_json()["code"] == "document_indexing"
