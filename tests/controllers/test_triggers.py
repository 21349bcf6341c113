"""Runs that begin by themselves: webhooks over HTTP, schedules through their tick."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from api.models.app import App, EndUser
from api.models.base import new_id, utc_now
from api.models.file import UploadFile
from api.models.job import JobRow
from api.models.workflow import DraftVariable, WorkflowRun, WorkflowTrigger
from api.runtime import Runtime
from api.services import app_specs, limits, trigger_runs
from api.services.jobs import Job, Lease, Postpone
from api.tasks.registry import run_job
from api.tasks.runs import run_trigger
from tests.conftest import BOTH
from tests.factories import Owner, make_app, make_key
from tests.flows import drawn, edges
from tests.sse import read_events

HOOK: dict[str, Any] = {
    "params": [{"name": "n", "type": "number"}],
    "headers": [{"name": "X-Kind", "required": False}],
    "body": [{"name": "text", "type": "string", "required": True}],
    "status_code": 202,
    "response_body": '{"taken": true}',
}
DAILY = {"mode": "cron", "cron_expression": "30 4 * * *", "timezone": "UTC"}


def ending(*selectors: tuple[str, str, str]) -> Any:
    outputs = [{"variable": name, "value_selector": [node, key]} for name, node, key in selectors]
    return drawn("e", "end", outputs=outputs)


def hook(**data: Any) -> dict[str, Any]:
    end = ending(("text", "w", "text"), ("n", "w", "n"), ("raw", "w", "_webhook_raw"))
    return {"nodes": [drawn("w", "trigger-webhook", **{**HOOK, **data}), end], "edges": edges("w > e")}


def clock(**data: Any) -> dict[str, Any]:
    end = ending(("at", "sys", "timestamp"), ("who", "sys", "user_id"))
    return {"nodes": [drawn("c", "trigger-schedule", **{**DAILY, **data}), end], "edges": edges("c > e")}


class Triggered:
    """A workflow that is begun by triggers."""

    def __init__(self, client: FlaskClient, runtime: Runtime, owner: Owner, graph: Any) -> None:
        self.client, self.runtime, self.owner = client, runtime, owner
        self.id = make_app(runtime, owner, mode="workflow")
        self.headers = {"Authorization": f"Bearer {make_key(runtime, owner, self.id)}"}
        self.save(graph)

    def save(self, graph: Any) -> None:
        saved = self.post("workflows/draft", {"graph": graph})
        assert saved.status_code == 200, saved.json

    def publish(self, graph: Any = None) -> str:
        """Publish the draft, or a graph; return the id of the version."""
        if graph is not None:
            self.save(graph)
        published = self.post("workflows/publish", {})
        assert published.status_code == 200, published.json
        return str(published.json["workflow_id"])

    def post(self, path: str, body: Any) -> Any:
        url = f"/console/api/apps/{self.id}/{path}"
        return self.client.post(url, json=body, headers=self.owner.headers)

    def get(self, path: str, **query: Any) -> Any:
        url = f"/console/api/apps/{self.id}/{path}"
        return self.client.get(url, query_string=query, headers=self.owner.headers)

    def address(self, name: str = "webhook_url") -> str:
        found = self.get("workflows/triggers/webhook", node_id="w").json
        assert re.fullmatch(r"[A-Za-z0-9]{24}", found["webhook_id"])
        return urlsplit(str(found[name])).path

    def rows(self) -> list[WorkflowRun]:
        with self.runtime.reading() as session:
            query = select(WorkflowRun).where(WorkflowRun.app_id == self.id).order_by(WorkflowRun.created_at)
            return list(session.scalars(query))

    def ended(self) -> list[WorkflowRun]:
        """Return the runs once all of them have ended."""
        for row in self.rows():
            log = self.runtime.channel.find(row.task_id)
            assert log is not None
            after = 0
            while not (batch := log.read(after, 10.0)).is_last:
                assert batch.events, "nothing happens"
                after += len(batch.events)
        return self.rows()

    def due(self, **by: float) -> None:
        """Have the schedule be due since a while."""
        with self.runtime.transaction() as session:
            session.execute(
                update(WorkflowTrigger)
                .where(WorkflowTrigger.app_id == self.id)
                .values(next_at=utc_now() - timedelta(**by))
            )

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Hold the one run the app may have at once."""
        with self.runtime.transaction() as session:
            session.execute(update(App).where(App.id == self.id).values(max_active_requests=1))
            spec = app_specs.load_spec(self.runtime, session, self.owner.tenant_id, self.id)
        slots = limits.take_slots(self.runtime, spec, None)
        yield
        limits.free_slots(self.runtime, slots)

    def next_at(self) -> int | None:
        found: int | None = self.get("triggers").json["data"][0]["next_at"]
        return found


