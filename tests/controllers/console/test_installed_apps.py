"""Apps as members of a workspace use them, with their account as the user."""

import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.principal import Role
from api.runtime import Runtime
from tests.conftest import ONCE
from tests.controllers.app_calls import add_speech
from tests.controllers.console.flow_calls import DraftApp
from tests.controllers.described import check_answer, operations
from tests.controllers.test_console_answers import CONSOLE, Desk
from tests.factories import Owner, make_app, make_chat_app, make_member, make_owner
from tests.fakes import Script
from tests.flows import drawn, edges
from tests.servers import Reply, ScriptedServer
from tests.sse import read_events, text_of
from tests.uploads import MP3

APP = "/installed-apps/{installed_id}"
ON: Any = {
    name: {"enabled": True}
    for name in ("more_like_this", "suggested_questions_after_answer", "speech_to_text", "text_to_speech")
}
UNKNOWN = "c0ffee00-0000-4000-8000-000000000000"
TAGS = {"installed_runs", "installed_talks"}


@pytest.fixture
def member(runtime: Runtime, owner: Owner) -> Owner:
    """Someone who only uses apps."""
    return make_member(runtime, owner, Role.NORMAL)


def talk(desk: Desk, app_id: str) -> None:
    """Use all that a chat app offers."""
    app: Any = {"installed_id": app_id}
    desk.call("GET", f"{APP}/parameters", **app)
    desk.call("GET", f"{APP}/meta", **app)
    said = desk.call("POST", f"{APP}/chat-messages", sent={"query": "Hi"}, **app)
    again = {"query": "And?", "conversation_id": said["conversation_id"], "response_mode": "streaming"}
    events = desk.call("POST", f"{APP}/chat-messages", sent=again, **app)
    assert text_of(events) == said["answer"] == "Hello world"
    desk.call("POST", f"{APP}/chat-messages/{{task_id}}/stop", task_id=said["task_id"], **app)
    one: Any = {**app, "message_id": said["message_id"]}
    here = f"{APP}/messages/{{message_id}}"
    desk.call("GET", f"{here}/suggested-questions", **one)
    desk.call("POST", f"{here}/feedbacks", sent={"rating": "like"}, **one)
    query = {"conversation_id": said["conversation_id"]}
    history = desk.call("GET", f"{APP}/messages", query=query, **app)["data"]
    assert [item["query"] for item in history] == ["Hi", "And?"]
    assert history[0]["feedback"] == {"rating": "like"}
    talk: Any = {**app, "conversation_id": said["conversation_id"]}
    at = f"{APP}/conversations/{{conversation_id}}"
    desk.call("POST", f"{at}/name", sent={"name": "Greeting"}, **talk)
    desk.call("PATCH", f"{at}/{{action}}", action="pin", **talk)
    listed = desk.call("GET", f"{APP}/conversations", query={"pinned": "true"}, **app)["data"]
    assert [item["name"] for item in listed] == ["Greeting"]
    desk.call("DELETE", at, **talk)
    assert desk.call("GET", f"{APP}/conversations", **app)["data"] == []


def complete(desk: Desk, app_id: str) -> None:
    """Use all that a completion app offers."""
    app: Any = {"installed_id": app_id}
    said = desk.call("POST", f"{APP}/completion-messages", sent={"inputs": {"query": "it"}}, **app)
    desk.call("POST", f"{APP}/completion-messages/{{task_id}}/stop", task_id=said["task_id"], **app)
    one: Any = {**app, "message_id": said["message_id"]}
    again = desk.call("GET", f"{APP}/messages/{{message_id}}/more-like-this", **one)
    assert again["message_id"] != said["message_id"]
    desk.call("POST", f"{APP}/saved-messages", sent={"message_id": said["message_id"]}, **app)
    kept = desk.call("GET", f"{APP}/saved-messages", **app)["data"]
    assert [item["id"] for item in kept] == [said["message_id"]]
    desk.call("DELETE", f"{APP}/saved-messages/{{message_id}}", **one)


def run(desk: Desk, runtime: Runtime, maker: Owner) -> None:
    """Run a workflow and stop it too late; its log says who ran it."""
    start = drawn("s", "start", variables=[{"variable": "x", "label": "X", "type": "text-input"}])
    end = drawn("e", "end", outputs=[{"variable": "y", "value_selector": ["s", "x"]}])
    flow = DraftApp(desk.client, runtime, maker, {"nodes": [start, end], "edges": edges("s > e")})
    assert flow.call("POST", "workflows/publish").status_code == 200
    app: Any = {"installed_id": flow.id}
    done = desk.call("POST", f"{APP}/workflows/run", sent={"inputs": {"x": "v"}}, **app)
    assert done["data"]["outputs"] == {"y": "v"}
    desk.call("POST", f"{APP}/workflows/tasks/{{task_id}}/stop", task_id=done["task_id"], **app)


