"""Workflow apps and chatflows through the public API."""

import io
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.errors import Unavailable
from api.runtime import Runtime
from api.services import providers
from api.services.flow_recorder import FlowRecorder
from tests.conftest import BOTH
from tests.factories import Owner, make_app, make_key, make_owner
from tests.flows import drawn, edges, end, template
from tests.sse import parse_events, read_events
from tests.statements import count_statements
from tests.waiting import wait_until

MOUNTS = ("/api", "/v1")
NAME = {"variable": "name", "label": "Name", "type": "text-input", "required": True, "max_length": 10}
ECHO: dict[str, Any] = {
    "nodes": [
        drawn("s", "start", variables=[NAME]),
        drawn("e", "end", outputs=[{"variable": "said", "value_selector": ["s", "name"]}]),
    ],
    "edges": edges("s > e"),
}
CHAT: dict[str, Any] = {
    "nodes": [
        drawn("s", "start"),
        drawn("a", "answer", answer="You said {{#sys.query#}} ({{#sys.dialogue_count#}})."),
    ],
    "edges": edges("s > a"),
}
BROKEN = {
    "nodes": [
        drawn("s", "start", variables=[NAME]),
        drawn(
            "c",
            "if-else",
            cases=[
                {
                    "case_id": "x",
                    "conditions": [
                        {"variable_selector": ["s", "name"], "comparison_operator": ">", "value": "1"}
                    ],
                }
            ],
        ),
        drawn("e", "end", outputs=[]),
    ],
    "edges": edges("s > c [x] > e"),
}


class FlowApp:
    """A published app with its key."""

    def __init__(
        self, client: FlaskClient, runtime: Runtime, owner: Owner, mode: str, graph: Any, **draft: Any
    ) -> None:
        self.client, self.owner = client, owner
        self.id = make_app(runtime, owner, mode=mode)
        self.headers = {"Authorization": f"Bearer {make_key(runtime, owner, self.id)}"}
        path = f"/console/api/apps/{self.id}/workflows"
        saved = client.post(f"{path}/draft", json={"graph": graph, **draft}, headers=owner.headers)
        assert saved.status_code == 200, saved.json
        published = client.post(f"{path}/publish", headers=owner.headers)
        self.workflow_id: str = published.get_json()["workflow_id"]

    def post(self, path: str, **body: Any) -> Any:
        return self.client.post(path, json={"user": "ada", **body}, headers=self.headers)

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, query_string=query, headers=self.headers)


@pytest.fixture
def flow_app(client: FlaskClient, runtime: Runtime, owner: Owner) -> Callable[..., FlowApp]:
    """Makes published apps."""
    return partial(FlowApp, client, runtime, owner)


@pytest.fixture
def echo(client: FlaskClient, runtime: Runtime, owner: Owner) -> FlowApp:
    return FlowApp(client, runtime, owner, "workflow", ECHO)


@pytest.fixture
def chatflow(client: FlaskClient, runtime: Runtime, owner: Owner) -> FlowApp:
    return FlowApp(client, runtime, owner, "advanced-chat", CHAT)


@pytest.mark.parametrize("mount", MOUNTS)
def test_blocking_run_answers_with_how_it_ended(echo: FlowApp, mount: str) -> None:
    answer = echo.post(f"{mount}/workflows/run", inputs={"name": "Ada"})

    data = answer.json["data"]
    assert answer.status_code == 200, answer.json
    assert set(answer.json) == {"task_id", "workflow_run_id", "data"}
    assert data["id"] == answer.json["workflow_run_id"]
    assert (data["status"], data["outputs"], data["error"]) == ("succeeded", {"said": "Ada"}, None)
    assert (data["total_steps"], data["total_tokens"], data["exceptions_count"]) == (2, 0, 0)
    assert data["created_by"]["user"] == "ada"
    assert data["workflow_id"] == echo.workflow_id


@pytest.mark.parametrize("mount", MOUNTS)
def test_stream_tells_nodes_flat_only_in_the_seeds_dialect(echo: FlowApp, mount: str) -> None:
    events = read_events(
        echo.post(f"{mount}/workflows/run", inputs={"name": "Ada"}, response_mode="streaming")
    )

    names = [event["event"] for event in events]
    assert names[0] == "workflow_started"
    assert names[-1] == "workflow_finished"
    assert names.count("text_chunk") == 1
    started = events[names.index("node_started")]
    chunk = events[names.index("text_chunk")]
    assert all(event["task_id"] and event["workflow_run_id"] for event in events)
    assert ("node_id" in started) == (mount == "/api")
    assert chunk["data"] == {"text": "Ada", "from_variable_selector": ["s", "name"]}
    assert ("text" in chunk) == (mount == "/api")
    assert events[0]["data"]["inputs"]["sys.user_id"] == "ada"
    assert events[0]["data"]["inputs"]["name"] == "Ada"


