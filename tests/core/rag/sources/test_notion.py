import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from api.core.egress import EgressDenied, EgressPolicy
from api.core.http import Cancelled, HTTPClient
from api.core.ports import Cancel
from api.core.rag.sources import notion as notion_module
from api.core.rag.sources.notion import NotionClient, NotionEntry, NotionPage, NotionWorkspace
from api.errors import InvalidRequest, NotionFailed
from tests.core.rag.sources.sites import PATIENT, http_client
from tests.servers import Reply, ScriptedServer, Seen
from tests.waiting import assert_quick

Answer = Reply | Callable[[Seen], Reply]

TOKEN = "ntn_do-not-tell-0123456789"
PAGE_ID = "11111111-2222-3333-4444-555555555555"
PAGE: dict[str, Any] = {
    "object": "page",
    "id": PAGE_ID,
    "url": "https://www.notion.so/p",
    "last_edited_time": "2026-03-01T10:00:00.000Z",
    "icon": {"type": "emoji", "emoji": "📄"},
    "parent": {"type": "workspace", "workspace": True},
    "properties": {"title": {"type": "title", "title": [{"type": "text", "plain_text": "My page"}]}},
}


@pytest.fixture
def http() -> Iterator[HTTPClient]:
    with http_client() as client:
        yield client


def paragraph(
    text: str, block_id: str = "b", *, has_children: bool = False, kind: str = "paragraph"
) -> dict[str, Any]:
    return {
        "id": block_id,
        "type": kind,
        "has_children": has_children,
        kind: {"rich_text": [{"type": "text", "plain_text": text}]},
    }


def results(*items: Mapping[str, Any], next_cursor: str | None = None) -> Reply:
    body = {
        "object": "list",
        "results": items,
        "has_more": next_cursor is not None,
        "next_cursor": next_cursor,
    }
    return Reply.of_json(body)


@contextlib.contextmanager
def notion(answers: Mapping[str, Answer]) -> Iterator[ScriptedServer]:
    """Serve Notion's API: answers by method and path."""

    def answer(seen: Seen) -> Reply:
        found = answers.get(f"{seen.method} {urlsplit(seen.target).path}", Reply.of_json({}, status=404))
        return found if isinstance(found, Reply) else found(seen)

    with ScriptedServer(answer) as server:
        yield server


def make_client(http: HTTPClient, server: ScriptedServer) -> NotionClient:
    return NotionClient(SecretStr(TOKEN), http, base_url=f"{server.url}/v1/")


def read(http: HTTPClient, server: ScriptedServer, cancel: Cancel | None = None) -> NotionPage:
    return make_client(http, server).read(PAGE_ID, "page", cancel or Cancel(20))


def page_of(*pages: Reply) -> dict[str, Answer]:
    """Return a page whose blocks come in these answers, the cursor being the index of the next."""

    def children(seen: Seen) -> Reply:
        cursor = parse_qs(urlsplit(seen.target).query).get("start_cursor", ["0"])[0]
        return pages[int(cursor)]

    return {f"GET /v1/pages/{PAGE_ID}": Reply.of_json(PAGE), f"GET /v1/blocks/{PAGE_ID}/children": children}


def test_read_page_gives_title_text_address_and_time(http: HTTPClient) -> None:
    with notion(page_of(results(paragraph("Head", kind="heading_1"), paragraph("text")))) as server:
        assert read(http, server) == NotionPage(
            id=PAGE_ID,
            title="My page",
            markdown="# Head\n\ntext",
            url="https://www.notion.so/p",
            last_edited_time="2026-03-01T10:00:00.000Z",
        )
        for seen in server.seen:
            assert seen.headers["authorization"] == f"Bearer {TOKEN}"
            assert seen.headers["notion-version"] == "2022-06-28"