@pytest.fixture
def hooked(client: FlaskClient, runtime: Runtime, owner: Owner) -> Triggered:
    app = Triggered(client, runtime, owner, hook())
    app.publish()
    return app


class HeldQueue:
    """A queue nobody works on, so that a test sees the jobs and runs them itself."""

    def __init__(self) -> None:
        self.woken: list[str] = []

    def enqueue(self, job_id: str, **_options: object) -> None:
        self.woken.append(job_id)


@pytest.fixture
def held(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldQueue]:
    queue = HeldQueue()
    monkeypatch.setattr(runtime.queue, "enqueue", queue.enqueue)
    yield queue
    with runtime.transaction() as session:
        for row in session.scalars(select(JobRow).where(JobRow.id.in_(queue.woken))):
            session.delete(row)


@pytest.fixture
def timed(client: FlaskClient, runtime: Runtime, owner: Owner) -> Triggered:
    app = Triggered(client, runtime, owner, clock())
    app.publish()
    return app


def leases(runtime: Runtime, app: Triggered) -> list[Lease]:
    """Return the jobs that wait to begin runs of the app's workspace, as a worker would hold them."""
    with runtime.reading() as session:
        rows = session.scalars(
            select(JobRow).where(JobRow.tenant_id == app.owner.tenant_id, JobRow.name == Job.RUN_TRIGGER)
        ).all()
    return [
        Lease(
            job_id=row.id,
            tenant_id=row.tenant_id,
            name=Job.RUN_TRIGGER,
            queue=row.queue,
            payload=row.payload,
            attempt=1,
            length_s=60.0,
        )
        for row in rows
    ]


# -- webhooks ------------------------------------------------------------------------------------


def test_webhook_answers_at_once_and_its_run_knows_the_request(
    client: FlaskClient, hooked: Triggered
) -> None:
    answer = client.post(
        hooked.address() + "?n=4", json={"text": "hi"}, headers={"Authorization": "Bearer x"}
    )

    assert (answer.status_code, answer.get_json()) == (202, {"taken": True})
    (run,) = hooked.ended()
    assert (run.status, run.triggered_from, run.invoke_from) == ("succeeded", "webhook", "trigger")
    assert run.outputs is not None
    assert (run.outputs["text"], run.outputs["n"]) == ("hi", 4)
    assert run.outputs["raw"]["method"] == "POST"
    assert "authorization" not in run.outputs["raw"]["headers"]
    with hooked.runtime.reading() as session:
        user = session.get(EndUser, run.from_end_user_id)
    assert user is not None
    assert user.type == "trigger"
    listed = hooked.get("workflow-runs", triggered_from="webhook").json["data"]
    assert [item["id"] for item in listed] == [run.id]


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "head"])
def test_webhook_takes_the_method_it_is_drawn_with_alone(
    client: FlaskClient, runtime: Runtime, owner: Owner, method: str
) -> None:
    body = [{"name": "text", "type": "string"}]
    app = Triggered(client, runtime, owner, hook(method=method.upper(), body=body))
    app.publish()

    taken = client.open(app.address(), method=method.upper())
    refused = client.post(app.address(), json={"text": "x"})

    assert (taken.status_code, refused.status_code) == (202, 400)
    assert len(app.ended()) == 1


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("application/x-www-form-urlencoded", {"data": {"text": "hi"}}),
        ("multipart/form-data", {"data": {"text": "hi"}, "content_type": "multipart/form-data"}),
        ("text/plain", {"data": "hi", "content_type": "text/plain; charset=utf-8"}),
        ("application/json", {"json": {"text": "hi"}}),
    ],
)
def test_webhook_reads_bodies_of_its_type(
    client: FlaskClient, runtime: Runtime, owner: Owner, kind: str, sent: Any
) -> None:
    app = Triggered(client, runtime, owner, hook(content_type=kind))
    app.publish()

    answer = client.post(app.address(), **sent)
    other = client.post(app.address(), data="{}", content_type="application/x-other")

    assert (answer.status_code, other.status_code) == (202, 400), answer.text
    (run,) = app.ended()
    assert run.outputs is not None
    assert run.outputs["text"] == "hi"


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("application/octet-stream", {"data": b"\x00\x01", "content_type": "application/octet-stream"}),
        ("multipart/form-data", {"data": {"text": (b"\x00\x01", "a.bin")}}),
    ],
)
def test_webhook_keeps_files(
    client: FlaskClient, runtime: Runtime, owner: Owner, kind: str, sent: Any
) -> None:
    body = [{"name": "text", "type": "file", "required": True}]
    app = Triggered(client, runtime, owner, hook(content_type=kind, body=body))
    app.publish()
    if isinstance(sent["data"], dict):
        content, name = sent["data"]["text"]
        sent = {"data": {"text": (io.BytesIO(content), name)}}

    assert client.post(app.address(), **sent).status_code == 202
    (run,) = app.ended()
    assert run.outputs is not None
    assert (run.outputs["text"]["size"], run.outputs["text"]["transfer_method"]) == (2, "local_file")


