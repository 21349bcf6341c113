"""Bad input gets the one error body with the right status, on every door, and harms nothing."""

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.controllers.http.door import guard_of
from tests.conftest import ONCE
from tests.factories import ChatApp, Owner

CHAT = "/api/chat-messages"
GOOD = {"query": "Hi", "user": "ada"}


def post(client: FlaskClient, app: ChatApp, body: object, path: str = CHAT) -> TestResponse:
    return client.post(path, json=body, headers=app.headers)


def assert_error(answer: TestResponse, status: int, code: str | None = None) -> dict[str, Any]:
    """Check the unified error body and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    body: dict[str, Any] = answer.get_json()
    assert body["status"] == status
    assert isinstance(body["message"], str)
    assert body["message"]
    assert set(body) <= {"code", "message", "status", "details", "params"}
    if code is not None:
        assert body["code"] == code
    assert answer.headers["X-Request-Id"]
    return body


@ONCE
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b'{"query": }',
        b"nonsense",
        b'{"query": "\xff"}',
        b'{"query": "\\ud800", "user": "a"}',
        b'{"query": NaN, "user": "a"}',
        b'{"query": "a", "user": "b"} trailing',
    ],
)
def test_malformed_body_is_refused(client: FlaskClient, chat_app: ChatApp, raw: bytes) -> None:
    seed = client.post(CHAT, data=raw, content_type="application/json", headers=chat_app.headers)
    dify = client.post(
        "/v1/chat-messages", data=raw, content_type="application/json", headers=chat_app.headers
    )

    assert_error(seed, 400, "invalid_param")
    assert_error(dify, 400, "bad_request")


@ONCE
@pytest.mark.parametrize("body", [[], "text", 5, True, None])
def test_json_of_another_kind_is_refused(client: FlaskClient, chat_app: ChatApp, body: object) -> None:
    assert_error(post(client, chat_app, body), 400, "invalid_param")


@ONCE
@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "nonsense", "", None])
def test_other_media_type_is_refused(
    client: FlaskClient, chat_app: ChatApp, content_type: str | None
) -> None:
    answer = client.post(CHAT, data=json.dumps(GOOD), content_type=content_type, headers=chat_app.headers)

    assert_error(answer, 415, "unsupported_media_type")


@ONCE
@pytest.mark.parametrize("depth", [65, 200, 5_000, 100_000])
def test_deep_json_is_refused(client: FlaskClient, chat_app: ChatApp, depth: int) -> None:
    raw = b'{"query": "Hi", "user": "a", "inputs": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"

    answer = client.post(CHAT, data=raw, content_type="application/json", headers=chat_app.headers)

    assert_error(answer, 400, "invalid_param")


def test_brackets_inside_text_are_not_depth(client: FlaskClient, chat_app: ChatApp) -> None:
    assert post(client, chat_app, {**GOOD, "query": '["{' * 500 + '\\"[' * 100}).status_code == 200


@ONCE
@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("query", None, "invalid_type"),
        ("query", 5, "invalid_type"),
        ("query", True, "invalid_type"),
        ("query", ["a"], "invalid_type"),
        ("query", {}, "invalid_type"),
        ("query", "", "required"),
        ("query", "a\x00b", "invalid_format"),
        ("user", None, "invalid_type"),
        ("user", "", "required"),
        ("user", True, "invalid_type"),
        ("user", 1.5, "invalid_type"),
        ("user", ["a"], "invalid_type"),
        ("inputs", "x", "invalid_type"),
        ("inputs", [1], "invalid_type"),
        ("inputs", 5, "invalid_type"),
        ("response_mode", "sometimes", "invalid_choice"),
        ("response_mode", None, "invalid_type"),
        ("response_mode", 1, "invalid_type"),
        ("conversation_id", "not-a-uuid", "invalid_format"),
        ("conversation_id", "../../etc/passwd", "invalid_format"),
        ("conversation_id", "x" * 5000, "invalid_format"),
        ("conversation_id", 5, "invalid_type"),
        ("files", {}, "invalid_type"),
        ("files", ["x"], "invalid_type"),
        ("auto_generate_name", "yes", "invalid_type"),
        ("auto_generate_name", 1, "invalid_type"),
    ],
)
def test_wrong_value_names_its_field(
    client: FlaskClient, chat_app: ChatApp, field: str, value: object, fault: str
) -> None:
    body = assert_error(post(client, chat_app, {**GOOD, field: value}), 400, "invalid_param")

    if "\x00" not in str(value):
        assert body["details"] == {"field": field, "type": fault}
        assert body["params"] == field


@ONCE
@pytest.mark.parametrize("field", ["query", "user"])
def test_missing_field_is_named(client: FlaskClient, chat_app: ChatApp, field: str) -> None:
    body = {key: value for key, value in GOOD.items() if key != field}

    error = assert_error(post(client, chat_app, body), 400, "invalid_param")

    assert error["message"] == f"Parameter '{field}' is required"
    assert error["details"] == {"field": field, "type": "required"}


def test_unknown_fields_are_ignored(client: FlaskClient, chat_app: ChatApp) -> None:
    answer = post(client, chat_app, {**GOOD, "tenant_id": "x", "id": "y", "surprise": {"a": 1}})

    assert answer.status_code == 200
    assert "surprise" not in answer.text


@ONCE
@pytest.mark.parametrize("limit", ["0", "-1", "101", "1" + "0" * 9, "1" + "0" * 20, "abc", "", "1.5"])
def test_page_size_outside_its_range_is_refused(client: FlaskClient, chat_app: ChatApp, limit: str) -> None:
    answer = client.get(f"/api/conversations?user=ada&limit={limit}", headers=chat_app.headers)

    assert_error(answer, 400, "invalid_param")


@pytest.mark.parametrize(
    "bad", ["x", "1", "%00", "..%2f..%2fetc", "a" * 5000, "11111111-1111-4111-8111-11111111111z"]
)
@pytest.mark.parametrize(
    "path", ["/api/conversations/{}/messages?user=ada", "/api/chat-messages/{}/events?user=ada"]
)
def test_bad_id_in_a_path_is_not_found(client: FlaskClient, chat_app: ChatApp, path: str, bad: str) -> None:
    assert_error(client.get(path.format(bad), headers=chat_app.headers), 404, "not_found")


@ONCE
@pytest.mark.parametrize("path", ["/nowhere", "/api/nowhere", "/v1/nowhere", "/console/api/nowhere"])
def test_unknown_path_is_not_found(client: FlaskClient, path: str) -> None:
    assert_error(client.get(path), 404, "not_found")


@ONCE
def test_wrong_method_says_which_are_right(client: FlaskClient, chat_app: ChatApp) -> None:
    answer = client.get(CHAT, headers=chat_app.headers)

    assert_error(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


@ONCE
def test_declared_giant_body_is_refused_unread(client: FlaskClient, chat_app: ChatApp) -> None:
    answer = client.post(
        CHAT,
        data=b"{",
        content_type="application/json",
        headers=chat_app.headers,
        environ_overrides={"CONTENT_LENGTH": str(2**30)},
    )

    assert_error(answer, 413)


def test_any_unicode_text_comes_back_as_it_was(client: FlaskClient, chat_app: ChatApp) -> None:
    query = "🤖" * 40 + "城市 é \u202e \uffff"
    said = post(client, chat_app, {**GOOD, "query": query}).get_json()

    page = client.get(
        f"/api/messages?user=ada&conversation_id={said['conversation_id']}", headers=chat_app.headers
    )

    assert page.get_json()["data"][0]["query"] == query


# -- credentials ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "Authorization header must be provided and start with 'Bearer'."),
        ("", "Authorization header must be provided and start with 'Bearer'."),
        ("app-xyz", "Authorization header must be provided and start with 'Bearer'."),
        ("Basic abc", "Authorization scheme must be 'Bearer'."),
        ("Bearer app-unknownunknownunknown", "Access token is invalid"),
        ("bearer app-unknownunknownunknown", "Access token is invalid"),
        ("Bearer dataset-abc", "Access token is invalid"),
    ],
)
def test_bad_key_is_refused(client: FlaskClient, header: str | None, message: str) -> None:
    answer = client.get("/api/info", headers={} if header is None else {"Authorization": header})

    assert assert_error(answer, 401, "unauthorized")["message"] == message
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'


def test_key_in_the_query_is_refused_and_the_header_named(client: FlaskClient, chat_app: ChatApp) -> None:
    answer = client.get(f"/api/info?api_key={chat_app.key}")

    message = assert_error(answer, 401, "unauthorized")["message"]
    assert "Authorization" in message
    assert "api_key" in message


def test_every_route_refuses_garbage_and_the_other_apis_credential(
    house: Flask, owner: Owner, chat_app: ChatApp
) -> None:
    client = house.test_client()
    garbage = {"Authorization": "Bearer garbage"}
    opened = []
    for rule in house.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            guard = guard_of(house, rule.endpoint, method)
            assert guard is not None, rule.rule
            if guard.kind == "public":
                continue
            path = rule.rule
            for name in rule.arguments:
                path = (
                    path.replace(f"<string:{name}>", "x")
                    .replace(f"<path:{name}>", "x")
                    .replace(f"<{name}>", "x")
                )
            wrong = chat_app.headers if guard.kind == "console" else owner.headers
            for headers in ({}, garbage, wrong):
                answer = client.open(path, method=method, headers=headers)
                if answer.status_code not in (401, 404):
                    opened.append((method, path, answer.status_code))

    assert opened == []


# -- limits ---------------------------------------------------------------------------------------


def test_answers_tell_where_the_caller_stands(client: FlaskClient, chat_app: ChatApp) -> None:
    first = client.get("/api/info", headers=chat_app.headers).headers
    second = client.get("/api/info", headers=chat_app.headers).headers

    assert int(first["X-RateLimit-Limit"]) == 6000
    assert int(second["X-RateLimit-Remaining"]) == int(first["X-RateLimit-Remaining"]) - 1
    assert int(first["X-RateLimit-Reset"]) > 1_700_000_000


@pytest.mark.parametrize(("mount", "code"), [("/api", "rate_limit_exceeded"), ("/v1", "too_many_requests")])
def test_calls_over_the_apps_own_limit_are_refused(
    client: FlaskClient, owner: Owner, chat_app: ChatApp, mount: str, code: str
) -> None:
    client.put(f"/console/api/apps/{chat_app.id}", json={"api_rpm": 3}, headers=owner.headers)

    answers = [client.get(f"{mount}/info", headers=chat_app.headers) for _ in range(8)]

    assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 5
    assert_error(answers[-1], 429, code)
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert answers[-1].headers["X-RateLimit-Remaining"] == "0"


# -- browsers -------------------------------------------------------------------------------------


@ONCE
def test_public_api_answers_preflights_without_a_key(client: FlaskClient) -> None:
    answer = client.options(
        CHAT,
        headers={
            "Origin": "https://site.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )

    assert answer.status_code in (200, 204)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@ONCE
@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_console_names_no_foreign_origin(client: FlaskClient, owner: Owner, origin: str) -> None:
    answer = client.get("/console/api/apps", headers={**owner.headers, "Origin": origin})

    assert "Access-Control-Allow-Origin" not in answer.headers
