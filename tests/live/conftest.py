"""The program as it is really run: its own processes, on ports of their own, spoken to over sockets."""

import contextlib
import http.client
import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.commands import PROGRAM, Started, begin
from tests.conftest import DATABASE_URL, REDIS_URL, answers
from tests.factories import PASSWORD
from tests.ports import free_port
from tests.servers import Reply, ScriptedServer, Seen

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 60.0
ATTEMPTS = 5
PATIENT = pytest.mark.timeout(200)
"""For tests that start programs, on a machine that has much else to do."""


@dataclass
class Served:
    """A running program."""

    port: int
    process: Started
    data_dir: Path
    token: str = field(default="", repr=False)

    def call(self, method: str, path: str, body: object = None, token: str | None = None) -> tuple[int, Any]:
        """Return status and JSON of one request; the console's token unless another is given."""
        with contextlib.closing(self.connect()) as connection:
            self.send(connection, method, path, body, token or self.token)
            answer = connection.getresponse()
            raw = answer.read()
            return answer.status, json.loads(raw) if raw else None

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection of its own."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def send(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: object, token: str
    ) -> None:
        """Send a request without waiting for its answer."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)

    @contextlib.contextmanager
    def chat(self, key: str, **body: object) -> Iterator[http.client.HTTPResponse]:
        """Send a streaming chat message; yield its answer with the stream unread."""
        asked = {
            "query": "Hi",
            "user": "ada",
            "response_mode": "streaming",
            "auto_generate_name": False,
            **body,
        }
        with contextlib.closing(self.connect()) as connection:
            self.send(connection, "POST", "/api/chat-messages", asked, key)
            with connection.getresponse() as answer:
                yield answer

    def stop(self) -> None:
        """End the program as an operator would."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(40)


Serve = Callable[..., Served]


def start(
    arguments: tuple[str, ...], data_dir: Path, settings: Mapping[str, object], *, main: str = PROGRAM
) -> Served:
    """Start a program and wait until it serves."""
    port = free_port()
    values = {"PORT": port, "DATA_DIR": data_dir, "LOG_LEVEL": "WARNING", **settings}
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    process = begin(
        main,
        "start",
        *arguments,
        output=data_dir.with_name(f"{data_dir.name}-{port}.log"),
        environment={**kept, **{name: str(value) for name, value in values.items()}},
    )
    served = Served(port=port, process=process, data_dir=data_dir)
    wait_until_served(served)
    return served


def end(served: Served) -> str:
    """Stop a program; return what it printed."""
    served.stop()
    return served.process.said()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start programs with settings of the test's choice; all are ended with the test."""
    running: list[Served] = []

    def begin(*arguments: str, data_dir: Path | None = None, **settings: object) -> Served:
        served = start(arguments, data_dir or tmp_path / uuid.uuid4().hex, settings)
        running.append(served)
        return served

    yield begin
    for served in running:
        served.stop()


def wait_until_served(served: Served) -> None:
    """Wait for the first 200 on /health; raises AssertionError with the program's output where none comes."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if served.process.poll() is not None:
            raise AssertionError(f"the program ended at its start:\n{served.process.said()}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            if served.call("GET", "/health")[0] == 200:
                return
        time.sleep(0.05)
    raise AssertionError("the program did not serve in time")


def set_up(served: Served, endpoint: str) -> None:
    """Make an owner, sign in, and give the workspace a model server, all through the console."""
    account = {"email": "owner@example.com", "name": "Owner", "password": PASSWORD}
    assert served.call("POST", "/console/api/setup", account)[0] == 201
    status, answer = served.call("POST", "/console/api/login", account)
    assert status == 200, answer
    served.token = answer["data"]["access_token"]
    base = "/console/api/workspaces/current/model-providers/openai_api_compatible/credentials"
    for _ in range(ATTEMPTS):  # the program may be set to wait for less than a busy machine takes
        credentials = {"endpoint_url": endpoint, "api_key": "sk-test"}
        status, answer = served.call("POST", base, {"credentials": credentials})
        if "did not answer in time" not in str(answer):
            break
    assert status == 201, answer


def make_key(served: Served, model: str, **config: object) -> str:
    """Make a chat app on a model of the workspace's server; return a key to it."""
    status, app = served.call("POST", "/console/api/apps", {"name": f"Live {model}", "mode": "chat"})
    assert status == 201, app
    choice = {"provider": "openai_api_compatible", "name": model, "completion_params": {}}
    path = f"/console/api/apps/{app['id']}/model-config"
    status, answer = served.call("POST", path, {"model": choice, **config})
    assert status == 200, answer
    _, key = served.call("POST", f"/console/api/apps/{app['id']}/api-keys", {})
    return str(key["token"])


class ModelServer(ScriptedServer):
    """A model server that says, for each model, what the test put into ``scripts``."""

    def __init__(self) -> None:
        self.scripts: dict[str, Reply] = {}
        super().__init__(self._reply)

    def _reply(self, seen: Seen) -> Reply:
        if seen.method == "GET":
            return Reply.of_json({"object": "list", "data": []})
        return self.scripts[seen.json["model"]]

    def script(self, *steps: object, gap_s: float = 0.0) -> str:
        """Add a model that says these steps; return its name."""
        name = f"model-{len(self.scripts)}"
        self.scripts[name] = Reply.of_events(*steps, gap_s=gap_s)
        return name


@dataclass(frozen=True)
class World:
    """A running program and the model server behind it, shared by the tests of a module."""

    served: Served
    models: ModelServer

    def app(self, *steps: object, gap_s: float = 0.0) -> str:
        """Return the key of a new app whose model says these steps."""
        return make_key(self.served, self.models.script(*steps, gap_s=gap_s))


@contextlib.contextmanager
def make_world(data_dir: Path, **settings: object) -> Iterator[World]:
    """Run an embedded program with a pool of five connections beside a model server."""
    with ModelServer() as models:
        served = start((), data_dir, {"PING_INTERVAL_S": 0.3, "DATABASE_POOL_SIZE": 5, **settings})
        set_up(served, f"{models.url}/v1")
        yield World(served, models)
        end(served)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An embedded program that waits for models as long as it does by itself."""
    with make_world(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture(scope="module")
def impatient_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An embedded program with short time-outs."""
    short = {"FIRST_TOKEN_TIMEOUT_S": 2.5, "IDLE_TIMEOUT_S": 0.8, "RUN_TIMEOUT_S": 3}
    with make_world(tmp_path_factory.mktemp("impatient"), **short) as made:
        yield made


@contextlib.contextmanager
def empty_database() -> Iterator[str]:
    """Give the URL of an empty PostgreSQL database, gone in the end; needs Redis to answer as well."""
    if not answers(DATABASE_URL) or not answers(REDIS_URL):
        pytest.skip("PostgreSQL and Redis do not both answer")
    name = f"slipway_live_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(DATABASE_URL, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield urlsplit(DATABASE_URL)._replace(path=f"/{name}").geturl()
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def own_database() -> Iterator[str]:
    """An empty PostgreSQL database of this test alone."""
    with empty_database() as url:
        yield url
