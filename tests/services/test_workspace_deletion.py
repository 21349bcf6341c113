"""What the deletion of a workspace removes in the end: everything of it, and nothing of another."""

from datetime import date
from io import BytesIO

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from api.errors import Conflict, NotFound
from api.models.base import Base, new_id
from api.models.document import StoredEmbedding
from api.models.file import UploadFile
from api.models.job import JobRow
from api.models.plugin import PluginInstallation
from api.models.usage import NOBODY, UsageDay
from api.runtime import Runtime
from api.services import app_purge, workspace_deletion
from api.services.jobs import Job, enqueue_on_commit
from api.services.workspace_control import suspend
from api.tasks.cleanup import purge_now
from tests.conftest import BOTH
from tests.controllers.console.plugin_calls import Desk
from tests.controllers.console.sign_in_calls import profile_status
from tests.factories import Owner, make_chat_app, make_owner
from tests.services import test_app_purge, test_dataset_purge

pytestmark = BOTH

TABLES = tuple(table for table in Base.metadata.sorted_tables if "tenant_id" in table.c)


def count_rows(runtime: Runtime, tenant_id: str) -> dict[str, int]:
    """Return how many rows of a workspace there are in each table, empty ones left out."""
    with runtime.reading() as session:
        counts = {
            table.name: session.scalar(
                select(func.count()).select_from(table).where(table.c.tenant_id == tenant_id)
            )
            for table in TABLES
        }
    return {name: count for name, count in counts.items() if count}


def fill(runtime: Runtime, client: FlaskClient, owner: Owner) -> tuple[str, list[str]]:
    """Give a workspace one of each; return a collection and the keys of its files."""
    app = make_chat_app(runtime, owner)
    keys = test_app_purge.fill(runtime, app, 2)
    _, collection, of_documents = test_dataset_purge.make_filled(runtime, owner, "notes", 2)
    Desk(client, owner).install()
    file = UploadFile(
        storage_key=f"uploads/{owner.tenant_id}/icon",
        tenant_id=owner.tenant_id,
        name="icon.png",
        extension="png",
        mime_type="image/png",
        kind="image",
        size_bytes=1,
        sha256="0",
        created_by=owner.account_id,
        created_by_role="account",
    )
    runtime.storage.put(file.storage_key, BytesIO(b"x"))
    paid = {"provider": "openai", "model": "gpt-4o", "currency": "USD"}
    took = {"calls": 1, "prompt_tokens": 1, "completion_tokens": 1, "total_price": 0}
    of_app = {"day": date(2030, 1, 1), "app_id": app.id, "key_id": NOBODY, "actor_id": NOBODY}
    with runtime.transaction() as session:
        session.add_all(
            [
                file,
                UsageDay(tenant_id=owner.tenant_id, **paid, **took, **of_app),
                StoredEmbedding(tenant_id=owner.tenant_id, model="m", hash="h", vector=b"1234"),
            ]
        )
        enqueue_on_commit(runtime, session, Job.NAME_CONVERSATION, {}, tenant_id=owner.tenant_id)
        of_owner = PluginInstallation.tenant_id == owner.tenant_id
        package = session.scalars(select(PluginInstallation).where(of_owner)).one().storage_key
    return collection, [*keys, *of_documents, file.storage_key, package]


def delete(runtime: Runtime, tenant_id: str) -> None:
    with runtime.transaction() as session:
        workspace_deletion.delete_workspace(runtime, session, tenant_id)


def test_deleted_workspace_leaves_nothing_and_others_as_they_were(
    runtime: Runtime, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.queue, "enqueue", lambda *_args, **_options: None)
    monkeypatch.setattr(app_purge, "ROWS_PER_BATCH", 2)
    gone, kept = make_owner(runtime), make_owner(runtime)
    (collection, files), (other, other_files) = fill(runtime, client, gone), fill(runtime, client, kept)
    before = count_rows(runtime, kept.tenant_id)
    assert count_rows(runtime, gone.tenant_id) == before

    with pytest.raises(Conflict, match="suspend it first"):
        delete(runtime, gone.tenant_id)
    with runtime.transaction() as session:
        suspend(session, gone.tenant_id)
    delete(runtime, gone.tenant_id)
    with pytest.raises(NotFound):
        delete(runtime, gone.tenant_id)
    assert set(count_rows(runtime, gone.tenant_id)) <= {
        table.name for table in TABLES if not table.foreign_keys
    }
    purge_now(runtime)

    assert count_rows(runtime, gone.tenant_id) == {}
    assert count_rows(runtime, kept.tenant_id) == before
    assert [list(runtime.keywords.ids(one)) != [] for one in (collection, other)] == [False, True]
    assert [runtime.storage.exists(key) for key in files] == [False] * len(files)
    assert [runtime.storage.exists(key) for key in other_files] == [True] * len(files)
    assert profile_status(client, gone.token) == 401
    assert profile_status(client, kept.token) == 200


def test_sweep_finds_what_was_written_after_the_deletion(
    runtime: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.queue, "enqueue", lambda *_args, **_options: None)
    nowhere = new_id()
    with runtime.transaction() as session:
        for tenant_id in (owner.tenant_id, nowhere):
            session.add(StoredEmbedding(tenant_id=tenant_id, model="m", hash="h", vector=b"1234"))

    workspace_deletion.sweep_deleted_workspaces(runtime)

    with runtime.reading() as session:
        rows = session.scalars(select(JobRow).where(JobRow.name == Job.PURGE_WORKSPACE)).all()
    assert {row.tenant_id for row in rows} & {owner.tenant_id, nowhere} == {nowhere}
