"""Runs that wait for people: their forms are answered, expire, or are never answered, over HTTP."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, event, func, select, update

from api.controllers.http.sse import follow
from api.core.events import RunFinished
from api.models.base import utc_now
from api.models.job import JobRow
from api.models.workflow import HumanInputForm, NodeExecution, WorkflowRun
from api.runtime import Runtime
from api.services import flow_recorder, flow_runs, forms, runs, workspace_control
from api.services.flow_events import OngoingLog
from api.services.flows import PublishedKey
from api.services.jobs import Job, Lease
from api.tasks.runs import resume_run
from tests.controllers.console.flow_calls import DraftApp
from tests.controllers.service_api.test_workflows import MOUNTS, FlowApp
from tests.factories import Owner, make_key
from tests.flows import drawn, edges, template
from tests.sse import parse_events, read_events, text_of
from tests.waiting import wait_until

NOTE = {"type": "paragraph", "output_variable_name": "note", "required": False}
CHOICES = [{"id": "yes", "title": "Approve", "button_style": "primary"}, {"id": "no", "title": "Refuse"}]


def asks(node_id: str, content: str = "Is {{#s.what#}} fine? {{#$output.note#}}", **data: Any) -> Any:
    return drawn(node_id, "human-input", form_content=content, inputs=[NOTE], user_actions=CHOICES, **data)


WHAT = {"variable": "what", "label": "What", "type": "text-input", "required": True}
ASK: dict[str, Any] = {
    "nodes": [
        drawn("s", "start", variables=[WHAT]),
        template("before", "prepared {{ w }}", w="s.what"),
        asks("h"),
        template("approved", "{{ w }}: yes, {{ n }}", w="before.output", n="h.note"),
        template("refused", "{{ w }}: no", w="before.output"),
        template("late", "{{ w }}: nobody came", w="before.output"),
        drawn(
            "e",
            "end",
            outputs=[
                {"variable": "approved", "value_selector": ["approved", "output"]},
                {"variable": "refused", "value_selector": ["refused", "output"]},
                {"variable": "late", "value_selector": ["late", "output"]},
            ],
        ),
    ],
    "edges": edges("s > before > h [yes] > approved > e", "h [no] > refused > e", "h [__timeout] > late > e"),
}
CHAT: dict[str, Any] = {
    "nodes": [
        drawn("s", "start"),
        drawn("first", "answer", answer="Let me ask. "),
        asks("h", "Answer {{#sys.query#}}?"),
        drawn("then", "answer", answer="They said: {{#h.note#}}"),
    ],
    "edges": edges("s > first > h [yes] > then"),
}
TWO: dict[str, Any] = {
    "nodes": [
        drawn("s", "start", variables=[WHAT]),
        asks("h1"),
        asks("h2"),
        template("t1", "one {{ n }}", n="h1.note"),
        drawn(
            "e",
            "end",
            outputs=[
                {"variable": "one", "value_selector": ["t1", "output"]},
                {"variable": "two", "value_selector": ["h2", "note"]},
            ],
        ),
    ],
    "edges": edges("s > h1 [yes] > t1 > e", "s > h2 [yes] > e"),
}


class Waiting:
    """A run that was started and has paused."""

    def __init__(self, app: FlowApp, path: str = "/v1/workflows/run", **body: Any) -> None:
        self.app = app
        self.events = read_events(app.post(path, response_mode="streaming", **body))
        self.run_id = self.events[0]["workflow_run_id"]
        assert self.names[-1] == "workflow_paused", self.names

    @property
    def names(self) -> list[str]:
        return [event["event"] for event in self.events]

    def token(self, node_id: str = "h") -> str:
        asked = [event["data"] for event in self.events if event["event"] == "human_input_required"]
        return str(next(form["form_token"] for form in asked if form["node_id"] == node_id))

    def answer(self, node_id: str = "h", action: str = "yes", mount: str = "/v1", **inputs: Any) -> Any:
        path = f"{mount}/form/human_input/{self.token(node_id)}"
        return self.app.post(path, action=action, inputs=inputs)

    def read_on(self, **headers: str) -> list[dict[str, Any]]:
        """Read all events of the run until it ends."""
        answer = self.app.client.get(
            f"/v1/workflow/{self.run_id}/events",
            query_string={"user": "ada", "continue_on_pause": "true"},
            headers={
                **self.app.headers,
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )
        return parse_events(answer.text)

    def detail(self) -> Any:
        return self.app.get(f"/v1/workflows/run/{self.run_id}").json


@pytest.fixture
def asking(client: FlaskClient, runtime: Runtime, owner: Owner) -> FlowApp:
    return FlowApp(client, runtime, owner, "workflow", ASK)


@pytest.fixture
def waiting(asking: FlowApp) -> Waiting:
    return Waiting(asking, inputs={"what": "tea"})


def expire(runtime: Runtime, run_id: str) -> None:
    """Let the time of a run's forms be over, and have the tick notice."""
    with runtime.transaction() as session:
        session.execute(
            update(HumanInputForm)
            .where(HumanInputForm.workflow_run_id == run_id)
            .values(expires_at=utc_now() - timedelta(seconds=1))
        )
    forms.close_overdue(runtime)