def test_run_that_fails_is_an_answer_not_an_error(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    broken = FlowApp(client, runtime, owner, "workflow", BROKEN)

    answer = broken.post("/v1/workflows/run", inputs={"name": "Ada"})

    assert answer.status_code == 200
    assert answer.json["data"]["status"] == "failed"
    assert "not a number" in answer.json["data"]["error"]


@pytest.mark.parametrize(
    ("inputs", "word"),
    [
        ({}, "required in input form"),
        ({"name": "A" * 11}, "less than 10 characters"),
        ({"name": 5}, "string"),
    ],
)
def test_bad_inputs_are_refused_before_there_is_a_run(echo: FlowApp, inputs: Any, word: str) -> None:
    answer = echo.post("/v1/workflows/run", inputs=inputs)

    assert (answer.status_code, answer.json["code"]) == (400, "invalid_param")
    assert word in answer.json["message"]
    assert echo.get("/v1/workflows/logs").json["total"] == 0


def test_run_is_found_again_listed_and_searched(echo: FlowApp) -> None:
    run_id = echo.post("/v1/workflows/run", inputs={"name": "Ada"}).json["workflow_run_id"]
    echo.post("/v1/workflows/run", inputs={"name": "Bob"}, user="bob")

    detail = echo.get(f"/api/workflows/run/{run_id}").json
    in_dify = echo.get(f"/v1/workflows/run/{run_id}").json
    logs = echo.get("/v1/workflows/logs").json
    found = echo.get("/v1/workflows/logs", keyword="Ada", status="succeeded").json
    mine = echo.get("/v1/workflows/logs", created_by_end_user_session_id="bob").json

    assert (detail["status"], detail["inputs"]["name"], detail["outputs"]) == (
        "succeeded",
        "Ada",
        {"said": "Ada"},
    )
    assert {**in_dify, "inputs": json.loads(in_dify["inputs"])} == detail
    assert (logs["total"], logs["has_more"], logs["limit"]) == (2, False, 20)
    assert [item["workflow_run"]["id"] for item in found["data"]] == [run_id]
    assert found["data"][0]["created_by_end_user"]["session_id"] == "ada"
    assert mine["total"] == 1
    assert echo.get("/v1/workflows/run/nothing").status_code == 404
    for wrong in ("yesterday", "9999-12-31T23:59:59-14:00"):
        assert echo.get("/v1/workflows/logs", created_at__after=wrong).status_code == 400
    assert echo.get("/v1/workflows/logs", created_by_account="no@one.example").status_code == 400


def test_accounts_of_other_workspaces_are_unknown_in_logs(echo: FlowApp, runtime: Runtime) -> None:
    stranger = make_owner(runtime)

    answer = echo.get("/v1/workflows/logs", created_by_account=stranger.email)

    assert echo.get("/v1/workflows/logs", created_by_account=echo.owner.email).status_code == 200
    assert (answer.status_code, answer.json["message"]) == (400, f"Account not found: {stranger.email}")


def test_run_that_cannot_begin_ends_in_words(
    echo: FlowApp, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: object, **_options: object) -> None:
        raise Unavailable("The database is away.")

    monkeypatch.setattr(providers, "model_runtime", away)

    events = read_events(echo.post("/v1/workflows/run", inputs={"name": "Ada"}, response_mode="streaming"))

    assert (events[-1]["event"], events[-1]["message"]) == ("error", "The database is away.")
    assert echo.get("/v1/workflows/logs", status="failed").json["total"] == 1
    wait_until(lambda: not runtime.live_runs)


def test_events_of_a_run_are_read_again(echo: FlowApp) -> None:
    answer = echo.post("/v1/workflows/run", inputs={"name": "Ada"}, response_mode="streaming")
    events = read_events(answer)

    again = echo.get(f"/v1/workflow/{events[0]['workflow_run_id']}/events", user="ada")
    other = echo.get(f"/v1/workflow/{events[0]['workflow_run_id']}/events", user="eve")

    assert parse_events(again.text) == [{**event, "#": place} for place, event in enumerate(events, 1)]
    assert other.status_code == 404


def test_chosen_version_runs_and_others_are_told_apart(echo: FlowApp) -> None:
    ran = echo.post(f"/v1/workflows/{echo.workflow_id}/run", inputs={"name": "Ada"})

    assert ran.json["data"]["status"] == "succeeded"
    assert echo.post("/v1/workflows/x/run").status_code == 400
    assert echo.post("/v1/workflows/11111111-1111-4111-8111-111111111111/run").status_code == 404


def test_version_that_was_deleted_runs_no_more(echo: FlowApp) -> None:
    path = f"/console/api/apps/{echo.id}/workflows"
    ran = echo.post(f"/v1/workflows/{echo.workflow_id}/run", inputs={"name": "Ada"})
    echo.client.post(f"{path}/publish", headers=echo.owner.headers)
    deleted = echo.client.delete(f"{path}/{echo.workflow_id}", headers=echo.owner.headers)

    again = echo.post(f"/v1/workflows/{echo.workflow_id}/run", inputs={"name": "Ada"})

    assert (ran.status_code, deleted.status_code) == (200, 204)
    assert (again.status_code, again.json["code"]) == (404, "not_found")


@BOTH
def test_repeated_request_gets_the_first_run(echo: FlowApp) -> None:
    headers = {**echo.headers, "Idempotency-Key": "k1"}
    body = {"user": "ada", "inputs": {"name": "Ada"}}

    answers = [echo.client.post("/v1/workflows/run", json=body, headers=headers).get_json() for _ in range(2)]

    assert answers[0]["workflow_run_id"] == answers[1]["workflow_run_id"]
    assert echo.get("/v1/workflows/logs").json["total"] == 1


def test_apps_of_other_modes_are_refused(
    client: FlaskClient, runtime: Runtime, owner: Owner, chatflow: FlowApp
) -> None:
    unpublished = make_app(runtime, owner, mode="workflow")
    headers = {"Authorization": f"Bearer {make_key(runtime, owner, unpublished)}"}

    refused = client.post("/v1/workflows/run", json={"user": "ada"}, headers=headers)

    assert (refused.status_code, refused.get_json()["message"]) == (400, "Workflow not published")
    foreign = chatflow.post("/v1/workflows/run")
    assert (foreign.status_code, foreign.json["code"]) == (400, "not_workflow_app")


@pytest.mark.parametrize("mount", MOUNTS)
def test_chatflow_answers_and_remembers(chatflow: FlowApp, mount: str) -> None:
    first = chatflow.post(f"{mount}/chat-messages", query="hello")
    second = read_events(
        chatflow.post(
            f"{mount}/chat-messages",
            query="again",
            conversation_id=first.json["conversation_id"],
            response_mode="streaming",
        )
    )
    history = chatflow.get(
        f"{mount}/messages", user="ada", conversation_id=first.json["conversation_id"]
    ).json["data"]

    assert first.json["answer"] == "You said hello (1)."
    names = [event["event"] for event in second]
    assert names[-2:] == ["workflow_finished", "message_end"]
    assert (
        "".join(event["answer"] for event in second if event["event"] == "message") == "You said again (2)."
    )
    assert second[-1]["files"] == []
    assert [item["answer"] for item in history] == ["You said hello (1).", "You said again (2)."]


def test_chatflow_that_fails_says_so_after_its_run(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    graph = {
        "nodes": [
            drawn("s", "start"),
            drawn(
                "c",
                "if-else",
                cases=[
                    {
                        "case_id": "x",
                        "conditions": [
                            {"variable_selector": ["sys", "query"], "comparison_operator": ">", "value": "1"}
                        ],
                    }
                ],
            ),
            drawn("a", "answer", answer="big"),
        ],
        "edges": edges("s > c [x] > a"),
    }
    app = FlowApp(client, runtime, owner, "advanced-chat", graph)

    events = read_events(app.post("/v1/chat-messages", query="x", response_mode="streaming"))
    whole = app.post("/v1/chat-messages", query="x")

    assert [event["event"] for event in events[-2:]] == ["workflow_finished", "error"]
    assert events[-1]["code"] == "invalid_param"
    assert events[-1]["message"].startswith("Run failed: ")
    assert (whole.status_code, whole.json["code"]) == (400, "invalid_param")


def test_chatflow_keeps_what_an_assigner_wrote_and_holds_it_to_its_type(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    change = {"operation": "append", "input_type": "variable", "value": ["sys", "query"]}
    graph = {
        "nodes": [
            drawn("s", "start"),
            drawn(
                "v",
                "assigner",
                version="2",
                items=[{**change, "variable_selector": ["conversation", "said"]}],
            ),
            drawn("a", "answer", answer="{{#conversation.said#}}"),
        ],
        "edges": edges("s > v > a"),
    }

    def chat(kind: str) -> FlowApp:
        declared = [{"name": "said", "value_type": kind, "value": []}]
        return FlowApp(client, runtime, owner, "advanced-chat", graph, conversation_variables=declared)

    texts = chat("array[string]")
    first = texts.post("/v1/chat-messages", query="one")
    second = texts.post("/v1/chat-messages", query="two", conversation_id=first.json["conversation_id"])
    numbers = chat("array[number]").post("/v1/chat-messages", query="one")

    assert (first.json["answer"], second.json["answer"]) == ("- one", "- one\n- two")
    assert "the value is string, not number" in numbers.json["message"]


def test_parameters_of_a_workflow_are_those_of_its_published_version(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    form: list[Any] = [
        {**NAME, "hide": True, "placeholder": "Who?"},
        {"variable": "city", "label": "City", "type": "select", "options": ["a", "b"], "default": "a"},
        {"variable": "n", "label": "N", "type": "number"},
        {"variable": "ok", "label": "OK", "type": "checkbox"},
        {"variable": "doc", "label": "Doc", "type": "file", "allowed_file_types": ["document"]},
        {"variable": "docs", "label": "Docs", "type": "file-list", "max_length": 3},
        {"variable": "more", "label": "More", "type": "json_object", "json_schema": {"type": "object"}},
        {"variable": "home", "label": "Home", "type": "url"},
    ]
    graph = {"nodes": [drawn("s", "start", variables=form), *ECHO["nodes"][1:]], "edges": ECHO["edges"]}
    features = {
        "file_upload": {"enabled": True, "allowed_file_types": ["image"], "number_limits": 2},
        "text_to_speech": {"enabled": True, "voice": "v"},
    }
    app = FlowApp(client, runtime, owner, "workflow", graph, features=features)

    told = app.get("/v1/parameters").json

    assert [next(iter(item)) for item in told["user_input_form"]] == [item["type"] for item in form]
    for item, drawn_as in zip(told["user_input_form"], form, strict=True):
        shown = item[drawn_as["type"]]
        assert {key: shown[key] for key in drawn_as} == drawn_as
    upload = told["file_upload"]
    assert (upload["enabled"], upload["allowed_file_types"], upload["number_limits"]) == (True, ["image"], 2)
    assert upload["image"]["enabled"] is False
    assert told["text_to_speech"] == {"enabled": True, "voice": "v", "language": "", "autoPlay": "disabled"}
    assert told["sensitive_word_avoidance"] == {"enabled": False, "type": "", "configs": []}
    assert told["system_parameters"]["workflow_file_upload_limit"] == 10


@pytest.mark.parametrize("mount", MOUNTS)
def test_chatflow_tells_how_its_conversations_begin(
    client: FlaskClient, runtime: Runtime, owner: Owner, mount: str
) -> None:
    graph = {**CHAT, "nodes": [drawn("s", "start", variables=[NAME]), *CHAT["nodes"][1:]]}
    features = {"opening_statement": "Hello {{name}}", "suggested_questions": ["Why?"]}
    app = FlowApp(client, runtime, owner, "advanced-chat", graph, features=features)

    told = app.get(f"{mount}/parameters").json
    app.post(f"{mount}/chat-messages", query="hi", inputs={"name": "Ada"})
    listed = app.get(f"{mount}/conversations", user="ada").json["data"]

    assert (told["opening_statement"], told["suggested_questions"]) == ("Hello {{name}}", ["Why?"])
    assert [item["introduction"] for item in listed] == ["Hello Ada"]
    for path in ("info", "meta", "site"):
        answer = app.get(f"{mount}/{path}")
        assert answer.status_code == 200, answer.text
    assert app.get(f"{mount}/info").json["mode"] == "advanced-chat"


@pytest.mark.parametrize(
    ("rules", "count", "message"),
    [
        ({}, 101, "docs in input form must be at most 100 files"),
        ({"allowed_file_types": "image"}, 1, "docs in input form is drawn with rules for its files"),
    ],
)
def test_files_that_no_rule_can_take_are_refused(
    flow_app: Callable[..., FlowApp], rules: Any, count: int, message: str
) -> None:
    form = [{"variable": "docs", "label": "Docs", "type": "file-list", **rules}]
    graph = {
        "nodes": [drawn("s", "start", variables=form), drawn("e", "end", outputs=[])],
        "edges": edges("s > e"),
    }
    app = flow_app("workflow", graph)
    file = {"type": "document", "transfer_method": "remote_url", "url": "https://example.com/a.txt"}

    answer = app.post("/v1/workflows/run", inputs={"docs": [file] * count})

    assert (answer.status_code, answer.json["code"]) == (400, "invalid_param")
    assert answer.json["message"].startswith(message)


@pytest.mark.parametrize("value", ["\ud800", 2**65])
def test_run_whose_nodes_cannot_be_stored_ends_as_failed(
    echo: FlowApp, monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    column = "error" if isinstance(value, str) else "index"
    row_of = FlowRecorder._row  # no real node brings such a value so far
    monkeypatch.setattr(FlowRecorder, "_row", lambda self, event: {**row_of(self, event), column: value})

    echo.post("/v1/workflows/run", inputs={"name": "Ada"}, response_mode="blocking")

    [log] = echo.get("/v1/workflows/logs").json["data"]
    assert log["workflow_run"]["status"] == "failed"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("def main():\n    return {'said': 'a\\x00b'}\n", "succeeded"),
        ("def main():\n    raise ValueError('a\\x00b')\n", "failed"),
    ],
)
def test_run_that_comes_upon_a_nul_ends(
    client: FlaskClient, runtime: Runtime, owner: Owner, text: str, status: str
) -> None:
    code = drawn(
        "c",
        "code",
        code_language="python3",
        variables=[],
        code=text,
        outputs={"said": {"type": "string"}},
    )
    answer = drawn("a", "answer", answer="{{#c.said#}}")
    graph = {"nodes": [drawn("s", "start"), code, answer], "edges": edges("s > c > a")}
    app = FlowApp(client, runtime, owner, "advanced-chat", graph)

    events = read_events(app.post("/v1/chat-messages", query="Hi", response_mode="streaming"))

    run = app.get(f"/v1/workflows/run/{events[0]['workflow_run_id']}").json
    [message] = app.get("/v1/messages", conversation_id=events[0]["conversation_id"], user="ada").json["data"]
    assert run["status"] == status
    assert message["status"] == ("normal" if status == "succeeded" else "error")
    assert events[-1]["event"] == ("message_end" if status == "succeeded" else "error")


def test_chain_costs_few_statements(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    names = [f"t{number}" for number in range(10)]
    steps = [template(name, "x") for name in names]
    graph = {
        "nodes": [drawn("s", "start"), *steps, end(said="t9.output")],
        "edges": edges(" > ".join(["s", *names, "e"])),
    }
    app = FlowApp(client, runtime, owner, "workflow", graph)
    app.post("/v1/workflows/run", inputs={})

    with count_statements(runtime.session_factory.kw["bind"]) as statements:
        answer = app.post("/v1/workflows/run", inputs={}, response_mode="streaming")
        events = read_events(answer)

    assert events[-1]["data"]["status"] == "succeeded"
    assert len(statements) <= 3, statements


def test_file_of_another_user_is_not_read_however_its_value_was_made_up(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    nodes = [
        drawn("s", "start", variables=[{"variable": "given", "label": "Given", "type": "json_object"}]),
        drawn("x", "document-extractor", variable_selector=["s", "given", "file"]),
        drawn("e", "end", outputs=[{"variable": "text", "value_selector": ["x", "text"]}]),
    ]
    app = FlowApp(client, runtime, owner, "workflow", {"nodes": nodes, "edges": edges("s > x > e")})
    sent = {"user": "bob", "file": (io.BytesIO(b"A secret of Bob's."), "notes.txt")}
    file_id = client.post("/v1/files/upload", data=sent, headers=app.headers).get_json()["id"]
    made_up = {
        "dify_model_identity": "__dify__file__",
        "type": "document",
        "transfer_method": "local_file",
        "related_id": file_id,
        "filename": "notes.txt",
        "extension": ".txt",
    }

    mine, others = (
        app.post("/v1/workflows/run", user=user, inputs={"given": {"file": made_up}}).get_json()
        for user in ("bob", "ada")
    )

    assert mine["data"]["outputs"] == {"text": "A secret of Bob's."}
    assert others["data"]["status"] == "failed"
    assert "not there any more" in others["data"]["error"]