def test_read_page_follows_cursors_to_the_end(http: HTTPClient) -> None:
    pages = page_of(
        results(paragraph("1"), next_cursor="1"),
        results(paragraph("2"), next_cursor="2"),
        results(paragraph("3")),
    )
    with notion(pages) as server:
        assert read(http, server).markdown == "1\n\n2\n\n3"
        assert [seen.target.partition("?")[2] for seen in server.seen[1:]] == [
            "page_size=100",
            "page_size=100&start_cursor=1",
            "page_size=100&start_cursor=2",
        ]


def test_read_page_enters_nested_blocks_but_no_other_page(http: HTTPClient) -> None:
    sub_page = {"id": "sub", "type": "child_page", "has_children": True, "child_page": {"title": "Sub page"}}
    answers = page_of(results(paragraph("a", "a", has_children=True, kind="toggle"), sub_page))
    answers["GET /v1/blocks/a/children"] = results(
        paragraph("b", "b", has_children=True, kind="bulleted_list_item")
    )
    answers["GET /v1/blocks/b/children"] = results(paragraph("c", "c", kind="bulleted_list_item"))
    with notion(answers) as server:
        assert read(http, server).markdown == "a\n\n- b\n  - c\n\nSub page"


def test_read_page_nested_without_end_fails_with_the_reason(http: HTTPClient) -> None:
    answers = page_of(results(paragraph("x", PAGE_ID, has_children=True)))
    with notion(answers) as server, pytest.raises(NotionFailed, match="more than 20 levels"):
        read(http, server)


def test_read_page_that_never_ends_fails_with_the_reason(http: HTTPClient) -> None:
    endless = results(*[paragraph("x") for _ in range(2000)], next_cursor="0")
    with notion(page_of(endless)) as server, pytest.raises(NotionFailed, match="more than 10000 blocks"):
        read(http, server)


def test_read_huge_answer_fails_with_the_reason(http: HTTPClient) -> None:
    huge = Reply(body=b" " * (16 * 1024 * 1024 + 1))
    with notion(page_of(huge)) as server, pytest.raises(NotionFailed, match="sent more than"):
        read(http, server)


def test_read_many_large_answers_fail_with_the_reason(http: HTTPClient) -> None:
    large = json.dumps({"results": [paragraph("x")], "has_more": True, "next_cursor": "0"}).encode()
    padded = Reply(body=large + b" " * (15 * 1024 * 1024))
    with notion(page_of(padded)) as server, pytest.raises(NotionFailed, match="bytes for one document"):
        read(http, server)


def test_read_database_gives_a_section_for_each_row(http: HTTPClient) -> None:
    def row(name: str, status: str | None) -> dict[str, Any]:
        option = {"name": status} if status else None
        return {
            **PAGE,
            "properties": {
                "Status": {"type": "status", "status": option},
                "Name": {"type": "title", "title": [{"type": "text", "plain_text": name}]},
            },
        }

    def query(seen: Seen) -> Reply:
        return (
            results(row("B", None))
            if seen.json.get("start_cursor")
            else results(row("A", "Done"), next_cursor="n")
        )

    database = {
        **PAGE,
        "object": "database",
        "title": [{"type": "text", "plain_text": "Tasks"}],
        "properties": {},
    }
    answers: dict[str, Answer] = {
        f"GET /v1/databases/{PAGE_ID}": Reply.of_json(database),
        f"POST /v1/databases/{PAGE_ID}/query": query,
    }
    with notion(answers) as server:
        page = make_client(http, server).read(PAGE_ID, "database", Cancel(20))
        assert page.title == "Tasks"
        assert page.markdown == "## A\n\n- Status: Done\n- Name: A\n\n## B\n\n- Name: B"
        assert [seen.json for seen in server.seen[1:]] == [
            {"page_size": 100},
            {"page_size": 100, "start_cursor": "n"},
        ]


