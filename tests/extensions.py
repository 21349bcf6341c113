"""A service of a workspace's own, as apps ask it while they run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask.testing import FlaskClient

from tests.factories import Owner
from tests.online import reachable
from tests.servers import Reply, ScriptedServer, Seen

EXTENSIONS = "/console/api/api-based-extension"
KEY = "sk-extension-1"
Said = object | Callable[[Any], object]


@dataclass
class Service:
    """Answers at each point with what it has for it, and remembers what it was asked."""

    url: str = ""
    answers: dict[str, Said] = field(default_factory=lambda: {"ping": {"result": "pong"}})
    asked: list[Any] = field(default_factory=list)

    def __call__(self, seen: Seen) -> Reply:
        """Answer a call; 401 where its key is another."""
        if seen.headers["authorization"] != f"Bearer {KEY}":
            return Reply(status=401)
        self.asked.append(seen.json)
        said = self.answers.get(seen.json["point"], Reply(status=500))
        said = said(seen.json["params"]) if callable(said) else said
        return said if isinstance(said, Reply) else Reply.of_json(said)

    def params(self, point: str) -> list[Any]:
        """Return what it was asked at a point."""
        return [body["params"] for body in self.asked if body["point"] == point]


@contextmanager
def serving(client: FlaskClient) -> Iterator[Service]:
    """Let a service run that the program may call."""
    service = Service()
    with ScriptedServer(service) as server, reachable(client.application, server):
        service.url = f"{server.url}/dify"
        yield service


def connect(client: FlaskClient, owner: Owner, service: Service, **changes: object) -> Any:
    """Connect a service to a workspace; return the answer."""
    sent = {"name": "Ours", "api_endpoint": service.url, "api_key": KEY, **changes}
    return client.post(EXTENSIONS, json=sent, headers=owner.headers)
