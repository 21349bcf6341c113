"""Compares rows, vectors and keyword entries: tells what is left over, what is missing, and mends it.

Safe beside a server that works: a store is read first and the rows after it,
so that what is written meanwhile is no finding; a gap is read again before it
is told, and whatever is mended once more in the transaction that mends it
(verification_repairs.py). Rows are never changed.

Disabled and archived documents keep their entries, for they are found again as
soon as they are enabled; that they are not found meanwhile is the rows' doing.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

from sqlalchemy import select

from api.errors import AppError, NotFound
from api.models.dataset import Dataset
from api.runtime import Runtime
from api.services import verification_repairs as repairs
from api.services import verification_rows as rows
from api.services.access import is_id
from api.services.verification_rows import Checked, Fault, Finding, Gap, Outcome, Store, Target

AT_ONCE = 500
SEGMENTS_AT_ONCE = 64

Judged: TypeAlias = Mapping[str, tuple[Outcome, str]]
"""What became of findings by their id, and why."""


def verify(
    runtime: Runtime, dataset_id: str | None = None, *, is_mending: bool = False
) -> Iterator[Finding | Checked]:
    """Yield what is wrong with each dataset, then what was checked of it; without an id of all there are.

    Of all, collections that no dataset has are told too. Raises NotFound for an
    unknown id, Unavailable where a store does not answer. What cannot be mended
    is told with the reason.
    """
    if dataset_id is not None:
        target = _load_target(runtime, dataset_id.lower()) if is_id(dataset_id) else None
        if target is None:
            raise NotFound(f"There is no dataset {dataset_id}.")
        yield from _verify_dataset(runtime, target, is_mending)
        return
    for target in load_targets(runtime):
        yield from _verify_dataset(runtime, target, is_mending)
    for store in Store:
        yield from _find_unknown_collections(runtime, store, is_mending)


def remove_orphans(runtime: Runtime, dataset_id: str) -> Iterator[Finding]:
    """Remove the entries of a dataset that have no row, yielding each; none of a dataset that is gone."""
    target = _load_target(runtime, dataset_id)
    if target is not None:
        for store in Store:
            yield from _find_orphans(runtime, target, store, is_mending=True)


def _load_target(runtime: Runtime, dataset_id: str) -> Target | None:
    with runtime.reading() as session:
        row = session.get(Dataset, dataset_id)
    return None if row is None else rows.to_target(row)


def load_targets(runtime: Runtime) -> Iterator[Target]:
    """Yield every dataset of every workspace; no session is held between two of them."""
    query = select(Dataset).order_by(Dataset.id).limit(AT_ONCE)
    page: Sequence[Dataset] = ()
    while True:
        with runtime.reading() as session:
            page = session.scalars(query.where(Dataset.id > page[-1].id) if page else query).all()
        if not page:
            return
        yield from map(rows.to_target, page)


def _verify_dataset(runtime: Runtime, target: Target, is_mending: bool) -> Iterator[Finding | Checked]:
    checked = Checked(dataset_id=target.dataset_id, tenant_id=target.tenant_id)
    for store in Store:
        for finding in _find_orphans(runtime, target, store, is_mending):
            checked.count(finding)
            yield finding
    for segments, gaps in _find_gaps(runtime, target):
        checked.segments += segments
        for finding in _tell_gaps(runtime, target, gaps, is_mending):
            checked.count(finding)
            yield finding
    yield checked


def _find_orphans(runtime: Runtime, target: Target, store: Store, is_mending: bool) -> Iterator[Finding]:
    for ids in _batches(store.of(runtime).ids(target.collection), AT_ONCE):
        with runtime.reading() as session:
            orphans = rows.find_orphans(session, target, store, ids)
        judged = _judge(orphans, is_mending, lambda found: repairs.remove(runtime, target, store, found))
        for orphan, (outcome, note) in judged.items():
            yield Finding(
                fault=Fault.ORPHAN,
                store=store,
                entry_id=orphan,
                dataset_id=target.dataset_id,
                outcome=outcome,
                note=note,
            )


def _find_gaps(runtime: Runtime, target: Target) -> Iterator[tuple[int, Sequence[Gap]]]:
    """Yield how many segments were looked at, some at a time, and those that lack entries."""
    last = ""
    while True:
        with runtime.reading() as session:
            segments = rows.load_indexed(session, target, after=last, limit=SEGMENTS_AT_ONCE)
        if not segments:
            return
        last = segments[-1].id
        words = runtime.keywords.known(target.collection, [segment.id for segment in segments])
        texts = [text for segment in segments for text in segment.texts if target.embedding is not None]
        vectors = runtime.vectors.known(target.collection, [text.id for text in texts])
        gaps = [
            Gap(
                segment=segment,
                lacks_words=segment.id not in words,
                texts=tuple(
                    text for text in texts if text.segment_id == segment.id and text.id not in vectors
                ),
            )
            for segment in segments
        ]
        gaps = [gap for gap in gaps if gap.lacks_words or gap.texts]
        if gaps:
            with runtime.reading() as session:
                gaps = rows.keep_same(session, target, gaps)
        yield len(segments), gaps


def _tell_gaps(runtime: Runtime, target: Target, gaps: Sequence[Gap], is_mending: bool) -> Iterator[Finding]:
    by_id = {gap.segment.id: gap for gap in gaps}
    judged = _judge(by_id, is_mending, lambda _: repairs.fill(runtime, target, gaps))
    for segment_id, (outcome, note) in judged.items():
        gap = by_id[segment_id]
        lacking = [(Store.KEYWORDS, segment_id)] if gap.lacks_words else []
        lacking += [(Store.VECTORS, text.id) for text in gap.texts]
        for store, entry_id in lacking:
            yield Finding(
                fault=Fault.MISSING,
                store=store,
                entry_id=entry_id,
                dataset_id=target.dataset_id,
                document_id=gap.segment.document_id,
                segment_id=segment_id,
                outcome=outcome,
                note=note,
            )


def _find_unknown_collections(runtime: Runtime, store: Store, is_mending: bool) -> Iterator[Finding]:
    """Yield collections no dataset has; those of a server that others may use too are left alone."""
    is_ours = store is Store.KEYWORDS or runtime.vectors.joins_unit
    for names in _batches(store.of(runtime).collections(), AT_ONCE):
        with runtime.reading() as session:
            unknown = repairs.find_unknown(session, names)
        judged = (
            _judge(unknown, is_mending, lambda found: repairs.drop(runtime, store, found))
            if is_ours
            else dict.fromkeys(unknown, (Outcome.LEFT, "another installation may use the server"))
        )
        for name, (outcome, note) in judged.items():
            yield Finding(fault=Fault.UNKNOWN, store=store, entry_id=name, outcome=outcome, note=note)


def _judge(
    ids: Collection[str], is_mending: bool, mend: Callable[[Collection[str]], Collection[str]]
) -> Judged:
    """Mend findings where that is wanted, and say of each what became of it; in order of their ids."""
    if not is_mending or not ids:
        return dict.fromkeys(sorted(ids), (Outcome.WRONG, ""))
    try:
        mended = mend(ids)
    except AppError as error:
        return dict.fromkeys(sorted(ids), (Outcome.WRONG, error.message))
    left = (Outcome.LEFT, "it is being written or was changed meanwhile")
    return {one: (Outcome.MENDED, "") if one in mended else left for one in sorted(ids)}


def _batches(items: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
