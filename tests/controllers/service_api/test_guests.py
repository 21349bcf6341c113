"""Guests of an app's page: the service API's doors with a passport instead of a key."""

import io
import threading
import uuid
from dataclasses import replace
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from api.models.app import EndUser
from api.models.conversation import Message
from api.runtime import Runtime
from api.services import remembered
from tests import flows
from tests.controllers.console.flow_calls import DraftApp
from tests.controllers.guest_calls import Guest, code_of, open_page
from tests.factories import ChatApp, Owner, make_app, make_chat_app, make_key, make_owner
from tests.fakes import Script
from tests.sse import read_events, text_of
from tests.statements import count_statements

GRAPH = {
    "nodes": [
        flows.drawn("s", "start", variables=[{"variable": "x", "label": "X", "type": "text-input"}]),
        flows.drawn("e", "end", outputs=[{"variable": "y", "value_selector": ["s", "x"]}]),
    ],
    "edges": flows.edges("s > e"),
}


@pytest.fixture
def app(runtime: Runtime, owner: Owner) -> ChatApp:
    """A chat app that says what it is told to."""
    return make_chat_app(runtime, owner, model=Script(["Hel", "lo"]).choice)


@pytest.fixture
def guest(client: FlaskClient, owner: Owner, app: ChatApp) -> Guest:
    """A guest of its page."""
    return open_page(client, owner, app.id)


def stream(guest: Guest, path: str = "/chat-messages", **body: object) -> list[dict[str, Any]]:
    sent = {"response_mode": "streaming", "inputs": {}, **body}
    return read_events(guest.post(path, **sent))


def text_file() -> dict[str, Any]:
    return {"file": (io.BytesIO(b"hello"), "a.txt")}


# -- passports -----------------------------------------------------------------------------------


def test_passport_names_app_code_and_end_user(
    client: FlaskClient, runtime: Runtime, guest: Guest, app: ChatApp
) -> None:
    claims = jwt.decode(guest.passport, options={"verify_signature": False})
    assert (claims["iss"], claims["app_id"], claims["app_code"]) == (app.id, app.id, guest.code)
    assert claims["sub"] == "Web API Passport"

    stream(guest, query="hi")

    with runtime.transaction() as session:
        row = session.scalars(select(EndUser).where(EndUser.app_id == app.id)).one()
        message = session.scalars(select(Message).where(Message.app_id == app.id)).one()
        assert (row.id, row.type, row.is_anonymous) == (claims["end_user_id"], "browser", True)
        assert (message.from_end_user_id, message.invoke_from) == (row.id, "web-app")


def test_passport_of_a_named_user_is_the_same_user_again(
    client: FlaskClient, owner: Owner, app: ChatApp
) -> None:
    first, again, other = (open_page(client, owner, app.id, name) for name in ("ann", "ann", "bo"))
    stream(first, query="hi")

    seen = [len(guest.get("/conversations").get_json()["data"]) for guest in (first, again, other)]

    assert seen == [1, 1, 0]


def test_named_user_of_the_page_is_not_the_one_of_the_api(
    client: FlaskClient, owner: Owner, app: ChatApp
) -> None:
    stream(open_page(client, owner, app.id, "ann"), query="hi")

    listed = client.get("/api/conversations?user=ann", headers=app.headers).get_json()["data"]

    assert listed == []


def test_passport_is_not_given_without_a_code_or_for_a_closed_page(
    client: FlaskClient, owner: Owner, app: ChatApp
) -> None:
    code = code_of(client, owner, app.id)
    path = f"/console/api/apps/{app.id}/site-enable"

    def ask(code: str) -> Any:
        return client.get("/api/passport", headers={"X-App-Code": code})

    missing, unknown = client.get("/api/passport"), ask("0123456789abcdef")
    client.post(path, json={"enable_site": False}, headers=owner.headers)

    assert (missing.status_code, unknown.status_code, ask(code).status_code) == (401, 404, 404)


