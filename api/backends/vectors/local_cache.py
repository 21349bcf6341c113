"""Collections read into memory, kept up to date by what changed since, bounded in bytes.

What must stay true: a snapshot is exactly its version, because it is read in
one transaction; several searches that find a collection stale read it once.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TypeVarTuple

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import Session

from api.backends.vectors import local_matrix
from api.backends.vectors.local_matrix import Snapshot
from api.backends.vectors.local_tables import ENTRIES, Mark, read_marks
from api.core.parallel import give_way
from api.core.ports import Offload
from api.errors import Unavailable

Columns = TypeVarTuple("Columns")

BLOCK_ROWS = 1_000
TURNS = 16
READ_WAIT_S = 30.0
ADVANCE_TIMEOUT_S = 30.0


class Cache:
    """Snapshots by collection, together at most ``max_bytes``: the least recently used goes first.

    ``reading`` gives a session in which all statements see one state of the database.
    """

    def __init__(
        self, reading: Callable[[], AbstractContextManager[Session]], offload: Offload, max_bytes: int
    ) -> None:
        self._reading = reading
        self._offload = offload
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._snapshots: OrderedDict[str, Snapshot] = OrderedDict()
        self._turns = [threading.Lock() for _ in range(TURNS)]

    def get(self, mark: Mark) -> Snapshot | None:
        """Return the snapshot if it shows the collection as it is at the mark, or later."""
        with self._lock:
            snapshot = self._snapshots.get(mark.collection)
            if snapshot is None or not snapshot.is_at(mark):
                return None
            self._snapshots.move_to_end(mark.collection)
            return snapshot

    def read(self, mark: Mark) -> Iterator[Snapshot]:
        """Yield the collection as it is now: one snapshot, or many small ones where it is too large to keep.

        Yields nothing when it is gone. Raises Unavailable when others take too
        long to read it.
        """
        turn = self._turns[hash(mark.collection) % TURNS]
        if not turn.acquire(timeout=READ_WAIT_S):
            raise Unavailable("The vectors of this knowledge are still being read; try again shortly.")
        try:
            snapshot = self.get(mark) or self._refresh(mark.collection)
        finally:
            turn.release()
        if snapshot is not None:
            yield snapshot
            return
        with self._reading() as session:
            for now in read_marks(session, [mark.collection]):
                for rows in _blocks(session, _rows_of(mark.collection)):
                    yield local_matrix.read(now, len(rows), [rows])

    def _refresh(self, collection: str) -> Snapshot | None:
        """Return the newest snapshot and keep it; None where there is none or it would be too large."""
        with self._lock:
            before = self._snapshots.get(collection)
        with self._reading() as session:
            marks = read_marks(session, [collection])
            snapshot = self._read_at(session, before, marks[0]) if marks else None
        with self._lock:
            if snapshot is None:
                self._snapshots.pop(collection, None)
            else:
                self._snapshots[collection] = snapshot
                self._snapshots.move_to_end(collection)
                self._make_room()
        return snapshot

    def _read_at(self, session: Session, before: Snapshot | None, mark: Mark) -> Snapshot | None:
        rows_of = _rows_of(mark.collection)
        if before is None or not before.may_advance(mark):
            counting = select(func.count()).where(ENTRIES.c.collection_id == mark.collection)
            count = session.execute(counting).scalar_one()
            if local_matrix.size_bytes(count, mark.dimension) > self._max_bytes:
                return None
            return local_matrix.read(mark, count, _blocks(session, rows_of))
        kept = None
        if mark.removals != before.mark.removals:
            ids = select(ENTRIES.c.id).where(ENTRIES.c.collection_id == mark.collection)
            kept = {row[0] for block in _blocks(session, ids) for row in block}
        newer = rows_of.where(ENTRIES.c.version > before.mark.version)
        rows = [row for block in _blocks(session, newer) for row in block]
        return self._offload.call(local_matrix.advance, before, rows, kept, mark, timeout_s=ADVANCE_TIMEOUT_S)

    def _make_room(self) -> None:
        total = sum(snapshot.size_bytes() for snapshot in self._snapshots.values())
        while total > self._max_bytes:
            _, oldest = self._snapshots.popitem(last=False)
            total -= oldest.size_bytes()


def _rows_of(collection: str) -> Select[str, str, str, bytes]:
    columns = (ENTRIES.c.id, ENTRIES.c.segment_id, ENTRIES.c.document_id, ENTRIES.c.vector)
    return select(*columns).where(ENTRIES.c.collection_id == collection)


def _blocks(session: Session, statement: Select[*Columns]) -> Iterator[Sequence[Row[*Columns]]]:
    """Yield the rows a thousand at a time, letting other greenlets run in between."""
    result = session.execute(statement, execution_options={"yield_per": BLOCK_ROWS})
    for block in result.partitions():
        yield block
        give_way()
