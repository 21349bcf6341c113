"""What the deletion of an app removes in the end: everything, and nothing else."""

from io import BytesIO

import pytest
from sqlalchemy import select

from api.models.app import APIToken, App, AppModelConfig, EndUser, Site
from api.models.base import new_id
from api.models.conversation import AgentThought, Conversation, Message, MessageFeedback, SavedMessage
from api.models.file import UploadFile
from api.models.job import JobRow
from api.runtime import Runtime
from api.services import app_purge, apps
from tests.conftest import BOTH
from tests.factories import ChatApp, Owner, make_chat_app
from tests.waiting import wait_until

pytestmark = BOTH

COLUMNS = (
    App.id,
    AppModelConfig.app_id,
    Site.app_id,
    APIToken.app_id,
    EndUser.app_id,
    Conversation.app_id,
    Message.app_id,
    MessageFeedback.app_id,
    AgentThought.app_id,
    SavedMessage.app_id,
    UploadFile.app_id,
)
"""What tells, in each table, which app a row hangs on."""


def count_rows(runtime: Runtime, app_id: str) -> dict[str, int]:
    """Return how many rows of an app there are in each table, empty ones left out."""
    with runtime.transaction() as session:
        counts = {
            column.class_.__tablename__: len(session.scalars(select(column).where(column == app_id)).all())
            for column in COLUMNS
        }
    return {name: count for name, count in counts.items() if count}


def fill(runtime: Runtime, app: ChatApp, rows: int) -> list[str]:
    """Give an app conversations with messages, feedback, end users and files; return the files' keys."""
    owned = {"tenant_id": app.owner.tenant_id, "app_id": app.id}
    keys = [f"uploads/{app.id}/{number}" for number in range(rows)]
    with runtime.transaction() as session:
        for number, key in enumerate(keys):
            conversation = Conversation(
                id=new_id(), mode="chat", name="c", inputs={}, invoke_from="x", **owned
            )
            message = Message(
                id=new_id(),
                conversation_id=conversation.id,
                task_id=new_id(),
                mode="chat",
                invoke_from="x",
                inputs={},
                query="q",
                **owned,
            )
            feedback = MessageFeedback(
                conversation_id=conversation.id,
                message_id=message.id,
                rating="like",
                from_source="user",
                **owned,
            )
            thought = AgentThought(
                conversation_id=conversation.id,
                message_id=message.id,
                position=1,
                thought="",
                observation="",
                tool="",
                tool_labels={},
                tool_input="",
                files=[],
                calls=[],
                tokens=0,
                **owned,
            )
            saved = SavedMessage(message_id=message.id, **owned)
            user = EndUser(type="service-api", session_id=str(number), is_anonymous=False, **owned)
            file = UploadFile(
                storage_key=key,
                name="n",
                extension="txt",
                mime_type="text/plain",
                kind="document",
                size_bytes=1,
                sha256="0",
                created_by=user.id or new_id(),
                created_by_role="end_user",
                **owned,
            )
            session.add_all([conversation, message, feedback, thought, saved, user, file])
    for key in keys:
        runtime.storage.put(key, BytesIO(b"x"))
    return keys


def delete(runtime: Runtime, owner: Owner, app_id: str) -> None:
    with runtime.transaction() as session:
        apps.delete_app(runtime, session, owner.principal, app_id)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches a test can fill; how many rows one holds is no promise."""
    monkeypatch.setattr(app_purge, "ROWS_PER_BATCH", 3)


@pytest.mark.usefixtures("small_batches")
def test_delete_removes_all_that_hangs_on_an_app_and_nothing_else(runtime: Runtime, owner: Owner) -> None:
    gone, kept = (make_chat_app(runtime, owner) for _ in range(2))
    files = {app.id: fill(runtime, app, 7) for app in (gone, kept)}
    before = count_rows(runtime, kept.id)

    delete(runtime, owner, gone.id)
    app_purge.purge_app(runtime, owner.tenant_id, gone.id)

    assert count_rows(runtime, gone.id) == {}
    assert count_rows(runtime, kept.id) == before
    assert len(before) == len(COLUMNS)
    assert not any(runtime.storage.exists(key) for key in files[gone.id])
    assert all(runtime.storage.exists(key) for key in files[kept.id])


def test_delete_leaves_the_large_tables_to_a_job(runtime: Runtime, owner: Owner) -> None:
    app = make_chat_app(runtime, owner)
    small = {"apps", "app_model_configs", "sites", "api_tokens"}
    assert small <= set(count_rows(runtime, app.id))

    with runtime.transaction() as session:
        apps.delete_app(runtime, session, owner.principal, app.id)
        job = session.scalars(select(JobRow).where(JobRow.tenant_id == owner.tenant_id)).one()

    assert not small & set(count_rows(runtime, app.id))
    assert (job.name, job.payload["app_id"]) == ("purge_app", app.id)


def test_purge_cut_off_half_way_is_finished_by_the_next(
    runtime: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = ChatApp(id=new_id(), key="", owner=owner)
    files = fill(runtime, app, 3)
    calls = iter([None, OSError("the disk went away")])

    def fail_at_second(key: str) -> None:
        fault = next(calls)
        if fault is not None:
            raise fault
        original(key)

    original = runtime.storage.delete
    with monkeypatch.context() as patch:
        patch.setattr(runtime.storage, "delete", fail_at_second)
        with pytest.raises(OSError, match="went away"):
            app_purge.purge_app(runtime, owner.tenant_id, app.id)
    assert count_rows(runtime, app.id)["upload_files"] == 3

    app_purge.purge_app(runtime, owner.tenant_id, app.id)

    assert count_rows(runtime, app.id) == {}
    assert not any(runtime.storage.exists(key) for key in files)


def test_purge_in_the_name_of_another_workspace_removes_nothing(runtime: Runtime, owner: Owner) -> None:
    app = make_chat_app(runtime, owner)
    fill(runtime, app, 2)
    before = count_rows(runtime, app.id)

    app_purge.purge_app(runtime, new_id(), app.id)

    assert count_rows(runtime, app.id) == before


def test_sweep_removes_what_was_written_after_the_purge(runtime: Runtime, owner: Owner) -> None:
    gone = ChatApp(id=new_id(), key="", owner=owner)
    kept = make_chat_app(runtime, owner)
    for app in (gone, kept):
        fill(runtime, app, 1)
    before = count_rows(runtime, kept.id)

    found = app_purge.sweep_deleted_apps(runtime)

    assert found >= 1
    wait_until(lambda: count_rows(runtime, gone.id) == {})
    assert count_rows(runtime, kept.id) == before
