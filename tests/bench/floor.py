"""The floor: the same stack with no backend behind it, Flask on gevent as a bare proxy of the model.

It keeps nothing and knows nobody; it parses each upstream frame and writes a
full event for it, as any backend must. The bearer token names the model,
``FLOOR_UPSTREAM`` the model server. Serve it with gunicorn's gevent worker.
"""

import http.client
import json
import os
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, request

UPSTREAM = urlsplit(os.environ.get("FLOOR_UPSTREAM", "http://127.0.0.1:9100")).netloc
UPSTREAM_TIMEOUT_S = 60.0
LISTED = 30

app = Flask(__name__)
idle: list[http.client.HTTPConnection] = []
apps_page = json.dumps(
    {
        "page": 1,
        "limit": LISTED,
        "total": LISTED,
        "has_more": False,
        "data": [
            {
                "id": str(uuid.uuid4()),
                "name": f"App {number}",
                "mode": "chat",
                "icon": "x",
                "icon_background": "#FFEAD5",
                "description": "",
                "created_at": 1,
            }
            for number in range(LISTED)
        ],
    }
)


@app.get("/health")
def health() -> dict[str, str]:
    """Say that the floor is up."""
    return {"status": "ok"}


@app.get("/console/api/apps")
def list_apps() -> Response:
    """Answer with a page that is always the same."""
    return Response(apps_page, mimetype="application/json")


@app.post("/v1/chat-messages")
def chat() -> Response | dict[str, Any]:
    """Pass the question to the model and its answer back, streamed or whole."""
    asked = request.get_json()
    is_stream = asked["response_mode"] == "streaming"
    model = request.headers["Authorization"].removeprefix("Bearer ")
    connection, reply = _call(model, asked["query"], is_stream=is_stream)
    ids = _ids()
    if is_stream:
        return Response(_events(connection, reply, ids), mimetype="text/event-stream")
    told = json.loads(reply.read())
    idle.append(connection)
    text = told["choices"][0]["message"]["content"]
    return {"event": "message", **ids, "mode": "chat", "answer": text, "metadata": {"usage": told["usage"]}}


def _call(
    model: str, query: str, *, is_stream: bool
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    body = json.dumps(
        {
            "model": model,
            "stream": is_stream,
            "messages": [
                {"role": "system", "content": "Answer in short."},
                {"role": "user", "content": query},
            ],
        }
    )
    connection = idle.pop() if idle else http.client.HTTPConnection(UPSTREAM, timeout=UPSTREAM_TIMEOUT_S)
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    return connection, connection.getresponse()


def _ids() -> dict[str, object]:
    message_id = str(uuid.uuid4())
    return {
        "conversation_id": str(uuid.uuid4()),
        "message_id": message_id,
        "created_at": int(time.time()),
        "task_id": str(uuid.uuid4()),
        "id": message_id,
    }


def _events(
    connection: http.client.HTTPConnection, reply: http.client.HTTPResponse, ids: dict[str, object]
) -> Iterator[bytes]:
    for line in reply:
        data = line.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            break
        if not data:
            continue
        for choice in json.loads(data)["choices"]:
            if text := choice["delta"].get("content"):
                yield _event({"event": "message", **ids, "answer": text})
    yield _event({"event": "message_end", **ids, "metadata": {}})
    reply.read()
    idle.append(connection)


def _event(value: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"