def test_request_without_a_free_slot_leaves_no_file(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    body = [{"name": "text", "type": "file", "required": True}]
    app = Triggered(client, runtime, owner, hook(content_type="multipart/form-data", body=body))
    app.publish()

    with app.busy():
        refused = client.post(app.address(), data={"text": (io.BytesIO(b"x"), "a.bin")})
    taken = client.post(app.address(), data={"text": (io.BytesIO(b"x"), "b.bin")})

    assert (refused.status_code, taken.status_code) == (429, 202), refused.text
    assert len(app.ended()) == 1
    with runtime.reading() as session:
        kept = session.scalars(select(UploadFile.name).where(UploadFile.tenant_id == owner.tenant_id)).all()
    assert kept == ["b.bin"]


@pytest.mark.parametrize(
    "sent",
    [
        {"json": {}},
        {"json": {"text": 5}},
        {"json": {"text": "x"}, "query_string": {"n": "many"}},
        {"json": ["text"]},
        {"data": b"{", "content_type": "application/json"},
        {"data": b"[" * 500, "content_type": "application/json"},
        {"data": b'{"text": "\\u0000"}', "content_type": "application/json"},
        {"data": b"\xff\xfe", "content_type": "text/plain"},
        {"data": "text=x", "content_type": "application/x-www-form-urlencoded"},
    ],
)
def test_request_a_webhook_does_not_take_begins_no_run(
    client: FlaskClient, hooked: Triggered, sent: Any
) -> None:
    answer = client.post(hooked.address(), **sent)

    assert answer.status_code == 400, answer.text
    assert set(answer.get_json()) >= {"code", "message", "status"}
    assert hooked.rows() == []


def test_body_that_is_too_large_begins_no_run(client: FlaskClient, hooked: Triggered) -> None:
    text = "x" * hooked.runtime.limits.max_json_bytes

    answer = client.post(hooked.address(), json={"text": text})

    assert (answer.status_code, answer.get_json()["code"]) == (413, "request_entity_too_large")
    assert hooked.rows() == []


def test_form_of_two_files_begins_no_run(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = Triggered(client, runtime, owner, hook(content_type="multipart/form-data"))
    app.publish()
    files = {name: (io.BytesIO(b"x"), f"{name}.txt") for name in ("text", "other")}

    answer = client.post(app.address(), data=files)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "too_many_files")
    assert app.rows() == []


def test_webhook_over_the_app_s_limit_says_when_to_come_back(client: FlaskClient, hooked: Triggered) -> None:
    with hooked.runtime.transaction() as session:
        session.execute(update(App).where(App.id == hooked.id).values(api_rpm=1))

    taken, refused = (client.post(hooked.address(), json={"text": "x"}) for _ in range(2))

    assert (taken.status_code, refused.status_code) == (202, 429)
    assert refused.get_json()["code"] == "rate_limit_exceeded"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert len(hooked.ended()) == 1


def test_webhook_without_a_free_slot_is_refused(client: FlaskClient, hooked: Triggered) -> None:
    runtime = hooked.runtime
    with runtime.transaction() as session:
        session.execute(update(App).where(App.id == hooked.id).values(max_active_requests=1))
    with runtime.transaction() as session:
        spec = app_specs.load_spec(runtime, session, hooked.owner.tenant_id, hooked.id)
    slots = limits.take_slots(runtime, spec, None)

    refused = client.post(hooked.address(), json={"text": "x"})
    limits.free_slots(runtime, slots)

    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert client.post(hooked.address(), json={"text": "x"}).status_code == 202


def test_address_stays_with_its_node_and_goes_with_it(client: FlaskClient, hooked: Triggered) -> None:
    address = hooked.address()
    hooked.publish(hook(status_code=201))

    assert hooked.address() == address
    assert client.post(address, json={"text": "x"}).status_code == 201
    hooked.publish({**clock()})
    assert client.post(address, json={"text": "x"}).status_code == 404
    hooked.publish(hook())
    assert hooked.address() != address
    assert client.post(address, json={"text": "x"}).status_code == 404


def test_draft_has_an_address_before_it_is_published(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = Triggered(client, runtime, owner, hook())
    live, debug = app.address(), app.address("webhook_debug_url")

    never = app.post("workflows/draft/trigger/run", {"node_id": "w"})
    unpublished = client.post(live, json={"text": "x"})
    tried = client.post(debug, json={"text": "tried"})
    (run,) = app.ended()
    again = read_events(app.post("workflows/draft/trigger/run", {"node_id": "w"}))

    assert (never.status_code, unpublished.status_code, tried.status_code) == (400, 404, 202)
    assert (run.triggered_from, run.version) == ("debugging", "draft")
    assert again[-1]["data"]["outputs"]["text"] == "tried"
    assert app.get("triggers").json == {"data": []}


def test_call_of_a_draft_leaves_variables_to_nobody(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = Triggered(client, runtime, owner, hook())
    query = select(DraftVariable.account_id).where(DraftVariable.app_id == app.id).distinct()

    client.post(app.address("webhook_debug_url"), json={"text": "called"})
    app.ended()
    with runtime.reading() as session:
        called = session.scalars(query).all()
    read_events(app.post("workflows/draft/trigger/run", {"node_id": "w"}))
    with runtime.reading() as session:
        tried = session.scalars(query).all()

    assert (called, tried) == ([], [owner.account_id])


def test_restored_draft_has_its_address_again(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = Triggered(client, runtime, owner, hook())
    old = app.publish()
    app.publish(clock())

    gone = app.get("workflows/triggers/webhook", node_id="w")
    assert app.post(f"workflows/{old}/restore", {}).status_code == 200

    assert gone.status_code == 404
    assert client.post(app.address("webhook_debug_url"), json={"text": "x"}).status_code == 202


def test_webhook_that_is_switched_off_is_not_there(client: FlaskClient, hooked: Triggered) -> None:
    (shown,) = hooked.get("triggers").json["data"]
    body = {"trigger_id": shown["id"], "enable_trigger": False}
    off = hooked.post("trigger-enable", body)
    closed = client.post(hooked.address(), json={"text": "x"})
    hooked.publish()
    still = client.post(hooked.address(), json={"text": "x"})
    tried = client.post(hooked.address("webhook_debug_url"), json={"text": "x"})
    on = hooked.post("trigger-enable", {**body, "enable_trigger": True})

    assert (shown["trigger_type"], shown["node_id"], shown["status"]) == ("trigger-webhook", "w", "enabled")
    assert (off.json["status"], closed.status_code, still.status_code) == ("disabled", 404, 404)
    assert (tried.status_code, on.json["status"]) == (202, "enabled")
    assert client.post(hooked.address(), json={"text": "x"}).status_code == 202
    assert client.post("/triggers/webhook/nothing").status_code == 404


def test_answer_that_is_no_json_is_plain_text(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = Triggered(client, runtime, owner, hook(response_body="<script>1</script>", status_code=200))
    app.publish()

    answer = client.post(app.address(), json={"text": "x"})

    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.text == "<script>1</script>"
    app.publish(hook(status_code=204))
    assert client.post(app.address(), json={"text": "x"}).data == b""


def test_trigger_of_another_workspace_is_not_there(
    client: FlaskClient, hooked: Triggered, timed: Triggered
) -> None:
    (mine,) = hooked.get("triggers").json["data"]

    foreign = timed.post("trigger-enable", {"trigger_id": mine["id"], "enable_trigger": False})

    assert foreign.status_code == 404


# -- schedules -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("held")
def test_schedule_that_is_due_begins_one_run(timed: Triggered) -> None:
    timed.due(seconds=1)
    trigger_runs.fire_due(timed.runtime)
    trigger_runs.fire_due(timed.runtime)
    (lease,) = leases(timed.runtime, timed)
    run_job(timed.runtime, lease.job_id)
    run_trigger(timed.runtime, lease)

    (run,) = timed.ended()
    assert (run.id, run.status) == (lease.payload["run_id"], "succeeded")
    assert leases(timed.runtime, timed) == []
    assert (run.triggered_from, run.invoke_from) == ("schedule", "trigger")
    assert run.outputs is not None
    assert run.outputs["who"] == "trigger"


@pytest.mark.usefixtures("held")
def test_firings_that_were_missed_come_once(timed: Triggered) -> None:
    timed.due(days=30)
    trigger_runs.fire_due(timed.runtime)
    trigger_runs.fire_due(timed.runtime)

    assert len(leases(timed.runtime, timed)) == 1
    next_at = timed.next_at()
    assert next_at is not None
    assert 0 < next_at - utc_now().timestamp() <= 86_400


@BOTH
@pytest.mark.usefixtures("held")
def test_two_that_look_at_once_fire_once(timed: Triggered, monkeypatch: pytest.MonkeyPatch) -> None:
    timed.due(seconds=1)
    fire = trigger_runs._fire

    def slow(runtime: Runtime, row: WorkflowTrigger) -> bool:
        """Claim a firing right after another process did."""
        return fire(runtime, row) + fire(runtime, row) == 1

    monkeypatch.setattr(trigger_runs, "_fire", slow)
    trigger_runs.fire_due(timed.runtime)

    assert len(leases(timed.runtime, timed)) == 1


@pytest.mark.usefixtures("held")
def test_schedule_that_is_not_due_does_nothing(timed: Triggered) -> None:
    trigger_runs.fire_due(timed.runtime)

    assert leases(timed.runtime, timed) == []


@pytest.mark.usefixtures("held")
def test_schedule_that_is_switched_off_does_not_fire(timed: Triggered) -> None:
    (shown,) = timed.get("triggers").json["data"]
    timed.due(seconds=1)
    trigger_runs.fire_due(timed.runtime)
    off = timed.post("trigger-enable", {"trigger_id": shown["id"], "enable_trigger": False}).json
    (lease,) = leases(timed.runtime, timed)
    run_trigger(timed.runtime, lease)
    on = timed.post("trigger-enable", {"trigger_id": shown["id"], "enable_trigger": True}).json

    assert (off["next_at"], timed.rows()) == (None, [])
    assert on["next_at"] == shown["next_at"]


def test_publishing_keeps_what_is_due_and_follows_what_changed(timed: Triggered) -> None:
    before = timed.next_at()
    timed.publish()
    same = timed.next_at()
    timed.publish(clock(cron_expression="31 4 * * *"))
    changed = timed.next_at()

    assert before == same
    assert changed is not None
    assert before is not None
    assert (changed - before) % 86_400 == 60


def test_schedule_is_tried_out_from_the_console(timed: Triggered) -> None:
    events = read_events(timed.post("workflows/draft/trigger/run", {"node_id": "c"}))
    missing = timed.post("workflows/draft/trigger/run", {"node_id": "x"})

    assert events[-1]["data"]["outputs"]["who"] == timed.owner.account_id
    assert (missing.status_code, missing.json["code"]) == (400, "app_unavailable")


def test_firing_without_a_free_slot_waits_for_one(timed: Triggered, held: HeldQueue) -> None:
    runtime = timed.runtime
    timed.due(seconds=1)
    trigger_runs.fire_due(runtime)
    (lease,) = leases(runtime, timed)

    with timed.busy(), pytest.raises(Postpone):
        run_trigger(runtime, lease)
    run_trigger(runtime, lease)

    assert [run.status for run in timed.ended()] == ["succeeded"]
    assert lease.job_id in held.woken


def test_run_id_that_is_unknown_begins_nothing(timed: Triggered) -> None:
    lease = Lease(
        job_id=new_id(),
        tenant_id=timed.owner.tenant_id,
        name=Job.RUN_TRIGGER,
        queue="default",
        payload={"trigger_id": new_id(), "run_id": new_id()},
        attempt=1,
        length_s=60.0,
    )

    run_trigger(timed.runtime, lease)

    assert timed.rows() == []
