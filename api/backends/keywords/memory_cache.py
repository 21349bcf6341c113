"""Postings read into memory, kept up to date by what changed since, bounded in bytes.

What must stay true: a snapshot is exactly its state of the collection, because
it is read in the transaction that told the state; several searches that find a
collection stale read it once.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import numpy as np
from sqlalchemy import Connection, bindparam, select

from api.backends.keywords import tables
from api.backends.keywords.memory import Builder, Part, Row, Snapshot, size_bytes
from api.backends.keywords.tables import Mark
from api.core.ports import Offload
from api.errors import Unavailable

BLOCK_ROWS = 500
TURNS = 16
READ_WAIT_S = 30.0
BUILD_TIMEOUT_S = 60.0
GROWTH = 2

NEWER = """
SELECT keyword_entries.number, keyword_entries.words, {table}.tokens
FROM {table} JOIN keyword_entries ON keyword_entries.number = {table}.rowid
WHERE {table}.rowid > ? ORDER BY {table}.rowid
"""
NUMBERS = select(tables.ENTRIES.c.number).where(tables.ENTRIES.c.scope == bindparam("scope"))


class Cache:
    """Snapshots by scope, together at most ``max_bytes``: the least recently used goes first."""

    def __init__(self, offload: Offload, max_bytes: int) -> None:
        self._offload = offload
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._snapshots: OrderedDict[int, Snapshot] = OrderedDict()
        self._turns = [threading.Lock() for _ in range(TURNS)]

    def read(self, connection: Connection, mark: Mark) -> Snapshot | None:
        """Return the collection as it is at the mark, or later; None where it is too large to keep.

        ``connection`` is in the transaction that the mark was read in. Raises
        Unavailable when others take too long to read it.
        """
        if size_bytes(mark.size.entries, mark.size.words, 0) > self._max_bytes:
            return None
        found = self._get(mark)
        if found is not None:
            return found
        turn = self._turns[mark.scope % TURNS]
        if not turn.acquire(timeout=READ_WAIT_S):
            raise Unavailable("The words of this knowledge are still being read; try again shortly.")
        try:
            return self._get(mark) or self._refresh(connection, mark)
        finally:
            turn.release()

    def _get(self, mark: Mark) -> Snapshot | None:
        with self._lock:
            found = self._snapshots.get(mark.scope)
            if found is None or found.last_number < mark.last_number or found.removals < mark.removals:
                return None
            self._snapshots.move_to_end(mark.scope)
            return found

    def _refresh(self, connection: Connection, mark: Mark) -> Snapshot | None:
        before = self._snapshots.get(mark.scope)
        parts = [] if before is None else _fresh(connection, before, mark)
        added = mark.size.entries - sum(_alive(part) for part in parts)
        # Small parts are read again with what is new: so there are never many.
        while parts and len(parts[-1].numbers) <= GROWTH * added:
            added += len(parts.pop().numbers)
        if added:
            parts.append(self._read_newer(connection, mark, int(parts[-1].numbers[-1]) if parts else 0))
        snapshot = Snapshot(
            scope=mark.scope, last_number=mark.last_number, removals=mark.removals, parts=tuple(parts)
        )
        if snapshot.size_bytes > self._max_bytes:
            return None
        self._keep(snapshot)
        return snapshot

    def _read_newer(self, connection: Connection, mark: Mark, after: int) -> Part:
        builder = Builder()
        for rows in _blocks(connection, NEWER.format(table=tables.token_table(mark.scope)), after):
            builder.add(rows)
            time.sleep(0)
        return self._offload.call(builder.build, timeout_s=BUILD_TIMEOUT_S)

    def _keep(self, snapshot: Snapshot) -> None:
        with self._lock:
            self._snapshots[snapshot.scope] = snapshot
            self._snapshots.move_to_end(snapshot.scope)
            total = sum(kept.size_bytes for kept in self._snapshots.values())
            while total > self._max_bytes:
                _, oldest = self._snapshots.popitem(last=False)
                total -= oldest.size_bytes


def _fresh(connection: Connection, before: Snapshot, mark: Mark) -> list[Part]:
    """Return the parts of a snapshot that need not be read again, without what was removed since."""
    parts = list(before.parts)
    if before.removals == mark.removals:
        return parts
    alive = np.fromiter(connection.scalars(NUMBERS, {"scope": mark.scope}), np.int64)
    kept = [part.keeping(alive) for part in parts]
    worn = next((place for place, part in enumerate(kept) if part.is_worn), len(kept))
    return kept[:worn]


def _alive(part: Part) -> int:
    return len(part.numbers) - (0 if part.dead is None else int(part.dead.sum()))


def _blocks(connection: Connection, statement: str, after: int) -> Iterator[Sequence[Row]]:
    result = connection.exec_driver_sql(statement, (after,))
    while rows := result.fetchmany(BLOCK_ROWS):
        yield rows
