"""A chat message through the public API: streamed, whole, remembered, repeated, stopped."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.core.model_runtime.types import ImagePart
from api.errors import CompletionFailed
from api.runtime import Runtime
from tests.conftest import BOTH
from tests.factories import ChatApp, Owner, make_chat_app, make_key
from tests.fakes import Script
from tests.sse import parse_events, read_events, text_of
from tests.uploads import PNG, uploaded

MOUNTS = ("/api", "/v1")
ASKED = {"query": "Hi", "user": "ada", "response_mode": "streaming", "auto_generate_name": False}
NOBODY = "11111111-1111-4111-8111-111111111111"


def send(client: FlaskClient, app: ChatApp, mount: str = "/api", **body: object) -> TestResponse:
    """Send a chat message; streaming and without a title unless said otherwise."""
    return client.post(f"{mount}/chat-messages", json={**ASKED, **body}, headers=app.headers)


def open_stream(client: FlaskClient, app: ChatApp, **body: object) -> tuple[TestResponse, Iterator[bytes]]:
    """Send a message and return the answer with its chunks, read one by one as they come."""
    answer = client.post("/api/chat-messages", json={**ASKED, **body}, headers=app.headers)
    return answer, (chunk for chunk in answer.iter_encoded() if chunk)


def history(client: FlaskClient, app: ChatApp, conversation_id: str, user: str = "ada") -> Any:
    """Return the first page of a conversation's messages."""
    answer = client.get(
        f"/api/conversations/{conversation_id}/messages", query_string={"user": user}, headers=app.headers
    )
    assert answer.status_code == 200, answer.text
    return answer.json


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def scripted(runtime: Runtime, owner: Owner, script: Script) -> ChatApp:
    return make_chat_app(runtime, owner, model=script.choice)


@pytest.mark.parametrize("mount", MOUNTS)
def test_stream_tells_the_answer_and_ends_with_its_cost(
    client: FlaskClient, scripted: ChatApp, mount: str
) -> None:
    events = read_events(send(client, scripted, mount))

    assert [event["event"] for event in events] == ["message", "message", "message", "message_end"]
    assert text_of(events) == "Hello world"
    end = events[-1]
    usage = end["metadata"]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (7, 5, 12)
    assert usage["total_price"] == "0.0000170"
    assert isinstance(usage["latency"], float)
    assert len({(e["task_id"], e["message_id"], e["conversation_id"], e["created_at"]) for e in events}) == 1
    assert all(event["id"] == event["message_id"] for event in events)


def test_stream_carries_headers_that_keep_proxies_from_buffering(
    client: FlaskClient, scripted: ChatApp
) -> None:
    headers = send(client, scripted).headers

    assert headers["X-Accel-Buffering"] == "no"
    assert "no-cache" in headers["Cache-Control"]
    assert headers["X-Version"]
    assert headers["X-Request-Id"]


@pytest.mark.parametrize("mount", MOUNTS)
def test_blocking_answer_is_the_fold_of_the_stream(
    client: FlaskClient, scripted: ChatApp, mount: str
) -> None:
    answer = send(client, scripted, mount, response_mode="blocking")

    assert answer.status_code == 200
    body = answer.get_json()
    assert body["event"] == "message"
    assert body["answer"] == "Hello world"
    assert body["mode"] == "chat"
    assert body["id"] == body["message_id"]
    assert body["metadata"]["usage"]["total_tokens"] == 12


def test_response_mode_is_blocking_when_absent(client: FlaskClient, scripted: ChatApp) -> None:
    answer = client.post("/api/chat-messages", json={"query": "Hi", "user": "ada"}, headers=scripted.headers)

    assert answer.get_json()["answer"] == "Hello world"


def test_finished_message_is_stored_with_the_same_ids(client: FlaskClient, scripted: ChatApp) -> None:
    end = read_events(send(client, scripted, query="Say hello"))[-1]

    (message,) = history(client, scripted, end["conversation_id"])["data"]

    assert message["id"] == end["message_id"]
    assert (message["query"], message["answer"], message["status"]) == ("Say hello", "Hello world", "normal")
    assert message["created_at"] == end["created_at"]
    assert message["total_tokens"] == 12


