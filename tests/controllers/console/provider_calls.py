"""Calls of the console's provider routes that several tests make."""

from typing import Any

from flask.testing import FlaskClient

from tests.factories import Owner
from tests.servers import Reply, ScriptedServer

PROVIDERS = "/console/api/workspaces/current/model-providers"
COMPATIBLE = "langgenius/openai_api_compatible/openai_api_compatible"
MODELS = Reply.of_json({"object": "list", "data": []})
ANSWER = Reply.of_events(
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}},
)
SECRET = "sk-planted-secret-0123456789-xy"
MASKED = "sk-pla************xy"


def form(server: ScriptedServer, key: str = SECRET, **fields: object) -> dict[str, object]:
    """Return the form of a compatible server, filled in."""
    return {"endpoint_url": f"{server.url}/v1", "api_key": key, **fields}


def save(client: FlaskClient, owner: Owner, server: ScriptedServer, key: str = SECRET, **body: object) -> Any:
    """Store credentials of a compatible server."""
    return client.post(
        f"{PROVIDERS}/{COMPATIBLE}/credentials",
        json={"credentials": form(server, key), **body},
        headers=owner.headers,
    )


def show(client: FlaskClient, owner: Owner, provider: str) -> dict[str, Any]:
    """Return a provider as the catalogue shows it, by its short id."""
    answer = client.get(PROVIDERS, headers=owner.headers)
    assert answer.status_code == 200
    found: dict[str, Any] = next(p for p in answer.get_json()["data"] if p["provider_short"] == provider)
    return found
