"""Real app files of Dify's users: imported, set up for loopback, and run with plausible inputs.

The corpus is not part of this repository; ``TEST_APP_FILES`` says where it lies.
A file is *runnable* when it needs nothing but the nodes of this program: its
models become one scripted server, its HTTP requests go to another, its datasets
are one of the workspace.
"""

import io
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.core.text.yaml_text import load_yaml
from tests.factories import Owner
from tests.servers import Reply, Seen
from tests.vendors import OpenAIWire

APP_FILES = Path(os.environ.get("TEST_APP_FILES", Path(__file__).parents[2] / "shared/data/dsl"))
OTHERS = frozenset({"tool", "agent", "datasource", "knowledge-index"})
"""Node types that need what an installation must get from elsewhere."""
IMPORTS = "/console/api/apps/imports"
MODELS = "/console/api/workspaces/current/model-providers/openai_api_compatible/models/credentials"
MODEL = {"provider": "openai_api_compatible", "mode": "chat", "completion_params": {}}
UPLOADS = {
    "image": ("a.png", b"\x89PNG\r\n\x1a\n" + b"\x00" * 16),
    "document": ("a.txt", b"Terms: the parties agree."),
    "custom": ("a.txt", b"Terms: the parties agree."),
    "audio": ("a.mp3", b"ID3" + b"\x00" * 32),
    "video": ("a.mp4", b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 32),
}
SCHEMA = re.compile(r"JSON schema:\s*(\{.*?\})(?:\n\n|\Z)", re.DOTALL)


@dataclass(kw_only=True)
class Row:
    """What became of a file; ``why`` says what kept it from being imported, being runnable, or running."""

    name: str
    mode: str = ""
    is_imported: bool = False
    is_runnable: bool = False
    status: str = ""
    why: str = ""

    @property
    def number(self) -> str:
        """What the file is known by."""
        return self.name[:3]

    def __str__(self) -> str:
        """Return a line of the table."""
        marks = ["yes" if mark else "no" for mark in (self.is_imported, self.is_runnable)]
        lines = self.why.splitlines() or [""]
        why = next((line for line in lines if "Error:" in line), lines[0])
        return f"{self.number}  {self.mode:13}  {marks[0]:8}  {marks[1]:8}  {self.status:9}  {why}"