def speak(desk: Desk, maker: Owner, app_id: str) -> None:
    """Say something to an app, and let it say something."""
    with ScriptedServer(Reply()) as server:
        add_speech(desk.client, maker, server)
        server.then(Reply.of_json({"text": "Hello."}), Reply(body=MP3))
        for path, body in (
            ("audio-to-text", {"data": {"file": (io.BytesIO(MP3), "a.mp3")}}),
            ("text-to-audio", {"json": {"text": "Hello."}}),
        ):
            url = f"{CONSOLE}/installed-apps/{app_id}/{path}"
            answer = desk.client.post(url, headers=desk.owner.headers, buffered=True, **body)
            assert answer.status_code == 200, answer.text
            check_answer(desk.spec, f"POST {APP}/{path}", answer)
            desk.called.add(f"POST {APP}/{path}")


@ONCE
def test_member_uses_apps_and_is_answered_as_described(
    client: FlaskClient, runtime: Runtime, owner: Owner, member: Owner
) -> None:
    desk, form = Desk(client, member), {"label": "Query", "variable": "query", "required": True}
    chat = make_chat_app(runtime, owner, model=Script().choice, **ON).id
    talk(desk, chat)
    config = {
        "model": Script().choice,
        "pre_prompt": "Do {{query}}",
        "user_input_form": [{"paragraph": form}],
    }
    complete(desk, make_chat_app(runtime, owner, mode="completion", **config, **ON).id)
    run(desk, runtime, owner)
    speak(desk, owner, chat)

    assert desk.called == {name for name, said in operations(desk.spec) if TAGS & set(said["tags"])}


@ONCE
def test_every_route_is_a_members_and_of_apps_of_the_workspace(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app_id, operator = make_app(runtime, owner), make_member(runtime, owner, Role.DATASET_OPERATOR)
    routes = [name for name, said in operations(Desk(client, owner).spec) if TAGS & set(said["tags"])]
    callers = ((None, 401), (operator, 403), (make_owner(runtime), 404))

    for method, _, path in (name.partition(" ") for name in routes):
        url = CONSOLE + path.format(
            installed_id=app_id,
            action="pin",
            **dict.fromkeys(("conversation_id", "message_id", "task_id"), UNKNOWN),
        )
        for caller, status in callers:
            headers = caller.headers if caller else {}
            answer = client.open(url, method=method, headers=headers)
            assert answer.status_code == status, f"{method} {path}: {answer.text}"


def test_members_see_neither_each_other_nor_tests(
    client: FlaskClient, runtime: Runtime, owner: Owner, member: Owner
) -> None:
    app = make_chat_app(runtime, owner, model=Script().choice)
    url = f"{CONSOLE}/installed-apps/{app.id}"

    def listed(caller: Owner) -> list[str]:
        answer: Any = client.get(f"{url}/conversations", headers=caller.headers).get_json()
        return [item["id"] for item in answer["data"]]

    sent = {"query": "Hi", "response_mode": "streaming"}
    said = read_events(client.post(f"{url}/chat-messages", json=sent, headers=member.headers))[0]
    trial = {"query": "Hi", "inputs": {}, "model_config": {"model": Script().choice}}
    client.post(f"{CONSOLE}/apps/{app.id}/chat-messages", json=trial, headers=owner.headers)

    assert (listed(member), listed(owner)) == ([said["conversation_id"]], [])
    for method, path in (
        ("GET", f"messages?conversation_id={said['conversation_id']}"),
        ("DELETE", f"conversations/{said['conversation_id']}"),
        ("PATCH", f"conversations/{said['conversation_id']}/pin"),
        ("POST", f"messages/{said['message_id']}/feedbacks"),
    ):
        body = {"rating": "like"} if method == "POST" else None
        answer = client.open(f"{url}/{path}", method=method, json=body, headers=owner.headers)
        assert answer.status_code == 404, path
    log: Any = client.get(
        f"{CONSOLE}/apps/{app.id}/messages/{said['message_id']}", headers=owner.headers
    ).get_json()
    assert (log["from_source"], log["from_account_id"]) == ("console", member.account_id)


def test_apps_that_are_closed_or_of_another_workspace_or_mode_are_not_used(
    client: FlaskClient, runtime: Runtime, owner: Owner, member: Owner
) -> None:
    foreign, closed = make_app(runtime, make_owner(runtime)), make_app(runtime, owner)
    body = {"enable_site": False}
    client.post(f"{CONSOLE}/apps/{closed}/site-enable", json=body, headers=owner.headers)
    wrong, operator = make_app(runtime, owner), make_member(runtime, owner, Role.DATASET_OPERATOR)

    def use(app_id: str, caller: Owner, path: str = "parameters", **options: Any) -> tuple[int, str]:
        url = f"{CONSOLE}/installed-apps/{app_id}/{path}"
        answer = client.open(url, headers=caller.headers, **options)
        return answer.status_code, answer.get_json().get("code")

    for app_id in (foreign, closed, UNKNOWN, "no-id"):
        assert use(app_id, member) == (404, "app_not_found")
    run = {"method": "POST", "json": {"inputs": {}}}
    assert use(wrong, member, "workflows/run", **run) == (400, "not_workflow_app")
    assert use(wrong, member, "saved-messages") == (400, "not_completion_app")
    assert use(wrong, member, "chat-messages", method="POST", json={}) == (400, "invalid_param")
    assert use(wrong, operator) == (403, "access_denied")
