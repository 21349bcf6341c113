"""Calls of the public API's smaller routes, as a client would make them."""

import io
from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.controllers.console.provider_calls import COMPATIBLE, MODELS, PROVIDERS, save
from tests.factories import Owner
from tests.servers import Reply, ScriptedServer
from tests.uploads import MP3

Call = Callable[..., TestResponse]


def call_message(call: Call, message_id: str, user: str) -> dict[str, TestResponse]:
    """Call every route of a message that has an answer; return the answers by the routes' names."""
    path, named = f"/messages/{message_id}", {"user": user}
    return {
        "POST /messages/{message_id}/feedbacks": call(
            "POST", f"{path}/feedbacks", json={**named, "rating": "like"}
        ),
        "GET /app/feedbacks": call("GET", "/app/feedbacks"),
        "GET /messages/{message_id}/suggested": call("GET", f"{path}/suggested", query_string=named),
    }


def call_variables(call: Call) -> dict[str, TestResponse]:
    """Call every route of conversation variables, with the key of a chatflow that has some."""
    said: Any = call("POST", "/chat-messages", json={"query": "Hi", "user": "ann"}).get_json()
    path, of = (
        f"/conversations/{said['conversation_id']}/variables",
        "/conversations/{conversation_id}/variables",
    )
    listed = call("GET", path, query_string={"user": "ann"})
    found: Any = listed.get_json()
    change = call("PUT", f"{path}/{found['data'][0]['id']}", json={"value": "x", "user": "ann"})
    return {f"GET {of}": listed, f"PUT {of}/{{variable_id}}": change}


def add_speech(client: FlaskClient, owner: Owner, server: ScriptedServer, *kinds: str) -> None:
    """Give a workspace models that hear and speak (or of the given types), which a server stands for."""
    server.then(MODELS)
    assert save(client, owner, server).status_code == 201
    for kind in kinds or ("speech2text", "tts"):
        model = {"model": f"my-{kind}", "model_type": kind}
        added = client.post(f"{PROVIDERS}/{COMPATIBLE}/models", json=model, headers=owner.headers)
        assert added.status_code == 200, added.text


def call_speech(call: Call, client: FlaskClient, owner: Owner) -> dict[str, TestResponse]:
    """Call every route of speech once."""
    with ScriptedServer(MODELS) as server:
        add_speech(client, owner, server)
        server.then(Reply.of_json({"text": "Hello."}), Reply(body=MP3))
        form = {"file": (io.BytesIO(MP3), "a.mp3"), "user": "ann"}
        return {
            "POST /audio-to-text": call("POST", "/audio-to-text", data=form),
            "POST /text-to-audio": call("POST", "/text-to-audio", json={"text": "Hello.", "user": "ann"}),
        }
