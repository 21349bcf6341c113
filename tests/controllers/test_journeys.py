"""The calls the web console makes, in its order: from an installation without an owner to what its apps said.

One test, because each journey goes on with what the last one made. Every answer
has to be one the console's own description tells of.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.controllers.http.openapi import to_openapi3
from api.models.account import Setup
from api.models.base import new_id
from tests import flows
from tests.conformance.journey import wait_until
from tests.conformance.workspace import MODELS, answer_as_a_model
from tests.conftest import BOTH
from tests.controllers.console.provider_calls import COMPATIBLE, form
from tests.controllers.described import body, check_answer, operations
from tests.factories import PASSWORD
from tests.online import reachable
from tests.servers import ScriptedServer
from tests.sse import read_events, text_of

pytestmark = BOTH

CONSOLE = "/console/api"
PROVIDER = "/workspaces/current/model-providers/{provider}"
APP = "/apps/{app_id}"
DRAFT = f"{APP}/workflows/draft"
DATASET = "/datasets/{dataset_id}"
SAID = '["Why?", "How?", "When?"]'
"""What the model of the journeys says to everything; also three questions."""
CHOICE = {"provider": COMPATIBLE, "name": MODELS["llm"], "mode": "chat", "completion_params": {}}
CONFIG = {"model": CHOICE, "pre_prompt": "Be brief.", "suggested_questions_after_answer": {"enabled": True}}
ASKED = [{"variable": "q", "label": "Q", "type": "text-input", "required": True}]
PROMPT = [{"role": "user", "text": "{{#s.q#}}"}]
NODES = [
    flows.drawn("s", "start", variables=ASKED),
    flows.drawn("l", "llm", model=CHOICE, prompt_template=PROMPT, context={"enabled": False}),
    flows.drawn("e", "end", outputs=[{"variable": "told", "value_selector": ["l", "text"]}]),
]
GRAPH = {"nodes": NODES, "edges": flows.edges("s > l > e")}
RULE = {
    "mode": "custom",
    "rules": {
        "pre_processing_rules": [{"id": "remove_extra_spaces", "enabled": True}],
        "segmentation": {"separator": "\n\n", "max_tokens": 200, "chunk_overlap": 0},
    },
}
TEXT = b"Penguins swim under the ice.\n\nBears walk on top of it."


@dataclass
class Console:
    """A browser with the console: calls routes as the description names them, and checks each answer."""

    client: FlaskClient
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.spec: dict[str, Any] = to_openapi3(body(self.client.get(f"{CONSOLE}/spec/swagger.json")))
        self.described = dict(operations(self.spec))

    def get(self, path: str, query: dict[str, Any] | None = None, *, status: int = 200, **ids: str) -> Any:
        """Return what is read."""
        return self._call("GET", path, ids, status, query_string=query)

    def post(self, path: str, sent: Any = None, *, status: int = 200, **ids: str) -> Any:
        """Return what a change answers, or the events of what it started."""
        return self._call("POST", path, ids, status, json=sent)

    def upload(self, path: str, name: str, content: bytes, **query: str) -> Any:
        """Return what is told of a file that was sent."""
        sent = {"file": (io.BytesIO(content), name)}
        return self._call("POST", path, {}, 201, data=sent, query_string=query)

    def _call(self, method: str, path: str, ids: dict[str, str], status: int, **sent: Any) -> Any:
        name = f"{method} {path}"
        answer: TestResponse = self.client.open(
            CONSOLE + path.format(**ids), method=method, headers=self.headers, buffered=True, **sent
        )
        assert answer.status_code == status, f"{name}: {answer.text}"
        described = self.described[name]["responses"]
        assert str(status) in described, f"{name} does not tell of {status}"
        if "$ref" in described[str(status)] or "content" in described[str(status)]:
            check_answer(self.spec, name, answer)
        return read_events(answer) if answer.mimetype == "text/event-stream" else answer.json


@pytest.fixture
def console(house: Flask) -> Iterator[Console]:
    """A console of the program, as if nobody had begun yet."""
    runtime = house.extensions["runtime"]
    with runtime.transaction() as session:
        session.delete(session.get_one(Setup, 1))
    yield Console(house.test_client())
    with runtime.transaction() as session:
        session.merge(Setup(id=1))


def set_up(console: Console) -> None:
    """Find that there is no owner, be it, and sign in."""
    assert console.get("/system-features")["enable_email_password_login"] is True
    assert console.get("/setup")["step"] == "not_started"
    assert console.get("/init")["status"] == "finished"
    account = {"email": f"{new_id()}@example.com", "name": "Ada", "password": PASSWORD}
    console.get("/account/profile", status=401)
    console.post("/setup", account, status=201)
    signed_in = console.post("/login", account)
    console.headers["Authorization"] = f"Bearer {signed_in['data']['access_token']}"
    assert console.get("/setup")["step"] == "finished"
    assert console.get("/account/profile")["email"] == account["email"]
    workspace = console.post("/workspaces/current")
    (listed,) = console.get("/workspaces")["workspaces"]
    assert (listed["id"], listed["current"]) == (workspace["id"], True)
    assert console.get("/version", {"current_version": "1.12.1"})["version"] == "1.12.1"
    console.get("/system-features")


def give_models(console: Console, models: ScriptedServer) -> None:
    """Connect a model provider, and choose what is used where nothing else is chosen."""
    assert COMPATIBLE in {item["provider"] for item in console.get(PROVIDER.rpartition("/")[0])["data"]}
    assert not console.get(f"{PROVIDER}/credentials", provider=COMPATIBLE)["credentials"]
    console.post(f"{PROVIDER}/credentials", {"credentials": form(models)}, status=201, provider=COMPATIBLE)
    console.post(f"{PROVIDER}/models", {"model": MODELS["llm"], "model_type": "llm"}, provider=COMPATIBLE)
    usable = console.get("/workspaces/current/models/model-types/{kind}", kind="llm")["data"]
    assert MODELS["llm"] in {model["model"] for item in usable for model in item["models"]}
    chosen = {"model_type": "llm", "model": MODELS["llm"], "provider": COMPATIBLE}
    console.get("/workspaces/current/default-model", {"model_type": "llm"})
    console.post("/workspaces/current/default-model", {"model_settings": [chosen]})
    told = console.get("/workspaces/current/default-model", {"model_type": "llm"})["data"]
    assert (told["model"], told["provider"]["provider"]) == (MODELS["llm"], COMPATIBLE)


def make_chat_app(console: Console) -> dict[str, str]:
    """Make a chat app, try it out before it is saved, call it from outside; return the ids of all that."""
    app = {"app_id": console.post("/apps", {"name": "Helper", "mode": "chat"}, status=201)["id"]}
    assert console.get(APP, **app)["mode"] == "chat"
    assert console.get("/datasets", {"ids": [new_id()], "page": 1})["data"] == []
    for kind in ("builtin", "api", "workflow", "mcp"):
        assert isinstance(console.get("/workspaces/current/tools/{kind}", kind=kind), list)
    rules = console.get(f"{PROVIDER}/models/parameter-rules", {"model": MODELS["llm"]}, provider=COMPATIBLE)
    assert "temperature" in {rule["name"] for rule in rules["data"]}
    asked = {"query": "Hi", "inputs": {}, "model_config": CONFIG, "response_mode": "streaming"}
    events = console.post(f"{APP}/chat-messages", asked, **app)
    assert (text_of(events), events[-1]["event"]) == (SAID, "message_end")
    talk = {"conversation_id": events[-1]["conversation_id"]}
    suggested = console.get(
        f"{APP}/chat-messages/{{message_id}}/suggested-questions", message_id=events[-1]["id"], **app
    )
    assert suggested["data"] == ["Why?", "How?", "When?"]
    console.post(f"{APP}/model-config", CONFIG, **app)
    key = console.post(f"{APP}/api-keys", status=201, **app)["token"]
    assert console.post("/api-keys", {"name": "All", "permissions": ["chat"]}, status=201)["app_id"] is None
    said = console.client.post(
        "/v1/chat-messages",
        json={"query": "Hi", "user": "ann", "inputs": {}},
        headers={"Authorization": f"Bearer {key}"},
    )
    assert (said.status_code, body(said)["answer"]) == (200, SAID)
    return {**app, **talk, "said_id": body(said)["conversation_id"]}


def make_workflow(console: Console) -> None:
    """Draw a workflow, save it again and again, test it, look at what was made of it, and publish it."""
    app = {"app_id": console.post("/apps", {"name": "Flow", "mode": "workflow"}, status=201)["id"]}
    assert console.get(DRAFT, status=404, **app)["code"] == "draft_workflow_not_exist"
    begun = {"graph": {"nodes": NODES[:1], "edges": []}, "features": {}, "conversation_variables": []}
    first = console.post(DRAFT, begun, **app)
    drawn = console.get(DRAFT, **app)
    assert drawn["hash"] == first["hash"]
    kinds = {item["type"] for item in console.get(f"{APP}/workflows/default-workflow-block-configs", **app)}
    assert {"llm", "code"} <= kinds
    assert console.get(f"{APP}/workflows/publish", **app) is None
    saved = {**begun, "graph": GRAPH, "hash": drawn["hash"]}
    console.post(DRAFT, saved, **app)
    assert console.post(DRAFT, saved, status=409, **app)["code"] == "draft_workflow_not_sync"
    events = console.post(f"{DRAFT}/run", {"inputs": {"q": "Hi"}}, **app)
    finished = events[-1]["data"]
    assert (finished["status"], finished["outputs"]) == ("succeeded", {"told": SAID})
    assert console.get(f"{DRAFT}/nodes/{{node_id}}/last-run", node_id="l", **app)["status"] == "succeeded"
    assert console.get(f"{DRAFT}/variables", **app)["items"]
    run = {**app, "run_id": finished["id"]}
    assert console.get(f"{APP}/workflow-runs/{{run_id}}", **run)["status"] == "succeeded"
    told = console.get(f"{APP}/workflow-runs/{{run_id}}/node-executions", **run)["data"]
    assert {item["node_id"] for item in told} == {"s", "l", "e"}
    console.post(f"{APP}/workflows/publish", {}, **app)
    versions = console.get(f"{APP}/workflows", {"page": 1, "limit": 10}, **app)["items"]
    assert [item["version"] for item in versions] == ["draft", "v1.0.0"]


def make_knowledge(console: Console) -> None:
    """Send a file, see what would become of it, have it indexed, and find a passage of it again."""
    assert console.get("/datasets/process-rule")["mode"] == "custom"
    assert console.get("/files/upload")["file_size_limit"] > 0
    file = console.upload("/files/upload", "ice.txt", TEXT, source="datasets")
    files = {"data_source_type": "upload_file", "file_info_list": {"file_ids": [file["id"]]}}
    shape = {"indexing_technique": "economy", "process_rule": RULE, "doc_form": "text_model"}
    estimate = console.post("/datasets/indexing-estimate", {"info_list": files, **shape})
    assert estimate["total_segments"] == 2
    made = console.post("/datasets/init", {"data_source": {"info_list": files}, **shape})
    one = {"dataset_id": made["dataset"]["id"]}
    batch = f"{DATASET}/batch/{{batch}}/indexing-status"

    def is_indexed() -> bool:
        statuses = {row["indexing_status"] for row in console.get(batch, batch=made["batch"], **one)["data"]}
        assert "error" not in statuses
        return statuses == {"completed"}

    wait_until(is_indexed)
    (document,) = console.get(f"{DATASET}/documents", **one)["data"]
    segments = console.get(f"{DATASET}/documents/{{document_id}}/segments", document_id=document["id"], **one)
    assert segments["total"] == 2
    found = console.post(f"{DATASET}/hit-testing", {"query": "penguins"}, **one)["records"]
    assert "Penguins" in found[0]["segment"]["content"]
    assert console.get(f"{DATASET}/queries", **one)["total"] == 1


def look_at_what_was_said(console: Console, chat: dict[str, str]) -> None:
    """Read what the account and an end user said to the chat app, and answer one better from now on."""
    for talk in ("conversation_id", "said_id"):
        (message,) = console.get(
            f"{APP}/chat-messages", {"conversation_id": chat[talk]}, app_id=chat["app_id"]
        )["data"]
        assert (message["query"], message["answer"]) == ("Hi", SAID)
    console.post(f"{APP}/annotations", {"question": "Hi", "answer": "Hello!"}, app_id=chat["app_id"])
    assert console.get(f"{APP}/annotations", app_id=chat["app_id"])["total"] == 1
    assert console.get(f"{APP}/annotations/count", app_id=chat["app_id"])["count"] == 1


def test_console_finds_its_way_from_setup_to_what_was_said(house: Flask, console: Console) -> None:
    with ScriptedServer(answer_as_a_model) as models, reachable(house, models):
        set_up(console)
        give_models(console, models)
        chat = make_chat_app(console)
        make_workflow(console)
        make_knowledge(console)
        look_at_what_was_said(console, chat)