def count(runtime: Runtime, column: Any, *where: Any) -> int:
    with runtime.reading() as session:
        return session.scalar(select(func.count(column)).where(*where)) or 0


@contextmanager
def listening(engine: Engine, held: dict[int, set[int]]) -> Iterator[None]:
    """Note the connections each thread takes meanwhile, until it gives them back."""

    def take(connection: object, *_args: object) -> None:
        held[threading.get_ident()].add(id(connection))

    def give(connection: object, *_args: object) -> None:
        held[threading.get_ident()].discard(id(connection))

    event.listen(engine, "checkout", take)
    event.listen(engine, "checkin", give)
    try:
        yield
    finally:
        event.remove(engine, "checkout", take)
        event.remove(engine, "checkin", give)


def test_values_kept_in_the_storage_are_read_without_a_connection(
    asking: FlowApp, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: defaultdict[int, set[int]] = defaultdict(set)  # connections, by thread
    seen: list[int] = []
    storage = type(runtime.storage)
    open_ = storage.open

    def watched(self: Any, key: str) -> Any:
        seen.append(len(held[threading.get_ident()]))
        return open_(self, key)

    monkeypatch.setattr(flow_recorder, "IN_ROW_BYTES", 0)
    waiting = Waiting(asking, inputs={"what": "tea"})
    monkeypatch.setattr(storage, "open", watched)
    with listening(runtime.session_factory.kw["bind"], held):
        waiting.answer(note="with milk")
        ended = waiting.read_on()[-1]
        path = f"/console/api/apps/{asking.id}/workflow-runs/{waiting.run_id}/node-executions"
        nodes = asking.client.get(path, headers=asking.owner.headers).get_json()["data"]

    assert ended["data"]["outputs"]["approved"] == "prepared tea: yes, with milk"
    assert {node["node_id"]: node["outputs"] for node in nodes}["before"] == {"output": "prepared tea"}
    assert set(seen) == {0}


def test_test_up_to_a_form_ends_with_it(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = DraftApp(client, runtime, owner, ASK)
    paused = app.run(inputs={"what": "tea"}, until_node_id="h")
    asked: Any = next(told["data"] for told in paused if told["event"] == "human_input_required")
    key = {"Authorization": f"Bearer {make_key(runtime, owner, app.id)}"}
    path = f"workflow-runs/{paused[0]['workflow_run_id']}"

    client.post(
        f"/v1/form/human_input/{asked['form_token']}",
        json={"user": "ada", "action": "yes", "inputs": {}},
        headers=key,
    )

    wait_until(lambda: app.call("GET", path).json["status"] == "succeeded")
    nodes = app.call("GET", f"{path}/node-executions").json["data"]
    assert {node["node_id"] for node in nodes} == {"s", "before", "h"}
    assert {node["id"] for node in app.call("GET", path).json["graph"]["nodes"]} == {"s", "before", "h"}


def test_blocking_run_that_waits_says_so(asking: FlowApp) -> None:
    answer = asking.post("/v1/workflows/run", inputs={"what": "tea"})

    assert (answer.status_code, answer.json["data"]["status"]) == (200, "paused")
    run = asking.get(f"/v1/workflows/run/{answer.json['workflow_run_id']}").json
    assert (run["status"], run["finished_at"]) == ("paused", None)


def test_test_that_waits_is_counted_as_paused(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = DraftApp(client, runtime, owner, ASK)
    app.run(inputs={"what": "tea"})

    counts = app.call("GET", "workflow-runs/count").json

    assert (counts["total"], counts["paused"], counts["running"]) == (1, 1, 0)


@pytest.mark.parametrize("mount", MOUNTS)
def test_form_is_shown_answered_and_its_run_goes_on(waiting: Waiting, mount: str) -> None:
    form = waiting.app.get(f"{mount}/form/human_input/{waiting.token()}").json
    answered = waiting.answer(mount=mount, note="with milk")
    events = waiting.read_on()

    assert form["form_content"] == "Is tea fine? {{#$output.note#}}"
    assert [action["id"] for action in form["user_actions"]] == ["yes", "no"]
    assert form["resolved_default_values"] == {"note": ""}
    assert (answered.status_code, answered.json) == (200, {})
    names = [event["event"] for event in events]
    filled = events[names.index("human_input_form_filled")]["data"]
    assert (filled["action_id"], filled["action_text"]) == ("yes", "Approve")
    assert filled["rendered_content"] == "Is tea fine? with milk"
    assert names[-1] == "workflow_finished"
    end = events[-1]["data"]
    assert end["outputs"] == {"approved": "prepared tea: yes, with milk", "refused": None, "late": None}
    assert (end["status"], end["total_steps"]) == ("succeeded", 5)
    run = waiting.detail()
    assert (run["id"], run["status"], run["outputs"]) == (waiting.run_id, "succeeded", end["outputs"])
    assert (run["total_steps"], run["elapsed_time"]) == (5, pytest.approx(end["elapsed_time"]))


def test_nothing_runs_twice_and_every_node_has_one_row(waiting: Waiting, runtime: Runtime) -> None:
    waiting.answer(note="ok")
    waiting.read_on()

    with runtime.reading() as session:
        rows = session.execute(
            select(NodeExecution.node_id, NodeExecution.status, NodeExecution.index)
            .where(NodeExecution.workflow_run_id == waiting.run_id)
            .order_by(NodeExecution.finished_order)
        ).all()
    assert [tuple(row) for row in rows] == [
        ("s", "succeeded", 1),
        ("before", "succeeded", 2),
        ("h", "succeeded", 3),
        ("approved", "succeeded", 4),
        ("e", "succeeded", 5),
    ]


def test_second_answer_is_refused_and_changes_nothing(waiting: Waiting) -> None:
    first = waiting.answer(note="mine")
    second = waiting.answer(action="no")
    shown = waiting.app.get(f"/v1/form/human_input/{waiting.token()}")
    events = waiting.read_on()

    assert first.status_code == 200
    for refused in (second, shown):
        assert (refused.status_code, refused.json["code"]) == (412, "human_input_form_submitted")
    assert events[-1]["data"]["outputs"]["approved"] == "prepared tea: yes, mine"


def test_run_is_resumed_once_however_often_that_is_asked_for(waiting: Waiting, runtime: Runtime) -> None:
    waiting.answer(note="ok")
    lease = Lease(
        job_id="11111111-1111-4111-8111-111111111111",
        tenant_id=waiting.app.owner.tenant_id,
        name=Job.RESUME_RUN,
        queue="default",
        payload={"run_id": waiting.run_id},
        attempt=1,
        length_s=60.0,
    )
    for _ in range(3):
        resume_run(runtime, lease)

    names = [event["event"] for event in waiting.read_on()]
    assert names.count("workflow_finished") == 1
    assert count(runtime, NodeExecution.id, NodeExecution.workflow_run_id == waiting.run_id) == 5


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"action": "perhaps", "inputs": {}}, "action"),
        ({"action": "yes", "inputs": {"note": 5}}, "note"),
        ({"action": "yes"}, "inputs"),
        ({"inputs": {}}, "action"),
    ],
)
def test_bad_answer_is_refused_and_the_form_stays_open(waiting: Waiting, body: Any, field: str) -> None:
    path = f"/v1/form/human_input/{waiting.token()}"
    refused = waiting.app.post(path, **body)

    assert (refused.status_code, refused.json["details"]["field"]) == (400, field)
    assert waiting.app.get(path).status_code == 200