def test_continued_conversation_remembers_what_was_said(
    client: FlaskClient, scripted: ChatApp, script: Script
) -> None:
    first = read_events(send(client, scripted, query="One"))[-1]

    second = read_events(send(client, scripted, query="Two", conversation_id=first["conversation_id"]))[-1]

    assert second["conversation_id"] == first["conversation_id"]
    assert [message.text for message in script.requests[-1].messages] == ["One", "Hello world", "Two"]


@pytest.mark.parametrize(
    ("given", "told"), [("END", ("END",)), (["a", "b"], ("a", "b")), ([], ()), (None, ()), ("", ())]
)
def test_model_is_told_what_to_stop_before(
    client: FlaskClient, runtime: Runtime, owner: Owner, given: object, told: tuple[str, ...]
) -> None:
    script = Script()
    app = make_chat_app(runtime, owner, model={**script.choice, "completion_params": {"stop": given}})

    send(client, app, response_mode="blocking")

    assert script.requests[-1].stop == told


@pytest.mark.parametrize("blank", ["", None, "  "])
def test_blank_conversation_starts_a_new_one(client: FlaskClient, scripted: ChatApp, blank: object) -> None:
    assert send(client, scripted, conversation_id=blank).status_code == 200


@pytest.mark.parametrize("other", [NOBODY, NOBODY.upper()])
def test_unknown_conversation_is_not_found_before_the_stream_starts(
    client: FlaskClient, scripted: ChatApp, other: str
) -> None:
    answer = send(client, scripted, conversation_id=other)

    assert answer.status_code == 404
    assert answer.get_json()["code"] == "not_found"


def test_conversation_of_another_end_user_is_not_found(client: FlaskClient, scripted: ChatApp) -> None:
    conversation_id = read_events(send(client, scripted))[-1]["conversation_id"]

    answer = send(client, scripted, conversation_id=conversation_id, user="bob")

    assert answer.status_code == 404
    assert len(history(client, scripted, conversation_id)["data"]) == 1


def test_conversation_of_another_app_is_not_found(
    client: FlaskClient, runtime: Runtime, scripted: ChatApp, owner: Owner, script: Script
) -> None:
    conversation_id = read_events(send(client, scripted))[-1]["conversation_id"]
    other = make_chat_app(runtime, owner, model=script.choice)

    assert send(client, other, conversation_id=conversation_id).status_code == 404


def test_reader_that_comes_back_gets_exactly_the_rest(client: FlaskClient, scripted: ChatApp) -> None:
    task_id = read_events(send(client, scripted))[0]["task_id"]
    url = f"/api/chat-messages/{task_id}/events?user=ada"

    whole = read_events(client.get(url, headers=scripted.headers))
    rest = read_events(client.get(url, headers={**scripted.headers, "Last-Event-ID": "2"}))

    assert [event["#"] for event in whole] == [1, 2, 3, 4]
    assert rest == whole[2:]


def test_numbers_are_sent_only_to_readers_that_ask(client: FlaskClient, scripted: ChatApp) -> None:
    body = {"query": "Hi", "user": "ada", "response_mode": "streaming"}

    asked = client.post("/api/chat-messages", json=body, headers={**scripted.headers, "X-Stream-Ids": "true"})
    plain = send(client, scripted)

    assert [event["#"] for event in read_events(asked)] == [1, 2, 3, 4]
    assert "id: " not in plain.text


