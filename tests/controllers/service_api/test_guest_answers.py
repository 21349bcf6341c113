"""What guests of an app's page do with answers: keep them, ask for others, go on from them, hear them."""

import io
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from api.models.conversation import Message, SavedMessage
from api.runtime import Runtime
from api.services import conversations
from api.services.jobs import Job, Lease
from tests.controllers.app_calls import add_speech
from tests.controllers.guest_calls import Guest, open_page
from tests.factories import Owner, make_chat_app
from tests.fakes import Script
from tests.servers import Reply, ScriptedServer
from tests.sse import read_events, text_of
from tests.uploads import MP3

FORM = [{"paragraph": {"label": "Query", "variable": "query", "required": True}}]
WRITER: dict[str, Any] = {"mode": "completion", "pre_prompt": "Do {{query}}", "user_input_form": FORM}


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def guest(client: FlaskClient, runtime: Runtime, owner: Owner, script: Script) -> Guest:
    """A guest of a completion app that gives other answers too."""
    app = make_chat_app(runtime, owner, model=script.choice, more_like_this={"enabled": True}, **WRITER)
    return open_page(client, owner, app.id)


def complete(guest: Guest, query: str) -> str:
    said = guest.post("/completion-messages", inputs={"query": query}, response_mode="blocking")
    assert said.status_code == 200, said.text
    return str(said.get_json()["message_id"])


# -- kept ----------------------------------------------------------------------------------------


def test_answers_are_kept_listed_in_pages_and_let_go(client: FlaskClient, owner: Owner, guest: Guest) -> None:
    one, two, three = (complete(guest, query) for query in ("one", "two", "three"))
    for message in (two, one, one, three):
        kept = guest.post("/saved-messages", message_id=message)
        assert (kept.status_code, kept.get_json()) == (200, {"result": "success"})
    guest.post(f"/messages/{one}/feedbacks", rating="like")

    page = guest.get("/saved-messages", limit=2).get_json()
    rest = guest.get("/saved-messages", last_id=one).get_json()
    assert ([item["id"] for item in page["data"]], page["has_more"]) == ([three, one], True)
    assert ([item["id"] for item in rest["data"]], rest["has_more"]) == ([two], False)
    told = page["data"][1]
    assert (told["inputs"], told["answer"], told["feedback"]) == (
        {"query": "one"},
        "Hello world",
        {"rating": "like"},
    )
    assert "total_tokens" not in told

    path = f"/saved-messages/{one}"
    assert [guest.call("DELETE", path).status_code for _ in range(2)] == [204, 404]
    assert guest.get("/saved-messages", last_id=one).status_code == 404
    assert len(guest.get("/saved-messages").get_json()["data"]) == 2


def test_answers_of_others_cannot_be_kept_nor_let_go(client: FlaskClient, owner: Owner, guest: Guest) -> None:
    message = complete(guest, "one")
    guest.post("/saved-messages", message_id=message)
    app_id = guest.get("/site").get_json()["app_id"]
    other = open_page(client, owner, app_id)

    assert other.get("/saved-messages").get_json()["data"] == []
    assert other.post("/saved-messages", message_id=message).status_code == 404
    assert other.call("DELETE", f"/saved-messages/{message}").status_code == 404
    assert other.get(f"/messages/{message}/more-like-this").status_code == 404
    assert other.call("DELETE", "/saved-messages/no-id").status_code == 404
    assert guest.post("/saved-messages", message_id="no-id").status_code == 400


def test_kept_answers_go_with_their_conversation(runtime: Runtime, owner: Owner, guest: Guest) -> None:
    message = complete(guest, "one")
    guest.post("/saved-messages", message_id=message)
    kept = select(func.count()).select_from(SavedMessage).where(SavedMessage.message_id == message)
    with runtime.reading() as session:
        talk = session.get_one(Message, message).conversation_id
        assert session.scalar(kept) == 1
    lease = Lease(
        job_id=message,
        tenant_id=owner.tenant_id,
        name=Job.PURGE_CONVERSATION,
        queue="",
        payload={"conversation_id": talk},
        attempt=1,
        length_s=60,
    )
    conversations.purge_conversation(runtime, lease)
    with runtime.reading() as session:
        assert session.scalar(kept) == 0


