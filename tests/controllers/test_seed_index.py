"""Every row of the index of endpoints that was asked for: each answers with the status and fields promised.

Fields beyond the promised ones are ours and may be there; a promised one never misses, nor changes its type.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.core.ports import JSONObject
from api.runtime import Runtime
from tests.factories import BUILTIN, Owner, make_app, make_chat_app, make_key
from tests.flows import drawn, edges, template
from tests.knowledge import make_dataset, send_file, wait_until_indexed
from tests.sse import read_events

C = "/console/api"
P = "/api"
NUMBER = (int, float)
Shape = dict[str, Any]
"""Promised fields: for each a type, or several, None where it may be null; or the only values it has."""

APP: Shape = {
    "id": str,
    "name": str,
    "mode": {"chat", "agent-chat", "advanced-chat", "workflow", "completion"},
    "icon": str,
    "icon_background": str,
    "description": str,
    "enable_site": bool,
    "enable_api": bool,
    "api_rpm": int,
    "api_rph": int,
    "is_demo": bool,
    "model_config": (dict, None),
    "created_at": int,
    "updated_at": int,
}
DATASET: Shape = {
    "id": str,
    "name": str,
    "description": str,
    "permission": {"only_me", "all_team_members", "partial_members"},
    "data_source_type": {"upload_file", "notion_import", "website_crawl", None},
    "indexing_technique": {"high_quality", "economy", None},
    "embedding_model": (str, None),
    "embedding_model_provider": (str, None),
    "document_count": int,
    "word_count": int,
    "app_count": int,
    "created_by": str,
    "created_at": int,
    "updated_at": int,
}
PLUGIN: Shape = {
    "plugin_id": str,
    "plugin_unique_identifier": str,
    "name": str,
    "description": str,
    "version": str,
    "author": str,
    "icon": str,
    "category": str,
    "tags": list,
    "verified": bool,
    "install_count": int,
    "installed": bool,
    "latest_version": str,
    "current_version": (str, None),
}
PAGE: Shape = {"data": list, "total": int, "page": int, "limit": int, "has_more": bool}
GRAPH: Shape = {
    "nodes": [
        drawn("s", "start", variables=[]),
        template("t", "Hello"),
        drawn("e", "end", outputs=[{"variable": "said", "value_selector": ["t", "output"]}]),
    ],
    "edges": [{**cast("JSONObject", edge), "id": f"e{n}"} for n, edge in enumerate(edges("s > t > e"))],
}
MODEL: Shape = {"search_method": "full_text_search", "reranking_enable": False, "top_k": 3}


@dataclass
class Caller:
    """Who calls the rows: an owner, with what the row is about made on demand."""

    client: FlaskClient
    runtime: Runtime
    owner: Owner

    def console(self, method: str, path: str, sent: Any = None) -> TestResponse:
        """Call the console."""
        return self.client.open(C + path, method=method, json=sent, headers=self.owner.headers)

    def public(self, app_id: str, path: str, **sent: Any) -> TestResponse:
        """Call the public API with a key of an app."""
        key = {"Authorization": f"Bearer {make_key(self.runtime, self.owner, app_id)}"}
        return self.client.post(P + path, headers=key, **sent)

    @cached_property
    def app_id(self) -> str:
        """An app of the workspace."""
        return make_app(self.runtime, self.owner)

    @cached_property
    def flow_id(self) -> str:
        """A workflow app with a saved draft."""
        made = make_app(self.runtime, self.owner, mode="workflow")
        assert self.console("POST", f"/apps/{made}/workflows/draft", {"graph": GRAPH}).status_code == 200
        return made

    @cached_property
    def dataset_id(self) -> str:
        """A dataset of the workspace."""
        return make_dataset(self.runtime, self.owner)


def told(answer: TestResponse, status: int, shape: Shape) -> Any:
    """Return the JSON of an answer that has a status and promised fields."""
    assert answer.status_code == status, answer.text
    assert answer.is_json
    return fits(answer.get_json(), shape)


def fits(given: Any, shape: Shape) -> Any:
    """Return an object that has promised fields."""
    assert isinstance(given, dict)
    assert set(shape) <= set(given), f"missing: {set(shape) - set(given)}"
    for name, promised in shape.items():
        value = given[name]
        if isinstance(promised, set):
            assert value in promised, f"{name}: {value!r}"
            continue
        kinds = promised if isinstance(promised, tuple) else (promised,)
        assert any(_is_of(value, kind) for kind in kinds), f"{name}: {value!r}"
    return given


def _is_of(value: object, kind: object) -> bool:
    """Tell whether a value is of a kind; true and false are no numbers."""
    return value is None if kind is None else type(value) is kind


def list_apps(by: Caller) -> None:
    assert by.app_id
    page = told(by.console("GET", "/apps?page=1&limit=30"), 200, PAGE)
    (app,) = page["data"]
    fits(app, APP)
    assert app["id"] == by.app_id
    assert page == {**page, "total": 1, "page": 1, "limit": 30, "has_more": False}
    assert told(by.console("GET", "/apps?name=nowhere"), 200, PAGE)["data"] == []
    assert told(by.console("GET", "/apps?mode=workflow"), 200, PAGE)["data"] == []


def create_app(by: Caller) -> None:
    sent = {"name": "My assistant", "mode": "chat"}
    made = told(by.console("POST", "/apps", sent), 201, APP)
    assert made == {**made, **sent, "icon": "🤖", "icon_background": "#FFEAD5"}
    again = told(by.console("POST", "/apps", sent), 400, FAULT)
    assert (again["code"], again["message"]) == ("invalid_param", "应用名称已存在")
    for wrong in ({"name": "x" * 41, "mode": "chat"}, {"name": "Other", "mode": "poem"}, {"mode": "chat"}):
        assert told(by.console("POST", "/apps", wrong), 400, FAULT)["code"] == "invalid_param"


def update_app(by: Caller) -> None:
    changes = {"name": "Renamed", "enable_site": False, "api_rpm": 7, "api_rph": 70}
    changed = told(by.console("PUT", f"/apps/{by.app_id}", changes), 200, APP)
    assert {name: changed[name] for name in changes} == changes


def delete_app(by: Caller) -> None:
    assert told(by.console("DELETE", f"/apps/{by.app_id}"), 200, {}) == {"result": "success"}
    gone = told(by.console("PUT", f"/apps/{by.app_id}", {"name": "Gone"}), 404, FAULT)
    assert gone["status"] == 404


def get_draft(by: Caller) -> None:
    shape = {"graph": dict, "features": dict, "environment_variables": list}
    draft = told(by.console("GET", f"/apps/{by.flow_id}/workflows/draft"), 200, shape)
    assert [node["id"] for node in draft["graph"]["nodes"]] == ["s", "t", "e"]
    fits(draft["graph"]["edges"][0], {"id": str, "source": str, "target": str})


def save_draft(by: Caller) -> None:
    path = f"/apps/{by.flow_id}/workflows/draft"
    told(by.console("POST", path, {"graph": GRAPH}), 200, {"result": {"success"}, "updated_at": int})
    headless = {"nodes": GRAPH["nodes"][1:], "edges": GRAPH["edges"][1:]}
    told(by.console("POST", path, {"graph": headless}), 400, FAULT)


def publish_workflow(by: Caller) -> None:
    shape = {"result": {"success"}, "version": {"v1.0.0"}, "published_at": int}
    told(by.console("POST", f"/apps/{by.flow_id}/workflows/publish"), 200, shape)


def list_datasets(by: Caller) -> None:
    assert by.dataset_id
    (dataset,) = told(by.console("GET", "/datasets?page=1&limit=20"), 200, PAGE)["data"]
    assert fits(dataset, DATASET)["id"] == by.dataset_id
    assert told(by.console("GET", "/datasets?keyword=nowhere"), 200, PAGE)["total"] == 0


def create_dataset(by: Caller) -> None:
    sent = {"name": "Notes", "indexing_technique": "economy", "permission": "only_me"}
    made = told(by.console("POST", "/datasets", sent), 201, DATASET)
    assert {name: made[name] for name in sent} == sent
    assert told(by.console("POST", "/datasets", {**sent, "name": "x" * 41}), 400, FAULT)["code"]


def upload_document(by: Caller) -> None:
    shape = {
        "id": str,
        "name": str,
        "doc_type": {"txt"},
        "data_source_type": {"upload_file"},
        "doc_form": {"text_model"},
        "indexing_status": {"queuing"},
        "tokens": int,
        "position": int,
        "created_at": int,
    }
    sent = told(_upload(by), 200, {"document": dict, "batch": str})
    fits(sent["document"], shape)
    refused = told(_upload(by, name="notes.xyz"), 415, FAULT)
    assert refused["status"] == 415


def retrieve(by: Caller) -> None:
    wait_until_indexed(by.runtime, _upload(by).get_json()["document"]["id"])
    sent = {"query": "harbour", "retrieval_model": MODEL}
    found = told(by.console("POST", f"/datasets/{by.dataset_id}/retrieve", sent), 200, {"records": list})
    record = fits(found["records"][0], {"segment": dict, "score": NUMBER})
    shape = {
        "id": str,
        "position": int,
        "document_id": str,
        "content": str,
        "word_count": int,
        "tokens": int,
        "keywords": list,
        "index_node_id": str,
        "index_node_hash": str,
    }
    fits(record["segment"], shape)
    assert 0 <= record["score"] <= 1


def _upload(by: Caller, **file: Any) -> TestResponse:
    path = f"{C}/datasets/{by.dataset_id}/document/create_by_file"
    rule = '{"mode": "automatic"}'
    return send_file(by.client, path, by.owner.headers, process_rule=rule, **file)


def show_workspace(by: Caller) -> None:
    shape = {
        "id": {by.owner.tenant_id},
        "name": str,
        "plan": {"sandbox", "professional", "team", "enterprise"},
        "status": {"normal", "trial", "suspended"},
        "created_at": int,
        "role": {"owner"},
        "in_trial": bool,
    }
    told(by.console("GET", "/workspaces/current"), 200, shape)


def list_plugins(by: Caller) -> None:
    shape = {"plugins": list, "total": int}
    page = told(by.console("GET", "/workspaces/current/plugins?page=1&page_size=1"), 200, shape)
    assert len(page["plugins"]) == 1 < page["total"]
    (tables,) = _find_plugins(by, "category=tool&search=tables")
    assert tables == {**tables, "name": "Tables", "installed": False, "current_version": None}
    assert _find_plugins(by, "category=model&search=tables") == []
    install_plugin(by)
    (tables,) = _find_plugins(by, "search=tables")
    assert tables == {**tables, "installed": True, "current_version": tables["latest_version"]}


def install_plugin(by: Caller) -> None:
    identifier = _find_plugins(by, "search=tables")[0]["plugin_unique_identifier"]
    path, sent = "/workspaces/current/plugins/install", {"plugin_unique_identifier": identifier}
    made = told(by.console("POST", path, sent), 200, {"result": {"success"}, "plugin": dict})
    shape = {
        "install_id": str,
        "plugin_id": {"slipway/tables"},
        "tenant_id": {by.owner.tenant_id},
        "installed_at": int,
    }
    fits(made["plugin"], shape)
    refused = told(by.console("POST", path, {}), 400, FAULT)
    assert (refused["code"], refused["details"]["field"]) == ("invalid_param", "plugin_unique_identifier")
    unknown = {"plugin_unique_identifier": f"slipway/tables:9.9.9@{'0' * 64}"}
    assert told(by.console("POST", path, unknown), 404, FAULT)["code"] == "not_found"


def _find_plugins(by: Caller, query: str) -> list[Any]:
    listed = told(by.console("GET", f"/workspaces/current/plugins?{query}"), 200, {"plugins": list})
    return [fits(plugin, PLUGIN) for plugin in listed["plugins"]]


def send_message(by: Caller) -> None:
    app = make_chat_app(by.runtime, by.owner, model=BUILTIN)
    sent = {"query": "你好", "inputs": {}, "user": "user-123", "auto_generate_name": False}
    streamed = by.public(app.id, "/chat-messages", json={**sent, "response_mode": "streaming"})
    assert streamed.mimetype == "text/event-stream"
    *pieces, end = read_events(streamed)
    for piece in pieces:
        shape = {"event": {"message"}, "task_id": str, "id": str, "conversation_id": str, "answer": str}
        fits(piece, shape)
    fits(end, {"event": {"message_end"}, "task_id": str, "id": {pieces[0]["id"]}, "metadata": dict})
    fits(end["metadata"], {"usage": dict, "retriever_resources": list})
    whole = told(by.public(app.id, "/chat-messages", json=sent), 200, {"answer": str, "conversation_id": str})
    assert whole["answer"] == "".join(piece["answer"] for piece in pieces)
    missing = told(by.public(app.id, "/chat-messages", json={"user": "user-123"}), 400, FAULT)
    assert missing["code"] == "invalid_param"
    assert missing["details"] == {"field": "query", "type": "required"}


def load_history(by: Caller) -> None:
    app = make_chat_app(by.runtime, by.owner, model=BUILTIN)
    sent = {"query": "你好", "inputs": {}, "user": "user-123", "auto_generate_name": False}
    asked = by.public(app.id, "/chat-messages", json=sent).get_json()
    path = f"{P}/conversations/{asked['conversation_id']}/messages"
    answer = by.client.get(path, query_string={"user": "user-123"}, headers=app.headers)
    history = told(answer, 200, {"data": list, "has_more": {False}, "limit": {20}})
    shape = {
        "id": {asked["message_id"]},
        "conversation_id": {asked["conversation_id"]},
        "inputs": dict,
        "query": {"你好"},
        "answer": {asked["answer"]},
        "message_files": list,
        "feedback": (dict, None),
        "retriever_resources": list,
        "created_at": int,
    }
    fits(history["data"][0], shape)


def run_workflow(by: Caller) -> None:
    publish_workflow(by)
    sent = {"inputs": {}, "user": "user-123"}
    events = read_events(by.public(by.flow_id, "/workflows/run", json={**sent, "response_mode": "streaming"}))
    first, last = events[0], events[-1]
    fits(first, {"event": {"workflow_started"}, "task_id": str, "workflow_run_id": str, "data": dict})
    fits(last, {"event": {"workflow_finished"}, "workflow_run_id": {first["workflow_run_id"]}, "data": dict})
    ends = [event for event in events if event["event"] == "node_finished"]
    assert [fits(event, {"node_id": str, "outputs": dict})["node_id"] for event in ends] == ["s", "t", "e"]
    whole = told(by.public(by.flow_id, "/workflows/run", json=sent), 200, {"data": dict})
    assert whole["data"]["outputs"] == last["data"]["outputs"] == {"said": "Hello"}


def upload_file(by: Caller) -> None:
    shape = {
        "id": str,
        "name": {"notes.md"},
        "size": {7},
        "extension": {"md"},
        "mime_type": str,
        "created_by": str,
        "created_at": int,
    }
    form = {"file": (io.BytesIO(b"# Notes"), "notes.md"), "user": "user-123"}
    told(by.public(by.app_id, "/files/upload", data=form), 201, shape)


FAULT: Shape = {"code": str, "message": str, "status": int}
ROWS: dict[str, Callable[[Caller], None]] = {
    "App | GET /apps": list_apps,
    "App | POST /apps": create_app,
    "App | PUT /apps/{id}": update_app,
    "App | DELETE /apps/{id}": delete_app,
    "Workflow | GET /apps/{id}/workflows/draft": get_draft,
    "Workflow | POST /apps/{id}/workflows/draft": save_draft,
    "Workflow | POST /apps/{id}/workflows/publish": publish_workflow,
    "Dataset | GET /datasets": list_datasets,
    "Dataset | POST /datasets": create_dataset,
    "Dataset | POST /datasets/{id}/document/create_by_file": upload_document,
    "Dataset | POST /datasets/{id}/retrieve": retrieve,
    "Workspace | GET /workspaces/current": show_workspace,
    "Plugin | GET /workspaces/current/plugins": list_plugins,
    "Plugin | POST /workspaces/current/plugins/install": install_plugin,
    "Chat | POST /chat-messages": send_message,
    "Chat | GET /conversations/{id}/messages": load_history,
    "Workflow | POST /workflows/run": run_workflow,
    "File | POST /files/upload": upload_file,
}


@pytest.mark.parametrize("row", ROWS)
def test_endpoint_of_the_index_answers_as_promised(
    client: FlaskClient, runtime: Runtime, owner: Owner, row: str
) -> None:
    ROWS[row](Caller(client, runtime, owner))
