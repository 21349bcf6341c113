"""Every operation of Dify's Service API called once on a running program, as a client would."""

import io
import json
import time
from collections.abc import Callable
from typing import Any

from werkzeug.datastructures import FileStorage

from tests.conformance.client import Answer, Client
from tests.conformance.workspace import MODELS, PROVIDER, Workspace
from tests.sse import parse_events
from tests.uploads import MP3

Answers = dict[str, Answer]
USER = {"user": "ann"}
FLOW_USER = {"user": "ann", "inputs": {}, "response_mode": "blocking"}
DATASET = "/datasets/{dataset_id}"
DOCUMENT = f"{DATASET}/documents/{{document_id}}"
SEGMENT = f"{DOCUMENT}/segments/{{segment_id}}"
CHILD = f"{SEGMENT}/child_chunks/{{child_chunk_id}}"
EMBEDDING = {"embedding_model": MODELS["text-embedding"], "embedding_model_provider": PROVIDER}
RULE = {
    "mode": "hierarchical",
    "rules": {
        "pre_processing_rules": [],
        "segmentation": {"separator": "\n\n", "max_tokens": 200},
        "parent_mode": "paragraph",
        "subchunk_segmentation": {"separator": "\n", "max_tokens": 50},
    },
}
PATIENCE_S = 30.0


class Journey:
    """Calls a client makes, and their answers by the names of the operations."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.answers: Answers = {}

    def call(self, name: str, ids: dict[str, str] | None = None, **options: Any) -> Any:
        """Call an operation with ids for its path; return the answer's JSON, where it is JSON."""
        method, _, path = name.partition(" ")
        answer = self.client.call(method, path.format(**(ids or {})), **options)
        self.answers[name] = answer
        return answer.json if answer.mimetype == "application/json" else None


def travel(workspace: Workspace, mount: str) -> Answers:
    """Call every operation on one mount."""

    def make(key: str) -> Journey:
        return Journey(workspace.client(mount, key))

    return {
        **use_chat(make("chat")),
        **use_variables(make("advanced-chat")),
        **use_completion(make("completion")),
        **use_flows(make("workflow")),
        **answer_form(make("asking")),
        **use_annotations(make("chat")),
        **use_datasets(make("dataset")),
        **use_documents(make("dataset")),
        **use_pipelines(make("dataset")),
    }


def use_chat(journey: Journey) -> Answers:
    call = journey.call
    for path in ("/info", "/parameters", "/meta", "/site"):
        call(f"GET {path}")
    file = call("POST /files/upload", form={**USER, "file": _file(b"hello", "a.txt", "text/plain")})
    call("GET /files/{file_id}/preview", {"file_id": file["id"]}, query=USER)
    call("GET /end-users/{end_user_id}", {"end_user_id": file["created_by"]})
    said = call("POST /chat-messages", json={**USER, "query": "Hi", "inputs": {}})
    message, talk = {"message_id": said["id"]}, {"conversation_id": said["conversation_id"]}
    call("POST /chat-messages/{task_id}/stop", {"task_id": said["task_id"]}, json=USER)
    call("POST /messages/{message_id}/feedbacks", message, json={**USER, "rating": "like", "content": "ok"})
    call("GET /app/feedbacks", query={"page": 1, "limit": 101})
    call("GET /messages/{message_id}/suggested", message, query=USER)
    call("GET /messages", query={**USER, **talk})
    call("GET /conversations", query=USER)
    call("POST /conversations/{conversation_id}/name", talk, json={**USER, "name": "Greeting"})
    call("POST /audio-to-text", form={**USER, "file": _file(MP3, "a.mp3", "audio/mpeg")})
    call("POST /text-to-audio", json={**USER, **message})
    call("DELETE /conversations/{conversation_id}", talk, json=USER)
    return journey.answers


def use_variables(journey: Journey) -> Answers:
    said = journey.client.call("POST", "/chat-messages", json={**USER, "query": "Hi"}).json
    talk = {"conversation_id": said["conversation_id"]}
    listed = journey.call("GET /conversations/{conversation_id}/variables", talk, query=USER)
    named = {**talk, "variable_id": listed["data"][0]["id"]}
    path = "PUT /conversations/{conversation_id}/variables/{variable_id}"
    journey.call(path, named, json={**USER, "value": "wild"})
    return journey.answers


