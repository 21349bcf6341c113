"""Backups: what was in an installation is in another one afterwards, whatever either keeps it in."""

import gzip
import io
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    Select,
    String,
    Table,
    func,
    select,
    update,
)
from sqlalchemy.types import TypeEngine

from api.core.events import FormAsked, to_json
from api.errors import Conflict, InvalidRequest
from api.models.account import Account, DataKey, Setup, Tenant, TenantMember
from api.models.annotation import Annotation
from api.models.base import Base, new_id, utc_now
from api.models.document import StoredEmbedding
from api.models.job import JobRow
from api.models.types import Id, UTCDateTime
from api.models.workflow import HumanInputForm, WorkflowTrigger
from api.runtime import Runtime
from api.services import backups, forms, held_work, jobs, trigger_runs, triggers, verification
from api.services.held_work import Held
from api.services.jobs import Job
from api.services.verification_rows import Checked
from tests.commands import Commands
from tests.conftest import SECRET, make_house, make_settings, stop_house
from tests.controllers.test_triggers import DAILY
from tests.factories import Owner, make_app, make_chat_app, make_owner
from tests.live.conftest import PATIENT, empty_database
from tests.services.test_indexing import Made, found, make_document, work

ROOT = Path(__file__).parents[2]
REVISION = "0001"
TEXT = "Penguins live in the cold south. They swim well.\n\nThe market closed higher. Bonds fell."
KINDS = ({"technique": "economy"}, {"technique": "high_quality", "doc_form": "hierarchical_model"})
QUESTION = "Where do penguins live?"

Open = Callable[[str], Runtime]


@pytest.fixture
def open_empty(tmp_path: Path) -> Iterator[Open]:
    """Makes empty installations, on SQLite or on PostgreSQL."""
    made: list[Flask] = []
    databases: list[Any] = []

    def make(kind: str) -> Runtime:
        values = {}
        if kind == "postgres":
            databases.append(empty_database())
            values["database_url"] = databases[-1].__enter__()
        made.append(make_house(make_settings(tmp_path / f"{kind}{len(made)}", **values), has_owner=False))
        runtime: Runtime = made[-1].extensions["runtime"]
        return runtime

    yield make
    for app in made:
        stop_house(app)
    for database in databases:
        database.__exit__(None, None, None)


def archive_of(runtime: Runtime) -> io.BytesIO:
    archive = io.BytesIO()
    backups.back_up(runtime, archive, revision=REVISION, secret=SECRET.get_secret_value())
    return archive


def rows_of(runtime: Runtime) -> dict[str, list[dict[str, Any]]]:
    """Return all rows that are kept, in order; but jobs, of which a restore adds some."""
    tables = [table for table in Base.metadata.sorted_tables if table.name not in {*backups.LEFT_OUT, "jobs"}]
    with runtime.engine.connect() as connection:
        return {
            table.name: [
                *map(dict, connection.execute(select(table).order_by(*table.primary_key)).mappings())
            ]
            for table in tables
        }


def files_of(runtime: Runtime) -> dict[str, bytes]:
    """Return all files by their keys."""
    contents = {}
    for key in runtime.storage.all_keys():
        with runtime.storage.open(key) as content:
            contents[key] = content.read()
    return contents


def in_order(table: Table) -> Select[Any]:
    return select(table).order_by(*table.primary_key)


def fill(runtime: Runtime) -> None:
    """Put a row into every table that is empty, with a value in every column, whatever it means."""
    with runtime.engine.begin() as connection:
        for table in Base.metadata.sorted_tables:
            if connection.execute(select(table).limit(1)).first() is None and table is not Setup.__table__:
                refers = {
                    column: connection.execute(select(key.column).limit(1)).scalar_one()
                    for column in table.c
                    for key in column.foreign_keys
                }
                connection.execute(
                    table.insert().values({each: refers.get(each, sample(each)) for each in table.c})
                )
        connection.execute(
            update(Annotation).values(indexed_in=None, updated_at=Annotation.updated_at)
        )  # as a restore leaves it


def sample(column: Column[Any]) -> object:
    """Return a value of a column, the hardest of its kind to carry over."""
    if isinstance(column.type, Numeric) and column.type.asdecimal:
        return Decimal("1234.0123456789")
    if column.type is Id:
        return new_id()
    samples: list[tuple[type[TypeEngine[Any]], object]] = [
        (UTCDateTime, datetime(2026, 3, 29, 1, 59, 59, 999_999, UTC)),
        (Date, date(2026, 3, 29)),
        (Boolean, True),
        (BigInteger, 2**62),
        (Integer, 2**31 - 1),
        (Float, 0.1),
        (LargeBinary, bytes(range(256))),
        (String, "a “quoted”\\ \u2028 \U0001f427 \x7f" * 9),
    ]
    for kind, value in samples:
        if isinstance(column.type, kind):
            return value
    return {"b": [1, 0.1, "\u2028", None, {}], "a": 2**53 + 1}


