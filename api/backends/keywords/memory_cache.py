"""Postings read into memory, kept up to date by what changed since, bounded in bytes.

What must stay true: a snapshot is exactly one state of its collection, because
it is read in one transaction; several searches that find a collection stale
read it once, and hold no connection while they wait or while it is put together.
"""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import TextClause, bindparam, select, text
from sqlalchemy.orm import Session

from api.backends.keywords import tables
from api.backends.keywords.memory import PART_POSTINGS, Builder, Part, Snapshot, size_bytes
from api.backends.keywords.tables import Mark
from api.core.parallel import give_way
from api.core.ports import Offload
from api.errors import Unavailable

BLOCK_ROWS = 500
NUMBERS_AT_ONCE = 10_000
READ_WAIT_S = 30.0
BUILD_TIMEOUT_S = 60.0
GROWTH = 2
AS_THEY_COME = {"stream_results": True}

# By the key: what is newer is little, and an index of the collection has all of it.
COUNT_NEWER = text("SELECT count(*) FROM keyword_entries WHERE +scope = :scope AND number > :after")
NUMBERS = select(tables.ENTRIES.c.number).where(tables.ENTRIES.c.scope == bindparam("scope"))

Reading = Callable[[], AbstractContextManager[Session]]
Newer = Callable[[int, int], TextClause]


class TooLarge(Exception):
    """A collection takes more memory than all may have together."""


class Cache:
    """Snapshots by scope, together at most ``max_bytes``: the least recently used goes first.

    ``reading`` gives a session in which all statements see one state of the
    database; ``newer`` the statement that reads the rows (memory.Row) of a scope
    above a number, in their order.
    """

    def __init__(self, reading: Reading, newer: Newer, offload: Offload, max_bytes: int) -> None:
        self._reading = reading
        self._newer = newer
        self._offload = offload
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._snapshots: OrderedDict[int, Snapshot] = OrderedDict()
        self._turns: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)
        self._too_large: dict[int, int] = {}

    def read(self, mark: Mark) -> Snapshot:
        """Return the collection as it is at the mark, or later.

        Raises TooLarge, and Unavailable when others take too long to read it.
        """
        self._check_size(mark)
        found = self._get(mark)
        if found is not None:
            return found
        turn = self._turns[mark.scope]
        if not turn.acquire(timeout=READ_WAIT_S):
            raise Unavailable("The words of this knowledge are still being read; try again shortly.")
        try:
            return self._get(mark) or self._refresh(mark)
        finally:
            turn.release()

    def _check_size(self, mark: Mark) -> None:
        """Raise TooLarge for what cannot fit, or did not when it was no larger."""
        least = size_bytes(mark.size.entries, mark.size.words // 2, 0)
        if least > self._max_bytes or mark.size.entries >= self._too_large.get(
            mark.scope, mark.size.entries + 1
        ):
            raise TooLarge

    def _get(self, mark: Mark) -> Snapshot | None:
        with self._lock:
            found = self._snapshots.get(mark.scope)
            if found is None or found.last_number < mark.last_number or found.removals < mark.removals:
                return None
            self._snapshots.move_to_end(mark.scope)
            return found

    def _refresh(self, mark: Mark) -> Snapshot:
        with self._reading() as session:
            marks = tables.load_marks(session, [mark.collection])
            now = marks[0] if marks else mark
            parts = self._still_good(session, now)
            try:
                builders = list(self._read_newer(session, now, parts))
            except TooLarge:
                self._too_large[now.scope] = now.size.entries
                raise
        built = [self._offload.call(builder.build, timeout_s=BUILD_TIMEOUT_S) for builder in builders]
        snapshot = Snapshot(
            collection=now.collection,
            size=now.size,
            last_number=now.last_number,
            removals=now.removals,
            parts=(*parts, *built),
        )
        self._keep(now.scope, snapshot)
        return snapshot

    def _still_good(self, session: Session, now: Mark) -> list[Part]:
        """Return the parts that need not be read again, without what was removed since.

        Small parts are read again with what is new, so that there are never many.
        """
        before = self._snapshots.get(now.scope)
        if before is None:
            return []
        parts = list(before.parts)
        if before.removals != now.removals:
            alive = _numbers(session, now.scope)
            parts = list(takewhile(lambda part: not part.is_worn, (part.keeping(alive) for part in parts)))
        asked = {"scope": now.scope, "after": _last(parts)}
        added: int = session.execute(COUNT_NEWER, asked).scalar_one()
        while parts and len(parts[-1].rows) < PART_POSTINGS and len(parts[-1].numbers) <= GROWTH * added:
            added += len(parts.pop().numbers)
        return parts

    def _read_newer(self, session: Session, now: Mark, parts: list[Part]) -> Iterator[Builder]:
        """Yield what the parts lack, ready to be built."""
        taken = sum(part.size_bytes for part in parts)
        newer = self._newer(now.scope, _last(parts))
        builder = Builder()
        with session.execute(newer, execution_options=AS_THEY_COME) as found:
            while rows := found.fetchmany(BLOCK_ROWS):
                builder.add(tuple(row) for row in rows)
                if taken + builder.size_bytes > self._max_bytes:
                    raise TooLarge
                if builder.is_full:
                    taken += builder.size_bytes
                    yield builder
                    builder = Builder()
                give_way()
        if builder.size_bytes:
            yield builder

    def _keep(self, scope: int, snapshot: Snapshot) -> None:
        with self._lock:
            self._too_large.pop(scope, None)
            self._snapshots[scope] = snapshot
            self._snapshots.move_to_end(scope)
            total = sum(kept.size_bytes for kept in self._snapshots.values())
            while total > self._max_bytes:
                _, oldest = self._snapshots.popitem(last=False)
                total -= oldest.size_bytes


def _numbers(session: Session, scope: int) -> NDArray[np.int64]:
    """Return the numbers of all entries of a collection, letting others run meanwhile."""
    found = session.scalars(NUMBERS, {"scope": scope}, execution_options=AS_THEY_COME)
    blocks = [np.empty(0, np.int64)]
    while numbers := found.fetchmany(NUMBERS_AT_ONCE):
        blocks.append(np.array(numbers, np.int64))
        give_way()
    return np.concatenate(blocks)


def _last(parts: list[Part]) -> int:
    return int(parts[-1].numbers[-1]) if parts else 0
