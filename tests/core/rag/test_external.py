import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import SecretStr

from api.core.egress import EgressDenied, EgressPolicy
from api.core.http import Cancelled, HTTPClient
from api.core.ports import Cancel
from api.core.rag.external import (
    ExternalAPI,
    ExternalCondition,
    ExternalQuery,
    ExternalRecord,
    check_api,
    check_endpoint,
    retrieve,
)
from api.errors import ExternalKnowledgeFailed, InvalidRequest
from tests.core.rag.sources.sites import PATIENT, http_client
from tests.servers import Reply, ScriptedServer, Step
from tests.waiting import assert_quick

KEY = "key-do-not-tell-0123456789"
QUERY = ExternalQuery(knowledge_id="k-1", query="What is it?", top_k=2, score_threshold=0.3)


@pytest.fixture
def http() -> Iterator[HTTPClient]:
    with http_client() as client:
        yield client


def make_api(server: ScriptedServer) -> ExternalAPI:
    return ExternalAPI(name="Wiki", endpoint=f"{server.url}/base", api_key=SecretStr(KEY))


def ask(http: HTTPClient, reply: Reply, query: ExternalQuery = QUERY) -> list[ExternalRecord]:
    with ScriptedServer(reply) as server:
        return retrieve(make_api(server), query, http, Cancel(30))


def record(content: str, score: float) -> dict[str, object]:
    return {
        "content": content,
        "score": score,
        "title": f"{content}.txt",
        "metadata": {"path": "/x", "page": 3},
    }


def refusal(status: int, code: int, message: str = "") -> Reply:
    return Reply.of_json({"error_code": code, "error_msg": message}, status=status)


def test_retrieve_asks_as_the_protocol_says(http: HTTPClient) -> None:
    query = ExternalQuery(
        knowledge_id="k-1",
        query="Was ist ü?",
        top_k=3,
        score_threshold=0.5,
        conditions=[ExternalCondition(names=["year", "date"], comparison_operator=">", value=2020)],
        logical_operator="or",
    )
    with ScriptedServer(Reply.of_json({"records": [record("a", 0.9)]})) as server:
        found = retrieve(make_api(server), query, http, Cancel(30))
        (seen,) = server.seen
    assert found == [
        ExternalRecord(content="a", score=0.9, title="a.txt", metadata={"path": "/x", "page": 3})
    ]
    assert (seen.method, seen.target) == ("POST", "/base/retrieval")
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.json == {
        "knowledge_id": "k-1",
        "query": "Was ist ü?",
        "retrieval_setting": {"top_k": 3, "score_threshold": 0.5},
        "metadata_condition": {
            "logical_operator": "or",
            "conditions": [{"name": ["year", "date"], "comparison_operator": ">", "value": 2020}],
        },
    }


def test_retrieve_without_conditions_sends_none(http: HTTPClient) -> None:
    with ScriptedServer(Reply.of_json({"records": []})) as server:
        assert retrieve(make_api(server), QUERY, http, Cancel(30)) == []
        assert "metadata_condition" not in server.seen[0].json


def test_retrieve_holds_the_service_to_count_order_and_threshold(http: HTTPClient) -> None:
    records = [record("low", 0.2), record("c", 0.3), record("a", 0.9), record("b", 0.5)]
    assert [each.content for each in ask(http, Reply.of_json({"records": records}))] == ["a", "b"]
    more = replace(QUERY, top_k=9)
    assert [each.content for each in ask(http, Reply.of_json({"records": records}), more)] == ["a", "b", "c"]


