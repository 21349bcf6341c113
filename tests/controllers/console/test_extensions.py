"""API-based extensions: kept by a workspace, asked by its apps while they run."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.models.extension import APIExtension
from api.principal import Role
from api.runtime import Runtime
from tests.extensions import EXTENSIONS, KEY, Service, connect, serving
from tests.factories import ChatApp, Owner, make_chat_app, make_member, make_owner
from tests.fakes import Script
from tests.servers import Reply
from tests.sse import read_events, text_of
from tests.statements import count_statements

INPUT, OUTPUT, QUERY = "app.moderation.input", "app.moderation.output", "app.external_data_tool.query"
ON = {"enabled": True}
FORM = [{"text-input": {"label": "City", "variable": "city", "default": ""}}]


@pytest.fixture
def service(client: FlaskClient) -> Iterator[Service]:
    with serving(client) as made:
        yield made


@pytest.fixture
def extension(client: FlaskClient, owner: Owner, service: Service) -> str:
    """A connected service's id."""
    return str(connect(client, owner, service).get_json()["id"])


@pytest.fixture
def script() -> Script:
    return Script()


def ask(client: FlaskClient, app: ChatApp, query: str = "Hi", **more: object) -> Any:
    sent = {"query": query, "user": "ann", "auto_generate_name": False, **more}
    return client.post("/v1/chat-messages", json=sent, headers=app.headers)


def moderation(extension: str, **sides: object) -> Any:
    return {"enabled": True, "type": "api", "config": {"api_based_extension_id": extension, **sides}}


def prompt_of(script: Script) -> str:
    return "\n".join(message.text for message in script.requests[-1].messages)


# -- kept ----------------------------------------------------------------------------------------


def test_extension_is_pinged_kept_sealed_and_shown_masked(
    client: FlaskClient, runtime: Runtime, owner: Owner, service: Service
) -> None:
    made = connect(client, owner, service)
    told = made.get_json()
    assert (made.status_code, told["name"], told["api_endpoint"]) == (201, "Ours", service.url)
    assert KEY not in made.text
    assert service.asked == [{"point": "ping", "params": {}}]
    with runtime.reading() as session:
        assert KEY.encode() not in session.get_one(APIExtension, told["id"]).sealed_key

    url, kept = f"{EXTENSIONS}/{told['id']}", {"api_endpoint": service.url, "api_key": "[__HIDDEN__]"}
    renamed = client.post(url, json={**kept, "name": "New"}, headers=owner.headers)
    elsewhere = {"name": "New", "api_endpoint": f"{service.url}/2", "api_key": told["api_key"]}
    moved = client.post(url, json=elsewhere, headers=owner.headers)
    assert (renamed.status_code, renamed.get_json()["name"]) == (200, "New")
    assert (moved.status_code, moved.get_json()["details"]["field"]) == (400, "api_key")
    listed = client.get(EXTENSIONS, headers=owner.headers).get_json()
    assert listed == [renamed.get_json()] == [client.get(url, headers=owner.headers).get_json()]

    assert connect(client, owner, service, name="New").get_json()["details"]["type"] == "duplicate"
    assert client.delete(url, headers=owner.headers).status_code == 204
    assert client.get(EXTENSIONS, headers=owner.headers).get_json() == []


@pytest.mark.parametrize(
    ("pong", "changes", "code"),
    [
        ({"result": "ping"}, {}, "extension_failed"),
        (["pong"], {}, "extension_failed"),
        (Reply(body=b"pong"), {}, "extension_failed"),
        (Reply(status=302, headers={"Location": "/"}), {}, "extension_failed"),
        ({"result": "pong"}, {"api_key": "another-key"}, "extension_failed"),
        ({"result": "pong"}, {"api_key": "[__HIDDEN__]"}, "invalid_param"),
        ({"result": "pong"}, {"api_key": "four"}, "invalid_param"),
        ({"result": "pong"}, {"api_endpoint": "ftp://example.com"}, "invalid_param"),
        ({"result": "pong"}, {"api_endpoint": "http://10.0.0.1/"}, "egress_denied"),
    ],
)
def test_service_that_does_not_answer_a_ping_is_not_kept(
    client: FlaskClient, owner: Owner, service: Service, pong: object, changes: dict[str, str], code: str
) -> None:
    service.answers["ping"] = pong
    refused = connect(client, owner, service, **changes)
    assert (refused.status_code, refused.get_json()["code"]) == (400, code)
    assert client.get(EXTENSIONS, headers=owner.headers).get_json() == []


