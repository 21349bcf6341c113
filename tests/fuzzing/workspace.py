"""A workspace with one of everything the public API opens, and what calls to it carry."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask

from tests import flows
from tests.controllers import guest_calls
from tests.factories import make_app, make_chat_app, make_dataset_key, make_key, make_owner
from tests.knowledge import set_document
from tests.sse import read_events

FEATURES = ("retriever_resource", "suggested_questions_after_answer", "speech_to_text", "text_to_speech")
ANSWERED = {"nodes": [flows.drawn("s", "start"), flows.drawn("a", "answer", answer="Hello")]}
CHATFLOW = {**ANSWERED, "edges": flows.edges("s > a")}
ECHO = {
    "nodes": [flows.drawn("s", "start"), flows.drawn("e", "end", outputs=[])],
    "edges": flows.edges("s > e"),
}
ASKING = {
    "nodes": [
        flows.drawn("s", "start"),
        flows.drawn("h", "human-input", form_content="Go on?", user_actions=[{"id": "yes", "title": "Yes"}]),
        flows.drawn("e", "end", outputs=[]),
    ],
    "edges": flows.edges("s > h [yes] > e"),
}
MOOD = {"name": "mood", "value_type": "string", "value": "calm"}
USER = {"user": "ann"}
GUESTS = (
    "/passport",
    "/webapp",
    "/system-features",
    "/login",
    "/logout",
    "/remote-files",
    "/conversations/{conversation_id}/{action}",
)
KEYS = {
    "/datasets": "dataset",
    "/workspaces": "dataset",
    "/completion-messages": "completion",
    "/workflow": "workflow",
    "/form": "asking",
    "/conversations/{conversation_id}/variables": "advanced-chat",
}
"""Which key opens what lies below a path; all else is for the key of a chat app."""


@dataclass(frozen=True)
class Workspace:
    """What there is: headers by who calls, ids by the names paths have for them."""

    callers: Mapping[str, Mapping[str, str]]
    ids: Mapping[str, str]

    def headers(self, path: str) -> Mapping[str, str]:
        """Return what a call of a route carries."""
        if path.startswith(GUESTS):
            return self.callers["guest"]
        return self.callers[next((name for start, name in KEYS.items() if path.startswith(start)), "chat")]


class Maker:
    """Makes a workspace on one mount, as its clients would."""

    def __init__(self, house: Flask, mount: str) -> None:
        self.client, self.mount = house.test_client(), mount
        self.runtime = house.extensions["runtime"]
        self.owner = make_owner(self.runtime)

    def make(self) -> Workspace:
        """Make everything."""
        features: dict[str, object] = {name: {"enabled": True} for name in FEATURES}
        chat = make_chat_app(self.runtime, self.owner, mode="chat", **features)
        guest = guest_calls.open_page(self.client, self.owner, chat.id)
        callers = {
            "chat": chat.headers,
            "completion": make_chat_app(self.runtime, self.owner, mode="completion").headers,
            "advanced-chat": self._publish("advanced-chat", CHATFLOW, conversation_variables=[MOOD]),
            "workflow": self._publish("workflow", ECHO),
            "asking": self._publish("workflow", ASKING),
            "dataset": _bearer(make_dataset_key(self.runtime, self.owner)),
            "guest": guest.headers,
        }
        ids = dict(
            [
                ("action", "enable"),
                ("model_type", "text-embedding"),
                *self._talk(callers["chat"]),
                *self._variables(callers["advanced-chat"]),
                *self._runs(callers["workflow"], callers["asking"]),
                *self._knowledge(callers["dataset"]),
            ]
        )
        return Workspace(callers, ids)

    def _publish(self, mode: str, graph: object, **draft: object) -> dict[str, str]:
        app_id = make_app(self.runtime, self.owner, mode=mode)
        for step, sent in (("draft", {"graph": graph, **draft}), ("publish", {})):
            path = f"/console/api/apps/{app_id}/workflows/{step}"
            _checked(self.client.post(path, json=sent, headers=self.owner.headers))
        return _bearer(make_key(self.runtime, self.owner, app_id))

    def _call(self, caller: Mapping[str, str], path: str, **sent: Any) -> Any:
        return _checked(self.client.post(self.mount + path, headers=caller, **sent)).get_json()

    def _talk(self, caller: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        said = self._call(caller, "/chat-messages", json={**USER, "query": "Hi"})
        yield from ((name, said[name]) for name in ("message_id", "conversation_id", "task_id"))
        file = self._call(caller, "/files/upload", data={**USER, "file": (io.BytesIO(b"hello"), "a.txt")})
        yield from (("file_id", file["id"]), ("end_user_id", file["created_by"]))
        pair = {"question": "When?", "answer": "At noon."}
        yield "annotation_id", self._call(caller, "/apps/annotations", json=pair)["id"]
        model = {"embedding_provider_name": "builtin", "embedding_model_name": "multilingual-e5-small"}
        switched = {"score_threshold": 0.9, **model}
        yield "job_id", self._call(caller, "/apps/annotation-reply/enable", json=switched)["job_id"]

    def _variables(self, caller: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        said = self._call(caller, "/chat-messages", json={**USER, "query": "Hi"})
        path = f"{self.mount}/conversations/{said['conversation_id']}/variables"
        listed: Any = _checked(self.client.get(path, query_string=USER, headers=caller)).get_json()
        yield "variable_id", listed["data"][0]["id"]

    def _runs(self, caller: Mapping[str, str], asking: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Tell of a run that has ended, since the events of one that waits have no end, and of a form."""
        ran = self._call(caller, "/workflows/run", json=USER)
        yield from (("workflow_run_id", ran["workflow_run_id"]), ("workflow_id", ran["data"]["workflow_id"]))
        sent = {**USER, "response_mode": "streaming"}
        events = read_events(self.client.post(f"{self.mount}/workflows/run", json=sent, headers=asking))
        asked = next(event for event in events if event["event"] == "human_input_required")
        yield "form_token", asked["data"]["form_token"]

    def _knowledge(self, caller: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        dataset = self._call(caller, "/datasets", json={"name": "Birds"})["id"]
        shape = {"indexing_technique": "high_quality", "doc_form": "hierarchical_model"}
        text = {"name": "Note", "text": "Penguins swim.", **shape}
        made = self._call(caller, f"/datasets/{dataset}/document/create-by-text", json=text)
        document = made["document"]["id"]
        set_document(self.runtime, document, indexing_status="completed")
        here = f"/datasets/{dataset}/documents/{document}/segments"
        segment = self._call(caller, here, json={"segments": [{"content": "Bears walk."}]})["data"][0]["id"]
        chunk = self._call(caller, f"{here}/{segment}/child_chunks", json={"content": "Bears."})
        tag = self._call(caller, "/datasets/tags", json={"name": "ice"})
        field = {"name": "year", "type": "number"}
        yield from (("dataset_id", dataset), ("tag_id", tag["id"]), ("batch", made["batch"]))
        yield from (("document_id", document), ("segment_id", segment), ("chunk_id", chunk["data"]["id"]))
        yield "field_id", self._call(caller, f"/datasets/{dataset}/metadata", json=field)["id"]


def make_workspace(house: Flask, mount: str) -> Workspace:
    """Make a fresh workspace."""
    return Maker(house, mount).make()


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _checked(answer: Any) -> Any:
    assert answer.status_code < 300, answer.text
    return answer