def test_read_database_of_too_many_rows_fails_with_the_reason(http: HTTPClient) -> None:
    database = Reply.of_json({**PAGE, "object": "database"})
    rows = results(*[PAGE] * 5001, next_cursor="n")
    answers: dict[str, Answer] = {
        f"GET /v1/databases/{PAGE_ID}": database,
        f"POST /v1/databases/{PAGE_ID}/query": rows,
    }
    with notion(answers) as server, pytest.raises(NotionFailed, match="more than 10000 rows"):
        make_client(http, server).read(PAGE_ID, "database", Cancel(20))


def test_search_yields_pages_and_databases_of_all_answers(http: HTTPClient) -> None:
    database = {
        **PAGE,
        "object": "database",
        "id": "d",
        "icon": None,
        "properties": {},
        "parent": {"type": "page_id", "page_id": PAGE_ID},
        "title": [{"type": "text", "plain_text": "Tasks"}],
    }

    def search(seen: Seen) -> Reply:
        return results(database) if "start_cursor" in seen.json else results(PAGE, next_cursor="n")

    with notion({"POST /v1/search": search}) as server:
        found = list(make_client(http, server).search("plan", Cancel(20)))
        assert server.seen[0].json["query"] == "plan"
    assert found == [
        NotionEntry(
            id=PAGE_ID,
            kind="page",
            title="My page",
            icon={"type": "emoji", "emoji": "📄"},
            parent_id="root",
            url="https://www.notion.so/p",
            last_edited_time="2026-03-01T10:00:00.000Z",
        ),
        NotionEntry(
            id="d",
            kind="database",
            title="Tasks",
            icon=None,
            parent_id=PAGE_ID,
            url="https://www.notion.so/p",
            last_edited_time="2026-03-01T10:00:00.000Z",
        ),
    ]


def test_search_stops_after_two_thousand(http: HTTPClient) -> None:
    endless = results(*[PAGE] * 900, next_cursor="n")
    with notion({"POST /v1/search": endless}) as server:
        assert len(list(make_client(http, server).search("", Cancel(20)))) == 2000


def test_workspace_names_whose_token_it_is(http: HTTPClient) -> None:
    me = {"object": "user", "type": "bot", "bot": {"workspace_name": "Acme", "owner": {}}}
    with notion({"GET /v1/users/me": Reply.of_json(me)}) as server:
        assert make_client(http, server).workspace(Cancel(20)) == NotionWorkspace(id="", name="Acme")


# Failures


@pytest.mark.parametrize(
    "entry_id", ["", "x", "../users/me", PAGE_ID + "?a=b", "1" * 31, PAGE_ID.replace("-", "", 1)]
)
def test_read_something_that_is_no_id_is_refused_unasked(http: HTTPClient, entry_id: str) -> None:
    with notion({}) as server:
        with pytest.raises(InvalidRequest, match="not the id of a Notion page"):
            make_client(http, server).read(entry_id, "page", Cancel(30))
        assert server.seen == []


def test_read_accepts_an_id_without_dashes(http: HTTPClient) -> None:
    plain = PAGE_ID.replace("-", "")
    answers = {f"GET /v1/pages/{plain}": Reply.of_json(PAGE), f"GET /v1/blocks/{plain}/children": results()}
    with notion(answers) as server:
        assert make_client(http, server).read(plain, "page", Cancel(30)).markdown == ""


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, {"code": "unauthorized", "message": "API token is invalid."}, "does not accept the token"),
        (403, {"code": "restricted_resource"}, "lacks the capability"),
        (404, {"code": "object_not_found"}, f"nothing at /pages/{PAGE_ID} to the integration.*Connections"),
        (
            400,
            {"code": "validation_error", "message": f"body of {TOKEN} failed"},
            r"status 400: body of \*\*\* failed",
        ),
        (409, ["no", "object"], "status 409: it gave no reason"),
    ],
)
def test_read_refused_says_what_to_do(http: HTTPClient, status: int, body: object, message: str) -> None:
    with notion({f"GET /v1/pages/{PAGE_ID}": Reply.of_json(body, status=status)}) as server:
        with pytest.raises(NotionFailed, match=message) as caught:
            read(http, server)
        assert len(server.seen) == 1
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"object": "user"}', b'{"id": 1, "object": "page"}', b""]
)
def test_read_answer_of_another_shape_fails_clearly(http: HTTPClient, body: bytes) -> None:
    with (
        notion({f"GET /v1/pages/{PAGE_ID}": Reply(body=body)}) as server,
        pytest.raises(NotionFailed, match="Notion answered"),
    ):
        read(http, server)


