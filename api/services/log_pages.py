"""A page of a long list and how long it is, at a cost that does not grow with the list.

Both come from an index that has the list's order. What is searched for and
stands in few rows is looked for once, for both; where it stands in many, only
the latest of these are counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import CTE, ColumnElement, Row, ScalarSelect, Tuple, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

COUNTED = 50_000
"""Totals end here: to count further would take longer than to show a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Which part of a list is wanted: what follows the place ``after``, or the page of a number."""

    limit: int
    page: int
    after: Tuple | None = None
    is_descending: bool = True

    def order(self, *columns: Any) -> list[Any]:
        """Return the columns as the list is ordered by them."""
        return [column.desc() if self.is_descending else column.asc() for column in columns]


class Search(Protocol):
    """What is looked for in a list: in few rows that are told at once, else in all rows in their order."""

    @property
    def is_all(self) -> bool:
        """Whether those that are told at once are all there are."""
        ...

    def some(self) -> ColumnElement[bool]:
        """Return the condition of those that are told at once; no more are counted."""
        ...

    def each(self) -> ColumnElement[bool]:
        """Return the condition of any, which costs much to tell of many."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The ids of a page, with one more where the list goes on, and how many there are in all."""

    page: CTE
    total: ScalarSelect[int]


def cut(
    at: InstrumentedAttribute[datetime],
    row_id: InstrumentedAttribute[str],
    where: Sequence[Any],
    wanted: Slice,
    search: Search | None = None,
) -> Cut:
    """Return a part of the rows that ``where`` is true of, ordered by time and id, of a search if given."""
    listed = select(at.label("at"), row_id.label("id")).where(*where)
    key: tuple[Any, Any] = (at, row_id)
    each = listed
    if search is not None:
        found = listed.where(search.some()).limit(COUNTED).cte("found")
        listed = select(found.c.at, found.c.id)
        if search.is_all:
            each, key = listed, (found.c.at, found.c.id)
        else:
            each = each.where(search.each())
    # Counted in its order, so that no planner reads the table instead of the index that has it.
    counted = listed if search is not None else listed.order_by(*wanted.order(*key))
    total = select(func.count()).select_from(counted.limit(COUNTED).subquery()).scalar_subquery()
    page = each.order_by(*wanted.order(*key)).limit(wanted.limit + 1)
    if wanted.after is None:
        page = page.offset((wanted.page - 1) * wanted.limit)
    elif wanted.is_descending:
        page = page.where(tuple_(*key) < wanted.after)
    else:
        page = page.where(tuple_(*key) > wanted.after)
    return Cut(page=page.cte("page"), total=total)


def count(session: Session, found: Cut, wanted: Slice, rows: Sequence[Row[Any]]) -> int:
    """Return how many rows a list has, of which some were read with its total: no fewer than were told of.

    An empty page that is not the first takes a statement.
    """
    skipped = 0 if wanted.after is not None else (wanted.page - 1) * wanted.limit
    if rows:
        return max(int(rows[0].total), skipped + len(rows))
    is_first = wanted.after is None and wanted.page == 1
    return 0 if is_first else session.scalars(select(found.total)).one()
