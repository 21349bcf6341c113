"""Stores that do not hold what the rows say: found, told, mended, and what lives left alone."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from api.core import indexing_runner
from api.core.rag.chunk import TextEntry, VectorEntry
from api.errors import NotFound, Unavailable
from api.models.base import new_id, utc_now
from api.models.dataset import Dataset
from api.models.document import ChildChunk, Document, Segment
from api.models.job import JobRow
from api.runtime import Runtime
from api.services import documents, rebuild_jobs, rebuilds, segments, verification
from api.services import verification_repairs as repairs
from api.services.jobs import Job
from api.services.verification_rows import Checked, Fault, Finding, Outcome, Store
from tests.commands import Commands
from tests.conftest import SECRET, make_house, make_settings, stop_house
from tests.factories import Owner, make_owner
from tests.knowledge import Sleeping
from tests.services.test_indexing import Made, found, load, make_document, work
from tests.stores import MemoryVectors

ROOT = Path(__file__).parents[2]
TEXT = "Penguins live in the cold south. They swim well.\n\nThe market closed higher. Bonds fell."
KINDS = {
    "economy": {"technique": "economy"},
    "whole": {"technique": "high_quality"},
    "hierarchical": {"technique": "high_quality", "doc_form": "hierarchical_model"},
}
DIMENSION = 384


@pytest.fixture
def idle(runtime: Runtime) -> Runtime:
    """The runtime, but that jobs wait for the test."""
    return asleep(runtime)


def asleep(runtime: Runtime) -> Runtime:
    return replace(runtime, queue=Sleeping())  # type: ignore[arg-type]  # only ever asked to wake


@pytest.fixture(scope="module")
def pgvector_runtime(pgvector_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """A program whose vectors are pgvector's."""
    path = tmp_path_factory.mktemp("pgvector")
    app = make_house(make_settings(path, database_url=pgvector_url, vectors="pgvector"))
    yield asleep(app.extensions["runtime"])
    stop_house(app)


def make_indexed(runtime: Runtime, owner: Owner, kind: str) -> Made:
    """Make a document that is indexed, with a summary where there may be one."""
    made = make_document(runtime, owner, TEXT, **KINDS[kind])
    work(runtime, owner)
    if kind != "economy":
        say(runtime, owner, made, summary="About birds.")
        work(runtime, owner)
    return made


def say(runtime: Runtime, owner: Owner, made: Made, **text: Any) -> None:
    """Change the first segment of a document."""
    with runtime.transaction() as session:
        document = segments.open_for_change(session, owner.principal, made.dataset_id, made.id)
        first = load(runtime, made)[1][0]
        segments.update_segment(
            runtime, session, owner.principal, document, first.id, segments.SegmentText(**text)
        )


def check(runtime: Runtime, made: Made, *, is_mending: bool = False) -> list[Finding]:
    """Verify a dataset; return the findings, having seen that they are summed up rightly."""
    told = list(verification.verify(runtime, made.dataset_id, is_mending=is_mending))
    findings = [one for one in told if isinstance(one, Finding)]
    (checked,) = [one for one in told if isinstance(one, Checked)]
    assert told[-1] is checked
    faults = [finding.fault for finding in findings]
    assert (checked.orphans, checked.missing) == (faults.count(Fault.ORPHAN), faults.count(Fault.MISSING))
    assert checked.mended == [finding.outcome for finding in findings].count(Outcome.MENDED)
    return findings


def held(runtime: Runtime, made: Made) -> dict[Store, list[str]]:
    collection = load(runtime, made)[2]
    return {store: sorted(store.of(runtime).ids(collection)) for store in Store}


def add_orphan(runtime: Runtime, made: Made, store: Store) -> str:
    """Put an entry into a store that no row stands for."""
    place = {"id": new_id(), "segment_id": new_id(), "document_id": made.id}
    collection = load(runtime, made)[2]
    if store is Store.KEYWORDS:
        runtime.keywords.upsert(collection, [TextEntry(text="penguins", **place)])
    else:
        runtime.vectors.upsert(collection, [VectorEntry(vector=[0.1] * DIMENSION, **place)])
    return place["id"]