def test_retrieve_title_and_metadata_may_be_missing(http: HTTPClient) -> None:
    records = [
        {"content": "a", "score": 1, "metadata": None, "more": 1},
        {"content": "b", "score": 0.5, "title": None},
    ]
    assert ask(http, Reply.of_json({"records": records})) == [
        ExternalRecord(content="a", score=1.0, title="", metadata={}),
        ExternalRecord(content="b", score=0.5, title="", metadata={}),
    ]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"<html>", "no JSON"),
        (b"", "no JSON"),
        (b"[]", "no JSON"),
        (b"{}", "records"),
        (b'{"records": {}}', "records"),
        (b'{"records": [{"score": 1}]}', "records.0.content"),
        (b'{"records": [{"content": "a", "score": "high"}]}', "records.0.score"),
        (b'{"records": [{"content": "a", "score": NaN}]}', "records.0.score"),
        (b'{"records": [{"content": "a", "score": 1, "metadata": []}]}', "records.0.metadata"),
    ],
)
def test_retrieve_answer_of_another_shape_says_where(http: HTTPClient, body: bytes, where: str) -> None:
    with pytest.raises(ExternalKnowledgeFailed, match=rf"'Wiki' answered in a shape .*\({where}\)"):
        ask(http, Reply(body=body))


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (refusal(403, 1002, "Authorization failed"), "does not accept the API key"),
        (refusal(403, 1001), "does not accept the API key"),
        (refusal(400, 1001), "does not accept the API key"),
        (Reply(status=401), "does not accept the API key"),
        (refusal(404, 2001, "The knowledge does not exist"), "has no knowledge 'k-1'"),
        (Reply(status=404, body=b"Not Found"), r"Nothing of 'Wiki' answers at http://.*/base/retrieval"),
        (refusal(500, 5000, f"bad key {KEY}"), r"refused with status 500: bad key \*\*\*"),
        (Reply(status=502, body=b"<html>"), "status 502: it gave no reason"),
        (Reply(status=302, headers={"Location": "http://127.0.0.1:1/"}), "status 302"),
        (
            Reply(raw=[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", Step.DROP]),
            "did not answer: .* broke off",
        ),
        (Reply(steps=iter(lambda: b" " * 1_000_000, b"")), "sent more than 8388608 bytes"),
    ],
)
def test_retrieve_refused_says_what_to_do(http: HTTPClient, reply: Reply, message: str) -> None:
    with pytest.raises(ExternalKnowledgeFailed, match=message) as caught:
        ask(http, reply)
    assert KEY not in caught.value.message


def test_retrieve_silent_service_fails_by_the_deadline(http: HTTPClient) -> None:
    with ScriptedServer(Reply(delay_s=30)) as server:
        started = time.monotonic()
        with pytest.raises(ExternalKnowledgeFailed, match=r"'Wiki' did not answer: .* in time"):
            retrieve(make_api(server), QUERY, http, Cancel(0.2))
        assert_quick(time.monotonic() - started, 1)


def test_retrieve_cancel_ends_the_wait_at_once(http: HTTPClient) -> None:
    with ScriptedServer(Reply(delay_s=30)) as server:
        cancel = Cancel(30)
        threading.Timer(0.1, cancel.set).start()
        started = time.monotonic()
        with pytest.raises(Cancelled):
            retrieve(make_api(server), QUERY, http, cancel)
        assert_quick(time.monotonic() - started, 2)


def test_retrieve_private_endpoint_is_denied_unseen() -> None:
    with (
        ScriptedServer(Reply()) as server,
        contextlib.closing(HTTPClient(EgressPolicy(), PATIENT)) as strict,
    ):
        with pytest.raises(EgressDenied):
            retrieve(make_api(server), QUERY, strict, Cancel(30))
        assert server.seen == []


@pytest.mark.parametrize(
    "reply",
    [
        Reply.of_json({"records": []}),
        refusal(404, 2001),
        refusal(500, 9999),
        Reply(status=400, body=b"knowledge_id is required"),
    ],
)
def test_check_api_any_answer_of_the_protocol_will_do(http: HTTPClient, reply: Reply) -> None:
    with ScriptedServer(reply) as server:
        check_api(make_api(server), http, Cancel(30))
        assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "reply", [refusal(403, 1002), Reply(status=401), Reply(status=404), Reply(status=502)]
)
def test_check_api_wrong_key_or_place_is_told(http: HTTPClient, reply: Reply) -> None:
    with ScriptedServer(reply) as server, pytest.raises(ExternalKnowledgeFailed):
        check_api(make_api(server), http, Cancel(30))


@pytest.mark.parametrize("key_code", [1001, 1002])
def test_check_api_refused_key_is_told_whatever_the_status(http: HTTPClient, key_code: int) -> None:
    with (
        ScriptedServer(refusal(400, key_code)) as server,
        pytest.raises(ExternalKnowledgeFailed, match="API key"),
    ):
        check_api(make_api(server), http, Cancel(30))


def test_check_endpoint_gives_it_without_final_slash() -> None:
    assert check_endpoint(" https://a.example/api/v1/ ") == "https://a.example/api/v1"


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "a.example",
        "ftp://a.example",
        "http://",
        "http://a:b",
        "http://[::1",
        "https://a.example/?q=1",
        "http://u:p@a",
    ],
)
def test_check_endpoint_refuses_what_is_no_address(endpoint: str) -> None:
    with pytest.raises(InvalidRequest, match="not the address of an API"):
        check_endpoint(endpoint)