@BOTH
def test_second_reader_sees_the_identical_events(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    gate = threading.Event()
    slow = Script(gate=gate)
    app = make_chat_app(runtime, owner, model=slow.choice)
    _, stream = open_stream(client, app)
    first = next(stream)
    task_id = parse_events(first.decode())[0]["task_id"]

    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(
            lambda: client.get(f"/api/chat-messages/{task_id}/events?user=ada", headers=app.headers).text
        )
        gate.set()
        mine = parse_events((first + b"".join(stream)).decode())
        theirs = parse_events(second.result(30))

    assert [{k: v for k, v in event.items() if k != "#"} for event in theirs] == mine


@pytest.mark.parametrize("last", ["x", "-1", "1" * 20, "１"])
def test_malformed_last_event_id_is_refused(client: FlaskClient, scripted: ChatApp, last: str) -> None:
    task_id = read_events(send(client, scripted))[0]["task_id"]

    answer = client.get(
        f"/api/chat-messages/{task_id}/events?user=ada",
        headers={**scripted.headers, "Last-Event-ID": last.encode().decode("latin-1")},
    )

    assert answer.status_code == 400


def test_events_of_another_end_user_are_not_found(client: FlaskClient, scripted: ChatApp) -> None:
    task_id = read_events(send(client, scripted))[0]["task_id"]

    answer = client.get(f"/api/chat-messages/{task_id}/events?user=bob", headers=scripted.headers)

    assert answer.status_code == 404


def test_stop_ends_the_stream_and_keeps_what_was_said(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    slow = Script(pieces=["Half", " never"], gate=threading.Event())
    app = make_chat_app(runtime, owner, model=slow.choice)
    _, stream = open_stream(client, app)
    first = parse_events(next(stream).decode())[0]

    stopped = client.post(
        f"/api/chat-messages/{first['task_id']}/stop", json={"user": "ada"}, headers=app.headers
    )
    rest = parse_events(b"".join(stream).decode())

    assert (stopped.status_code, stopped.get_json()) == (200, {"result": "success"})
    assert [event["event"] for event in rest] == ["message_end"]
    (message,) = history(client, app, first["conversation_id"])["data"]
    assert message["answer"] == "Half"
    assert rest[0]["metadata"]["usage"]["completion_tokens"] > 0


def test_stop_by_a_stranger_says_success_and_does_nothing(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    gate = threading.Event()
    app = make_chat_app(runtime, owner, model=Script(gate=gate).choice)
    _, stream = open_stream(client, app)
    first = next(stream)
    task_id = parse_events(first.decode())[0]["task_id"]

    stranger = client.post(f"/api/chat-messages/{task_id}/stop", json={"user": "bob"}, headers=app.headers)
    unknown = client.post(f"/api/chat-messages/{NOBODY}/stop", json={"user": "bob"}, headers=app.headers)
    gate.set()
    events = parse_events((first + b"".join(stream)).decode())

    assert stranger.get_json() == unknown.get_json() == {"result": "success"}
    assert text_of(events) == "Hello world"


def test_lost_client_leaves_a_complete_stored_message(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    gate = threading.Event()
    app = make_chat_app(runtime, owner, model=Script(gate=gate).choice)
    response, stream = open_stream(client, app)
    first = parse_events(next(stream).decode())[0]

    response.close()
    gate.set()
    resumed = client.get(f"/api/chat-messages/{first['task_id']}/events?user=ada", headers=app.headers)

    assert text_of(read_events(resumed)) == "Hello world"
    (message,) = history(client, app, first["conversation_id"])["data"]
    assert (message["answer"], message["status"]) == ("Hello world", "normal")


def test_lost_client_stops_the_run_where_it_asked_for_that(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner, model=Script(gate=threading.Event()).choice)
    response, stream = open_stream(client, app, on_disconnect="cancel")
    first = parse_events(next(stream).decode())[0]

    response.close()
    resumed = client.get(f"/api/chat-messages/{first['task_id']}/events?user=ada", headers=app.headers)

    assert [event["event"] for event in read_events(resumed)] == ["message", "message_end"]


def refuse() -> None:
    raise CompletionFailed("The model said no.")


def break_down() -> None:
    raise RuntimeError("a bug with a secret in it")


@pytest.mark.parametrize(("mount", "code"), [("/api", "internal_error"), ("/v1", "internal_server_error")])
def test_bug_in_a_run_ends_its_stream_with_an_error_that_tells_nothing(
    client: FlaskClient,
    runtime: Runtime,
    owner: Owner,
    caplog: pytest.LogCaptureFixture,
    mount: str,
    code: str,
) -> None:
    app = make_chat_app(runtime, owner, model=Script(pieces=["Half", break_down]).choice)

    events = read_events(send(client, app, mount))

    assert [event["event"] for event in events] == ["message", "error"]
    assert (events[-1]["status"], events[-1]["code"]) == (500, code)
    assert "secret" not in events[-1]["message"]
    assert "run failed" in caplog.text


def test_failure_after_the_first_token_is_the_last_event_and_is_stored(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner, model=Script(pieces=["Half", refuse]).choice)

    events = read_events(send(client, app))

    assert [event["event"] for event in events] == ["message", "error"]
    error = events[-1]
    assert (error["status"], error["code"], error["message"]) == (
        400,
        "completion_request_error",
        "The model said no.",
    )
    (message,) = history(client, app, error["conversation_id"])["data"]
    assert (message["answer"], message["status"], message["error"]) == (
        "Half",
        "error",
        "The model said no.",
    )


def test_failure_in_blocking_mode_is_an_http_error(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner, model=Script(pieces=[refuse]).choice)

    answer = send(client, app, response_mode="blocking")

    assert answer.status_code == 400
    assert answer.get_json() == {
        "code": "completion_request_error",
        "message": "The model said no.",
        "status": 400,
    }


def test_failed_turn_is_not_remembered(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    script = Script(pieces=[refuse])
    app = make_chat_app(runtime, owner, model=script.choice)
    conversation_id = read_events(send(client, app, query="One"))[-1]["conversation_id"]
    script.pieces = ["ok"]

    read_events(send(client, app, query="Two", conversation_id=conversation_id))

    assert [message.text for message in script.requests[-1].messages] == ["Two"]


def test_tokens_are_counted_where_the_provider_reports_none(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner, model=Script(tokens=None).choice)

    usage = read_events(send(client, app))[-1]["metadata"]["usage"]

    assert usage["prompt_tokens"] > 0
    assert usage["completion_tokens"] == 2


@BOTH
def test_same_idempotency_key_gives_the_first_answer_and_one_model_call(
    client: FlaskClient, scripted: ChatApp, script: Script
) -> None:
    body = {"query": "Hi", "user": "ada", "auto_generate_name": False}
    headers = {**scripted.headers, "Idempotency-Key": "k-1"}

    first = client.post("/api/chat-messages", json=body, headers=headers)
    again = client.post("/api/chat-messages", json=body, headers=headers)
    other = client.post("/api/chat-messages", json={**body, "query": "Ho"}, headers=headers)

    assert first.get_json()["id"] == again.get_json()["id"]
    assert again.get_json()["answer"] == "Hello world"
    assert (other.status_code, other.get_json()["code"]) == (422, "idempotency_key_reused")
    assert len(script.requests) == 1


@BOTH
def test_parallel_requests_with_one_idempotency_key_make_one_message(
    house: Any, scripted: ChatApp, script: Script
) -> None:
    body = {"query": "Hi", "user": "ada", "auto_generate_name": False}
    headers = {**scripted.headers, "Idempotency-Key": "race"}

    def post(_: int) -> TestResponse:
        return house.test_client().post("/api/chat-messages", json=body, headers=headers)  # type: ignore[no-any-return]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(16)))

    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.get_json()["id"] for answer in answers if answer.status_code == 200}) == 1
    assert len(script.requests) == 1


@BOTH
def test_repeat_while_the_first_runs_is_a_conflict(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    gate = threading.Event()
    app = make_chat_app(runtime, owner, model=Script(gate=gate).choice)
    headers = {**app.headers, "Idempotency-Key": "busy"}
    body = {"query": "Hi", "user": "ada", "response_mode": "streaming"}
    stream = client.post("/api/chat-messages", json=body, headers=headers).iter_encoded()
    next(chunk for chunk in stream if chunk)

    again = client.post("/api/chat-messages", json=body, headers=headers)
    gate.set()
    b"".join(stream)

    assert (again.status_code, again.get_json()["code"]) == (409, "idempotency_in_progress")
    assert again.headers["Retry-After"] == "1"


def test_new_conversation_is_named_at_once_and_titled_by_the_model_afterwards(
    client: FlaskClient, scripted: ChatApp
) -> None:
    conversation_id = read_events(
        send(client, scripted, query="Tell me everything about the sea", auto_generate_name=True)
    )[-1]["conversation_id"]

    names = [conversation_name(client, scripted, conversation_id)]
    deadline = time.monotonic() + 30
    while names[-1] != "Hello world" and time.monotonic() < deadline:
        time.sleep(0.02)
        names.append(conversation_name(client, scripted, conversation_id))

    assert names[0] in ("Tell me everything a…", "Hello world")
    assert names[-1] == "Hello world"


def test_title_is_not_made_where_the_caller_wants_none(
    client: FlaskClient, scripted: ChatApp, script: Script
) -> None:
    end = read_events(send(client, scripted, auto_generate_name=False))[-1]

    assert conversation_name(client, scripted, end["conversation_id"]) == "Hi"
    assert len(script.requests) == 1


def conversation_name(client: FlaskClient, app: ChatApp, conversation_id: str) -> str:
    page = client.get("/api/conversations?user=ada", headers=app.headers).get_json()
    return next(item["name"] for item in page["data"] if item["id"] == conversation_id)  # type: ignore[no-any-return]


def test_completion_key_scope_does_not_open_a_chat_app(
    client: FlaskClient, runtime: Runtime, owner: Owner, scripted: ChatApp
) -> None:
    key = make_key(runtime, owner, scripted.id, "completion")

    answer = send(client, ChatApp(id=scripted.id, key=key, owner=owner))

    assert (answer.status_code, answer.get_json()["code"]) == (403, "access_denied")


def test_chat_route_refuses_a_completion_app(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = make_chat_app(runtime, owner, mode="completion", model=Script().choice)

    answer = send(client, app)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "not_chat_app")


def test_deleting_an_app_stops_its_runs(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = make_chat_app(runtime, owner, model=Script(pieces=["Half", "never"], gate=threading.Event()).choice)
    _, stream = open_stream(client, app)
    first = next(stream)

    deleted = client.delete(f"/console/api/apps/{app.id}", headers=owner.headers)
    events = parse_events((first + b"".join(stream)).decode())

    assert deleted.status_code == 200
    assert [event["event"] for event in events] == ["message", "message_end"]


FILE_FORM = [
    {"file": {"variable": "photo", "label": "Photo", "required": True, "allowed_file_types": ["image"]}}
]


def test_file_of_a_form_reaches_the_model(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    script = Script()
    app = make_chat_app(runtime, owner, model=script.choice, user_input_form=FILE_FORM)
    file = uploaded(client, app, PNG, "a.png", user="ada")
    photo = {"type": "image", "transfer_method": "local_file", "upload_file_id": file["id"]}

    answer = send(client, app, inputs={"photo": photo}, response_mode="blocking")

    assert answer.status_code == 200, answer.text
    images = [part for part in script.requests[0].messages[-1].parts if isinstance(part, ImagePart)]
    assert [image.data for image in images] == [PNG]


@pytest.mark.parametrize(
    "photo",
    [
        {},
        {"type": "image"},
        {"type": "image", "transfer_method": "local_file", "upload_file_id": NOBODY},
        {"type": "image", "transfer_method": "local_file", "upload_file_id": "x"},
    ],
)
def test_file_of_a_form_that_is_none_is_refused(
    client: FlaskClient, runtime: Runtime, owner: Owner, photo: dict[str, str]
) -> None:
    app = make_chat_app(runtime, owner, model=Script().choice, user_input_form=FILE_FORM)

    answer = send(client, app, inputs={"photo": photo})

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param")


def test_file_of_a_form_that_is_anothers_is_refused(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner, model=Script().choice, user_input_form=FILE_FORM)
    file = uploaded(client, app, PNG, "a.png", user="bob")
    photo = {"type": "image", "transfer_method": "local_file", "upload_file_id": file["id"]}

    assert send(client, app, inputs={"photo": photo}).status_code == 400
