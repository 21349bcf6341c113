"""Where a keyword may stand in the messages or runs of an app, whatever their number.

The index is made in the background (log_blocks.py), block by block. What is not
in it yet, the end of the log, is looked through by whoever asks. The index only
proposes: the text of a row decides.
"""

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
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
    null,
    select,
    true,
    tuple_,
)
from sqlalchemy.orm import Session, join, outerjoin

from api.core.apps.spec import AppSpec
from api.core.text import grams
from api.models.app import App
from api.models.conversation import Message
from api.models.log_index import LOG_GRAMS, LOG_PLACES, PLACES, LogBlock
from api.models.types import position_of
from api.models.workflow import WorkflowRun
from api.services.local_days import Span

Kind = Literal["messages", "workflow_runs"]
TABLES: dict[Kind, type[Message | WorkflowRun]] = {"messages": Message, "workflow_runs": WorkflowRun}

FEW = 2_000
"""So many rows that may hold a keyword are all read; where there are more, a page is soon found in order."""
EVERYWHERE = frozenset(string.ascii_letters + string.digits + " ")
"""Each of these alone stands in nearly every text: the index is not asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The rows in which a keyword may stand: the latest FEW of the index, by number, and all behind it.

    ``is_all`` says that there are no others in the index. Behind it is what comes
    ``after`` a place; None where there is no index. In it no row that is later
    than ``newest`` may hold the keyword.
    """

    kind: Kind
    app: AppSpec | App
    numbers: Sequence[int] = ()
    is_all: bool = True
    after: tuple[datetime, str] | None = None
    newest: datetime | None = None

    def behind(self, ids: Any, says: ColumnElement[bool]) -> Select[Any]:
        """Return the query of the ``ids`` of those rows behind the index of which ``says`` is true."""
        table = TABLES[self.kind]
        query = select(ids).where(table.tenant_id == self.app.tenant_id, table.app_id == self.app.id, says)
        if self.after is None:
            return query
        return query.where(tuple_(table.created_at, table.id) > position_of(*self.after))

    def named(self, ids: Any, says: ColumnElement[bool]) -> Select[Any]:
        """Return the same of those rows that are told by number."""
        table = TABLES[self.kind]
        numbers: BindParameter[Any] = bindparam(
            "numbers", list(self.numbers), expanding=True, literal_execute=True, unique=True
        )
        rows = select(LOG_PLACES.c.row_id).where(LOG_PLACES.c.number.in_(numbers))
        of_app = (table.tenant_id == self.app.tenant_id, table.app_id == self.app.id)
        return select(ids).where(*of_app, table.id.in_(rows), says)


def find(session: Session, kind: Kind, app: AppSpec | App, keyword: str, span: Span | None) -> Candidates:
    """Return where a keyword may stand within a span of time. One statement."""
    blocks = list(_read(session, kind, app, keyword))
    if not blocks:
        return Candidates(kind=kind, app=app)
    last = blocks[0]
    after = (last.last_at, last.last_id)
    if _is_everywhere(keyword):
        return Candidates(kind=kind, app=app, is_all=False, after=after, newest=last.last_at)
    likely = [block for block in blocks if block.bits and _is_within(block, span)]
    numbers: list[int] = []
    count = sum(block.bits.bit_count() for block in likely)
    for block in likely:
        if len(numbers) >= FEW:
            break
        numbers += [block.id * PLACES + place for place in grams.places_in(block.bits)]
    return Candidates(
        kind=kind,
        app=app,
        numbers=numbers[:FEW],
        is_all=count <= FEW,
        after=after,
        newest=likely[0].last_at if likely else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """A block, and the places in it where a keyword may stand."""

    id: int
    first_at: datetime
    last_at: datetime
    last_id: str
    bits: int


def _read(session: Session, kind: Kind, app: AppSpec | App, keyword: str) -> Iterator[_Block]:
    """Yield the blocks of a log, the latest first."""
    wanted = grams.needed(keyword)
    piece = grams.fold(keyword)
    rows = session.connection().execute(_query(kind, app, keyword, wanted))
    for _, of_block in groupby(rows, attrgetter("id")):
        bits = -1 if wanted else 0
        for row in of_block:
            if not wanted:  # grams that begin with it: any will do
                bits |= grams.find_beginning(row.chunk, piece) if row.chunk else 0
            elif bits:
                bits &= grams.find(row.chunk, row.gram) if row.chunk else 0
        if row.open is not None:
            bits |= grams.unpack(row.open)
        yield _Block(id=row.id, first_at=row.first_at, last_at=row.last_at, last_id=row.last_id, bits=bits)


def _query(kind: Kind, app: AppSpec | App, keyword: str, wanted: Sequence[str]) -> Select[Any]:
    """Return the query of all blocks of a log, with the chunks in which the grams of a keyword are."""
    columns = (LogBlock.id, LogBlock.first_at, LogBlock.last_at, LogBlock.last_id, LogBlock.open)
    of_log = (LogBlock.tenant_id == app.tenant_id, LogBlock.app_id == app.id, LogBlock.kind == kind)
    query = select(*columns).where(*of_log).order_by(LogBlock.number.desc())
    if _is_everywhere(keyword):
        return query.add_columns(null().label("chunk"))
    of_block = LOG_GRAMS.c.block_id == LogBlock.id
    first = LOG_GRAMS.c.first
    if not wanted:
        begin, end = grams.begins(keyword)
        is_there = and_(of_block, first >= func.coalesce(_chunk_of(literal(begin)), ""), first < end)
        return query.add_columns(LOG_GRAMS.c.chunk).select_from(outerjoin(LogBlock, LOG_GRAMS, is_there))
    each = [select(literal(gram).label("gram")) for gram in wanted]
    asked = (each[0].union_all(*each[1:]) if each[1:] else each[0]).subquery("asked")
    is_there = and_(of_block, first == _chunk_of(asked.c.gram))
    joined = join(LogBlock, asked, true()).outerjoin(LOG_GRAMS, is_there)
    return query.add_columns(asked.c.gram, LOG_GRAMS.c.chunk).select_from(joined)


def _chunk_of(gram: ColumnElement[str]) -> ScalarSelect[str]:
    """Return the first gram of the chunk of a block in which a gram is, if it is in the block."""
    chunk = LOG_GRAMS.alias()
    return (
        select(func.max(chunk.c.first))
        .where(chunk.c.block_id == LogBlock.id, chunk.c.first <= gram)
        .correlate_except(chunk)
        .scalar_subquery()
    )


def _is_within(block: _Block, span: Span | None) -> bool:
    if span is None:
        return True
    is_early = span.start is not None and block.last_at < span.start
    return not is_early and not (span.end is not None and block.first_at >= span.end)


def _is_everywhere(keyword: str) -> bool:
    return len(keyword) == 1 and keyword in EVERYWHERE
