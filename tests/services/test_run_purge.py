"""How long runs of workflows are kept, and what goes with them."""

import random
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Select, select, update

from api.models.base import new_id, utc_now
from api.models.workflow import HumanInputForm, NodeExecution, WorkflowRun, WorkflowSnapshot
from api.runtime import Runtime
from api.services import app_purge, run_purge
from tests.conftest import BOTH
from tests.factories import Owner, make_app, make_key
from tests.flows import drawn, edges, end
from tests.waiting import wait_until

pytestmark = BOTH

TEXT = {"variable": "text", "label": "Text", "type": "paragraph", "required": True}
GRAPH = {"nodes": [drawn("s", "start", variables=[TEXT]), end(text="s.text")], "edges": edges("s > e")}
BIG = random.Random(1).randbytes(400_000).hex()
"""More than a row holds, also when it is compressed."""
DAYS = 30


@dataclass(frozen=True)
class Flow:
    """A workflow app whose runs a test makes and makes old."""

    client: FlaskClient
    runtime: Runtime
    owner: Owner
    id: str
    key: str

    def run(self, text: str) -> str:
        """Run the published workflow; return the run's id."""
        answer = self.client.post(
            "/v1/workflows/run",
            json={"user": "ada", "inputs": {"text": text}},
            headers={"Authorization": f"Bearer {self.key}"},
        ).get_json()
        assert answer["data"]["status"] == "succeeded", answer
        return str(answer["workflow_run_id"])

    def debug(self) -> None:
        """Run the draft."""
        path = f"/console/api/apps/{self.id}/workflows/draft/run"
        answer = self.client.post(path, json={"inputs": {"text": "a"}}, headers=self.owner.headers)
        assert "workflow_finished" in answer.text

    def age(self, table: Any, days: float, *where: Any) -> None:
        """Make rows of the app so old."""
        with self.runtime.transaction() as session:
            session.execute(
                update(table)
                .where(table.app_id == self.id, *where)
                .values(created_at=utc_now() - timedelta(days=days))
            )

    def ids(self, table: Any) -> list[str]:
        """Return what is in a table of the app."""
        with self.runtime.transaction() as session:
            return list(session.scalars(select(table.id).where(table.app_id == self.id)))

    def files(self) -> list[str]:
        """Return where values of its nodes lie."""
        with self.runtime.transaction() as session:
            found = session.scalars(select(NodeExecution.kept_at).where(NodeExecution.app_id == self.id))
            return [key for key in found if key]


@pytest.fixture
def flow(client: FlaskClient, runtime: Runtime, owner: Owner) -> Flow:
    """A published workflow that gives back a text."""
    app_id = make_app(runtime, owner, mode="workflow")
    path = f"/console/api/apps/{app_id}/workflows"
    for step, body in (("draft", {"graph": GRAPH}), ("publish", {})):
        assert client.post(f"{path}/{step}", json=body, headers=owner.headers).status_code < 300
    return Flow(client, runtime, owner, app_id, make_key(runtime, owner, app_id))


