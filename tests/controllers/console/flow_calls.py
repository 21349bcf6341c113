"""Calls to a workflow's draft in the console."""

from typing import Any

from flask.testing import FlaskClient

from api.runtime import Runtime
from tests.factories import Owner, make_app
from tests.sse import read_events


class DraftApp:
    """An app with a saved draft, and whoever works on it."""

    def __init__(
        self,
        client: FlaskClient,
        runtime: Runtime,
        owner: Owner,
        graph: object,
        *,
        mode: str = "workflow",
        **draft: Any,
    ) -> None:
        self.client, self.owner = client, owner
        self.is_chat = mode == "advanced-chat"
        self.id = make_app(runtime, owner, mode=mode)
        body = {"graph": graph, "conversation_variables": [], **draft}
        saved = self.call("POST", "workflows/draft", **body)
        assert saved.status_code == 200, saved.json

    def call(self, method: str, path: str, *, caller: Owner | None = None, **body: Any) -> Any:
        """Return the answer of a route below the app."""
        return self.client.open(
            f"/console/api/apps/{self.id}/{path}",
            method=method,
            json=body or None,
            headers=(caller or self.owner).headers,
        )

    def get(self, path: str, **query: Any) -> Any:
        """Return the answer of a route below the draft."""
        return self.client.get(
            f"/console/api/apps/{self.id}/workflows/draft/{path}",
            query_string=query,
            headers=self.owner.headers,
        )

    def run(self, caller: Owner | None = None, **body: Any) -> list[dict[str, Any]]:
        """Test the draft; return the events."""
        before = "advanced-chat/" if self.is_chat else ""
        answer = self.call("POST", f"{before}workflows/draft/run", caller=caller, **{"inputs": {}, **body})
        assert answer.status_code == 200, answer.text
        return read_events(answer)

    def values(self, path: str) -> dict[str, Any]:
        """Return what variables hold, by name."""
        return {item["name"]: item["value"] for item in self.get(path).json["items"]}

    def id_of(self, path: str, name: str) -> str:
        """Return the id of a variable."""
        return next(str(item["id"]) for item in self.get(path).json["items"] if item["name"] == name)
