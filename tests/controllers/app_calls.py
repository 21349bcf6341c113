"""Calls of the public API's smaller routes, as a client would make them."""

from collections.abc import Callable

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