@dataclass(kw_only=True)
class Importer:
    """Brings files into the workspace of ``owner`` and runs them against two servers on loopback."""

    client: Callable[[], FlaskClient]
    owner: Owner
    model_url: str
    http_url: str
    dataset_id: str

    def run(self, path: Path) -> Row:
        """Import a file and, where it needs nothing else, publish and run it."""
        row = Row(name=path.name)
        text = path.read_text()
        done = self._post(IMPORTS, mode="yaml-content", yaml_content=text).get_json()
        if done["status"] == "pending":
            done = self._post(f"{IMPORTS}/{done['id']}/confirm").get_json()
        row.mode, row.why, row.is_imported = done["app_mode"] or "", done["error"], bool(done["app_id"])
        if row.is_imported:
            row.why = _foreign(load_yaml(text))
            row.is_runnable = not row.why
        if row.is_runnable:
            self._add_model(row.number)
            row.status, row.why = self._run(done["app_id"], row)
        return row

    def _add_model(self, name: str) -> None:
        """Give the workspace a model for one file, which sees images."""
        credentials = {"endpoint_url": self.model_url, "api_key": "k", "vision_support": "support"}
        added = self._post(MODELS, model=name, model_type="llm", credentials=credentials)
        assert added.status_code == 201, added.text

    def _run(self, app_id: str, row: Row) -> tuple[str, str]:
        """Publish the app for loopback and run it; return how it ended and why so."""
        path = f"/console/api/apps/{app_id}/workflows"
        client = self.client()
        draft = client.get(f"{path}/draft", headers=self.owner.headers).get_json()
        graph = draft["graph"]
        for node in graph["nodes"]:
            self._localize(node["data"], row.number)
        saved = self._post(f"{path}/draft", graph=graph, features=draft["features"], hash=draft["hash"])
        if saved.status_code != 200:
            return "unsaved", str(saved.get_json()["message"])
        published = self._post(f"{path}/publish")
        if published.status_code not in (200, 201):
            return "refused", _faults(published)
        key = self._post(f"/console/api/apps/{app_id}/api-keys").get_json()["token"]
        return self._call(row.mode, graph, {"Authorization": f"Bearer {key}"})

    def _call(self, mode: str, graph: Any, headers: dict[str, str]) -> tuple[str, str]:
        inputs = {name: self._value(item, headers) for item in _form(graph) if (name := item["variable"])}
        body = {"user": "ada", "inputs": inputs}
        if mode == "workflow":
            answer = self.client().post("/v1/workflows/run", json=body, headers=headers).get_json()
            data = answer.get("data") or {"status": "refused", "error": answer.get("message")}
            return str(data["status"]), str(data.get("error") or "")
        asked = {**body, "query": "What is a contract? 10"}
        answer = self.client().post("/v1/chat-messages", json=asked, headers=headers).get_json()
        return ("succeeded", "") if "answer" in answer else ("failed", str(answer.get("message")))

    def _localize(self, data: dict[str, Any], name: str) -> None:
        """Point a node at what stands on loopback."""
        if isinstance(data.get("model"), dict):
            data["model"] = {**MODEL, "name": name}
        if data.get("type") == "http-request":
            data["url"], data["retry_config"] = f"{self.http_url}/{name}", {}
            if data["authorization"]["type"] == "api-key":
                data["authorization"]["config"]["api_key"] = "k"  # keys are not in files
        if data.get("type") == "knowledge-retrieval":
            settings = {"top_k": 2, "reranking_enable": False}
            data |= {"dataset_ids": [self.dataset_id], "multiple_retrieval_config": settings}
            data["retrieval_mode"] = "multiple"

    def _value(self, item: dict[str, Any], headers: dict[str, str]) -> Any:
        """Return a plausible value for a field of a start form."""
        match item["type"]:
            case "select":
                return item["options"][0]
            case "number":
                return 3
            case "checkbox":
                return True
            case "file" | "file-list":
                kind = (item.get("allowed_file_types") or ["document"])[0]
                extensions = item.get("allowed_file_extensions") or [".txt"]
                file = self._upload(kind, extensions[0] if kind == "custom" else None, headers)
                return file if item["type"] == "file" else [file]
            case _:
                return "contract"[: item.get("max_length") or 10]

    def _upload(self, kind: str, extension: str | None, headers: dict[str, str]) -> dict[str, str]:
        name, content = UPLOADS[kind]
        data = {"file": (io.BytesIO(content), f"a{extension}" if extension else name), "user": "ada"}
        made = self.client().post("/v1/files/upload", data=data, headers=headers)
        assert made.status_code == 201, made.text
        file_id = made.get_json()["id"]
        return {"type": kind, "transfer_method": "local_file", "upload_file_id": file_id}

    def _post(self, path: str, **body: Any) -> TestResponse:
        return self.client().post(path, json=body, headers=self.owner.headers)


@dataclass(frozen=True)
class Model:
    """A model server that answers as the nodes of a file need it; ``says`` are its words by model name."""

    says: Mapping[str, str]

    def __call__(self, seen: Seen) -> Reply:
        """Return the answer to one call."""
        if seen.method == "GET":
            return Reply.of_json({"object": "list", "data": []})
        asked = seen.json
        return Reply.of_events(*OpenAIWire().text(self._text(asked)))

    def _text(self, asked: dict[str, Any]) -> str:
        rules = str(asked["messages"][0]["content"])
        if '"category_id"' in rules:
            data = json.loads(asked["messages"][-1]["content"])
            first = data["categories"][0]
            return json.dumps({"category_id": first["category_id"], "category_name": "x"})
        if found := SCHEMA.search(rules):
            return json.dumps(_example(json.loads(found[1])))
        return self.says.get(asked["model"], "A contract is an agreement.")


def _example(schema: dict[str, Any]) -> Any:
    """Return a value that is valid under a schema."""
    if schema.get("enum"):
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: _example(part) for name, part in schema.get("properties", {}).items()}
        case "array":
            return [_example(schema.get("items", {}))]
        case "number" | "integer":
            return 1
        case "boolean":
            return True
        case _:
            return "contract"


def _foreign(raw: Any) -> str:
    """Return why a file cannot be run by this program alone; empty where it can."""
    if raw["app"]["mode"] not in ("workflow", "advanced-chat"):
        return "agent, needs tools"
    types = {node["data"].get("type") for node in raw["workflow"]["graph"]["nodes"]}
    others = sorted(types & OTHERS)
    if others:
        return "needs " + ", ".join(others)
    return "" if "start" in types else "is begun by a trigger"


def _form(graph: Any) -> list[dict[str, Any]]:
    starts = [node["data"] for node in graph["nodes"] if node["data"].get("type") == "start"]
    return [item for data in starts for item in data.get("variables") or []]


def _faults(answer: TestResponse) -> str:
    body = answer.get_json()
    return str(body["message"]) + str(body.get("details") or "")
