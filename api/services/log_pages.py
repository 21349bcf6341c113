"""A page of a long list and how long it is, at a cost that does not grow with the list.

Both come from an index that has the list's order. What is searched for is
looked for once, for both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, ScalarSelect, Tuple, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

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
    *,
    is_search: bool,
) -> Cut:
    """Return a part of the rows that ``where`` is true of, ordered by time and id.

    ``is_search`` says that to tell whether it is true costs more than to keep the answer.
    """
    listed = select(at.label("at"), row_id.label("id")).where(*where)
    key: tuple[Any, Any] = (at, row_id)
    if is_search:
        found = listed.limit(COUNTED).cte("found")
        listed, key = select(found.c.at, found.c.id), (found.c.at, found.c.id)
    # Counted in its order, so that no planner reads the table instead of the index that has it.
    ordered = listed.order_by(*wanted.order(*key))
    total = select(func.count()).select_from(ordered.limit(COUNTED).subquery()).scalar_subquery()
    page = ordered.limit(wanted.limit + 1)
    if wanted.after is None:
        page = page.offset((wanted.page - 1) * wanted.limit)
    elif wanted.is_descending:
        page = page.where(tuple_(*key) < wanted.after)
    else:
        page = page.where(tuple_(*key) > wanted.after)
    return Cut(page=page.cte("page"), total=total)
