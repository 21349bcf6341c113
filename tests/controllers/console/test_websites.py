"""Websites, over HTTP: crawled, watched, made documents of, which follow their pages afterwards."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from api.controllers.schemas.dataset import DATASET_MODEL
from api.controllers.schemas.document_answer import DOCUMENT
from api.controllers.schemas.website import CRAWL_STATE
from api.models.document import Document, StoredEmbedding
from api.models.file import UploadFile
from api.principal import Role
from api.runtime import Runtime
from tests.conftest import BOTH
from tests.core.rag.sources.sites import Content, html, links, website
from tests.factories import Owner, make_member, make_owner
from tests.knowledge import (
    CONSOLE,
    load_document,
    make_dataset,
    make_dataset_key,
    reaching_loopback,
    run_jobs,
    send_file,
    set_document,
    texts_of,
)
from tests.servers import Reply, ScriptedServer

CRAWL = "/console/api/website/crawl"
SITE: dict[str, Content] = {
    "/": "<p>The harbour of Oslo is busy.</p>" + links("/ships", "/stars"),
    "/ships": "<p>The harbour master counts seven ships.</p>",
    "/stars": "<p>The lighthouse keeper counts the stars.</p>",
}
RULE = {
    "mode": "custom",
    "rules": {"pre_processing_rules": [], "segmentation": {"separator": "\n\n", "max_tokens": 50}},
}
UNKNOWN_ID = "c0ffee00-0000-4000-8000-000000000000"


@pytest.fixture
def runtime(house: Flask) -> Iterator[Runtime]:
    """The runtime, its calls reaching loopback, its jobs asleep."""
    with reaching_loopback(house) as made:
        yield made


def start(client: FlaskClient, owner: Owner, url: str, provider: str = "firecrawl", **options: object) -> Any:
    body = {"provider": provider, "url": url, "options": options}
    return client.post(CRAWL, json=body, headers=owner.headers)


def watch(client: FlaskClient, owner: Owner, job_id: str) -> Any:
    return client.get(f"{CRAWL}/status/{job_id}?provider=firecrawl", headers=owner.headers)


def crawl(
    client: FlaskClient, owner: Owner, runtime: Runtime, pages: Mapping[str, Content] = SITE
) -> tuple[str, list[str]]:
    """Crawl a website that is gone afterwards; return the job and the addresses of its pages."""
    with website(pages) as server:
        job_id = start(client, owner, f"{server.url}/").get_json()["job_id"]
        run_jobs(runtime, owner)
    return job_id, [page["source_url"] for page in watch(client, owner, job_id).get_json()["data"]]


def info(job_id: str, *urls: str) -> dict[str, object]:
    listed = {"provider": "firecrawl", "job_id": job_id, "urls": urls, "only_main_content": True}
    return {"data_source_type": "website_crawl", "website_info_list": listed}


def body_of(job_id: str, *urls: str, **more: object) -> dict[str, object]:
    source = {"type": "website_crawl", "info_list": info(job_id, *urls)}
    return {"data_source": source, "indexing_technique": "economy", "process_rule": RULE, **more}


def add(client: FlaskClient, owner: Owner, dataset_id: str, body: object, **headers: str) -> Any:
    path = f"{CONSOLE}/{dataset_id}/documents"
    return client.post(path, json=body, headers={**owner.headers, **headers})


def document_of(
    client: FlaskClient, owner: Owner, runtime: Runtime, server: ScriptedServer, technique: str = "economy"
) -> tuple[str, str]:
    """Make a document of the start page of a website, and index it; return the ids of its dataset and it."""
    job_id = start(client, owner, f"{server.url}/", crawl_sub_pages=False).get_json()["job_id"]
    run_jobs(runtime, owner)
    dataset_id = make_dataset(runtime, owner)
    body = body_of(job_id, f"{server.url}/", indexing_technique=technique)
    made = add(client, owner, dataset_id, body).get_json()["documents"][0]
    run_jobs(runtime, owner)
    return dataset_id, made["id"]


def sync(client: FlaskClient, owner: Owner, dataset_id: str, document_id: str) -> Any:
    return client.get(f"{CONSOLE}/{dataset_id}/documents/{document_id}/website-sync", headers=owner.headers)


# -- the journey ---------------------------------------------------------------------------------


def test_website_is_crawled_made_documents_of_and_searched(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    with website(SITE) as server:
        options: dict[str, Any] = {
            "limit": 10,
            "max_depth": "",
            "includes": "",
            "excludes": "",
            "use_sitemap": False,
        }
        begun = start(client, owner, server.url, **options)
        job_id = begun.get_json()["job_id"]
        under_way = watch(client, owner, job_id).get_json()
        run_jobs(runtime, owner)
        ended = watch(client, owner, job_id).get_json()
    ships, stars = (f"{server.url}/{name}" for name in ("ships", "stars"))
    answer = client.post(f"{CONSOLE}/init", json=body_of(job_id, ships, stars), headers=owner.headers)
    runtime.cache.delete(f"crawl:{owner.tenant_id}:{job_id}:pages")
    run_jobs(runtime, owner)

    assert (begun.status_code, begun.get_json()) == (200, {"status": "active", "job_id": job_id})
    assert (under_way["status"], under_way["current"], under_way["data"]) == ("active", 0, [])
    assert set(ended) == set(CRAWL_STATE)
    assert (ended["status"], ended["current"], ended["total"]) == ("completed", 3, 3)
    assert ended["data"][1] == {
        "source_url": ships,
        "title": "Page /ships",
        "description": "",
        "markdown": "The harbour master counts seven ships.",
    }
    assert answer.status_code == 200, answer.text
    made = answer.get_json()
    assert set(made["dataset"]) == set(DATASET_MODEL)
    assert (made["dataset"]["name"], made["dataset"]["document_count"]) == ("Page /ships", 2)
    assert made["dataset"]["data_source_type"] == "website_crawl"
    assert [set(document) for document in made["documents"]] == [set(DOCUMENT)] * 2
    dataset_id = made["dataset"]["id"]
    path = f"{CONSOLE}/{dataset_id}/batch/{made['batch']}/indexing-status"
    states = client.get(path, headers=owner.headers).get_json()["data"]
    assert [state["indexing_status"] for state in states] == ["completed", "completed"]
    assert texts_of(client, owner, dataset_id, "harbour master") == ["The harbour master counts seven ships."]


def test_document_tells_its_page_and_gives_its_text(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    with website(SITE) as server:
        dataset_id, document_id = document_of(client, owner, runtime, server)
    path = f"{CONSOLE}/{dataset_id}/documents"
    listed = client.get(path, headers=owner.headers).get_json()["data"][0]
    detail = client.get(f"{path}/{document_id}", headers=owner.headers).get_json()
    url = client.get(f"{path}/{document_id}/download", headers=owner.headers).get_json()["url"]

    known = listed["data_source_info"]
    assert isinstance(known.pop("read_at"), int)
    assert known == {
        "url": f"{server.url}/",
        "provider": "firecrawl",
        "job_id": known["job_id"],
        "only_main_content": True,
        "mode": "crawl",
    }
    assert (listed["name"], listed["data_source_type"]) == ("Page /", "website_crawl")
    assert listed["data_source_detail_dict"] == detail["data_source_info"]
    with client.get(url) as file:
        assert b"The harbour of Oslo is busy." in file.data


def test_pages_of_a_crawl_may_become_documents_more_than_once(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    job_id, urls = crawl(client, owner, runtime)
    datasets = [make_dataset(runtime, owner) for _ in range(2)]
    answers = [add(client, owner, each, body_of(job_id, *urls, urls[0])) for each in datasets]
    files = {
        load_document(runtime, document["id"]).source["upload_file_id"]
        for answer in answers
        for document in answer.get_json()["documents"]
    }

    assert [len(answer.get_json()["documents"]) for answer in answers] == [3, 3]
    assert len(files) == 6


@BOTH
def test_documents_asked_for_again_with_their_key_are_made_once(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    job_id, urls = crawl(client, owner, runtime)
    dataset_id = make_dataset(runtime, owner)
    key = {"Idempotency-Key": "once"}
    first, second = (add(client, owner, dataset_id, body_of(job_id, *urls), **key) for _ in range(2))
    named = {**body_of(job_id, *urls), "name": "New"}
    init = [client.post(f"{CONSOLE}/init", json=named, headers={**owner.headers, **key}) for _ in range(2)]

    assert first.get_json() == second.get_json()
    assert init[0].get_json() == init[1].get_json()
    with runtime.reading() as session:
        count = select(func.count()).where(UploadFile.tenant_id == owner.tenant_id)
        assert session.scalar(count) == 6


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"provider": "scrapy"}, "provider"),
        ({"url": "ftp://a.example"}, "url"),
        ({"options": {"limit": 201}}, "limit"),
        ({"options": {"limit": "many"}}, "limit"),
        ({"options": {"max_depth": 11}}, "max_depth"),
        ({"options": {"use_sitemap": "yes"}}, "use_sitemap"),
        ({"options": None}, "options"),
    ],
)
def test_crawl_that_cannot_be_asked_is_refused(
    client: FlaskClient, owner: Owner, runtime: Runtime, body: dict[str, object], field: str
) -> None:
    sent = {"provider": "firecrawl", "url": "https://a.example/", "options": {}, **body}
    answer = client.post(CRAWL, json=sent, headers=owner.headers)

    assert answer.status_code == 400
    assert answer.get_json()["details"]["field"] == field


def test_site_that_forbids_itself_is_told_as_failed(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    robots = Reply(headers={"Content-Type": "text/plain"}, body=b"User-agent: *\nDisallow: /\n")
    with website({**SITE, "/robots.txt": robots}) as server:
        job_id = start(client, owner, server.url).get_json()["job_id"]
        run_jobs(runtime, owner)
        assert [seen.target for seen in server.seen] == ["/robots.txt"]

    state = watch(client, owner, job_id).get_json()
    assert (state["status"], state["data"]) == ("failed", [])
    assert "robots.txt" in state["message"]


def test_crawl_is_for_those_who_edit_and_for_its_workspace(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    job_id, urls = crawl(client, owner, runtime)
    stranger, normal = make_owner(runtime), make_member(runtime, owner, Role.NORMAL)

    assert start(client, normal, "https://a.example/").status_code == 403
    assert watch(client, normal, job_id).status_code == 403
    assert watch(client, stranger, job_id).status_code == 404
    foreign = client.post(f"{CONSOLE}/init", json=body_of(job_id, *urls), headers=stranger.headers)
    assert foreign.status_code == 404
    operator = make_member(runtime, owner, Role.DATASET_OPERATOR)
    assert watch(client, operator, job_id).status_code == 200


def test_documents_of_what_the_crawl_does_not_have_are_refused_and_leave_nothing(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    job_id, urls = crawl(client, owner, runtime)
    dataset_id = make_dataset(runtime, owner)
    unknown = add(client, owner, dataset_id, body_of(job_id, urls[0], "https://a.example/"))
    none = add(client, owner, dataset_id, body_of(job_id))
    gone = add(client, owner, dataset_id, body_of(UNKNOWN_ID, urls[0]))
    no_list = add(client, owner, dataset_id, body_of(job_id) | {"data_source": {"info_list": {}}})
    other_list = {"data_source_type": "notion_import", "website_info_list": info(job_id)["website_info_list"]}
    wrong = add(client, owner, dataset_id, body_of(job_id) | {"data_source": {"info_list": other_list}})
    refused = add(client, owner, dataset_id, body_of(job_id, *urls, process_rule={"mode": "custom"}))
    late = add(client, owner, dataset_id, body_of(job_id, *urls, indexing_technique=None))

    fields = [answer.get_json()["details"]["field"] for answer in (unknown, none, no_list, wrong)]
    assert fields == ["urls", "urls", "data_source_type", "notion_info_list"]
    assert (gone.status_code, "older than a day" in gone.get_json()["message"]) == (404, True)
    assert (refused.status_code, late.status_code) == (400, 400)
    with runtime.reading() as session:
        for table in (UploadFile, Document):
            assert session.scalar(select(func.count()).where(table.tenant_id == owner.tenant_id)) == 0


def test_dataset_of_websites_takes_no_files_and_its_documents_no_texts(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    with website(SITE) as server:
        dataset_id, document_id = document_of(client, owner, runtime, server)
    file = send_file(client, f"{CONSOLE}/{dataset_id}/document/create_by_file", owner.headers)
    key = make_dataset_key(runtime, owner)
    path = f"/v1/datasets/{dataset_id}/documents/{document_id}/update-by-text"
    text = client.post(path, json={"name": "x", "text": "y"}, headers=key)
    named = client.post(path, json={"name": "Oslo"}, headers=key)

    assert (file.status_code, text.status_code, named.status_code) == (400, 400, 200)
    assert "follows its page" in text.get_json()["message"]
    assert named.get_json()["document"]["name"] == "Oslo"


# -- replaced, estimated -------------------------------------------------------------------------


def test_document_is_processed_anew_from_the_text_it_has(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    job_id, urls = crawl(client, owner, runtime)
    dataset_id = make_dataset(runtime, owner)
    made = add(client, owner, dataset_id, body_of(job_id, urls[1])).get_json()["documents"][0]
    run_jobs(runtime, owner)
    runtime.cache.delete(f"crawl:{owner.tenant_id}:{job_id}:pages")
    again = body_of(job_id, urls[1], original_document_id=made["id"], name="Ships")
    two = body_of(job_id, *urls[:2], original_document_id=made["id"])

    answer = add(client, owner, dataset_id, again)
    run_jobs(runtime, owner)

    assert add(client, owner, dataset_id, two).status_code == 400
    assert (answer.status_code, answer.get_json()["documents"][0]["id"]) == (200, made["id"])
    row = load_document(runtime, made["id"])
    assert (row.version, row.name, row.indexing_status) == (2, "Ships", "completed")
    assert texts_of(client, owner, dataset_id, "harbour master") == ["The harbour master counts seven ships."]


def test_document_is_replaced_by_another_page(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    job_id, urls = crawl(client, owner, runtime)
    dataset_id = make_dataset(runtime, owner)
    made = add(client, owner, dataset_id, body_of(job_id, urls[1])).get_json()["documents"][0]
    old_file = load_document(runtime, made["id"]).source["upload_file_id"]
    add(client, owner, dataset_id, body_of(job_id, urls[2], original_document_id=made["id"]))
    run_jobs(runtime, owner)

    assert load_document(runtime, made["id"]).source["url"] == urls[2]
    assert texts_of(client, owner, dataset_id, "counts") == ["The lighthouse keeper counts the stars."]
    with runtime.reading() as session:
        assert session.get_one(UploadFile, old_file).attached_at is None


def test_pages_are_estimated_before_they_are_documents(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    job_id, urls = crawl(client, owner, runtime)
    body = {"info_list": info(job_id, *urls[1:]), "process_rule": RULE, "doc_form": "text_model"}
    answer = client.post(f"{CONSOLE}/indexing-estimate", json=body, headers=owner.headers)

    assert answer.status_code == 200, answer.text
    assert [each["content"] for each in answer.get_json()["preview"]] == [
        "The harbour master counts seven ships.",
        "The lighthouse keeper counts the stars.",
    ]


# -- followed ------------------------------------------------------------------------------------


def test_sync_indexes_what_the_page_says_now_and_embeds_only_what_is_new(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    pages: dict[str, Content] = {"/": "<p>Seven ships.</p><p>Many stars.</p><p>One keeper.</p>"}
    with website(pages) as server:
        dataset_id, document_id = document_of(client, owner, runtime, server, "high_quality")
        pages["/"] = "<p>Seven ships.</p><p>No stars at all.</p><p>One keeper.</p>"
        before = embedded(runtime, owner)
        asked = sync(client, owner, dataset_id, document_id)
        found_meanwhile = texts_of(client, owner, dataset_id, "stars")
        run_jobs(runtime, owner)

    assert (asked.status_code, asked.get_json()) == (200, {"result": "success"})
    assert found_meanwhile == ["Many stars."]
    assert texts_of(client, owner, dataset_id, "stars") == ["No stars at all."]
    assert (before, embedded(runtime, owner)) == (3, 4)
    row = load_document(runtime, document_id)
    assert (row.version, row.indexing_status, row.error, row.name) == (2, "completed", None, "Page /")


def embedded(runtime: Runtime, owner: Owner) -> int:
    """Return how many texts the workspace has embedded."""
    with runtime.reading() as session:
        count = select(func.count()).where(StoredEmbedding.tenant_id == owner.tenant_id)
        return session.scalar(count) or 0


def test_sync_of_a_page_that_says_the_same_indexes_nothing(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    with website(SITE) as server:
        dataset_id, document_id = document_of(client, owner, runtime, server)
        source = {**load_document(runtime, document_id).source, "read_at": 1}
        set_document(runtime, document_id, source=source, error="of before")
        sync(client, owner, dataset_id, document_id)
        run_jobs(runtime, owner)

    row = load_document(runtime, document_id)
    assert (row.version, row.error, row.source["upload_file_id"]) == (1, None, source["upload_file_id"])
    assert row.source["read_at"] > 1


def test_sync_of_a_page_that_is_gone_says_so_and_keeps_what_is_searchable(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    pages = dict(SITE)
    with website(pages) as server:
        dataset_id, document_id = document_of(client, owner, runtime, server)
        del pages["/"]
        sync(client, owner, dataset_id, document_id)
        run_jobs(runtime, owner)
        state = client.get(
            f"{CONSOLE}/{dataset_id}/documents/{document_id}/indexing-status", headers=owner.headers
        ).get_json()
        pages["/"] = html("<p>The harbour of Bergen.</p>", title="Page /")
        found = texts_of(client, owner, dataset_id, "harbour")
        sync(client, owner, dataset_id, document_id)
        run_jobs(runtime, owner)

    assert state["indexing_status"] == "completed"
    assert state["error"].endswith("cannot be read. The site answered with status 404.")
    assert len(found) == 1
    assert load_document(runtime, document_id).error is None
    assert texts_of(client, owner, dataset_id, "harbour") == ["The harbour of Bergen."]


def test_sync_is_refused_where_it_makes_no_sense(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    with website(SITE) as server:
        dataset_id, document_id = document_of(client, owner, runtime, server)
    path = f"{CONSOLE}/{dataset_id}/documents/{document_id}"
    notion = client.get(f"{path}/notion/sync", headers=owner.headers)
    normal = sync(client, make_member(runtime, owner, Role.NORMAL), dataset_id, document_id)
    stranger = sync(client, make_owner(runtime), dataset_id, document_id)
    set_document(runtime, document_id, indexing_status="splitting")
    busy = sync(client, owner, dataset_id, document_id)
    set_document(runtime, document_id, indexing_status="completed", archived=True)
    archived = sync(client, owner, dataset_id, document_id)

    assert (notion.status_code, notion.get_json()["code"]) == (400, "invalid_param")
    assert (normal.status_code, stranger.status_code) == (403, 404)
    assert (busy.status_code, busy.get_json()["code"]) == (400, "document_indexing")
    assert (archived.status_code, archived.get_json()["code"]) == (403, "archived_document_immutable")


def test_page_removed_while_it_is_synced_stays_removed(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    pages = dict(SITE)
    with website(pages) as server:
        dataset_id, document_id = document_of(client, owner, runtime, server)
        pages["/"] = "<p>Another harbour.</p>"
        sync(client, owner, dataset_id, document_id)
        client.delete(f"{CONSOLE}/{dataset_id}/documents/{document_id}", headers=owner.headers)
        run_jobs(runtime, owner)

    assert texts_of(client, owner, dataset_id, "harbour") == []
    with runtime.reading() as session:
        for table in (UploadFile, Document):
            assert session.scalar(select(func.count()).where(table.tenant_id == owner.tenant_id)) == 0