def test_form_is_hidden_from_other_apps(waiting: Waiting, chat_app: Any) -> None:
    path = f"/v1/form/human_input/{waiting.token()}"

    foreign = waiting.app.client.get(path, headers=chat_app.headers)

    assert (foreign.status_code, foreign.get_json()["message"]) == (404, "Form not found")
    assert waiting.app.get("/v1/form/human_input/nothing").status_code == 404


def test_form_nobody_answers_ends_by_its_time(waiting: Waiting, runtime: Runtime) -> None:
    expire(runtime, waiting.run_id)
    late = waiting.answer()
    events = waiting.read_on()

    assert (late.status_code, late.json["code"]) == (412, "human_input_form_expired")
    names = [event["event"] for event in events]
    assert names.count("human_input_form_timeout") == 1
    assert events[-1]["data"]["outputs"]["late"] == "prepared tea: nobody came"


def test_form_in_a_suspended_workspace_ends_by_its_time_once_it_is_open_again(
    waiting: Waiting, runtime: Runtime
) -> None:
    def is_open() -> bool:
        where = (HumanInputForm.workflow_run_id == waiting.run_id, HumanInputForm.closed_at.is_(None))
        return bool(count(runtime, HumanInputForm.id, *where))

    tenant_id = waiting.app.owner.tenant_id
    with runtime.transaction() as session:
        workspace_control.suspend(session, tenant_id)
    expire(runtime, waiting.run_id)
    assert is_open()
    with runtime.transaction() as session:
        workspace_control.resume(session, tenant_id)
    forms.close_overdue(runtime)

    assert not is_open()


