"""The API's own description: valid, complete, and equal to what the routes really answer."""

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import OpenAPIV2SpecValidator, OpenAPIV30SpecValidator
from werkzeug.test import TestResponse

from api.controllers.http.errors import DIFY_CODES, SEED_CODES
from tests import factories, flows
from tests.conftest import make_house, make_settings, stop_house
from tests.controllers import guest_calls
from tests.controllers.app_calls import call_message, call_speech, call_variables
from tests.controllers.dataset_calls import call_datasets
from tests.controllers.described import body, check_answer, documented, operations
from tests.factories import ChatApp, make_chat_app, make_owner
from tests.knowledge import add_document, make_dataset, make_dataset_key, put_to_sleep, set_document
from tests.sse import read_events

ERRORS = Path(__file__).parents[2] / "docs/wire/errors.md"
MOUNTS = {"/api": "seed", "/v1": "dify"}
PAGES = ("/api/docs", "/v1/docs", "/console/api/spec")
ITS_OWN = {"specs", "doc", "root", "spec_open_api_document", "spec_docs", "swagger_document", "swagger_page"}
FORM_TYPE = "multipart/form-data"
FEATURES = (
    "retriever_resource",
    "suggested_questions_after_answer",
    "speech_to_text",
    "text_to_speech",
    "file_upload",
)
FORM = [{"text-input": {"label": "Name", "variable": "name", "default": "Ann"}}]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The embedded program: descriptions do not depend on backends."""
    app = make_house(make_settings(tmp_path_factory.mktemp("described")))
    yield app
    stop_house(app)


@pytest.fixture(scope="module")
def visitor(embedded: Flask) -> FlaskClient:
    """A client without credentials."""
    return embedded.test_client()


def read(client: FlaskClient, path: str) -> dict[str, Any]:
    return body(client.get(path))


def routes(app: Flask, blueprint: str, mount: str) -> set[tuple[str, str]]:
    """Return (path, method) of a mount's routes, except those of the description itself."""
    return {
        (re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule.removeprefix(mount)), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.endpoint.partition(".")[0] == blueprint and rule.endpoint.partition(".")[2] not in ITS_OWN
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


# -- the documents -------------------------------------------------------------------------------


@pytest.mark.parametrize("mount", MOUNTS)
def test_openapi_document_of_each_mount_is_valid(visitor: FlaskClient, mount: str) -> None:
    spec = read(visitor, f"{mount}/openapi.json")
    OpenAPIV30SpecValidator(spec).validate()
    assert spec["openapi"] == "3.0.3"
    assert spec["servers"] == [{"url": mount}]


@pytest.mark.parametrize("mount", MOUNTS)
def test_openapi_document_names_exactly_the_routes_of_its_mount(
    embedded: Flask, visitor: FlaskClient, mount: str
) -> None:
    spec = read(visitor, f"{mount}/openapi.json")
    assert documented(spec) == routes(embedded, MOUNTS[mount], mount)


def test_swagger_ui_is_found_where_the_seed_looks_for_it(visitor: FlaskClient) -> None:
    answer = visitor.get("/console/api/swagger-ui.html")

    assert (answer.status_code, answer.headers["Location"]) == (302, "/console/api/spec")


@pytest.mark.parametrize("path", ["/console/api/spec/swagger.json", "/console/api/swagger.json"])
def test_console_document_is_valid_and_names_exactly_its_routes(
    embedded: Flask, visitor: FlaskClient, path: str
) -> None:
    spec = read(visitor, path)
    OpenAPIV2SpecValidator(spec).validate()
    assert documented(spec) == routes(embedded, "console", "/console/api")


def test_openapi_document_behind_a_public_url_names_it_as_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    settings = make_settings(tmp_path_factory.mktemp("public"), public_url="https://llm.example.com/x/")
    app = make_house(settings)
    spec = read(app.test_client(), "/v1/openapi.json")
    stop_house(app)
    assert spec["servers"] == [{"url": "https://llm.example.com/x/v1"}]


def test_every_guarded_operation_asks_for_a_key_and_tells_of_its_limits(visitor: FlaskClient) -> None:
    spec = read(visitor, "/api/openapi.json")
    assert spec["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    guarded = {name: found for name, found in operations(spec) if found["security"]}
    open_to_all = set(dict(operations(spec))) - set(guarded)
    assert open_to_all == {"GET /", *guest_calls.PUBLIC}
    for name, operation in guarded.items():
        assert {"401", "403", "429", "default"} <= set(operation["responses"]), name
        success = next(response for status, response in operation["responses"].items() if status < "3")
        assert "X-RateLimit-Remaining" in success["headers"], name
    assert "Retry-After" in spec["components"]["responses"]["Error429"]["headers"]


@pytest.mark.parametrize(("mount", "code"), [("/api", "access_denied"), ("/v1", "forbidden")])
def test_error_answers_are_described_in_the_words_of_the_mount(
    visitor: FlaskClient, mount: str, code: str
) -> None:
    spec = read(visitor, f"{mount}/openapi.json")
    forbidden = spec["components"]["responses"]["Error403"]["content"]["application/json"]
    assert forbidden["examples"][code]["value"]["code"] == code
    assert forbidden["schema"] == {"$ref": "#/components/schemas/Error"}


def described_values(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where a parameter, a body or an answer of JSON is described, and what is said of it."""
    for path, item in spec["paths"].items():
        for parameter in item.get("parameters", ()):
            yield f"{path} {parameter['name']}", parameter
    for name, operation in operations(spec):
        for parameter in operation["parameters"]:
            yield f"{name} {parameter['name']}", parameter
        for where in (operation.get("requestBody", {}), *operation["responses"].values()):
            for media, content in where.get("content", {}).items():
                if media in ("application/json", FORM_TYPE):
                    yield f"{name} {media}", content
    for name, response in spec["components"]["responses"].items():
        yield name, response["content"]["application/json"]


@pytest.mark.parametrize("mount", MOUNTS)
def test_everything_sent_and_answered_has_an_example_that_agrees_with_its_schema(
    visitor: FlaskClient, mount: str
) -> None:
    spec = read(visitor, f"{mount}/openapi.json")
    for where, said in described_values(spec):
        examples = [case["value"] for case in said.get("examples", {}).values()] or [said["example"]]
        schema = {**said["schema"], "components": spec["components"]}
        faults = [
            error.message for example in examples for error in OAS30Validator(schema).iter_errors(example)
        ]
        assert not faults, f"{where}: {faults}"
    sent = spec["paths"]["/chat-messages"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert (sent["user"], sent["query"]) == ("ann", "How deep do penguins dive?")


@pytest.mark.parametrize(("mount", "words"), [("/api", SEED_CODES), ("/v1", DIFY_CODES)])
def test_every_error_code_is_shown_with_its_status(
    visitor: FlaskClient, mount: str, words: dict[str, str]
) -> None:
    responses = read(visitor, f"{mount}/openapi.json")["components"]["responses"]
    shown = {
        (case["value"]["status"], code)
        for response in responses.values()
        for code, case in response["content"]["application/json"]["examples"].items()
    }
    table = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", ERRORS.read_text(encoding="utf-8"), re.MULTILINE)
    known = {(int(status), words.get(code, code)) for status, code in table}
    assert known - shown == {
        (405, "method_not_allowed"),
        (408, "request_timeout"),
        (416, "requested_range_not_satisfiable"),
        (500, "worker_lost"),
    }


def test_body_fields_keep_what_their_parser_says(visitor: FlaskClient) -> None:
    spec = read(visitor, "/api/openapi.json")
    body = spec["paths"]["/chat-messages"]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert body["required"] is True
    assert schema["required"] == ["query", "user"]
    assert schema["properties"]["query"]["minLength"] == 1
    assert schema["properties"]["response_mode"]["enum"] == ["streaming", "blocking"]
    assert schema["properties"]["files"]["nullable"] is True
    optional = spec["paths"]["/conversations/{conversation_id}"]["delete"]["requestBody"]
    assert optional["required"] is False


def test_uploads_are_described_as_forms_with_a_file(visitor: FlaskClient) -> None:
    spec = read(visitor, "/api/openapi.json")
    form = spec["paths"]["/files/upload"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["file"]["format"] == "binary"
    assert form["required"] == ["file"]


def test_streams_are_described_as_event_streams(visitor: FlaskClient) -> None:
    spec = read(visitor, "/api/openapi.json")
    answer = spec["paths"]["/chat-messages"]["post"]["responses"]["200"]["content"]
    events = spec["paths"]["/chat-messages/{task_id}/events"]["get"]["responses"]["200"]["content"]
    assert list(answer) == ["application/json", "text/event-stream"]
    assert list(events) == ["text/event-stream"]


# -- the pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_page_loads_only_what_this_server_has(visitor: FlaskClient, path: str) -> None:
    page = visitor.get(path)
    text = page.get_data(as_text=True)
    assert page.status_code == 200
    assert page.mimetype == "text/html"
    loaded = re.findall(r'(?:src|href)="([^"]+)"', text) + re.findall(r'url: "([^"]+)"', text)
    addresses = [address for address in loaded if not address.startswith("#")]
    assert len(addresses) > 5
    for address in addresses:
        assert address.startswith("/"), address
        assert not address.startswith("//"), address
        with visitor.get(address) as asset:
            assert asset.status_code == 200, address


def test_style_sheets_of_the_page_load_nothing_from_elsewhere(visitor: FlaskClient) -> None:
    for name in ("swagger-ui.css", "droid-sans.css"):
        with visitor.get(f"/swaggerui/{name}") as sheet:
            targets = re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", sheet.get_data(as_text=True))
        assert not [target for target in targets if target.startswith(("http", "//"))]


# -- the answers ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Caller:
    """Calls routes by the name they have in the document."""

    client: FlaskClient
    app: ChatApp
    mount: str

    @cached_property
    def spec(self) -> dict[str, Any]:
        return read(self.client, f"{self.mount}/openapi.json")

    def call(self, method: str, path: str, **options: Any) -> TestResponse:
        return self.client.open(
            self.mount + path, method=method, headers=self.app.headers, buffered=True, **options
        )


def converse(caller: Caller, completion: Caller) -> dict[str, TestResponse]:
    """Call every route once, as a client would, and return the answers by the routes' names."""
    call, user = caller.call, {"user": "ann"}
    upload = call("POST", "/files/upload", data={**user, "file": (io.BytesIO(b"hello"), "a.txt")})
    sent = {**user, "query": "Hello", "inputs": {"name": "Bo"}}
    chat = call("POST", "/chat-messages", json=sent)
    message, talk, task = (body(chat)[key] for key in ("message_id", "conversation_id", "task_id"))
    complete = completion.call("POST", "/completion-messages", json={**user, "inputs": {"query": "Hello"}})
    complete_task = body(complete)["task_id"]
    return {
        "GET /": call("GET", "/"),
        "POST /files/upload": upload,
        "GET /files/{file_id}/preview": call(
            "GET", f"/files/{body(upload)['id']}/preview", query_string=user
        ),
        "POST /chat-messages": chat,
        "GET /chat-messages/{task_id}/events": call(
            "GET", f"/chat-messages/{task}/events", query_string=user
        ),
        "POST /chat-messages/{task_id}/stop": call("POST", f"/chat-messages/{task}/stop", json=user),
        "POST /completion-messages": complete,
        "GET /completion-messages/{task_id}/events": completion.call(
            "GET", f"/completion-messages/{complete_task}/events", query_string=user
        ),
        "POST /completion-messages/{task_id}/stop": completion.call(
            "POST", f"/completion-messages/{complete_task}/stop", json=user
        ),
        **call_message(call, message, user["user"]),
        "GET /messages": call("GET", "/messages", query_string={**user, "conversation_id": talk}),
        "GET /conversations": call("GET", "/conversations", query_string=user),
        "GET /conversations/{conversation_id}/messages": call(
            "GET", f"/conversations/{talk}/messages", query_string=user
        ),
        "POST /conversations/{conversation_id}/name": call(
            "POST", f"/conversations/{talk}/name", json={**user, "name": "Greeting"}
        ),
        **annotate(call),
        "GET /info": call("GET", "/info"),
        "GET /parameters": call("GET", "/parameters"),
        "GET /meta": call("GET", "/meta"),
        "GET /site": call("GET", "/site"),
        "GET /end-users/{end_user_id}": call("GET", f"/end-users/{body(upload)['created_by']}"),
        "DELETE /conversations/{conversation_id}": call("DELETE", f"/conversations/{talk}", json=user),
    }


def annotate(call: Callable[..., TestResponse]) -> dict[str, TestResponse]:
    """Call every route of annotations once."""
    pair = {"question": "When?", "answer": "At noon."}
    create = call("POST", "/apps/annotations", json=pair)
    path = f"/apps/annotations/{body(create)['id']}"
    model = {"embedding_provider_name": "builtin", "embedding_model_name": "multilingual-e5-small"}
    switch = call("POST", "/apps/annotation-reply/disable", json={"score_threshold": 0.9, **model})
    status = f"/apps/annotation-reply/disable/status/{body(switch)['job_id']}"
    return {
        "POST /apps/annotations": create,
        "GET /apps/annotations": call("GET", "/apps/annotations"),
        "PUT /apps/annotations/{annotation_id}": call("PUT", path, json=pair),
        "DELETE /apps/annotations/{annotation_id}": call("DELETE", path),
        "POST /apps/annotation-reply/{action}": switch,
        "GET /apps/annotation-reply/{action}/status/{job_id}": call("GET", status),
    }


def use_segments(caller: Caller) -> dict[str, TestResponse]:
    """Call every route of segments once, with a dataset key."""
    runtime = caller.client.application.extensions["runtime"]
    owner = caller.app.owner
    headers = make_dataset_key(runtime, owner)
    asleep = put_to_sleep(caller.client.application)
    dataset = make_dataset(runtime, owner)
    form = {"doc_form": "hierarchical_model"}
    document = add_document(caller.client, owner, dataset, **form)["id"]
    set_document(runtime, document, indexing_status="completed")
    here, at = "/datasets/{dataset_id}/documents/{document_id}/segments", f"/datasets/{dataset}/documents"
    answers = {}

    def call(route: str, path: str, **options: Any) -> TestResponse:
        method, _, shown = route.partition(" ")
        name = f"{method} {here}{shown}"
        url = f"{caller.mount}{at}/{document}/segments{path}"
        answers[name] = caller.client.open(url, method=method, headers=headers, **options)
        return answers[name]

    text = {"content": "One text."}
    segment = body(call("POST ", "", json={"segments": [text]}))["data"][0]["id"]
    call("GET ", "")
    call("GET /{segment_id}", f"/{segment}")
    call("POST /{segment_id}", f"/{segment}", json={"segment": text})
    children = f"/{segment}/child_chunks"
    chunk = body(call("POST /{segment_id}/child_chunks", children, json=text))["data"]["id"]
    call("GET /{segment_id}/child_chunks", children)
    call("PATCH /{segment_id}/child_chunks/{chunk_id}", f"{children}/{chunk}", json=text)
    call("DELETE /{segment_id}/child_chunks/{chunk_id}", f"{children}/{chunk}")
    call("DELETE /{segment_id}", f"/{segment}")
    caller.client.application.extensions["runtime"] = asleep
    return answers


def use_documents(caller: Caller) -> dict[str, TestResponse]:
    """Call every route of documents once, with a dataset key."""
    runtime = caller.client.application.extensions["runtime"]
    owner = caller.app.owner
    headers = make_dataset_key(runtime, owner)
    asleep = put_to_sleep(caller.client.application)
    dataset = make_dataset(runtime, owner)
    at = f"/datasets/{dataset}"
    answers = {}

    def call(route: str, path: str, **options: Any) -> TestResponse:
        method = route.partition(" ")[0]
        answers[route] = caller.client.open(caller.mount + path, method=method, headers=headers, **options)
        return answers[route]

    text = {"name": "Note", "text": "One text.", "indexing_technique": "economy"}
    here, one = "/datasets/{dataset_id}", "/datasets/{dataset_id}/documents/{document_id}"
    for spelling in ("create-by-text", "create_by_text"):
        made = body(call(f"POST {here}/document/{spelling}", f"{at}/document/{spelling}", json=text))
    for spelling in ("create-by-file", "create_by_file"):
        form = {"file": (io.BytesIO(b"hello"), "a.txt")}
        call(f"POST {here}/document/{spelling}", f"{at}/document/{spelling}", data=form)
    document = f"{at}/documents/{made['document']['id']}"
    for spelling in ("update-by-text", "update_by_text"):
        call(f"POST {one}/{spelling}", f"{document}/{spelling}", json={"name": "x"})
    for spelling in ("update-by-file", "update_by_file"):
        form = {"file": (io.BytesIO(b"hello"), "a.txt")}
        batch = body(call(f"POST {one}/{spelling}", f"{document}/{spelling}", data=form))["batch"]
    call(f"PATCH {one}", document, data={"name": "y"}, content_type=FORM_TYPE)
    call(f"GET {here}/documents", f"{at}/documents")
    call(f"GET {one}", document)
    call(f"GET {here}/documents/{{batch}}/indexing-status", f"{at}/documents/{batch}/indexing-status")
    call(f"GET {one}/download", f"{document}/download")
    call(f"GET {one}/upload-file", f"{document}/upload-file")
    for name in ("retrieve", "hit-testing"):
        call(f"POST {here}/{name}", f"{at}/{name}", json={"query": "text"})
    ids = {"document_ids": [made["document"]["id"]]}
    call(f"POST {here}/documents/download-zip", f"{at}/documents/download-zip", json=ids, buffered=True)
    call(f"PATCH {here}/documents/status/{{action}}", f"{at}/documents/status/enable", json=ids)
    call(f"DELETE {one}", document)
    caller.client.application.extensions["runtime"] = asleep
    return answers


ECHO = {
    "nodes": [flows.drawn("s", "start"), flows.drawn("e", "end", outputs=[])],
    "edges": flows.edges("s > e"),
}


CHATFLOW = {
    "nodes": [flows.drawn("s", "start"), flows.drawn("a", "answer", answer="Hello")],
    "edges": flows.edges("s > a"),
}
MOOD = {"name": "mood", "value_type": "string", "value": "calm"}


def publish_flow(chat: Caller, graph: object = ECHO, mode: str = "workflow", **draft: object) -> str:
    """Publish a workflow in the workspace of a chat app, and return a key to it."""
    runtime, owner = chat.client.application.extensions["runtime"], chat.app.owner
    app_id = factories.make_app(runtime, owner, mode=mode)
    path = f"/console/api/apps/{app_id}/workflows"
    for step, sent in (("draft", {"graph": graph, **draft}), ("publish", {})):
        answer = chat.client.post(f"{path}/{step}", json=sent, headers=owner.headers)
        assert answer.status_code == 200, answer.text
    return factories.make_key(runtime, owner, app_id)


def answer_forms(chat: Caller) -> dict[str, TestResponse]:
    """Call every route of forms once, for a run that waits for one."""
    ask = flows.drawn("h", "human-input", form_content="Go on?", user_actions=[{"id": "yes", "title": "Yes"}])
    nodes = [flows.drawn("s", "start"), ask, flows.drawn("e", "end", outputs=[])]
    flow = replace(
        chat.app, key=publish_flow(chat, {"nodes": nodes, "edges": flows.edges("s > h [yes] > e")})
    )
    caller = Caller(chat.client, flow, chat.mount)
    sent = {"user": "ada", "response_mode": "streaming"}
    events = read_events(caller.call("POST", "/workflows/run", json=sent))
    token = next(event["data"]["form_token"] for event in events if event["event"] == "human_input_required")
    path = f"/form/human_input/{token}"
    answer = {"user": "ada", "action": "yes", "inputs": {}}
    return {
        "GET /form/human_input/{form_token}": caller.call("GET", path),
        "POST /form/human_input/{form_token}": caller.call("POST", path, json=answer),
    }


def run_flows(caller: Caller) -> dict[str, TestResponse]:
    """Call every route of workflow apps once."""
    user = {"user": "ada"}
    ran = caller.call("POST", "/workflows/run", json=user)
    data = body(ran)["data"]
    run, task = data["id"], body(ran)["task_id"]
    chosen = caller.call("POST", f"/workflows/{data['workflow_id']}/run", json=user)
    return {
        "POST /workflows/run": ran,
        "POST /workflows/{workflow_id}/run": chosen,
        "GET /workflows/run/{workflow_run_id}": caller.call("GET", f"/workflows/run/{run}"),
        "POST /workflows/tasks/{task_id}/stop": caller.call(
            "POST", f"/workflows/tasks/{task}/stop", json=user
        ),
        "GET /workflow/{workflow_run_id}/events": caller.call(
            "GET", f"/workflow/{run}/events", query_string=user
        ),
        "GET /workflows/logs": caller.call("GET", "/workflows/logs"),
    }


@pytest.fixture(scope="module", params=list(MOUNTS))
def callers(request: pytest.FixtureRequest, embedded: Flask) -> tuple[Caller, Caller]:
    """Callers of a chat app and of a completion app, on each mount."""
    runtime = embedded.extensions["runtime"]
    owner = make_owner(runtime)
    features: dict[str, object] = {name: {"enabled": True} for name in FEATURES}
    chat = make_chat_app(runtime, owner, mode="chat", user_input_form=FORM, **features)
    completion = make_chat_app(runtime, owner, mode="completion")
    client = embedded.test_client()
    return Caller(client, chat, request.param), Caller(client, completion, request.param)


def test_every_success_is_answered_as_documented(callers: tuple[Caller, Caller]) -> None:
    chat, _ = callers
    flow = replace(chat.app, key=publish_flow(chat))
    talk = publish_flow(chat, CHATFLOW, "advanced-chat", conversation_variables=[MOOD])
    chatflow = Caller(chat.client, replace(chat.app, key=talk), chat.mount)
    key = factories.make_dataset_key(chat.client.application.extensions["runtime"], chat.app.owner)
    knowledge = Caller(chat.client, replace(chat.app, key=key), chat.mount)
    answers = {
        **converse(*callers),
        **call_datasets(knowledge.call),
        **use_documents(chat),
        **use_segments(chat),
        **run_flows(Caller(chat.client, flow, chat.mount)),
        **answer_forms(chat),
        **call_variables(chatflow.call),
        **call_speech(chat.call, chat.client, chat.app.owner),
        **(guest_calls.call_all(chat.client, chat.app) if chat.mount == "/api" else {}),
    }
    spec = callers[0].spec
    assert set(answers) == set(dict(operations(spec)))
    for name, answer in answers.items():
        assert answer.status_code < 300, f"{name}: {answer.get_data(as_text=True)}"
        check_answer(spec, name, answer)


def test_message_with_feedback_and_history_is_listed_as_documented(callers: tuple[Caller, Caller]) -> None:
    caller = callers[0]
    first = caller.call("POST", "/chat-messages", json={"query": "One", "user": "bo"})
    message, talk = body(first)["id"], body(first)["conversation_id"]
    caller.call("POST", f"/messages/{message}/feedbacks", json={"rating": "like", "user": "bo"})
    page = caller.call("GET", f"/conversations/{talk}/messages", query_string={"user": "bo"})
    assert body(page)["data"][0]["feedback"] == {"rating": "like"}
    check_answer(caller.spec, "GET /conversations/{conversation_id}/messages", page)


@pytest.mark.parametrize(
    ("name", "path", "options", "status"),
    [
        ("POST /chat-messages", "/chat-messages", {"json": {"user": "ann"}}, 400),
        ("POST /chat-messages", "/chat-messages", {"data": "query=x", "content_type": "text/plain"}, 415),
        ("GET /conversations", "/conversations?limit=0", {}, 400),
        ("GET /messages", "/messages?conversation_id=00000000-0000-4000-8000-000000000000", {}, 404),
        ("POST /files/upload", "/files/upload", {"data": {"user": "ann"}, "content_type": FORM_TYPE}, 400),
    ],
)
def test_every_error_is_answered_as_documented(
    callers: tuple[Caller, Caller], name: str, path: str, options: dict[str, Any], status: int
) -> None:
    caller = callers[0]
    answer = caller.call(name.partition(" ")[0], path, **options)
    assert answer.status_code == status
    check_answer(caller.spec, name, answer)


def test_call_without_a_key_is_answered_as_documented(callers: tuple[Caller, Caller]) -> None:
    caller = callers[0]
    answer = caller.client.get(f"{caller.mount}/info")
    assert answer.status_code == 401
    check_answer(caller.spec, "GET /info", answer)