def test_passport_cannot_take_a_session_of_ours(client: FlaskClient, owner: Owner, app: ChatApp) -> None:
    code = code_of(client, owner, app.id)

    answer = client.get("/api/passport?user_id=guest-1", headers={"X-App-Code": code})

    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, "user_id")


def test_closed_page_and_new_code_end_passports_at_once(
    client: FlaskClient, owner: Owner, app: ChatApp, guest: Guest
) -> None:
    at = f"/console/api/apps/{app.id}"
    assert guest.get("/parameters").status_code == 200

    client.post(f"{at}/site-enable", json={"enable_site": False}, headers=owner.headers)
    closed = guest.get("/parameters").status_code
    client.post(f"{at}/site-enable", json={"enable_site": True}, headers=owner.headers)
    client.post(f"{at}/site/access-token-reset", headers=owner.headers)

    assert (closed, guest.get("/parameters").status_code) == (403, 401)


def test_closed_api_leaves_the_page_open(
    client: FlaskClient, owner: Owner, app: ChatApp, guest: Guest
) -> None:
    path = f"/console/api/apps/{app.id}/api-enable"
    client.post(path, json={"enable_api": False}, headers=owner.headers)

    assert guest.get("/parameters").status_code == 200


@pytest.mark.parametrize("damage", ["forged", "other code", "none", "rubbish"])
def test_bad_passports_are_refused(guest: Guest, damage: str) -> None:
    claims = jwt.decode(guest.passport, options={"verify_signature": False})
    headers = {
        "forged": {"X-App-Passport": jwt.encode(claims, "another key of thirty-two characters", "HS256")},
        "other code": {"X-App-Passport": guest.passport, "X-App-Code": "0123456789abcdef"},
        "none": {"X-App-Code": guest.code},
        "rubbish": {"Authorization": "Bearer a.b.c"},
    }[damage]

    answer = guest.client.get("/api/parameters", headers=headers)

    assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized")


def test_passport_comes_as_bearer_token_too_and_opens_nothing_at_v1(guest: Guest) -> None:
    headers = {"Authorization": f"Bearer {guest.passport}"}

    assert guest.client.get("/api/parameters", headers=headers).status_code == 200
    assert guest.client.get("/v1/parameters", headers=headers).status_code == 401


def test_passport_opens_nothing_of_other_pages_nor_of_the_keys_owner(
    client: FlaskClient, guest: Guest
) -> None:
    own = ("/info", "/workflows/logs", "/datasets", "/workflows/run/c0ffee00-0000-4000-8000-000000000000")
    assert {guest.get(path).status_code for path in own} == {401}
    assert client.get("/console/api/apps", headers=guest.headers).status_code == 401


# -- what guests do ------------------------------------------------------------------------------


def test_guest_talks_reads_back_and_names_no_user(guest: Guest) -> None:
    first = stream(guest, query="hi", user="someone else")
    talk = first[0]["conversation_id"]
    blocking = guest.post("/chat-messages", query="again", conversation_id=talk).get_json()

    history = guest.get("/messages", conversation_id=talk).get_json()["data"]
    same = guest.get(f"/conversations/{talk}/messages").get_json()["data"]

    assert text_of(first) == blocking["answer"] == "Hello"
    assert first[-1]["metadata"] == blocking["metadata"] == {"retriever_resources": []}
    assert [item["query"] for item in history] == ["hi", "again"]
    assert history == same
    assert not {"total_price", "total_tokens", "currency"} & set(history[0])


def test_guests_do_not_see_each_other(client: FlaskClient, owner: Owner, app: ChatApp, guest: Guest) -> None:
    other = open_page(client, owner, app.id)
    event = stream(guest, query="hi")[0]
    message, talk = event["message_id"], event["conversation_id"]

    assert other.get("/conversations").get_json()["data"] == []
    assert other.get("/messages", conversation_id=talk).status_code == 404
    assert other.post(f"/messages/{message}/feedbacks", rating="like").status_code == 404
    assert other.call("DELETE", f"/conversations/{talk}").status_code == 404
    assert guest.call("DELETE", f"/conversations/{talk}").status_code == 204