def test_extensions_are_an_admins_and_stay_in_their_workspace(
    client: FlaskClient, runtime: Runtime, owner: Owner, service: Service, extension: str
) -> None:
    url, sent = f"{EXTENSIONS}/{extension}", {"name": "x", "api_endpoint": service.url, "api_key": KEY}
    editor, stranger = make_member(runtime, owner, Role.EDITOR), make_owner(runtime)
    assert client.get(url, headers=editor.headers).status_code == 200
    for method, path in (("POST", EXTENSIONS), ("POST", url), ("DELETE", url)):
        assert client.open(path, method=method, json=sent, headers=editor.headers).status_code == 403
    for method in ("GET", "POST", "DELETE"):
        assert client.open(url, method=method, json=sent, headers=stranger.headers).status_code == 404

    config = {
        "model": {"provider": "builtin", "name": "extractive-qa"},
        "sensitive_word_avoidance": moderation(extension, inputs_config=ON),
    }
    for caller, status in ((owner, 200), (stranger, 400)):
        app = make_chat_app(runtime, caller)
        url = f"/console/api/apps/{app.id}/model-config"
        assert client.post(url, json=config, headers=caller.headers).status_code == status


def test_extensions_by_code_are_none(client: FlaskClient, owner: Owner) -> None:
    url = "/console/api/code-based-extension"
    told = client.get(url, query_string={"module": "moderation"}, headers=owner.headers)
    assert told.get_json() == {"module": "moderation", "data": []}
    assert client.get(url, query_string={"module": "x"}, headers=owner.headers).status_code == 400


# -- moderation ----------------------------------------------------------------------------------


def test_extension_refuses_and_covers_questions(
    client: FlaskClient, runtime: Runtime, owner: Owner, service: Service, extension: str, script: Script
) -> None:
    avoidance = moderation(extension, inputs_config={**ON, "preset_response": "No."})
    app = make_chat_app(
        runtime,
        owner,
        model=script.choice,
        sensitive_word_avoidance=avoidance,
        pre_prompt="In {{city}}.",
        user_input_form=FORM,
    )
    service.answers[INPUT] = {"flagged": False, "action": "direct_output"}
    assert ask(client, app, "One", inputs={"city": "Rome"}).get_json()["answer"] == "Hello world"
    assert service.params(INPUT) == [{"app_id": app.id, "inputs": {"city": "Rome"}, "query": "One"}]

    refusal = {"flagged": True, "action": "direct_output", "preset_response": "Ask something else."}
    for said in (refusal, {**refusal, "preset_response": ""}):
        service.answers[INPUT] = said
        answer = ask(client, app).get_json()["answer"]
        assert answer == (said["preset_response"] or "No.")
    assert len(script.requests) == 1

    covers = {"flagged": True, "action": "overridden", "inputs": {"city": "R***", "x": "y"}, "query": "T**"}
    service.answers[INPUT] = covers
    said = ask(client, app, "Two", inputs={"city": "Rome"}).get_json()
    assert said["answer"] == "Hello world"
    assert prompt_of(script) == "In R***.\nT**"


def test_extension_refuses_and_covers_answers(
    client: FlaskClient, runtime: Runtime, owner: Owner, service: Service, extension: str, script: Script
) -> None:
    avoidance = moderation(extension, outputs_config=ON)
    app = make_chat_app(runtime, owner, model=script.choice, sensitive_word_avoidance=avoidance)

    service.answers[OUTPUT] = lambda params: {
        "flagged": True,
        "action": "overridden",
        "text": params["text"].replace("world", "w****"),
    }
    events = read_events(ask(client, app, response_mode="streaming"))
    assert [event["event"] for event in events[-2:]] == ["message_replace", "message_end"]
    assert (text_of(events), events[-2]["answer"]) == ("Hello world", "Hello w****")
    assert service.params(OUTPUT) == [{"app_id": app.id, "text": "Hello world"}]

    service.answers[OUTPUT] = {"flagged": True, "action": "direct_output"}
    assert ask(client, app).get_json()["answer"] == "This cannot be answered."


