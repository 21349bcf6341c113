"""Calls of a browser that opened an app's page."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask.testing import FlaskClient

from tests.factories import ChatApp, Owner, make_chat_app
from tests.online import reachable
from tests.servers import Reply, ScriptedServer


@dataclass(frozen=True)
class Guest:
    """A browser with a passport."""

    client: FlaskClient
    code: str
    passport: str

    @property
    def headers(self) -> dict[str, str]:
        """What its calls carry."""
        return {"X-App-Code": self.code, "X-App-Passport": self.passport}

    def get(self, path: str, **query: object) -> Any:
        """Return the answer of a route."""
        return self.client.get(f"/api{path}", query_string=query, headers=self.headers)

    def post(self, path: str, **body: object) -> Any:
        """Return the answer of a route; without a body where nothing is said."""
        return self.client.post(f"/api{path}", json=body or None, headers=self.headers)

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Return the answer of a route."""
        return self.client.open(f"/api{path}", method=method, headers=self.headers, **options)


def code_of(client: FlaskClient, owner: Owner, app_id: str) -> str:
    """Return the code of an app's site."""
    app = client.get(f"/console/api/apps/{app_id}", headers=owner.headers).get_json()
    return str(app["site"]["code"])


def open_page(client: FlaskClient, owner: Owner, app_id: str, user_id: str | None = None) -> Guest:
    """Return a guest of an app's page."""
    code = code_of(client, owner, app_id)
    query = {"user_id": user_id} if user_id else {}
    answer = client.get("/api/passport", query_string=query, headers={"X-App-Code": code})
    assert answer.status_code == 200, answer.text
    return Guest(client, code, str(answer.get_json()["access_token"]))


PUBLIC = (
    "GET /passport",
    "GET /system-features",
    "GET /webapp/access-mode",
    "GET /login/status",
    "POST /logout",
)
"""What needs no passport."""


def use_answers(client: FlaskClient, owner: Owner) -> dict[str, Any]:
    """Call every route of what a guest does with answers once; return the answers by the routes' names."""
    runtime = client.application.extensions["runtime"]
    on = {"enabled": True}
    writer = make_chat_app(runtime, owner, mode="completion", more_like_this=on)
    guest = open_page(client, owner, writer.id)
    message = guest.post("/completion-messages", query="Hello", inputs={}).get_json()["message_id"]
    talker = make_chat_app(runtime, owner, suggested_questions_after_answer=on)
    chat = open_page(client, owner, talker.id)
    said = chat.post("/chat-messages", query="Hello", inputs={}).get_json()["message_id"]
    return {
        "GET /messages/{message_id}/more-like-this": guest.get(f"/messages/{message}/more-like-this"),
        "GET /messages/{message_id}/suggested-questions": chat.get(f"/messages/{said}/suggested-questions"),
        "POST /saved-messages": guest.post("/saved-messages", message_id=message),
        "GET /saved-messages": guest.get("/saved-messages"),
        "DELETE /saved-messages/{message_id}": guest.call("DELETE", f"/saved-messages/{message}"),
    }


def call_all(client: FlaskClient, app: ChatApp) -> dict[str, Any]:
    """Call every route that only browsers use once; return the answers by the routes' names."""
    guest = open_page(client, app.owner, app.id)
    talk = guest.post("/chat-messages", query="Hello", inputs={}).get_json()["conversation_id"]
    code = {"X-App-Code": guest.code}
    answers = {
        "GET /passport": client.get("/api/passport", headers=code),
        "GET /webapp/permission": guest.get("/webapp/permission"),
        "PATCH /conversations/{conversation_id}/{action}": guest.call("PATCH", f"/conversations/{talk}/pin"),
    }
    for name in PUBLIC[1:]:
        method, _, path = name.partition(" ")
        answers[name] = guest.call(method, path)
    answers.update(use_answers(client, app.owner))
    text = Reply(headers={"Content-Type": "text/plain"}, body=b"hello")
    with ScriptedServer(text) as server, reachable(client.application, server):
        url = f"{server.url}/a.txt"
        answers["POST /remote-files/upload"] = guest.post("/remote-files/upload", url=url)
        answers["GET /remote-files/{url}"] = guest.get(f"/remote-files/{quote(url, safe='')}")
    return answers