def break_stores(runtime: Runtime, made: Made) -> set[tuple[Fault, Store, str]]:
    """Take entries away and add others by hand, in each store that has some; return what must be told."""
    collection = load(runtime, made)[2]
    broken = set()
    for store, ids in held(runtime, made).items():
        if ids:
            store.of(runtime).delete(collection, ids=ids[1:])
            broken |= {(Fault.MISSING, store, lost) for lost in ids[1:]}
            broken.add((Fault.ORPHAN, store, add_orphan(runtime, made, store)))
    return broken


def see_broken_stores_mended(runtime: Runtime, owner: Owner, kind: str) -> None:
    """Break stores by hand and see it found, found again, mended, and gone."""
    made = make_indexed(runtime, owner, kind)
    before = held(runtime, made)
    assert check(runtime, made) == []
    broken = break_stores(runtime, made)

    for is_mending, outcome in ((False, Outcome.WRONG), (True, Outcome.MENDED)):
        findings = check(runtime, made, is_mending=is_mending)
        assert {(one.fault, one.store, one.entry_id) for one in findings} == broken
        assert {one.outcome for one in findings} == {outcome}
    assert check(runtime, made) == []
    assert held(runtime, made) == before
    assert found(runtime, owner, made, "penguins")
    if kind != "economy":
        semantic = {"search_method": "semantic_search", "top_k": 1}
        assert found(runtime, owner, made, "birds of Antarctica", **semantic)[0].startswith("Penguins")


@pytest.mark.parametrize("kind", KINDS)
def test_broken_stores_are_found_and_mended(idle: Runtime, owner: Owner, kind: str) -> None:
    see_broken_stores_mended(idle, owner, kind)


@pytest.mark.parametrize("kind", ["whole", "hierarchical"])
def test_broken_pgvector_is_found_and_mended(pgvector_runtime: Runtime, kind: str) -> None:
    see_broken_stores_mended(pgvector_runtime, make_owner(pgvector_runtime), kind)


@pytest.mark.parametrize("kind", ["whole", "hierarchical"])
def test_broken_store_outside_of_the_database_is_found_and_mended(
    idle: Runtime, owner: Owner, kind: str
) -> None:
    see_broken_stores_mended(replace(idle, vectors=MemoryVectors()), owner, kind)


def test_segments_that_wait_or_are_of_an_older_version_lack_nothing_and_leave_nothing_over(
    idle: Runtime, owner: Owner
) -> None:
    made = make_indexed(idle, owner, "whole")
    say(idle, owner, made, content="Penguins swim.")
    assert check(idle, made) == []
    with idle.transaction() as session:
        session.execute(update(Document).where(Document.id == made.id).values(version=2))
    assert check(idle, made) == []


@pytest.mark.parametrize("action", ["disable", "archive"])
def test_mended_entries_of_what_is_switched_off_are_not_found_before_it_is_on(
    idle: Runtime, owner: Owner, action: str
) -> None:
    made = make_indexed(idle, owner, "economy")
    back = {"disable": "enable", "archive": "un_archive"}[action]

    def switch(name: str) -> None:
        with idle.transaction() as session:
            documents.switch(session, owner.principal, made.dataset_id, [made.id], name)

    switch(action)
    break_stores(idle, made)
    check(idle, made, is_mending=True)
    assert found(idle, owner, made, "penguins market") == []
    switch(back)
    assert len(found(idle, owner, made, "penguins market")) == 2