@pytest.mark.parametrize(("source", "target"), [("sqlite", "postgres"), ("postgres", "sqlite")])
def test_installation_restored_elsewhere_has_the_same_rows_and_files_and_finds_the_same(
    open_empty: Open, source: str, target: str
) -> None:
    old, new = open_empty(source), open_empty(target)
    owner = make_owner(old)
    make_chat_app(old, owner)
    documents: list[Made] = []
    for kind in KINDS:
        documents.append(make_document(old, owner, TEXT, **kind))
        work(old, owner)
    with old.transaction() as session:
        session.query(StoredEmbedding).delete()  # as after 30 days
    old.storage.put("upload_files/a/b.bin", io.BytesIO(b"\0\xff" * 1000))
    fill(old)

    contents = backups.restore(new, archive_of(old), is_copy=False)
    told = list(verification.verify(new, is_mending=True))

    for name, kept in rows_of(old).items():
        assert rows_of(new)[name] == kept, name
    assert contents.rows["apps"] == 1
    assert contents.files == len(files_of(old)) > 0
    assert files_of(new) == files_of(old)
    assert [finding for finding in told if finding.is_wrong] == []
    assert sum(each.mended for each in told if isinstance(each, Checked)) > 0
    for document in documents:
        assert found(new, owner, document, QUESTION) == found(old, owner, document, QUESTION)
    with pytest.raises(Conflict):
        backups.restore(new, archive_of(old))


def owe(runtime: Runtime, owner: Owner) -> None:
    """Leave a mail, a run to begin and one to go on, a schedule that is due, a form that is overdue."""
    past, app_id = utc_now() - timedelta(hours=1), make_app(runtime, owner, mode="workflow")
    asked = FormAsked(
        node_id="h",
        title="Ask",
        content="",
        fields=(),
        actions=(),
        defaults={},
        expires_at=int(past.timestamp()),
    )
    here = {"tenant_id": owner.tenant_id, "app_id": app_id}
    with runtime.transaction() as session:
        for job in (Job.SEND_MAIL, Job.RUN_TRIGGER, Job.RESUME_RUN, Job.NAME_CONVERSATION):
            payload = {"run_id": new_id(), "trigger_id": new_id(), "confirmation_id": new_id()}
            session.add(
                JobRow(
                    tenant_id=owner.tenant_id, name=job.value, queue="default", payload=payload, run_at=past
                )
            )
        for node_id, kind in (("c", triggers.SCHEDULE), ("w", triggers.WEBHOOK)):
            due_at = past if kind == triggers.SCHEDULE else None
            row = {
                "node_id": node_id,
                "type": kind,
                "title": kind,
                "data": {"type": kind, **DAILY},
                "next_at": due_at,
            }
            session.add(WorkflowTrigger(**here, **row))
        form = {"workflow_run_id": new_id(), "node_id": "h", "token": new_id(), "expires_at": past}
        session.add(HumanInputForm(**here, **form, asked=to_json(asked)))


def due_jobs(runtime: Runtime) -> list[str]:
    """Return the jobs somebody may take now, by name; they are taken then."""
    with runtime.transaction() as session:
        ids = session.scalars(select(JobRow.id)).all()
        leases = [jobs.lease_job(session, job_id, 10.0) for job_id in ids]
    return sorted(lease.name.value for lease in leases if lease is not None)


@pytest.mark.parametrize(("source", "target"), [("sqlite", "postgres"), ("postgres", "sqlite")])
def test_copy_sends_runs_and_ends_nothing_by_itself_until_it_is_told_to(
    open_empty: Open, source: str, target: str
) -> None:
    old, new = open_empty(source), open_empty(target)
    owe(old, make_owner(old))

    held = backups.restore(new, archive_of(old)).held

    assert held == Held(mails=1, schedules=1, runs=2, forms=1)
    assert (trigger_runs.fire_due(new), forms.close_overdue(new)) == (0, 0)
    assert due_jobs(new) == ["name_conversation"]
    before = utc_now()
    assert held_work.release(new) == held
    with new.reading() as session:
        (next_at,) = session.scalars(
            select(WorkflowTrigger.next_at).where(WorkflowTrigger.next_at.is_not(None))
        ).all()
    assert next_at is not None
    assert next_at > before  # what was missed is not made up for
    assert due_jobs(new) == ["resume_run", "run_trigger", "send_mail"]
    assert forms.close_overdue(new) == 1
    assert held_work.release(new) == Held()
    assert (trigger_runs.fire_due(old), forms.close_overdue(old)) == (1, 1)