@pytest.mark.parametrize("goes_on", ["true", "false"])
def test_events_of_a_run_that_goes_on_are_found_before_its_log_is_open(
    waiting: Waiting, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, goes_on: str
) -> None:
    launch = flow_runs.launch

    def launch_late(*args: Any) -> Any:
        time.sleep(0.3)  # of a thread that gets no turn just then
        return launch(*args)

    monkeypatch.setattr(flow_runs, "launch", launch_late)
    waiting.answer()
    where = (WorkflowRun.id == waiting.run_id, WorkflowRun.status == "running")
    wait_until(lambda: count(runtime, WorkflowRun.id, *where) == 1)
    answer = waiting.app.client.get(
        f"/v1/workflow/{waiting.run_id}/events",
        query_string={"user": "ada", "continue_on_pause": goes_on},
        headers=waiting.app.headers,
    )

    assert answer.status_code == 200
    assert parse_events(answer.text)[-1]["event"] == "workflow_finished"


def test_run_goes_on_as_each_form_is_answered(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    two = Waiting(FlowApp(client, runtime, owner, "workflow", TWO), inputs={"what": "tea"})
    before = two.events[-1]["data"]
    two.answer("h1", note="a")
    two.answer("h2", note="b")
    events = two.read_on()

    assert set(before["paused_nodes"]) == {"h1", "h2"}
    names = [event["event"] for event in events]
    assert names.count("human_input_form_filled") == 2
    assert (events[-1]["event"], events[-1]["data"]["outputs"]) == (
        "workflow_finished",
        {"one": "one a", "two": "b"},
    )
    assert count(runtime, HumanInputForm.id, HumanInputForm.workflow_run_id == two.run_id) == 2


def test_what_can_go_on_goes_on_and_the_run_waits_for_the_rest(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    two = Waiting(FlowApp(client, runtime, owner, "workflow", TWO), inputs={"what": "tea"})
    two.answer("h1", note="a")
    stream = client.get(
        f"/v1/workflow/{two.run_id}/events",
        query_string={"user": "ada", "continue_on_pause": "true"},
        headers=two.app.headers,
    )
    frames: list[str] = []
    while not (frames and '"node_id":"t1"' in "".join(frames) and '"workflow_paused"' in frames[-1]):
        frames.append(next(stream.iter_encoded()).decode())

    two.answer("h2", note="b")
    assert parse_events("".join(frames))[-1]["data"]["paused_nodes"] == ["h2"]
    assert two.read_on()[-1]["data"]["outputs"] == {"one": "one a", "two": "b"}


def test_events_are_numbered_through_all_parts(waiting: Waiting) -> None:
    waiting.answer(note="ok")
    events = waiting.read_on()
    last = events[-1]["#"]

    again = waiting.read_on(Last_Event_ID=str(last - 1))

    numbers = [event["#"] for event in events]
    assert numbers == list(range(numbers[0], last + 1))
    assert [event["#"] for event in again] == [last]
    assert last >= len(waiting.events) + 3


@pytest.mark.parametrize("mount", MOUNTS)
def test_chatflow_goes_on_in_the_same_message(
    client: FlaskClient, runtime: Runtime, owner: Owner, mount: str
) -> None:
    app = FlowApp(client, runtime, owner, "advanced-chat", CHAT)
    waiting = Waiting(app, f"{mount}/chat-messages", query="Why?")
    talk = waiting.events[0]["conversation_id"]
    page = {"user": "ada", "conversation_id": talk}
    halfway = app.get(f"{mount}/messages", **page).json["data"]
    waiting.answer(note="because")
    events = waiting.read_on()
    history = app.get(f"{mount}/messages", **page).json["data"]

    assert [item["answer"] for item in halfway] == ["Let me ask. "]
    assert text_of(events[1:]).endswith("They said: because")
    assert text_of(waiting.events) == "Let me ask. "
    assert events[-1]["event"] == "message_end"
    assert events[-1]["message_id"] == waiting.events[0]["message_id"]
    assert [item["answer"] for item in history] == ["Let me ask. They said: because"]


def test_stop_ends_a_run_that_waits(waiting: Waiting) -> None:
    task_id = waiting.events[0]["task_id"]

    foreign = waiting.app.post(f"/v1/workflows/tasks/{task_id}/stop", user="eve")
    still = waiting.detail()["status"]
    stopped = waiting.app.post(f"/v1/workflows/tasks/{task_id}/stop")
    events = waiting.read_on()

    assert (foreign.json, still) == ({"result": "success"}, "paused")
    assert stopped.json == {"result": "success"}
    assert waiting.detail()["status"] == "stopped"
    assert (events[-1]["event"], events[-1]["data"]["status"]) == ("workflow_finished", "stopped")
    assert waiting.answer().json["code"] == "human_input_form_expired"


def test_stopped_chatflow_keeps_what_it_said(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = FlowApp(client, runtime, owner, "advanced-chat", CHAT)
    waiting = Waiting(app, "/v1/chat-messages", query="Why?")
    app.post(f"/v1/chat-messages/{waiting.events[0]['task_id']}/stop")

    page = {"user": "ada", "conversation_id": waiting.events[0]["conversation_id"]}
    assert [item["answer"] for item in app.get("/v1/messages", **page).json["data"]] == ["Let me ask. "]
    assert waiting.detail()["status"] == "stopped"


def test_run_that_waits_outlives_its_process_and_its_log(
    waiting: Waiting, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {waiting.events[0]["task_id"]}
    find = runtime.channel.find
    monkeypatch.setattr(runtime.channel, "find", lambda task: None if task in old else find(task))
    with runtime.transaction() as session:
        session.execute(
            update(WorkflowRun)
            .where(WorkflowRun.id == waiting.run_id)
            .values(owner="11111111-1111-4111-8111-111111111111")
        )
    runs.beat(runtime)

    assert waiting.detail()["status"] == "paused"
    waiting.answer(note="ok")
    assert waiting.read_on()[-1]["data"]["status"] == "succeeded"


def test_run_whose_version_is_gone_fails_when_it_is_answered(waiting: Waiting, runtime: Runtime) -> None:
    app = waiting.app
    path = f"/console/api/apps/{app.id}/workflows"
    app.client.post(f"{path}/publish", headers=app.owner.headers)
    gone = app.client.delete(f"{path}/{app.workflow_id}", headers=app.owner.headers)
    runtime.memory.put(PublishedKey(app.workflow_id), None)  # as after a restart
    waiting.answer(note="ok")
    events = waiting.read_on()

    assert gone.status_code == 204
    assert (events[-1]["event"], events[-1]["data"]["status"]) == ("workflow_finished", "failed")


def test_test_of_a_draft_goes_on_with_what_was_drawn_then(asking: FlowApp, runtime: Runtime) -> None:
    path = f"/console/api/apps/{asking.id}/workflows/draft"
    events = read_events(
        asking.client.post(f"{path}/run", json={"inputs": {"what": "tea"}}, headers=asking.owner.headers)
    )
    token = next(event["data"]["form_token"] for event in events if "form_token" in event.get("data", {}))
    changed = {**ASK, "nodes": [node for node in ASK["nodes"] if node["id"] != "h"], "edges": []}
    half = {"graph": changed, "conversation_variables": []}
    saved = asking.client.post(path, json=half, headers=asking.owner.headers)
    log = runtime.channel.find(events[0]["task_id"])
    assert log is not None
    ongoing = OngoingLog(runtime, log, asking.owner.principal)
    answered = asking.post(f"/v1/form/human_input/{token}", action="no", inputs={})
    told = list(chain.from_iterable(follow(ongoing, 0, 0.5)))

    assert isinstance(told[-1], RunFinished)
    assert (saved.status_code, answered.status_code) == (200, 200)
    ran = asking.get(f"/v1/workflows/run/{events[0]['workflow_run_id']}").json
    assert (ran["status"], ran["outputs"]["refused"]) == ("succeeded", "prepared tea: no")


def test_answer_leaves_no_job_behind(waiting: Waiting, runtime: Runtime) -> None:
    waiting.answer(note="ok")
    events = waiting.read_on()

    resuming = (JobRow.tenant_id == waiting.app.owner.tenant_id, JobRow.name == Job.RESUME_RUN)
    assert events[-1]["event"] == "workflow_finished"
    wait_until(lambda: count(runtime, JobRow.id, *resuming) == 0)