CHANGES: dict[str, Callable[[Any, Made, str], object]] = {
    "segment deleted": lambda session, _, one: session.execute(delete(Segment).where(Segment.id == one)),
    "document deleted": lambda session, made, _: session.execute(
        delete(Document).where(Document.id == made.id)
    ),
    "document replaced": lambda session, made, _: session.execute(
        update(Document).where(Document.id == made.id).values(version=2)
    ),
    "segment changed": lambda session, _, one: session.execute(
        update(Segment).where(Segment.id == one).values(content="Gulls cry.")
    ),
    "segment waits": lambda session, _, one: session.execute(
        update(Segment).where(Segment.id == one).values(status="waiting")
    ),
    "dataset rebuilt": lambda session, made, _: session.execute(
        update(Dataset).where(Dataset.id == made.dataset_id).values(collection_id=new_id())
    ),
    "dataset deleted": lambda session, made, _: session.execute(
        delete(Dataset).where(Dataset.id == made.dataset_id)
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_written_for_what_changed_after_it_was_found(
    idle: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    made = make_document(idle, owner, "Penguins live in the cold south.", technique="high_quality")
    work(idle, owner)
    _, (segment,), collection = load(idle, made)
    for store in Store:
        store.of(idle).delete(collection, ids=[segment.id])
    real = indexing_runner.embed_texts

    def changing(*args: Any) -> Any:
        with idle.transaction() as session:
            CHANGES[change](session, made, segment.id)
        return real(*args)

    monkeypatch.setattr(repairs, "embed_texts", changing)
    findings = check(idle, made, is_mending=True)

    assert {finding.outcome for finding in findings} == {Outcome.LEFT}
    assert [list(store.of(idle).ids(collection)) for store in Store] == [[], []]


def test_entries_of_a_dataset_deleted_meanwhile_are_no_findings(
    idle: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_indexed(idle, owner, "whole")
    real = type(idle.vectors).ids

    def deleting(*args: Any) -> Iterator[str]:
        ids = list(real(*args))
        with idle.transaction() as session:
            for table in (ChildChunk, Segment, Document):
                session.execute(delete(table).where(table.dataset_id == made.dataset_id))
            session.execute(delete(Dataset).where(Dataset.id == made.dataset_id))
        yield from ids

    monkeypatch.setattr(type(idle.vectors), "ids", deleting)
    assert check(idle, made, is_mending=True) == []


def test_vectors_outside_are_left_while_a_summary_is_written(idle: Runtime, owner: Owner) -> None:
    outside = replace(idle, vectors=MemoryVectors())
    made = make_indexed(outside, owner, "whole")
    orphan = add_orphan(outside, made, Store.VECTORS)
    lease = JobRow(
        tenant_id=owner.tenant_id,
        name=Job.SUMMARIZE_DOCUMENT,
        queue="summaries",
        payload={"document_id": made.id},
        run_at=utc_now(),
        leased_until=utc_now() - timedelta(hours=1),
    )
    with idle.transaction() as session:
        session.add(lease)

    def outcomes() -> list[tuple[str, Outcome]]:
        return [(one.entry_id, one.outcome) for one in check(outside, made, is_mending=True)]

    assert outcomes() == [(orphan, Outcome.LEFT)]
    with idle.transaction() as session:
        session.execute(delete(JobRow).where(JobRow.id == lease.id))
    assert outcomes() == [(orphan, Outcome.MENDED)]


def test_what_cannot_be_mended_is_told_with_the_reason(
    idle: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_indexed(idle, owner, "whole")
    break_stores(idle, made)

    def away(*_args: Any) -> Any:
        raise Unavailable("The model is away.")

    monkeypatch.setattr(repairs, "embed_texts", away)
    findings = check(idle, made, is_mending=True)

    told = {finding.fault: (finding.outcome, finding.note) for finding in findings}
    assert told == {
        Fault.ORPHAN: (Outcome.MENDED, ""),
        Fault.MISSING: (Outcome.WRONG, "The model is away."),
    }


def test_segment_deleted_after_a_rebuild_copied_it_leaves_no_entry(
    idle: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_document(idle, owner, TEXT)
    work(idle, owner)
    gone, kept = (segment.id for segment in load(idle, made)[1])
    real = rebuild_jobs._swap

    def deleting(*args: Any) -> bool:
        with idle.transaction() as session:
            document = segments.open_for_change(session, owner.principal, made.dataset_id, made.id)
            present = {segment.id for segment in load(idle, made)[1]}
            segments.delete_segments(idle, session, owner.principal, document, list(present & {gone}))
        return real(*args)

    monkeypatch.setattr(rebuild_jobs, "_swap", deleting)
    with idle.transaction() as session:
        dataset = session.get_one(Dataset, made.dataset_id)
        rebuilds.request_rebuild(
            idle,
            session,
            dataset,
            technique="high_quality",
            provider="builtin",
            model="multilingual-e5-small",
        )
    work(idle, owner)
    assert held(idle, made) == {Store.VECTORS: [kept], Store.KEYWORDS: [kept]}


# -- all datasets, and the command ---------------------------------------------------------------


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Runtime]:
    """A program with a database of its own, whose jobs wait for the test."""
    app = make_house(make_settings(tmp_path))
    yield asleep(app.extensions["runtime"])
    stop_house(app)


def test_command_tells_one_line_a_finding_and_its_exit_code_what_is_left(
    alone: Runtime, commands: Commands, tmp_path: Path
) -> None:
    def run_verify(*arguments: str) -> tuple[int, list[str]]:
        """Run the command on the program's data, as an operator does beside it; return its end and lines."""
        secret = SECRET.get_secret_value()
        ended = commands.run("verify", *arguments, DATA_DIR=str(tmp_path), SECRET_KEY=secret)
        return ended.returncode, (ended.stdout + ended.stderr).splitlines()

    owners = [make_owner(alone) for _ in range(2)]
    broken, sound = (make_indexed(alone, owner, "whole") for owner in owners)
    segment = load(alone, broken)[1][0].id
    alone.vectors.delete(load(alone, broken)[2], ids=[segment])
    lost = (
        f"missing vectors dataset={broken.dataset_id} document={broken.id} segment={segment} entry={segment}"
    )

    def sums(made: Made, owner: Owner, rest: str) -> str:
        return f"checked dataset={made.dataset_id} workspace={owner.tenant_id}: 2 segments, {rest}"

    clean = sums(sound, owners[1], "0 orphans, 0 missing, 0 mended")
    wrong = [f"wrong {lost}", sums(broken, owners[0], "0 orphans, 1 missing, 0 mended")]
    mended = [f"mended {lost}", sums(broken, owners[0], "0 orphans, 1 missing, 1 mended")]
    assert run_verify("--dataset", broken.dataset_id.upper()) == (1, wrong)
    code, lines = run_verify("--repair")
    assert (code, sorted(lines)) == (0, sorted([*mended, clean]))
    assert run_verify("--dataset", "x") == (1, ["Error: There is no dataset x."])


def test_unknown_dataset_is_not_found(alone: Runtime) -> None:
    with pytest.raises(NotFound):
        next(verification.verify(alone, new_id()))


def make_collection(runtime: Runtime) -> str:
    """Make a collection with an entry in both stores, which no dataset has; return its name."""
    name = new_id()
    place = {"id": new_id(), "segment_id": new_id(), "document_id": new_id()}
    runtime.keywords.upsert(name, [TextEntry(text="x", **place)])
    runtime.vectors.upsert(name, [VectorEntry(vector=[1.0], **place)])
    return name


def check_all(runtime: Runtime, *, is_mending: bool) -> list[tuple[str, str, str]]:
    told = verification.verify(runtime, is_mending=is_mending)
    return [(one.outcome, one.store, one.entry_id) for one in told if isinstance(one, Finding)]


def test_collections_of_no_dataset_are_dropped_but_those_of_jobs_kept(alone: Runtime) -> None:
    owner = make_owner(alone)
    stray, purged, built, next_one = (make_collection(alone) for _ in range(4))
    made = make_indexed(alone, owner, "whole")
    payloads = {
        Job.PURGE_DATASET: {"collection_ids": [purged]},
        Job.REBUILD_DATASET: {"collection_id": built},
    }
    with alone.transaction() as session:
        session.get_one(Dataset, made.dataset_id).next_collection_id = next_one
        session.add_all(
            JobRow(tenant_id=owner.tenant_id, name=name, queue="q", payload=payload, run_at=utc_now())
            for name, payload in payloads.items()
        )

    for is_mending, outcome in ((False, "wrong"), (True, "mended")):
        assert check_all(alone, is_mending=is_mending) == [(outcome, store, stray) for store in Store]
    assert check_all(alone, is_mending=True) == []
    for store in Store:
        assert set(store.of(alone).collections()) == {load(alone, made)[2], purged, built, next_one}


def test_collections_of_a_server_that_others_may_use_are_left(alone: Runtime) -> None:
    outside = replace(alone, vectors=MemoryVectors())
    stray = make_collection(outside)

    told = check_all(outside, is_mending=True)
    assert told == [("left", "vectors", stray), ("mended", "keywords", stray)]
    assert list(outside.vectors.collections()) == [stray]