def use_completion(journey: Journey) -> Answers:
    said = journey.call("POST /completion-messages", json={**USER, "inputs": {"query": "Hi"}})
    journey.call("POST /completion-messages/{task_id}/stop", {"task_id": said["task_id"]}, json=USER)
    return journey.answers


def use_flows(journey: Journey) -> Answers:
    ran = journey.call("POST /workflows/run", json=FLOW_USER)
    run, flow = {"workflow_run_id": ran["workflow_run_id"]}, {"workflow_id": ran["data"]["workflow_id"]}
    journey.call("POST /workflows/{workflow_id}/run", flow, json=FLOW_USER)
    journey.call("POST /workflows/tasks/{task_id}/stop", {"task_id": ran["task_id"]}, json=USER)
    journey.call("GET /workflows/run/{workflow_run_id}", run)
    journey.call("GET /workflow/{workflow_run_id}/events", run, query=USER)
    journey.call("GET /workflows/logs", query={"status": "succeeded"})
    return journey.answers


def answer_form(journey: Journey) -> Answers:
    sent = {**FLOW_USER, "response_mode": "streaming"}
    stream = journey.client.call("POST", "/workflows/run", json=sent).content.decode()
    asked = next(event for event in parse_events(stream) if event["event"] == "human_input_required")
    form = {"form_token": asked["data"]["form_token"]}
    journey.call("GET /form/human_input/{form_token}", form)
    answer = {**USER, "action": "yes", "inputs": {}}
    journey.call("POST /form/human_input/{form_token}", form, json=answer)
    return journey.answers


def use_annotations(journey: Journey) -> Answers:
    made = journey.call("POST /apps/annotations", json={"question": "Who?", "answer": "We."}) or {}
    one = {"annotation_id": made.get("id", "none")}
    journey.call("GET /apps/annotations", query={"page": 1, "limit": 20})
    journey.call("PUT /apps/annotations/{annotation_id}", one, json={"question": "Who?", "answer": "You."})
    wanted = {
        "score_threshold": 0.9,
        "embedding_provider_name": PROVIDER,
        "embedding_model_name": MODELS["text-embedding"],
    }
    begun = journey.call("POST /apps/annotation-reply/{action}", {"action": "enable"}, json=wanted) or {}
    job = {"action": "enable", "job_id": begun.get("job_id", "none")}
    journey.call("GET /apps/annotation-reply/{action}/status/{job_id}", job)
    journey.call("DELETE /apps/annotations/{annotation_id}", one)
    return journey.answers


def use_datasets(journey: Journey) -> Answers:
    call = journey.call
    named = {"name": f"Birds {time.time_ns()}", "indexing_technique": "high_quality", **EMBEDDING}
    one = {"dataset_id": call("POST /datasets", json=named)["id"]}
    call("GET /datasets", query={"page": 1, "limit": 20})
    call(f"GET {DATASET}", one)
    call(f"PATCH {DATASET}", one, json={"description": "of the ice"})
    call("GET /workspaces/current/models/model-types/{model_type}", {"model_type": "text-embedding"})
    tag = call("POST /datasets/tags", json={"name": f"ice {time.time_ns()}"})
    call("GET /datasets/tags")
    call("PATCH /datasets/tags", json={"tag_id": tag["id"], "name": f"snow {time.time_ns()}"})
    target = {"tag_ids": [tag["id"]], "target_id": one["dataset_id"]}
    call("POST /datasets/tags/binding", json=target)
    call(f"GET {DATASET}/tags", one)
    call("POST /datasets/tags/unbinding", json=target)
    call("DELETE /datasets/tags", json={"tag_id": tag["id"]})
    made = call(f"POST {DATASET}/metadata", one, json={"name": "year", "type": "number"})
    field = {**one, "metadata_id": made["id"]}
    call(f"GET {DATASET}/metadata", one)
    call(f"PATCH {DATASET}/metadata/{{metadata_id}}", field, json={"name": "age"})
    call(f"GET {DATASET}/metadata/built-in", one)
    call(f"POST {DATASET}/metadata/built-in/{{action}}", {**one, "action": "enable"})
    call(f"DELETE {DATASET}/metadata/{{metadata_id}}", field)
    call(f"DELETE {DATASET}", one)
    return journey.answers


