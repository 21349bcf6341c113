"""What an app's team tries beside its messages: speech and next questions, as the app was last saved."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.principal import Role
from api.runtime import Runtime
from tests.controllers.app_calls import add_speech
from tests.controllers.console.flow_calls import DraftApp
from tests.controllers.console.provider_calls import COMPATIBLE, MODELS, PROVIDERS, form
from tests.factories import ChatApp, Owner, make_chat_app, make_member
from tests.fakes import Script
from tests.flows import drawn, edges
from tests.servers import Reply, ScriptedServer
from tests.uploads import MP3

ON: dict[str, Any] = {"speech_to_text": {"enabled": True}, "text_to_speech": {"enabled": True}}
UNKNOWN = "c0ffee00-0000-4000-8000-000000000000"
SOUND = Reply(body=b"ID3 sound")


@pytest.fixture
def server(client: FlaskClient, owner: Owner) -> Iterator[ScriptedServer]:
    """A server with models that hear and speak, which the workspace has added."""
    with ScriptedServer(Reply()) as made:
        add_speech(client, owner, made)
        made.seen.clear()
        yield made


def try_out(client: FlaskClient, owner: Owner, method: str, app_id: str, path: str, **options: Any) -> Any:
    url = f"/console/api/apps/{app_id}/{path}"
    return client.open(url, method=method, headers=owner.headers, **options)


def test_team_hears_and_speaks_as_the_app_does(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer
) -> None:
    app = make_chat_app(runtime, owner, model=Script(["An answer."]).choice, **ON)
    asked = {"query": "Hi", "user": "ann", "auto_generate_name": False}
    message: Any = client.post("/v1/chat-messages", json=asked, headers=app.headers).get_json()["id"]

    server.then(Reply.of_json({"text": "Hello."}), SOUND)
    recording = {"file": (io.BytesIO(MP3), "a.mp3")}
    heard = try_out(client, owner, "POST", app.id, "audio-to-text", data=recording)
    spoken = [
        try_out(client, owner, "POST", app.id, "text-to-audio", json=body)
        for body in ({"text": "Hello."}, {"message_id": message}, {"message_id": UNKNOWN}, {})
    ]

    assert heard.get_json() == {"text": "Hello."}
    assert [answer.status_code for answer in spoken] == [200, 200, 404, 400]
    assert (spoken[0].data, spoken[0].mimetype) == (SOUND.body, "audio/mpeg")
    assert [seen.json["input"] for seen in server.seen[1:]] == ["Hello.", "An answer."]
    quiet = make_chat_app(runtime, owner)
    assert try_out(client, owner, "POST", quiet.id, "text-to-audio", json={"text": "x"}).status_code == 400


def test_draft_says_whether_a_chatflow_speaks(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer
) -> None:
    nodes = [drawn("s", "start"), drawn("a", "answer", answer="Hi.")]
    graph = {"nodes": nodes, "edges": edges("s > a")}
    server.then(SOUND)
    for features, status in ((ON, 200), ({}, 400)):
        flow = DraftApp(client, runtime, owner, graph, mode="advanced-chat", features=features)
        spoken = try_out(client, owner, "POST", flow.id, "text-to-audio", json={"text": "x"})
        assert spoken.status_code == status, spoken.text


def test_voices_are_those_of_the_model_that_speaks(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer
) -> None:
    app = make_chat_app(runtime, owner)
    path, model = "text-to-audio/voices?language=en-US", {"model": "my-tts", "model_type": "tts"}
    assert try_out(client, owner, "GET", app.id, path).get_json() == []
    url, fields = f"{PROVIDERS}/{COMPATIBLE}/models/credentials", form(server, voices="nova, big_bird")
    server.then(MODELS)
    added = client.post(url, json={**model, "credentials": fields}, headers=owner.headers)
    assert added.status_code == 201, added.text
    member = make_member(runtime, owner, Role.NORMAL)
    told = try_out(client, member, "GET", app.id, path).get_json()
    assert told == [{"name": "Nova", "value": "nova"}, {"name": "Big bird", "value": "big_bird"}]


def test_team_is_told_what_to_ask_next(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    script = Script(['["Where?", "When?"]'])
    config: Any = {"model": script.choice, "suggested_questions_after_answer": {"enabled": True}}
    app = make_chat_app(runtime, owner, **config)

    def suggested(app: ChatApp, config: Any) -> Any:
        trial = {"query": "Hi", "inputs": {}, "model_config": config}
        said = try_out(client, owner, "POST", app.id, "chat-messages", json=trial).get_json()
        return try_out(client, owner, "GET", app.id, f"chat-messages/{said['id']}/suggested-questions")

    assert suggested(app, config).get_json() == {"data": ["Where?", "When?"]}
    quiet: Any = {"model": script.choice}
    refused = suggested(make_chat_app(runtime, owner, **quiet), quiet)
    code = "app_suggested_questions_after_answer_disabled"
    assert (refused.status_code, refused.get_json()["code"]) == (403, code)