def test_only_completion_apps_have_answers_to_keep(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    talker = open_page(client, owner, make_chat_app(runtime, owner).id)
    message = talker.post("/chat-messages", query="Hi", inputs={}).get_json()["message_id"]
    answers = [
        talker.get("/saved-messages"),
        talker.post("/saved-messages", message_id=message),
        talker.call("DELETE", f"/saved-messages/{message}"),
        talker.get(f"/messages/{message}/more-like-this"),
    ]
    assert {(answer.status_code, answer.get_json()["code"]) for answer in answers} == {
        (400, "not_completion_app")
    }


# -- more like this ------------------------------------------------------------------------------


def test_another_answer_is_a_message_of_its_own(runtime: Runtime, guest: Guest, script: Script) -> None:
    message = complete(guest, "it")
    script.pieces = ["Something ", "else"]

    events = read_events(guest.get(f"/messages/{message}/more-like-this", response_mode="streaming"))
    blocking = guest.get(f"/messages/{message}/more-like-this").get_json()

    assert text_of(events) == blocking["answer"] == "Something else"
    assert len({message, events[0]["message_id"], blocking["message_id"]}) == 3
    assert len({request.messages for request in script.requests}) == 1
    with runtime.reading() as session:
        again = session.get_one(Message, blocking["message_id"])
        first = session.get_one(Message, message)
    assert (again.inputs, again.invoke_from) == (first.inputs, "web-app") == ({"query": "it"}, "web-app")


def test_app_with_one_answer_says_so(
    client: FlaskClient, runtime: Runtime, owner: Owner, script: Script
) -> None:
    guest = open_page(client, owner, make_chat_app(runtime, owner, model=script.choice, **WRITER).id)
    refused = guest.get(f"/messages/{complete(guest, 'it')}/more-like-this")
    assert (refused.status_code, refused.get_json()["code"]) == (403, "app_more_like_this_disabled")


# -- what follows --------------------------------------------------------------------------------


def test_guest_is_told_what_to_ask_next(
    client: FlaskClient, runtime: Runtime, owner: Owner, script: Script
) -> None:
    on: Any = {"suggested_questions_after_answer": {"enabled": True}}
    app, quiet = make_chat_app(runtime, owner, model=script.choice, **on), make_chat_app(runtime, owner)
    script.pieces = ['["Where?"]']
    answers = []
    for page in (app, quiet):
        guest = open_page(client, owner, page.id)
        said = guest.post("/chat-messages", query="Hi", inputs={}).get_json()
        answers.append(guest.get(f"/messages/{said['message_id']}/suggested-questions"))

    assert answers[0].get_json() == {"data": ["Where?"]}
    code = "app_suggested_questions_after_answer_disabled"
    assert (answers[1].status_code, answers[1].get_json()["code"]) == (403, code)


def test_guest_is_heard_and_spoken_to(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    on: Any = {"speech_to_text": {"enabled": True}, "text_to_speech": {"enabled": True}}
    app = make_chat_app(runtime, owner, **on)
    with ScriptedServer(Reply()) as server:
        add_speech(client, owner, server)
        server.then(Reply.of_json({"text": "Hello."}), Reply(body=MP3))
        guest, other = (open_page(client, owner, app.id) for _ in range(2))
        said = guest.post("/chat-messages", query="Hi", inputs={}).get_json()["message_id"]
        heard = guest.call("POST", "/audio-to-text", data={"file": (io.BytesIO(MP3), "a.mp3")})
        spoken = guest.post("/text-to-audio", text="Hello.")
        assert other.post("/text-to-audio", message_id=said).status_code == 404

    assert heard.get_json() == {"text": "Hello."}
    assert (spoken.status_code, spoken.data) == (200, MP3)
