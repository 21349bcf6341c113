"""Time as an account reads it: spans in its own time zone, and the local day of an instant.

Databases differ in what they know of time zones, SQLite knows none. So a day is
arithmetic on Unix seconds: the zone's offset, which changes at instants found here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Integer, case, literal, literal_column
from sqlalchemy.orm import InstrumentedAttribute

from api.errors import InvalidRequest
from api.models.types import UnixSeconds, UTCDateTime

FORMAT = "%Y-%m-%d %H:%M"
DAY_S = 86_400
EPOCH = date(1970, 1, 1)
MONTH = timedelta(days=28)
STEP = timedelta(days=14)
"""No zone changes its offset and takes that back within so short a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From ``start`` up to, but not with, ``end``, in UTC; None is open. ``zone`` is the reader's."""

    start: datetime | None
    end: datetime | None
    zone: ZoneInfo

    def holds(self, column: InstrumentedAttribute[datetime]) -> list[ColumnElement[bool]]:
        """Return the conditions that an instant is in the span."""
        conditions = [] if self.start is None else [column >= self.start]
        return conditions if self.end is None else [*conditions, column < self.end]

    def months(self) -> Iterator["Span"]:
        """Yield parts of the span, which must be closed, of about a month each; none ends within a day."""
        assert self.start is not None
        assert self.end is not None
        start = self.start
        while start < self.end:
            day = start.astimezone(self.zone).date() + MONTH
            midnight = datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)
            yield Span(start=start, end=min(midnight, self.end), zone=self.zone)
            start = midnight


def read_span(start: str | None, end: str | None, timezone: str) -> Span:
    """Return the span between two local minutes, both of it; raises InvalidRequest for what is none."""
    zone = _zone(timezone)
    begin = _read(start, zone, "start")
    last = _read(end, zone, "end", and_then=timedelta(minutes=1))
    if begin is not None and last is not None and last <= begin:
        raise InvalidRequest("end must not be before start", field="end", fault="out_of_range")
    return Span(start=begin, end=last, zone=zone)


def span_of_days(first: date | None, last: date | None, timezone: str) -> Span:
    """Return the span between two local days, both of it; raises InvalidRequest where there is none."""
    start = None if first is None else f"{first.isoformat()} 00:00"
    end = None if last is None else f"{last.isoformat()} 23:59"
    return read_span(start, end, timezone)


def day_number(column: InstrumentedAttribute[datetime], span: Span) -> ColumnElement[int]:
    """Return the local day of an instant as days since 1970; the span must be closed."""
    assert span.start is not None
    assert span.end is not None
    first, *changes = _offsets(span.zone, span.start, span.end)
    offset: ColumnElement[Any] = literal_column(str(first[1]), Integer)
    if changes:
        ends = [first, *changes]
        whens = [
            (column < literal(changed, UTCDateTime()), literal_column(str(before), Integer))
            for (_, before), (changed, _) in zip(ends, changes, strict=False)
        ]
        offset = case(*whens, else_=literal_column(str(changes[-1][1]), Integer))
    return (UnixSeconds(column) + offset) // literal_column(str(DAY_S), Integer)


def to_date(number: int) -> str:
    """Return a day as ``YYYY-MM-DD``."""
    return (EPOCH + timedelta(days=number)).isoformat()


def _read(
    text: str | None, zone: ZoneInfo, field: str, *, and_then: timedelta = timedelta(0)
) -> datetime | None:
    """Return the instant so long after a local minute begins; blank is none."""
    if not text:
        return None
    try:
        return datetime.strptime(text, FORMAT).replace(tzinfo=zone).astimezone(UTC) + and_then
    except (ValueError, OverflowError):  # not of that form, no such day, beyond the years there are
        raise InvalidRequest(
            f"{field} must be a time like 2026-01-31 23:59", field=field, fault="invalid_format"
        ) from None


def _zone(name: str) -> ZoneInfo:
    """Return a time zone; one the machine no longer knows is read as UTC."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def _offsets(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[tuple[datetime, int]]:
    """Yield the zone's offset in seconds at the start, and each instant up to the end where it changes."""
    at, offset = start, _offset(zone, start)
    yield at, offset
    while at < end:
        later = min(at + STEP, end)
        changed = _offset(zone, later)
        if changed != offset:
            yield _change(zone, at, later), changed
        at, offset = later, changed


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the second between two instants from which on the later one's offset is in force."""
    old = _offset(zone, before)
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        before, after = (middle, after) if _offset(zone, middle) == old else (before, middle)
    return after.replace(microsecond=0)


def _offset(zone: ZoneInfo, at: datetime) -> int:
    offset = zone.utcoffset(at.astimezone(zone))
    assert offset is not None
    return int(offset.total_seconds())
