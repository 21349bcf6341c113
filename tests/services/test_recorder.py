"""How a run ends in the database, also when the database is away just then."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from api.core.events import ErrorOccurred, MessageEnd, RunHeader, TextChunk
from api.errors import Unavailable
from api.models.base import new_id
from api.models.conversation import Message
from api.models.workflow import WorkflowRun
from api.runtime import Runtime
from api.services import recorder as recorder_module
from api.services.flow_recorder import FlowRecorder
from api.services.recorder import Recorder
from tests.factories import Owner
from tests.services.test_runs import make_message

EVENTS = (TextChunk(text="All "), TextChunk(text="of it"), MessageEnd(usage=None))
FAILURE = ErrorOccurred(status=400, code="completion_request_error", message="no")


class Fails:
    """Makes sessions and connections, but fails the first times."""

    def __init__(self, make: sessionmaker[Session], *errors: Exception) -> None:
        self.make = make
        self.errors = list(errors)
        self.kw = {"bind": self}

    def __call__(self) -> Session:
        if self.errors:
            raise self.errors.pop(0)
        return self.make()

    def connect(self) -> Connection:
        if self.errors:
            raise self.errors.pop(0)
        return cast("Connection", self.make.kw["bind"].connect())


AWAY = OperationalError("UPDATE", {}, Exception("away"))
REFUSED = DataError("UPDATE", {}, Exception("refused"))


@pytest.fixture
def record(runtime: Runtime, owner: Owner) -> Callable[..., tuple[Recorder, str]]:
    """Make a recorder of a running message whose first attempts to store fail as told."""

    def make(*errors: Exception) -> tuple[Recorder, str]:
        message_id = make_message(runtime, owner, runtime.owner)
        sessions = cast("sessionmaker[Session]", Fails(runtime.session_factory, *errors))
        header = RunHeader(
            task_id=new_id(),
            tenant_id=owner.tenant_id,
            app_id=new_id(),
            mode="chat",
            principal_id=owner.account_id,
            created_at=0,
            total_s=1.0,
            conversation_id=new_id(),
            message_id=message_id,
        )
        made = Recorder(
            runtime=replace(runtime, session_factory=sessions),
            header=header,
            principal=owner.principal,
            is_new=True,
            wants_title=False,
        )
        return made, message_id

    return make


def stored(runtime: Runtime, message_id: str) -> tuple[str, str]:
    with runtime.transaction() as session:
        row = session.execute(select(Message.status, Message.answer).where(Message.id == message_id)).one()
    return row.status, row.answer


def test_complete_answer_stays_complete_though_the_database_was_away(
    runtime: Runtime, record: Callable[..., tuple[Recorder, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "STORE_AGAIN_S", (0.0, 0.0, 0.0))
    recorder, message_id = record(AWAY, AWAY)

    with pytest.raises(Unavailable):
        list(recorder.watch(iter(EVENTS)))
    recorder.fail(FAILURE)
    before = stored(runtime, message_id)
    recorder.store_later()

    assert before == ("running", "")
    assert stored(runtime, message_id) == ("normal", "All of it")


def test_failed_run_is_stored_though_the_database_was_away(
    runtime: Runtime, record: Callable[..., tuple[Recorder, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "STORE_AGAIN_S", (0.0, 0.0, 0.0))
    recorder, message_id = record(AWAY, AWAY)

    list(recorder.watch(iter(EVENTS[:2])))
    recorder.fail(FAILURE)
    recorder.store_later()

    assert stored(runtime, message_id) == ("error", "All of it")


def test_answer_the_database_refuses_leaves_a_failed_message_without_it(
    runtime: Runtime, record: Callable[..., tuple[Recorder, str]]
) -> None:
    recorder, message_id = record(REFUSED, REFUSED)

    with pytest.raises(DataError):
        list(recorder.watch(iter(EVENTS)))
    recorder.fail(FAILURE)

    assert stored(runtime, message_id) == ("error", "")


def test_run_whose_nodes_the_database_refuses_has_failed(runtime: Runtime, owner: Owner) -> None:
    run = WorkflowRun(
        tenant_id=owner.tenant_id,
        app_id=new_id(),
        workflow_id=new_id(),
        task_id=new_id(),
        type="workflow",
        version="v1.0.0",
        triggered_from="app-run",
        invoke_from="service-api",
        inputs={},
        system={},
        owner=runtime.owner,
    )
    with runtime.transaction() as session:
        session.add(run)
    header = RunHeader(
        task_id=run.task_id,
        tenant_id=owner.tenant_id,
        app_id=run.app_id,
        mode="workflow",
        principal_id=owner.account_id,
        created_at=0,
        total_s=1.0,
        workflow_run_id=run.id,
        workflow_id=run.workflow_id,
    )
    recorder = FlowRecorder(runtime=runtime, header=header, principal=owner.principal)
    recorder.pending.append({"id": new_id(), "node_id": "a node without all else"})

    recorder.fail(FAILURE)

    with runtime.reading() as session:
        kept = session.get_one(WorkflowRun, run.id)
        assert (kept.status, kept.error) == ("failed", "no")
        assert kept.finished_at is not None