def test_backup_of_an_installation_that_works_holds_one_instant(open_empty: Open) -> None:
    old, new = open_empty("sqlite"), open_empty("sqlite")
    for _ in range(20):
        make_owner(old)
    stop = threading.Event()

    def work_on() -> None:
        while not stop.is_set():
            make_owner(old)

    worker = threading.Thread(target=work_on)
    worker.start()
    try:
        archives = [archive_of(old) for _ in range(5)]
    finally:
        stop.set()
        worker.join()
    backups.restore(new, archives[-1])

    with new.reading() as session:
        tables = (Account, Tenant, TenantMember, DataKey)
        counts = {session.scalar(select(func.count()).select_from(table)) for table in tables}
    assert len(counts) == 1
    assert (counts.pop() or 0) >= 20


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_archive_that_is_broken_off_restores_nothing(open_empty: Open, kept: float) -> None:
    old, new = open_empty("sqlite"), open_empty("sqlite")
    make_owner(old)
    whole = archive_of(old).getvalue()

    with pytest.raises(InvalidRequest):
        backups.restore(new, io.BytesIO(whole[: int(len(whole) * kept)]))

    assert rows_of(new)["accounts"] == []


def test_archive_without_its_last_part_or_with_another_number_of_rows_restores_nothing(
    open_empty: Open,
) -> None:
    old, new = open_empty("sqlite"), open_empty("sqlite")
    make_owner(old)
    parts = {}
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive_of(old).getvalue()))) as archive:
        for member in archive:
            parts[member.name] = archive.extractfile(member).read()  # type: ignore[union-attr]  # all are files

    faults = {
        backups.END: "broken off",
        "rows/accounts/000000.json": "do not fit together",
        "rows/sessions/000000.json": "does not hold",
    }
    for gone, reason in faults.items():
        with pytest.raises(InvalidRequest, match=reason):
            backups.restore(new, packed({name: part for name, part in parts.items() if name != gone}))
        assert rows_of(new)["tenants"] == []
    with pytest.raises(InvalidRequest, match="format"):
        backups.read_head(packed({**parts, backups.MANIFEST: b'{"format": 99}'}))
    with pytest.raises(InvalidRequest, match="cannot be read"):
        backups.read_head(io.BytesIO(b"no archive"))


def packed(parts: dict[str, bytes]) -> io.BytesIO:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, part in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(part)
            archive.addfile(member, io.BytesIO(part))
    return raw


@PATIENT
def test_commands_back_up_and_restore_with_the_secret_that_sealed_what_is_in_it(
    commands: Commands, tmp_path: Path
) -> None:
    def run(data: str, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        return commands.run(*arguments, DATA_DIR=str(tmp_path / data), **settings)

    archive = tmp_path / "archive.tar.gz"
    assert "is empty: are DATABASE_URL and DATA_DIR those of the server?" in (
        run("old", "backup", str(archive)).stderr
    )
    assert run("old", "migrate").returncode == 0
    done = run("old", "backup", str(archive))
    restored = run("new", "restore", str(archive))
    resumed = run("new", "resume")
    in_place = run("again", "restore", str(archive), "--resume")
    refused = run("other", "restore", str(archive), SECRET_KEY="another-secret-of-0123456789-abcdef")

    assert done.returncode == 0, done.stderr
    assert archive.stat().st_mode & 0o777 == 0o600
    assert restored.returncode == 0, restored.stderr
    assert "Held until `resume`: 0 mails, 0 schedules, 0 runs, 0 forms." in restored.stdout
    assert (resumed.returncode, resumed.stdout) == (
        0,
        "They go on: 0 mails, 0 schedules, 0 runs, 0 forms.\n",
    )
    assert (in_place.returncode, "Held" in in_place.stdout) == (0, False)
    assert (tmp_path / "new/secret_key").read_text() == (tmp_path / "old/secret_key").read_text()
    assert (tmp_path / "new/secret_key").stat().st_mode & 0o777 == 0o600
    assert (
        refused.stderr
        == "Error: SECRET_KEY is not the one of the archive; what it sealed could not be read.\n"
    )