def use_documents(journey: Journey) -> Answers:
    call = journey.call
    made = journey.client.call("POST", "/datasets", json={"name": f"Ice {time.time_ns()}"}).json
    one = {"dataset_id": made["id"]}
    shape = {"indexing_technique": "high_quality", "doc_form": "hierarchical_model", "process_rule": RULE}
    text = {"name": "Note", "text": "Penguins swim.\nThey dive.", **shape, **EMBEDDING}
    first = call(f"POST {DATASET}/document/create-by-text", one, json=text)
    form = {"file": _file(b"Bears sleep.", "b.txt", "text/plain"), "data": json.dumps(shape)}
    second = call(f"POST {DATASET}/document/create-by-file", one, form=form)
    documents = [{**one, "document_id": made["document"]["id"]} for made in (first, second)]
    batches = [{**one, "batch": made["batch"]} for made in (first, second)]
    for batch in batches:
        wait_until(lambda batch=batch: _is_indexed(journey, batch))  # type: ignore[misc]  # bound at once
    call(f"GET {DATASET}/documents", one)
    call(f"GET {DOCUMENT}", documents[0])
    call(f"POST {DATASET}/retrieve", one, json={"query": "Penguins"})
    use_segments(journey, documents[0])
    call(f"GET {DOCUMENT}/download", documents[1])
    ids = {"document_ids": [documents[1]["document_id"]]}
    call(f"POST {DATASET}/documents/download-zip", one, json=ids)
    values = {"document_id": documents[0]["document_id"], "metadata_list": []}
    call(f"POST {DATASET}/documents/metadata", one, json={"operation_data": [values]})
    call(f"PATCH {DATASET}/documents/status/{{action}}", {**one, "action": "disable"}, json=ids)
    call(f"PATCH {DATASET}/documents/status/{{action}}", {**one, "action": "enable"}, json=ids)
    call(f"POST {DOCUMENT}/update-by-text", documents[0], json={"name": "Note", "text": "Seals swim."})
    form = {"file": _file(b"Wolves run.", "c.txt", "text/plain")}
    call(f"POST {DOCUMENT}/update-by-file", documents[1], form=form)
    form = {"file": _file(b"Foxes dig.", "d.txt", "text/plain")}
    call(f"PATCH {DOCUMENT}", documents[1], form=form)
    call(f"DELETE {DOCUMENT}", documents[0])
    return journey.answers


def use_pipelines(journey: Journey) -> Answers:
    ids = dict.fromkeys(("dataset_id", "node_id"), "00000000-0000-4000-8000-000000000000")
    form = {**USER, "file": _file(b"hello", "a.txt", "text/plain")}
    journey.call("POST /datasets/pipeline/file-upload", form=form)
    journey.call(f"GET {DATASET}/pipeline/datasource-plugins", ids)
    journey.call(f"POST {DATASET}/pipeline/datasource/nodes/{{node_id}}/run", ids, json={})
    journey.call(f"POST {DATASET}/pipeline/run", ids, json={})
    return journey.answers


def use_segments(journey: Journey, document: dict[str, str]) -> None:
    call, text = journey.call, {"content": "Whales sing."}
    made = call(f"POST {DOCUMENT}/segments", document, json={"segments": [text]})
    one = {**document, "segment_id": made["data"][0]["id"]}
    call(f"GET {DOCUMENT}/segments", document)
    call(f"GET {SEGMENT}", one)
    call(f"POST {SEGMENT}", one, json={"segment": {"content": "Whales sing low."}})
    children = f"{SEGMENT}/child_chunks"
    child = {**one, "child_chunk_id": call(f"POST {children}", one, json=text)["data"]["id"]}
    call(f"GET {children}", one)
    call(f"PATCH {CHILD}", child, json={"content": "They sing."})
    call(f"DELETE {CHILD}", child)
    call(f"DELETE {SEGMENT}", one)


def _is_indexed(journey: Journey, batch: dict[str, str]) -> bool:
    told = journey.call(f"GET {DATASET}/documents/{{batch}}/indexing-status", batch)
    statuses = {row["indexing_status"] for row in told["data"]}
    assert "error" not in statuses, told
    return statuses == {"completed"}


def wait_until(is_so: Callable[[], bool]) -> None:
    """Ask again and again, as clients do."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _file(content: bytes, name: str, kind: str) -> FileStorage:
    return FileStorage(io.BytesIO(content), name, content_type=kind)