def keeping(runtime: Runtime, days: int) -> Runtime:
    """Return the program with another setting."""
    return replace(runtime, limits=replace(runtime.limits, workflow_log_retention_days=days))


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches a test can fill; how many rows one holds is no promise."""
    monkeypatch.setattr(run_purge, "ROWS_PER_BATCH", 2)


@pytest.mark.usefixtures("small_batches")
def test_old_runs_go_with_what_their_nodes_did_and_newer_ones_stay(flow: Flow, runtime: Runtime) -> None:
    old = [flow.run(text) for text in ("a", "b", BIG)]
    flow.age(WorkflowRun, DAYS + 1)
    kept = flow.run(BIG)
    files = flow.files()

    run_purge.purge_old_runs(keeping(runtime, DAYS))

    assert flow.ids(WorkflowRun) == [kept]
    assert len(flow.ids(NodeExecution)) == 2
    assert len(files) == 4
    assert {key.split("/")[2] for key in files if runtime.storage.exists(key)} == {kept}
    assert (
        flow.client.get(
            f"/v1/workflows/run/{old[0]}", headers={"Authorization": f"Bearer {flow.key}"}
        ).status_code
        == 404
    )


def test_forms_go_with_their_run(flow: Flow, runtime: Runtime) -> None:
    old, kept = flow.run("a"), flow.run("b")
    owned = {"tenant_id": flow.owner.tenant_id, "app_id": flow.id, "node_id": "h", "asked": {}}
    with runtime.transaction() as session:
        for run_id in (old, kept):
            form = HumanInputForm(
                workflow_run_id=run_id, token=new_id(), expires_at=utc_now() + timedelta(days=1), **owned
            )
            session.add(form)
    flow.age(WorkflowRun, DAYS + 1, WorkflowRun.id == old)

    run_purge.purge_old_runs(keeping(runtime, DAYS))

    with runtime.transaction() as session:
        left = session.scalars(
            select(HumanInputForm.workflow_run_id).where(HumanInputForm.app_id == flow.id)
        ).all()
    assert left == [kept]


def test_runs_stay_for_ever_where_that_is_set(flow: Flow, runtime: Runtime) -> None:
    flow.run("a")
    flow.age(WorkflowRun, 10_000)

    run_purge.purge_old_runs(keeping(runtime, 0))

    assert len(flow.ids(WorkflowRun)) == 1


@pytest.mark.parametrize("status", ["running", "paused"])
def test_run_that_has_not_ended_stays_with_its_graph(flow: Flow, runtime: Runtime, status: str) -> None:
    flow.debug()
    flow.age(WorkflowRun, DAYS + 1)
    flow.age(WorkflowSnapshot, DAYS + 2)
    with runtime.transaction() as session:
        session.execute(update(WorkflowRun).where(WorkflowRun.app_id == flow.id).values(status=status))

    run_purge.purge_old_runs(keeping(runtime, DAYS))

    assert len(flow.ids(WorkflowRun)) == len(flow.ids(WorkflowSnapshot)) == 1
    assert len(flow.ids(NodeExecution)) == 2


def test_graph_of_a_draft_goes_when_nothing_has_run_it_for_as_long(flow: Flow, runtime: Runtime) -> None:
    flow.debug()
    flow.age(WorkflowRun, DAYS + 3)
    flow.age(WorkflowSnapshot, DAYS + 0.5)  # a run of the same day may have come later

    run_purge.purge_old_runs(keeping(runtime, DAYS))
    was_kept = flow.ids(WorkflowSnapshot)
    flow.age(WorkflowSnapshot, DAYS + 1.5)
    run_purge.purge_old_runs(keeping(runtime, DAYS))

    assert len(was_kept) == 1
    assert flow.ids(WorkflowSnapshot) == []


def test_graph_that_is_run_again_is_young_again(flow: Flow, runtime: Runtime) -> None:
    flow.debug()
    flow.age(WorkflowSnapshot, DAYS + 5)
    fresh = replace(runtime, memory=type(runtime.memory)(100))  # as on another day, or in another process
    flow.client.application.extensions["runtime"] = fresh
    flow.debug()
    flow.client.application.extensions["runtime"] = runtime

    run_purge.purge_old_runs(keeping(runtime, DAYS))

    assert len(flow.ids(WorkflowSnapshot)) == 1


def test_node_that_was_run_alone_goes_too(flow: Flow, runtime: Runtime) -> None:
    flow.run("a")
    with runtime.transaction() as session:
        row = session.scalars(select(NodeExecution).where(NodeExecution.app_id == flow.id)).first()
        assert row is not None
        row.workflow_run_id, row.created_at = None, utc_now() - timedelta(days=DAYS + 1)

    run_purge.purge_old_runs(keeping(runtime, DAYS))

    assert len(flow.ids(NodeExecution)) == 1


def test_work_of_one_call_is_bounded(flow: Flow, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        flow.run("a")
    flow.age(WorkflowRun, DAYS + 1)
    monkeypatch.setattr(run_purge, "ROWS_PER_BATCH", 1)
    monkeypatch.setattr(run_purge, "WORK_S", -1.0)

    run_purge.purge_old_runs(keeping(runtime, DAYS))

    assert len(flow.ids(WorkflowRun)) == 2


def test_deleted_app_leaves_no_file_of_its_runs(flow: Flow, runtime: Runtime) -> None:
    flow.run(BIG)
    flow.debug()
    files = flow.files()
    assert len(files) == 2

    app_purge.purge_app(runtime, flow.owner.tenant_id, flow.id)

    assert not any(runtime.storage.exists(key) for key in files)
    assert [flow.ids(table) for table in (WorkflowRun, NodeExecution, WorkflowSnapshot)] == [[], [], []]


def test_nodes_left_of_an_app_that_is_gone_are_found(runtime: Runtime, owner: Owner) -> None:
    gone = new_id()
    with runtime.transaction() as session:
        session.add(_left(owner.tenant_id, gone))
    left = select(NodeExecution.id).where(NodeExecution.app_id == gone)

    app_purge.sweep_deleted_apps(runtime)

    wait_until(lambda: _is_empty(runtime, left))


def _is_empty(runtime: Runtime, query: Select[str]) -> bool:
    with runtime.transaction() as session:
        return session.scalar(query) is None


def _left(tenant_id: str, app_id: str) -> NodeExecution:
    texts = dict.fromkeys(("node_id", "node_type", "title", "triggered_from", "edge"), "x")
    return NodeExecution(
        tenant_id=tenant_id,
        app_id=app_id,
        workflow_id=new_id(),
        index=1,
        status="succeeded",
        elapsed_s=0.0,
        execution_metadata={},
        finished_order=1,
        **texts,
    )
