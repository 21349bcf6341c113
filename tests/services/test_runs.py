"""The runs of dead processes end."""

from datetime import timedelta

from sqlalchemy import select

from api.models.base import new_id, utc_now
from api.models.conversation import Message
from api.models.job import WorkerBeat
from api.runtime import Runtime
from api.services import runs
from tests.conftest import BOTH
from tests.factories import Owner

pytestmark = BOTH


def make_message(runtime: Runtime, owner: Owner, process: str) -> str:
    """Write a running message of a process; return its id."""
    row = Message(
        id=new_id(),
        tenant_id=owner.tenant_id,
        app_id=new_id(),
        conversation_id=new_id(),
        task_id=new_id(),
        mode="chat",
        invoke_from="service-api",
        inputs={},
        query="Hi",
        owner=process,
    )
    with runtime.transaction() as session:
        session.add(row)
    return row.id


def status_of(runtime: Runtime, message_id: str) -> str:
    with runtime.transaction() as session:
        return session.scalars(select(Message.status).where(Message.id == message_id)).one()


def test_beat_ends_the_runs_of_silent_processes_alone(runtime: Runtime, owner: Owner) -> None:
    dead, silent, alive = new_id(), new_id(), new_id()
    with runtime.transaction() as session:
        session.add(WorkerBeat(id=silent, beat_at=utc_now() - 2 * runs.SILENT_AFTER))
        session.add(WorkerBeat(id=alive, beat_at=utc_now() - timedelta(seconds=1)))
    messages = {
        process: make_message(runtime, owner, process) for process in (dead, silent, alive, runtime.owner)
    }

    runs.beat(runtime)

    assert {process: status_of(runtime, message_id) for process, message_id in messages.items()} == {
        dead: "error",
        silent: "error",
        alive: "running",
        runtime.owner: "running",
    }


def test_lost_run_says_why(runtime: Runtime, owner: Owner) -> None:
    message_id = make_message(runtime, owner, new_id())

    runs.beat(runtime)

    with runtime.transaction() as session:
        row = session.execute(select(Message.error, Message.outcome).where(Message.id == message_id)).one()
    assert row.error == runs.LOST.message
    assert row.outcome["code"] == "worker_lost"
