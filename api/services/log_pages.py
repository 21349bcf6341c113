"""A page of a long list and how long it is, at a cost that does not grow with the list.

Both come from an index that has the list's order. A search tells some rows at
once. Where there may be others it looks through the list, part by part, until
the page is full, or asks for all of them, whichever reads less: no statement
reads more than a bounded number of rows, and others have their turn in between.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Any, Protocol

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Row,
    Select,
    func,
    literal,
    outerjoin,
    select,
    true,
    tuple_,
    union,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from api.core.parallel import give_way
from api.models.types import position_of

COUNTED = 50_000
"""Totals end here: to count further would take longer than to show a page."""
DEARER = 8
"""To read a row by its number takes about so many times as long as to read it in its order."""

Place = tuple[datetime, str]
"""A row's time and id, by which lists are ordered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Which part of a list is wanted: what follows the place ``after``, or the page of a number."""

    limit: int
    page: int
    after: Place | None = None
    is_descending: bool = True

    @property
    def skipped(self) -> int:
        """How many rows come before it, behind ``after``."""
        return 0 if self.after is not None else (self.page - 1) * self.limit

    @property
    def end(self) -> int:
        """How many rows there are up to its end, and one more where the list goes on."""
        return self.skipped + self.limit + 1

    def order(self, *columns: Any) -> list[Any]:
        """Return the columns as the list is ordered by them."""
        return [column.desc() if self.is_descending else column.asc() for column in columns]

    def is_behind(self, place: Place, other: Place) -> bool:
        """Tell whether a place comes after another in the list."""
        return place < other if self.is_descending else place > other

    def of(self, places: Iterable[Place]) -> list[Place]:
        """Return those places that come behind ``after``, in the order of the list."""
        behind = (place for place in places if self.after is None or self.is_behind(place, self.after))
        return sorted(behind, reverse=self.is_descending)

    def up_to_end(self, query: Select[datetime, str], at: Any, row_id: Any) -> Select[datetime, str]:
        """Return the query of no more than what ``end`` counts, in the order of the list."""
        if self.after is not None:
            key, after = tuple_(at, row_id), position_of(*self.after)
            query = query.where(key < after if self.is_descending else key > after)
        return query.order_by(*self.order(at, row_id)).limit(self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The rows of a list: their time, their id, and what is true of them.

    ``in_order`` says of what app they are, as the index knows it that has their
    order; ``by_id`` says the same so that they are looked for by their ids.
    """

    at: InstrumentedAttribute[datetime]
    row_id: InstrumentedAttribute[str]
    in_order: Sequence[Any]
    by_id: Sequence[Any]
    where: Sequence[ColumnElement[bool]]

    def query(self, *where: Any) -> Select[datetime, str]:
        """Return the query of the places of those rows of which still more is true."""
        return self._where(*self.in_order, *where)

    def named(self, is_named: ColumnElement[bool]) -> Select[datetime, str]:
        """Return the same of rows that a condition names by their ids."""
        return self._where(*self.by_id, is_named)

    def _where(self, *where: Any) -> Select[datetime, str]:
        return select(self.at.label("at"), self.row_id.label("id")).where(*where, *self.where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a log by time: after ``lower``, up to ``upper``; about so many ``rows`` are read for it."""

    lower: Place | None
    upper: Place | None
    rows: int

    def holds(self, at: Any, row_id: Any) -> list[ColumnElement[bool]]:
        """Return the conditions that a place is in it."""
        key = tuple_(at, row_id)
        conditions = [] if self.lower is None else [key > position_of(*self.lower)]
        return conditions if self.upper is None else [*conditions, key <= position_of(*self.upper)]

    def has(self, place: Place) -> bool:
        """Tell whether a place is in it."""
        is_after = self.lower is None or place > self.lower
        return is_after and (self.upper is None or place <= self.upper)

    def before(self, is_descending: bool) -> "Part":
        """Return what comes before it in a list."""
        if is_descending:
            return Part(lower=self.upper, upper=None, rows=0)
        return Part(lower=None, upper=self.lower, rows=0)


class Search(Protocol):
    """What is looked for in a list."""

    @property
    def count(self) -> int:
        """How many rows are read for :meth:`some` and :meth:`more`."""
        ...

    def some(self) -> ColumnElement[bool]:
        """Return the condition of those that are told at once, and counted."""
        ...

    def more(self) -> Iterator[ColumnElement[bool]]:
        """Yield conditions that tell all others, each of them a bounded number."""
        ...

    def parts(self) -> Sequence[Part]:
        """Return where in the list there may be others, the latest first; none where there are none."""
        ...

    def each(self) -> Sequence[ColumnElement[bool]]:
        """Return the conditions of these, which cost much to tell of many."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The rows of a page as they are described, and how many there are in all: no fewer than were told of."""

    rows: Sequence[Row[Any]]
    total: int
    has_more: bool


def load(
    session: Session,
    listed: Listed,
    wanted: Slice,
    describe: Callable[[CTE], Select[Any]],
    search: Search | None = None,
) -> Page:
    """Return a part of a list, of a search if given. One statement, unless what is looked for is rare.

    ``describe`` makes the statement that tells of each row it is given by its
    ``id``, and the ``total`` next to it. Where its first column is None there is no row.
    """
    parts = [] if search is None else _parts(search, wanted)
    told = session.execute(describe(_first(listed, wanted, search, parts))).all()
    total = int(told[0].total)
    rows = [row for row in told if row[0] is not None]
    if search is not None and len(parts) > 1 and len(rows) <= wanted.limit:
        places = _look_on(session, listed, wanted, search, parts)
        if places is None:
            everything = _ask_for_all(session, listed, search)
            total = min(len(everything), COUNTED)
            places = wanted.of(everything)[wanted.skipped : wanted.end]
        ids = [row_id for _, row_id in places]
        rows = list(session.execute(describe(_named(listed, ids, total))).all())
    return Page(
        rows=rows[: wanted.limit],
        total=max(total, wanted.skipped + len(rows)) if rows else total,
        has_more=len(rows) > wanted.limit,
    )


def _parts(search: Search, wanted: Slice) -> list[Part]:
    """Return the parts of a search in the order of the list, without those that come before ``wanted``."""
    parts = list(search.parts())
    if wanted.is_descending:
        return [part for part in parts if _may_have(part.lower, wanted)]
    return [part for part in reversed(parts) if _may_have(part.upper, wanted)]


def _may_have(end: Place | None, wanted: Slice) -> bool:
    return wanted.after is None or end is None or wanted.is_behind(end, wanted.after)


def _first(listed: Listed, wanted: Slice, search: Search | None, parts: Sequence[Part]) -> CTE:
    """Return the page as far as one statement tells it, next to the total; one row at least."""
    key: tuple[Any, Any] = (listed.at, listed.row_id)
    if search is None:
        # Counted in its order, so that no planner reads the table instead of the index that has it.
        counted = listed.query().order_by(*wanted.order(*key))
        page = wanted.up_to_end(listed.query(), *key)
    else:
        found = listed.named(search.some()).limit(COUNTED).cte("found")
        counted = select(found.c.at, found.c.id)
        source = _with_first(listed, wanted, search, parts, found) if parts else found
        page = wanted.up_to_end(select(source.c.at, source.c.id), source.c.at, source.c.id)
    total = select(func.count().label("total")).select_from(counted.limit(COUNTED).subquery()).subquery()
    there = page.limit(wanted.limit + 1).offset(wanted.skipped).subquery()
    return (
        select(total.c.total, there.c.at, there.c.id).select_from(outerjoin(total, there, true())).cte("page")
    )


def _with_first(
    listed: Listed, wanted: Slice, search: Search, parts: Sequence[Part], found: FromClause
) -> FromClause:
    """Return what was found and is in the first part: of these no others come before the second."""
    at, row_id = listed.at, listed.row_id
    seen = wanted.up_to_end(listed.query(*search.each(), *parts[0].holds(at, row_id)), at, row_id).subquery()
    sure = parts[1].before(wanted.is_descending).holds(found.c.at, found.c.id) if parts[1:] else []
    return union(select(found.c.at, found.c.id).where(*sure), select(seen.c.at, seen.c.id)).subquery()


def _look_on(
    session: Session, listed: Listed, wanted: Slice, search: Search, parts: Sequence[Part]
) -> list[Place] | None:
    """Return a page and one place more where the list goes on, or None where to ask for all takes less."""

    def read(query: Select[datetime, str]) -> set[Place]:
        return _read(session, wanted.up_to_end(query, listed.at, listed.row_id))

    found = read(listed.named(search.some()))
    looked, passed = parts[0].rows, 0
    page: list[Place] = []
    for part, following in zip_longest(parts, parts[1:]):
        if looked > DEARER * search.count:
            return None
        found |= read(listed.query(*search.each(), *part.holds(listed.at, listed.row_id)))
        looked += part.rows
        sure = found if following is None else set(filter(following.before(wanted.is_descending).has, found))
        found = found - sure  # what comes later in the list than others that are not found yet
        page += wanted.of(sure)[max(wanted.skipped - passed, 0) : wanted.end - passed]
        passed += len(sure)
        if passed >= wanted.end:
            break
    return page


def _ask_for_all(session: Session, listed: Listed, search: Search) -> set[Place]:
    found = _read(session, listed.named(search.some()))
    for condition in search.more():
        found |= _read(session, listed.named(condition))
    return found


def _read(session: Session, query: Select[datetime, str]) -> set[Place]:
    """Return the places that a query tells, after others had their turn."""
    give_way()
    return {(at, row_id) for at, row_id in session.execute(query)}


def _named(listed: Listed, ids: Sequence[str], total: int) -> CTE:
    rows = listed.named(listed.row_id.in_(ids)).subquery()
    return select(literal(total).label("total"), rows.c.at, rows.c.id).cte("page")
