"""Drawing, publishing and testing workflows in the console, over HTTP."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.core.ports import JSONObject
from api.principal import Role
from api.runtime import Runtime
from api.services import workflows
from tests.conftest import BOTH
from tests.factories import Owner, make_app, make_member
from tests.flows import drawn, edges, end
from tests.sse import read_events

START = drawn(
    "s", "start", variables=[{"variable": "age", "label": "Age", "type": "number", "required": True}]
)
CASE: JSONObject = {
    "case_id": "adult",
    "logical_operator": "and",
    "conditions": [{"variable_selector": ["s", "age"], "comparison_operator": "≥", "value": "18"}],
}
ADULT: dict[str, Any] = {
    "nodes": [
        START,
        drawn("c", "if-else", cases=[CASE]),
        drawn("e", "end", outputs=[{"variable": "adult", "value_selector": ["c", "result"]}]),
        {"id": "note", "type": "custom-note", "data": {"text": "a note"}},
    ],
    "edges": edges("s > c [adult] > e", "c [false] > e"),
    "viewport": {"x": 1, "y": 2, "zoom": 1},
}
APPS = "/console/api/apps"
NOBODY = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def app_id(runtime: Runtime, owner: Owner) -> str:
    return make_app(runtime, owner, mode="workflow")


def save(client: FlaskClient, owner: Owner, app_id: str, graph: object = ADULT, **body: Any) -> Any:
    return client.post(
        f"/console/api/apps/{app_id}/workflows/draft",
        json={"graph": graph, **body},
        headers=owner.headers,
    )


def publish(client: FlaskClient, owner: Owner, app_id: str, **body: Any) -> Any:
    return client.post(
        f"/console/api/apps/{app_id}/workflows/publish", json=body or None, headers=owner.headers
    )


def get(client: FlaskClient, owner: Owner, app_id: str, path: str, **query: Any) -> Any:
    return client.get(
        f"/console/api/apps/{app_id}/{path}".rstrip("/"), query_string=query, headers=owner.headers
    )


def test_draft_comes_back_as_it_was_saved(client: FlaskClient, owner: Owner, app_id: str) -> None:
    features = {"opening_statement": "Hi", "file_upload": {"enabled": False}, "unknown": [1]}

    assert get(client, owner, app_id, "workflows/draft").json["code"] == "draft_workflow_not_exist"
    saved = save(client, owner, app_id, features=features)
    draft = get(client, owner, app_id, "workflows/draft").json

    assert saved.status_code == 200, saved.json
    assert (draft["graph"], draft["features"]) == (ADULT, features)
    assert (draft["version"], draft["hash"]) == ("draft", saved.json["hash"])
    assert draft["created_by"]["id"] == owner.account_id
    assert saved.json["updated_at"] == draft["updated_at"]


def test_secrets_are_stored_sealed_and_shown_as_a_mask(
    client: FlaskClient, owner: Owner, app_id: str
) -> None:
    variables = [
        {"id": "v1", "name": "key", "value_type": "secret", "value": "sk-hidden", "description": ""},
        {"id": "v2", "name": "host", "value_type": "string", "value": "x.example", "description": ""},
    ]
    save(client, owner, app_id, environment_variables=variables)
    shown = get(client, owner, app_id, "workflows/draft").json["environment_variables"]
    again = save(client, owner, app_id, environment_variables=shown)

    assert [item["value"] for item in shown] == ["*" * 20, "x.example"]
    assert again.status_code == 200
    assert "sk-hidden" not in get(client, owner, app_id, "workflows/draft").text


def test_save_of_a_draft_that_changed_meanwhile_is_refused(
    client: FlaskClient, owner: Owner, app_id: str
) -> None:
    first = save(client, owner, app_id).json["hash"]
    save(client, owner, app_id, features={"opening_statement": "other"})

    late = save(client, owner, app_id, hash=first)

    assert (late.status_code, late.json["code"]) == (409, "draft_workflow_not_sync")


@BOTH
def test_of_saves_at_once_that_began_as_one_draft_one_is_taken(
    house: Flask, client: FlaskClient, owner: Owner, app_id: str
) -> None:
    first = save(client, owner, app_id).json["hash"]
    together = threading.Barrier(8)

    def change(place: int) -> Any:
        together.wait(30)
        features = {"opening_statement": str(place)}
        return save(house.test_client(), owner, app_id, hash=first, features=features)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(change, range(8)))

    (taken,) = [answer for answer in answers if answer.status_code == 200]
    assert {answer.json["code"] for answer in answers if answer is not taken} == {"draft_workflow_not_sync"}
    assert get(client, owner, app_id, "workflows/draft").json["hash"] == taken.json["hash"]


class StoppedClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> StoppedClock:
    """The clock of saves: what a test sees of two in one tick cannot be had otherwise."""
    clock = StoppedClock()
    monkeypatch.setattr(workflows, "utc_now", clock)
    return clock


@pytest.mark.parametrize("back_s", [0, 3600])
def test_edit_counts_at_once_whatever_the_clock_says(
    client: FlaskClient, owner: Owner, app_id: str, clock: StoppedClock, back_s: int
) -> None:
    def says(text: str) -> Any:
        save(client, owner, app_id, speaking(text))
        return tried(client, owner, app_id)

    first = says("one")
    published = publish(client, owner, app_id).json["workflow_id"]
    clock.at -= timedelta(seconds=back_s)
    second = says("two")
    path = f"/console/api/apps/{app_id}/workflows/{published}/restore"
    assert client.post(path, headers=owner.headers).status_code == 200

    assert [first, second, tried(client, owner, app_id)] == ["one", "two", "one"]


def speaking(text: str) -> JSONObject:
    """Return a graph whose output ``said`` is a text."""
    template = drawn("t", "template-transform", template=text, variables=[])
    nodes: list[Any] = [drawn("s", "start", variables=[]), template, end(said="t.output")]
    return {"nodes": nodes, "edges": edges("s > t > e")}


def tried(client: FlaskClient, owner: Owner, app_id: str) -> object:
    """Test the draft; return what it said."""
    path = f"/console/api/apps/{app_id}/workflows/draft/run"
    events = read_events(client.post(path, json={"inputs": {}}, headers=owner.headers))
    return events[-1]["data"]["outputs"]["said"]


@pytest.mark.parametrize(
    "features",
    [
        {"file_upload": {"enabled": True, "number_limits": 0, "image": {"number_limits": 0}}},
        {"file_upload": {"enabled": None, "image": None, "number_limits": None}},
        {"file_upload": {"image": {"detail": None, "number_limits": None, "transfer_methods": None}}},
        {"retriever_resource": {"enabled": None}, "text_to_speech": {"enabled": True, "voice": None}},
        {"opening_statement": None, "suggested_questions": None, "speech_to_text": None},
    ],
)
def test_features_that_are_saved_run(
    client: FlaskClient, owner: Owner, app_id: str, features: JSONObject
) -> None:
    saved = save(client, owner, app_id, speaking("hi"), features=features)

    assert saved.status_code == 200, saved.json
    assert tried(client, owner, app_id) == "hi"
    assert publish(client, owner, app_id).status_code == 200
    assert get(client, owner, app_id, "workflows/draft").json["features"] == features


def test_feature_no_run_can_read_is_refused(client: FlaskClient, owner: Owner, app_id: str) -> None:
    refused = save(client, owner, app_id, features={"file_upload": {"image": {"detail": "x"}}})

    assert (refused.status_code, refused.json["code"]) == (400, "invalid_param")
    assert refused.json["details"]["field"] == "features.file_upload.image.detail"


def test_half_built_graph_is_saved_by_a_canvas_and_refused_otherwise(
    client: FlaskClient, owner: Owner, app_id: str
) -> None:
    half = {"nodes": [drawn("n", "llm")], "edges": []}

    assert save(client, owner, app_id, half, conversation_variables=[]).status_code == 200
    beacon = client.post(
        f"/console/api/apps/{app_id}/workflows/draft",
        data=b'{"graph": {"nodes": [], "edges": []}}',
        content_type="text/plain",
        headers=owner.headers,
    )
    refused = save(client, owner, app_id, half)

    assert beacon.status_code == 200
    assert (refused.status_code, refused.json["code"]) == (400, "invalid_param")
    assert {"field", "type", "message"} <= set(refused.json["details"]["errors"][0])


def test_publishing_counts_up_and_keeps_what_was_published(
    client: FlaskClient, owner: Owner, app_id: str
) -> None:
    assert get(client, owner, app_id, "workflows/publish").json is None
    assert publish(client, owner, app_id).json["code"] == "draft_workflow_not_exist"
    save(client, owner, app_id)
    first = publish(client, owner, app_id, marked_name="one", marked_comment="the first").json
    save(client, owner, app_id, features={"opening_statement": "later"})
    second = publish(client, owner, app_id).json
    versions = get(client, owner, app_id, "workflows").json

    assert (first["result"], first["version"], second["version"]) == ("success", "v1.0.0", "v1.0.1")
    assert [item["version"] for item in versions["items"]] == ["draft", "v1.0.1", "v1.0.0"]
    assert versions["items"][2]["marked_name"] == "one"
    assert versions["items"][2]["features"] == {}
    assert get(client, owner, app_id, "workflows/publish").json["id"] == second["workflow_id"]
    apps = [get(client, owner, app_id, "").json, *client.get(APPS, headers=owner.headers).get_json()["data"]]
    assert {app["workflow"]["id"] for app in apps if app["id"] == app_id} == {second["workflow_id"]}


def test_versions_are_named_restored_and_deleted(client: FlaskClient, owner: Owner, app_id: str) -> None:
    save(client, owner, app_id)
    first = publish(client, owner, app_id).json["workflow_id"]
    save(client, owner, app_id, features={"opening_statement": "later"})
    second = publish(client, owner, app_id).json["workflow_id"]
    path = f"/console/api/apps/{app_id}/workflows"

    named = client.patch(f"{path}/{first}", json={"marked_name": "good"}, headers=owner.headers)
    restored = client.post(f"{path}/{first}/restore", headers=owner.headers)
    in_use = client.delete(f"{path}/{second}", headers=owner.headers)
    gone = client.delete(f"{path}/{first}", headers=owner.headers)
    again = client.delete(f"{path}/{first}", headers=owner.headers)

    assert named.get_json()["marked_name"] == "good"
    assert restored.status_code == 200
    assert get(client, owner, app_id, "workflows/draft").json["features"] == {}
    assert [in_use.status_code, gone.status_code, again.status_code] == [400, 204, 404]


def test_draft_that_cannot_run_is_not_published(client: FlaskClient, owner: Owner, app_id: str) -> None:
    save(client, owner, app_id, {"nodes": [START], "edges": []}, conversation_variables=[])

    refused = publish(client, owner, app_id)

    assert (refused.status_code, refused.json["code"]) == (400, "invalid_param")
    assert get(client, owner, app_id, "workflows/publish").json is None


def test_schedule_that_never_comes_is_refused_by_its_node(
    client: FlaskClient, owner: Owner, app_id: str
) -> None:
    trigger = drawn("t", "trigger-schedule", mode="cron", cron_expression="61 * * * *")
    graph: JSONObject = {"nodes": [trigger, end()], "edges": edges("t > e")}
    saved = save(client, owner, app_id, graph)
    save(client, owner, app_id, graph, conversation_variables=[])

    refused = publish(client, owner, app_id)

    for answer in (saved, refused):
        assert (answer.status_code, answer.json["code"]) == (400, "invalid_param")
        [problem] = answer.json["details"]["errors"]
        assert (problem["node_id"], problem["field"]) == ("t", "cron_expression")


@pytest.mark.parametrize("count", [101, "101", 101.0])
def test_loop_of_more_rounds_than_there_may_be_is_refused(
    client: FlaskClient, owner: Owner, app_id: str, count: object
) -> None:
    loop = drawn("lp", "loop", start_node_id="in", loop_count=count)
    inner = drawn("in", "template-transform", template="x", parent="lp")
    graph = {"nodes": [START, loop, inner, ADULT["nodes"][2] | {"id": "e"}], "edges": edges("s > lp > e")}

    refused = save(client, owner, app_id, graph)

    assert refused.status_code == 400
    faults = [
        (item["node_id"], item["field"]) for item in refused.json["details"]["errors"] if "node_id" in item
    ]
    assert ("lp", "loop_count") in faults


def test_test_run_streams_and_is_kept_with_its_nodes(client: FlaskClient, owner: Owner, app_id: str) -> None:
    save(client, owner, app_id)

    events = read_events(
        client.post(
            f"/console/api/apps/{app_id}/workflows/draft/run",
            json={"inputs": {"age": 20}},
            headers=owner.headers,
        )
    )
    run_id = events[0]["workflow_run_id"]
    listed = get(client, owner, app_id, "workflow-runs").json
    detail = get(client, owner, app_id, f"workflow-runs/{run_id}").json
    nodes = get(client, owner, app_id, f"workflow-runs/{run_id}/node-executions").json["data"]
    counts = get(client, owner, app_id, "workflow-runs/count", time_range="1h").json
    for wrong in ("9999999d", "1y", "0h"):
        assert get(client, owner, app_id, "workflow-runs/count", time_range=wrong).status_code == 400

    assert [event["event"] for event in events] == [
        "workflow_started",
        *["node_started", "node_finished"] * 2,
        "text_chunk",
        *["node_started", "node_finished"],
        "workflow_finished",
    ]
    assert events[-1]["data"]["outputs"] == {"adult": True}
    assert events[-1]["data"]["created_by"] == {
        "id": owner.account_id,
        "name": "Test Owner",
        "email": owner.email,
    }
    assert [item["id"] for item in listed["data"]] == [run_id]
    assert (detail["status"], detail["graph"], detail["inputs"]["age"]) == ("succeeded", ADULT, 20)
    assert [node["node_id"] for node in nodes] == ["e", "c", "s"]
    assert nodes[1]["process_data"]["condition_results"] == [{"group": "adult", "results": True}]
    assert (counts["total"], counts["succeeded"]) == (1, 1)


def test_failed_run_goes_on_from_where_it_failed(client: FlaskClient, owner: Owner, app_id: str) -> None:
    condition: JSONObject = {"variable_selector": ["s", "age"], "comparison_operator": "≥", "value": "old"}
    broken = drawn("c", "if-else", cases=[{**CASE, "conditions": [condition]}])
    graph = {**ADULT, "nodes": [START, broken, ADULT["nodes"][2]]}
    save(client, owner, app_id, graph)
    path = f"/console/api/apps/{app_id}"
    failed = read_events(
        client.post(f"{path}/workflows/draft/run", json={"inputs": {"age": 20}}, headers=owner.headers)
    )
    save(client, owner, app_id)

    events = read_events(
        client.post(f"{path}/workflow-runs/{failed[0]['workflow_run_id']}/rerun", headers=owner.headers)
    )
    twice = client.post(f"{path}/workflow-runs/{events[0]['workflow_run_id']}/rerun", headers=owner.headers)

    assert failed[-1]["data"]["status"] == "failed"
    assert "not a number" in failed[-1]["data"]["error"]
    assert [event["data"]["node_id"] for event in events if event["event"] == "node_started"] == ["c", "e"]
    assert events[-1]["data"]["outputs"] == {"adult": True}
    assert events[0]["data"]["reason"] == "resumption"
    assert twice.status_code == 400


def test_workflows_are_for_editors_of_the_workspace_and_apps_that_have_one(
    client: FlaskClient, runtime: Runtime, owner: Owner, app_id: str
) -> None:
    save(client, owner, app_id)
    chat = make_app(runtime, owner, mode="chat")
    reader = make_member(runtime, owner, Role.NORMAL)

    assert get(client, owner, chat, "workflows/draft").json["code"] == "app_not_found"
    assert get(client, owner, NOBODY, "workflows/draft").status_code == 404
    assert get(client, reader, app_id, "workflows/draft").status_code == 403


def test_new_nodes_begin_with_defaults(client: FlaskClient, owner: Owner, app_id: str) -> None:
    path = "workflows/default-workflow-block-configs"

    found = {item["type"]: item["config"] for item in get(client, owner, app_id, path).json}

    assert found["template-transform"]["template"] == "{{ arg1 }}"
    assert get(client, owner, app_id, f"{path}/iteration").json == found["iteration"]
    assert get(client, owner, app_id, f"{path}/nothing").status_code == 404
    assert get(client, owner, app_id, f"{path}/iteration", q="[").status_code == 400
