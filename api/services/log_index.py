"""Where a keyword may stand in the messages or runs of an app, whatever their number.

The index is made in the background (log_blocks.py), block by block. What is not
in it yet, the end of the log, is looked through by whoever asks. The index only
proposes: the text of a row decides.
"""

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from itertools import groupby, islice
from operator import attrgetter, or_
from typing import Any, Literal

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.orm import Session, outerjoin

from api.core.apps.spec import AppSpec
from api.core.text import grams
from api.models.app import App
from api.models.conversation import Message
from api.models.log_index import LOG_GRAMS, LOG_PLACES, PLACES, LogBlock
from api.models.types import UTCDateTime, position_of, unindexed
from api.models.workflow import WorkflowRun
from api.services.log_pages import Part, Place

Kind = Literal["messages", "workflow_runs"]
TABLES: dict[Kind, type[Message | WorkflowRun]] = {"messages": Message, "workflow_runs": WorkflowRun}

FEW = 2_000
"""So many rows that may hold a keyword are read at once."""
BATCH = 1_000
"""Where there are more, so many."""
PART_BLOCKS = 4
"""So many blocks of a log are looked through at once."""
COLUMNS = (LogBlock.id, LogBlock.first_at, LogBlock.last_at, LogBlock.last_id, LogBlock.open)
EVERYWHERE = frozenset(string.ascii_letters + string.digits + " ")
"""Each of these alone stands in nearly every text: the index is not asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The rows of a log after the place ``begin`` (None: from the first on) up to that of ``last``.

    ``first_at`` is the time of its first row; ``bits`` are the places where a keyword may stand.
    """

    id: int
    first_at: datetime
    last: Place
    begin: Place | None
    bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The rows in which a keyword may stand: those of ``likely`` blocks, by number, and all behind the index.

    ``blocks`` are all there are. Both come with the latest first.
    """

    kind: Kind
    app: AppSpec | App
    blocks: Sequence[Block] = ()
    likely: Sequence[Block] = ()

    @property
    def count(self) -> int:
        """How many rows of the index may hold the keyword."""
        return sum(block.bits.bit_count() for block in self.likely)

    @property
    def batch(self) -> int:
        """How many of them are read at once: all, or the latest ones."""
        return FEW if self.count <= FEW else BATCH

    def first(self) -> Sequence[int]:
        """Return the numbers of the first batch of these rows."""
        return next(self._batches(), ())

    def others(self) -> Iterator[Sequence[int]]:
        """Yield the numbers of each other batch."""
        return islice(self._batches(), 1, None)

    def _batches(self) -> Iterator[Sequence[int]]:
        numbers = (
            block.id * PLACES + place for block in self.likely for place in grams.places_in(block.bits)
        )
        size = self.batch
        while batch := list(islice(numbers, size)):
            yield batch

    def parts(self) -> Iterator[Part]:
        """Yield where there are others than those of the first batch, as the log itself is parted."""
        told, size = 0, self.batch
        group: list[Block] = []
        for block in self.likely:
            told += block.bits.bit_count()
            if told <= size:
                continue
            if group and (len(group) == PART_BLOCKS or group[-1].begin != block.last):
                yield _part_of(group)
                group = []
            group.append(block)
        if group:
            yield _part_of(group)

    def whole(self) -> Iterator[Part]:
        """Yield the same of a list that has another order than the log: all of it."""
        if self.count <= FEW:
            return
        first = self.blocks.index(self.likely[0])
        ends = [block.last for block in self.blocks[first + PART_BLOCKS :: PART_BLOCKS]]
        for lower, upper in zip([*ends, None], [None, *ends], strict=True):
            yield Part(lower=lower, upper=upper, rows=PART_BLOCKS * PLACES)

    def newest(self) -> ColumnElement[datetime]:
        """Return the time after which no row of the index holds the keyword: that of the latest of them."""
        table = TABLES[self.kind]
        row_id = select(LOG_PLACES.c.row_id).where(LOG_PLACES.c.number == self.first()[0]).scalar_subquery()
        at = select(table.created_at).where(table.id == row_id).scalar_subquery()
        # It may be deleted, and be known until its block is made anew.
        return func.coalesce(at, literal(self.likely[0].last[0], UTCDateTime()))

    def behind(self, ids: Any, says: ColumnElement[bool]) -> Select[Any]:
        """Return the query of the ``ids`` of those rows behind the index of which ``says`` is true."""
        table = TABLES[self.kind]
        query = select(ids).where(table.tenant_id == self.app.tenant_id, table.app_id == self.app.id, says)
        if not self.blocks:
            return query
        return query.where(tuple_(table.created_at, table.id) > position_of(*self.blocks[0].last))

    def named(self, numbers: Sequence[int], ids: Any, says: ColumnElement[bool]) -> Select[Any]:
        """Return the same of the rows of some numbers."""
        table = TABLES[self.kind]
        listed: BindParameter[Any] = bindparam(
            "numbers", list(numbers), expanding=True, literal_execute=True, unique=True
        )
        rows = select(LOG_PLACES.c.row_id).where(LOG_PLACES.c.number.in_(listed))
        of_app = table.tenant_id == self.app.tenant_id, unindexed(table.app_id) == self.app.id
        return select(ids).where(*of_app, table.id.in_(rows), says)


def _part_of(blocks: Sequence[Block]) -> Part:
    return Part(lower=blocks[-1].begin, upper=blocks[0].last, rows=len(blocks) * PLACES)


def find(
    session: Session,
    kind: Kind,
    app: AppSpec | App,
    keyword: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Candidates:
    """Return where a keyword may stand in rows between two times. One statement."""
    blocks = list(_read(session, kind, app, keyword))
    likely = [block for block in blocks if block.bits and _is_within(block, since, until)]
    return Candidates(kind=kind, app=app, blocks=blocks, likely=likely)


def _read(session: Session, kind: Kind, app: AppSpec | App, keyword: str) -> Iterator[Block]:
    """Yield the blocks of a log, the latest first."""
    wanted = grams.needed(keyword)
    rows = session.connection().execute(_query(kind, app, keyword, wanted))
    later: Block | None = None
    for _, of_block in groupby(rows, attrgetter("id")):
        held = list(of_block)
        row = held[0]
        bits = _places_of(keyword, wanted, [chunk for each in held for chunk in each[len(COLUMNS) :]])
        if row.open is not None:
            bits |= grams.unpack(row.open)
        last = (row.last_at, row.last_id)
        if later is not None:
            yield replace(later, begin=last)
        later = Block(id=row.id, first_at=row.first_at, last=last, begin=None, bits=bits)
    if later is not None:
        yield later


def _query(kind: Kind, app: AppSpec | App, keyword: str, wanted: Sequence[str]) -> Select[*tuple[Any, ...]]:
    """Return the query of all blocks of a log, with the chunks that tell where a keyword may stand."""
    of_log = (LogBlock.tenant_id == app.tenant_id, LogBlock.app_id == app.id, LogBlock.kind == kind)
    query = select(*COLUMNS).where(*of_log).order_by(LogBlock.number.desc())
    if _is_everywhere(keyword):
        return query
    if wanted:
        return query.add_columns(*(_chunk_with(gram) for gram in wanted))
    begin, end = grams.begins(keyword)
    first = LOG_GRAMS.c.first
    is_there = and_(
        LOG_GRAMS.c.block_id == LogBlock.id, first >= func.coalesce(_first_of(begin), ""), first < end
    )
    return query.add_columns(LOG_GRAMS.c.chunk).select_from(outerjoin(LogBlock, LOG_GRAMS, is_there))


def _chunk_with(gram: str) -> ScalarSelect[bytes]:
    """Return the chunk of a block in which a gram is, if it is in the block."""
    return _last_up_to(gram, "chunk")


def _first_of(gram: str) -> ScalarSelect[str]:
    """Return the first gram of that chunk."""
    return _last_up_to(gram, "first")


def _last_up_to(gram: str, column: str) -> ScalarSelect[Any]:
    chunk = LOG_GRAMS.alias()
    of_block = select(chunk.c[column]).where(chunk.c.block_id == LogBlock.id, chunk.c.first <= gram)
    return of_block.order_by(chunk.c.first.desc()).limit(1).correlate_except(chunk).scalar_subquery()


def _places_of(keyword: str, wanted: Sequence[str], chunks: Sequence[bytes | None]) -> int:
    """Return the places in a block where a keyword may stand, as its chunks tell."""
    if _is_everywhere(keyword):
        return (1 << PLACES) - 1
    if not wanted:  # grams that begin with it: any will do
        piece = grams.fold(keyword)
        return reduce(or_, (grams.find_beginning(chunk, piece) for chunk in chunks if chunk), 0)
    bits = -1
    for gram, chunk in zip(wanted, chunks, strict=True):
        bits = bits and (grams.find(chunk, gram) & bits if chunk else 0)
    return bits


def _is_within(block: Block, since: datetime | None, until: datetime | None) -> bool:
    is_early = since is not None and block.last[0] < since
    return not is_early and not (until is not None and block.first_at > until)


def _is_everywhere(keyword: str) -> bool:
    return len(keyword) == 1 and keyword in EVERYWHERE