def test_read_out_of_reach_fails_clearly(http: HTTPClient) -> None:
    with notion({}) as server:
        pass
    with pytest.raises(NotionFailed, match="did not answer: No connection"):
        read(http, server)


def test_read_private_address_is_denied() -> None:
    with notion({}) as server, contextlib.closing(HTTPClient(EgressPolicy(), PATIENT)) as strict:
        with pytest.raises(EgressDenied):
            read(strict, server)
        assert server.seen == []


# Busy


def test_read_rate_limited_comes_back_when_told(http: HTTPClient) -> None:
    busy = [Reply.of_json({}, status=429, headers={"Retry-After": "0.05"})] * 2

    def page(_: Seen) -> Reply:
        return busy.pop() if busy else Reply.of_json(PAGE)

    with notion({**page_of(results(paragraph("x"))), f"GET /v1/pages/{PAGE_ID}": page}) as server:
        started = time.monotonic()
        assert read(http, server).markdown == "x"
        assert time.monotonic() - started >= 0.1
        assert len(server.seen) == 4


def test_read_rate_limited_without_end_gives_up(http: HTTPClient) -> None:
    busy = Reply.of_json({"message": "Too many"}, status=429, headers={"Retry-After": "0"})
    with notion({f"GET /v1/pages/{PAGE_ID}": busy}) as server:
        with pytest.raises(NotionFailed, match="status 429: Too many"):
            read(http, server)
        assert len(server.seen) == 5


def test_read_busy_without_a_time_comes_back_after_a_second(
    http: HTTPClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(notion_module, "pause", lambda delay_s, _cancel: pauses.append(delay_s))
    with notion({f"GET /v1/pages/{PAGE_ID}": Reply(status=502)}) as server:
        with pytest.raises(NotionFailed, match="status 502"):
            read(http, server)
        assert len(server.seen) == 1 + len(pauses)
    assert pauses[0] == 1.0


def test_read_told_to_wait_long_fails_at_once(http: HTTPClient) -> None:
    busy = Reply.of_json({}, status=429, headers={"Retry-After": "3600"})
    with (
        notion({f"GET /v1/pages/{PAGE_ID}": busy}) as server,
        pytest.raises(NotionFailed, match="come back in 3600 seconds"),
    ):
        read(http, server)


def test_read_cancel_ends_a_wait_at_once(http: HTTPClient) -> None:
    busy = Reply.of_json({}, status=503, headers={"Retry-After": "30"})
    with notion({f"GET /v1/pages/{PAGE_ID}": busy}) as server:
        cancel = Cancel(60)
        threading.Timer(0.1, cancel.set).start()
        started = time.monotonic()
        with pytest.raises(Cancelled):
            read(http, server, cancel)
        assert_quick(time.monotonic() - started, 2)


def test_read_deadline_ends_a_wait(http: HTTPClient) -> None:
    busy = Reply.of_json({}, status=429, headers={"Retry-After": "30"})
    with notion({f"GET /v1/pages/{PAGE_ID}": busy}) as server:
        started = time.monotonic()
        with pytest.raises(NotionFailed, match="did not answer in time"):
            read(http, server, Cancel(0.2))
        assert_quick(time.monotonic() - started, 2)


def test_client_does_not_tell_its_token(http: HTTPClient) -> None:
    client = NotionClient(SecretStr(TOKEN), http)
    assert TOKEN not in json.dumps({name: repr(value) for name, value in vars(client).items()})
