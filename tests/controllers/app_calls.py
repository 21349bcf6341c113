"""Calls of the public API's smaller routes, as a client would make them."""

from collections.abc import Callable
from typing import Any

from werkzeug.test import TestResponse

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