@pytest.mark.parametrize(
    "said",
    [
        Reply(status=503),
        Reply(body=b"no JSON"),
        {},
        {"flagged": "yes"},
        {"flagged": True},
        {"flagged": True, "action": "overridden"},
    ],
)
def test_answer_nobody_can_look_at_is_not_given(
    client: FlaskClient,
    runtime: Runtime,
    owner: Owner,
    service: Service,
    extension: str,
    said: object,
) -> None:
    avoidance = moderation(extension, outputs_config=ON)
    app = make_chat_app(runtime, owner, model=Script().choice, sensitive_word_avoidance=avoidance)
    service.answers[OUTPUT] = said
    failed = ask(client, app)
    assert (failed.status_code, failed.get_json()["code"]) == (400, "extension_failed")


# -- external data -------------------------------------------------------------------------------


def test_variables_are_filled_in_by_extensions(
    client: FlaskClient, runtime: Runtime, owner: Owner, service: Service, extension: str, script: Script
) -> None:
    drawn = {"type": "api", "enabled": True, "config": {"api_based_extension_id": extension}}
    app = make_chat_app(
        runtime,
        owner,
        model=script.choice,
        pre_prompt="In {{city}}: {{weather}}, {{news}}. {{off}}",
        user_input_form=[
            *FORM,
            {"external_data_tool": {**drawn, "label": "News", "variable": "news", "required": True}},
        ],
        external_data_tools=[
            {**drawn, "label": "Weather", "variable": "weather"},
            {"enabled": False, "type": "other", "variable": "off"},
        ],
    )
    service.answers[QUERY] = lambda params: {"result": f"{params['tool_variable']} {{{{city}}}}"}
    told: Any = client.get("/v1/parameters", headers=app.headers).get_json()
    assert "external_data" not in told["user_input_form"][1]["external_data_tool"]
    with count_statements(runtime.engine) as statements:
        said = ask(client, app, "And?", inputs={"city": "Rome", "weather": "mine", "news": "mine"})
    assert said.status_code == 200, said.text
    assert prompt_of(script) == "In Rome: weather {{city}}, news {{city}}. {{off}}\nAnd?"
    assert sum("FROM api_extensions" in text or "FROM data_keys" in text for text in statements) == 2
    sent = {"app_id": app.id, "inputs": {"city": "Rome"}, "query": "And?"}
    by_name = sorted(service.params(QUERY), key=lambda params: str(params["tool_variable"]))
    assert by_name == [{**sent, "tool_variable": name} for name in ("news", "weather")]

    for broken in (Reply(status=500), {"result": None}, {}):
        service.answers[QUERY] = broken
        failed = ask(client, app)
        assert (failed.status_code, failed.get_json()["code"]) == (400, "extension_failed")
    client.delete(f"{EXTENSIONS}/{extension}", headers=owner.headers)
    assert "no longer there" in ask(client, app).get_json()["message"]
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "weather", "variable": "x", "config": {"api_based_extension_id": "x"}},
        {"type": "api", "variable": "1x", "config": {"api_based_extension_id": "x"}},
        {"type": "api", "variable": "x", "config": {}},
        {"type": "api", "variable": "x", "config": {"api_based_extension_id": "x"}},
    ],
)
def test_external_data_that_makes_no_sense_is_refused(
    client: FlaskClient, runtime: Runtime, owner: Owner, tool: Any
) -> None:
    app = make_chat_app(runtime, owner)
    model = {"provider": "builtin", "name": "extractive-qa"}
    for part in (
        {"external_data_tools": [{**tool, "enabled": True}]},
        {"user_input_form": [{"external_data_tool": {**tool, "enabled": True, "label": "X"}}]},
    ):
        url = f"/console/api/apps/{app.id}/model-config"
        refused = client.post(url, json={"model": model, **part}, headers=owner.headers)
        assert (refused.status_code, refused.get_json()["code"]) == (400, "invalid_param")