def test_guest_stops_its_run_without_a_body(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    gate = threading.Event()
    app = make_chat_app(runtime, owner, model=Script(["one ", "two"], gate=gate).choice)
    guest = open_page(client, owner, app.id)
    sent = {"response_mode": "streaming", "inputs": {}, "query": "hi"}
    answer = client.post("/api/chat-messages", json=sent, headers=guest.headers)
    frames = answer.iter_encoded()
    text = b""
    while b"task_id" not in text:
        text += next(frames)
    task = text.decode().partition('"task_id":"')[2].partition('"')[0]

    stopped = guest.post(f"/chat-messages/{task}/stop")
    text += b"".join(frames)

    assert (stopped.status_code, stopped.get_json()) == (200, {"result": "success"})
    assert b"two" not in text
    assert b"message_end" in text


def test_guest_rates_an_answer_and_uploads_a_file(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner, model=Script(["Hi"]).choice, file_upload={"enabled": True})
    guest = open_page(client, owner, app.id)
    message = stream(guest, query="hi")[0]["message_id"]

    rated = guest.post(f"/messages/{message}/feedbacks", rating="like")
    sent = guest.call("POST", "/files/upload", data=text_file())
    shown = guest.call("GET", f"/files/{sent.get_json()['id']}/preview", buffered=True)

    assert (rated.status_code, sent.status_code) == (200, 201)
    assert shown.data == b"hello"


def test_guest_sends_no_files_to_an_app_that_takes_none(
    client: FlaskClient, runtime: Runtime, owner: Owner, app: ChatApp, guest: Guest
) -> None:
    flow = DraftApp(client, runtime, owner, GRAPH)
    flow.call("POST", "workflows/publish")
    asking = {"file": {"label": "Letter", "variable": "letter", "required": False}}
    with_form = make_chat_app(runtime, owner, model=Script().choice, user_input_form=[asking])

    for stranger in (guest, open_page(client, owner, flow.id)):
        sent = stranger.call("POST", "/files/upload", data=text_file())
        fetched = stranger.post("/remote-files/upload", url="https://example.com/a.txt")
        for answer in (sent, fetched):
            assert (answer.status_code, answer.get_json()["message"]) == (400, "The app takes no files.")
    by_form = open_page(client, owner, with_form.id).call("POST", "/files/upload", data=text_file())
    by_key = client.post("/api/files/upload", data={"user": "ann", **text_file()}, headers=app.headers)
    assert (by_form.status_code, by_key.status_code) == (201, 201)


def test_calls_without_a_passport_are_counted_by_address(
    house: Flask, client: FlaskClient, runtime: Runtime, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(runtime, limits=replace(runtime.limits, visitor_rpm=3))
    monkeypatch.setitem(house.extensions, "runtime", few)
    address, other = (f"198.51.100.{uuid.uuid4()}" for _ in range(2))

    def call(path: str, address: str) -> TestResponse:
        return client.get(
            path, headers={"X-App-Code": guest.code}, environ_overrides={"REMOTE_ADDR": address}
        )

    paths = ("/api/passport", "/api/login/status", f"/chat/{guest.code}", "/api/passport", "/chat/0")
    answers = [call(path, address) for path in paths]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[3].get_json()["code"] == "rate_limit_exceeded"
    assert int(answers[3].headers["Retry-After"]) <= 60
    assert call("/api/passport", other).status_code == 200
    assert guest.get("/parameters").status_code == 200


def test_site_is_not_asked_for_at_every_call(client: FlaskClient, runtime: Runtime, guest: Guest) -> None:
    remembered.forget(runtime)
    header = {"X-App-Code": guest.code}

    with count_statements(runtime.engine) as statements:
        for _ in range(3):
            client.get(f"/chat/{guest.code}")
            client.get("/api/passport", headers=header)

    assert len(statements) == 1


def test_guest_pins_conversations(guest: Guest) -> None:
    one, two = (stream(guest, query=query)[0]["conversation_id"] for query in ("one", "two"))

    def listed(**query: object) -> list[str]:
        return [item["id"] for item in guest.get("/conversations", **query).get_json()["data"]]

    pinned = guest.call("PATCH", f"/conversations/{one}/pin")
    assert (pinned.status_code, pinned.get_json()) == (200, {"result": "success"})
    assert (listed(pinned="true"), listed(pinned="false")) == ([one], [two])
    guest.call("PATCH", f"/conversations/{one}/unpin")
    assert (listed(pinned="true"), len(listed())) == ([], 2)


def test_pinning_anothers_conversation_is_not_found(
    client: FlaskClient, owner: Owner, app: ChatApp, guest: Guest
) -> None:
    talk = stream(guest, query="hi")[0]["conversation_id"]

    answer = open_page(client, owner, app.id).call("PATCH", f"/conversations/{talk}/pin")

    assert answer.status_code == 404


def test_guest_of_a_completion_app_gets_a_completion(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(
        runtime, owner, mode="completion", model=Script(["done"]).choice, pre_prompt="Do {{query}}"
    )
    guest = open_page(client, owner, app.id)

    events = stream(guest, "/completion-messages", query="it")

    assert text_of(events) == "done"
    assert "usage" not in events[-1]["metadata"]
    whole = guest.post("/completion-messages", query="it", inputs={}).get_json()
    assert (whole["answer"], whole["metadata"]) == ("done", {"retriever_resources": []})


def test_guest_of_a_workflow_sees_its_outputs_and_not_its_nodes(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    flow = DraftApp(client, runtime, owner, GRAPH)
    assert flow.call("POST", "workflows/publish").status_code == 200
    guest = open_page(client, owner, flow.id)

    events = stream(guest, "/workflows/run", inputs={"x": "secret way"})
    blocking = guest.post("/workflows/run", inputs={"x": "v"}).get_json()

    nodes = [event for event in events if event["event"] in ("node_started", "node_finished")]
    assert len(nodes) == 4
    assert {event["data"].get(key) for event in nodes for key in ("inputs", "outputs", "process_data")} == {
        None
    }
    assert {event.get("outputs") for event in nodes} == {None}
    assert events[-1]["data"]["outputs"] == {"y": "secret way"}
    assert blocking["data"]["outputs"] == {"y": "v"}


def test_site_tells_a_guest_who_it_is(guest: Guest, app: ChatApp) -> None:
    told = guest.get("/site").get_json()

    claims = jwt.decode(guest.passport, options={"verify_signature": False})
    assert (told["app_id"], told["end_user_id"]) == (app.id, claims["end_user_id"])
    assert told["enable_site"] is True
    assert told["site"]["default_language"] == "en-US"


def test_small_routes_of_the_page_answer(client: FlaskClient, guest: Guest) -> None:
    assert client.get("/api/webapp/access-mode").get_json() == {"accessMode": "public"}
    assert guest.get("/webapp/permission").get_json() == {"result": True}
    assert client.get("/api/webapp/permission").status_code == 401
    assert client.get("/api/login/status").get_json() == {"logged_in": True, "app_logged_in": False}
    assert guest.get("/login/status").get_json() == {"logged_in": True, "app_logged_in": True}
    bad = client.get("/api/login/status", headers={"X-App-Passport": f"{guest.passport}x"})
    assert (bad.status_code, bad.get_json()) == (200, {"logged_in": True, "app_logged_in": False})
    assert guest.post("/logout").get_json() == {"result": "success"}
    assert client.get("/api/system-features").get_json()["webapp_auth"]["enabled"] is False


def test_key_still_opens_what_it_opened_beside_a_passport_header(
    client: FlaskClient, runtime: Runtime, guest: Guest
) -> None:
    stranger = make_owner(runtime)
    app_id = make_app(runtime, stranger, name="Theirs")
    key = make_key(runtime, stranger, app_id)
    headers = {**guest.headers, "Authorization": f"Bearer {key}"}

    answer = client.get("/api/site", headers=headers)

    assert answer.get_json()["title"] == "Theirs"
